"""Convolutions that turn with the image: equivariant under flips and quarter turns.

Cohen and Welling 2016 (arXiv:1602.07576) for the eight symmetries of the square. The
channels of a hidden layer are fields of eight, one for each orientation; a filter is
stored once and used in all of them. Turning the input turns the output, whatever the
weights, at the cost of a plain convolution of as many channels.

`PLAIN` and `ORIENTED` build the same layers with and without this, so that a network is
written once for both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_dps.core import InputError

TURNS = 8
"""Flips and quarter turns of the square, the identity first."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fields:
    """Groups of channels that change places when the image is turned.

    Attributes
    ----------
    count : int
        Groups.
    cell : int
        Edge of the cell whose pixels are the channels of a group, as
        `torch.nn.functional.pixel_unshuffle` puts them; 1 is an image that just turns
        along. 0 is a group of eight orientations.
    """

    count: int
    cell: int = 1

    @property
    def size(self) -> int:
        """Channels of a group."""
        return self.cell**2 or TURNS

    @property
    def channels(self) -> int:
        """All channels."""
        return self.count * self.size


Channels = int | Sequence[Fields]
"""Channels of a hidden layer, or what the channels of an input or output mean."""


def turned(image: Any, turn: int) -> Any:
    """Turn an array or tensor (..., Y, X) counter-clockwise, then mirror it or not.

    Parameters
    ----------
    image : array or tensor
        Of any size.
    turn : int
        0 to 7: quarter turns, plus 4 if mirrored left to right.

    Returns
    -------
    array or tensor
        A view or a copy, as its library does.

    Examples
    --------
    >>> turned(np.array([[1, 2], [3, 4]]), 1).tolist()
    [[2, 4], [1, 3]]
    """
    if isinstance(image, Tensor):
        image = torch.rot90(image, turn % 4, (-2, -1))
        return image.flip(-1) if turn >= 4 else image
    image = np.rot90(image, turn % 4, (-2, -1))
    return image[..., ::-1] if turn >= 4 else image


def opposite(turn: int) -> int:
    """Return the turn that undoes a turn.

    Examples
    --------
    >>> image = torch.rand(2, 3)
    >>> all(turned(turned(image, n), opposite(n)).equal(image) for n in range(TURNS))
    True
    """
    return turn if turn >= 4 else -turn % 4


class EquivariantConv2d(nn.Module):
    """A convolution whose filters are tied so that its output turns with its input.

    Entries of the filters that a turn of the image brings to one another are one
    number. Sides of the input must be multiples of the stride.

    Parameters
    ----------
    inputs, outputs : sequence of Fields
        Meaning of the channels, in their order.
    kernel : int
        Edge of the filters: odd without stride, even with.
    stride : int
        As of `torch.nn.Conv2d`. The size is divided by it exactly, or multiplied.
    transposed : bool
        Whether it is that of `torch.nn.ConvTranspose2d`.
    """

    def __init__(
        self,
        inputs: Sequence[Fields],
        outputs: Sequence[Fields],
        kernel: int,
        *,
        stride: int = 1,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        if (kernel - stride) % 2:
            raise InputError(
                "edge of filters", got=kernel, allowed="odd or even as the stride is"
            )
        self._blocks = [(o, i) for o in outputs for i in inputs]
        self._columns, self._kernel = len(inputs), kernel
        self._stride, self._padding = stride, (kernel - stride) // 2
        self._transposed = transposed
        self.filters, self.biases = nn.ParameterList(), nn.ParameterList()
        reach = 1 / math.sqrt(kernel**2 * sum(fields.channels for fields in inputs))
        for number, (out, into) in enumerate(self._blocks):
            shared = _shared_entries(out.cell, into.cell, kernel)
            free = torch.empty(int(shared.max()) + 1, out.count, into.count)
            self.filters.append(free.uniform_(-reach, reach))
            self._index(f"shared_{number}", shared)
        for number, out in enumerate(outputs):
            shared = _shared_entries(out.cell, 1, 1)
            free = torch.empty(int(shared.max()) + 1, out.count)
            self.biases.append(free.uniform_(-reach, reach))
            self._index(f"shared_bias_{number}", shared)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, Y, X) to (N, C', Y', X')."""
        weight, bias = self.expanded()
        if self._transposed:
            weight = _channels_last(weight.transpose(0, 1))
            return F.conv_transpose2d(x, weight, bias, self._stride, self._padding)
        weight = _channels_last(weight)
        return F.conv2d(x, weight, bias, self._stride, self._padding)

    def expanded(self) -> tuple[Tensor, Tensor]:
        """Return filters (C', C, K, K) and biases (C',) of the plain convolution."""
        blocks = [self._block(number) for number in range(len(self._blocks))]
        step = self._columns
        rows = [
            torch.cat(blocks[start : start + step], dim=1)
            for start in range(0, len(blocks), step)
        ]
        biases = [
            free.index_select(0, getattr(self, f"shared_bias_{number}")).T.reshape(-1)
            for number, free in enumerate(self.biases)
        ]
        return torch.cat(rows), torch.cat(biases)

    def as_plain(self) -> nn.Module:
        """Return the plain convolution that does the same."""
        weight, bias = self.expanded()
        kind = nn.ConvTranspose2d if self._transposed else nn.Conv2d
        layer = kind(
            weight.shape[1],
            weight.shape[0],
            self._kernel,
            stride=self._stride,
            padding=self._padding,
            device="meta",
        )
        weight = weight.transpose(0, 1) if self._transposed else weight
        layer.weight = nn.Parameter(weight)
        layer.bias = nn.Parameter(bias)
        return layer

    def _block(self, number: int) -> Tensor:
        out, into = self._blocks[number]
        entries = self.filters[number].index_select(
            0, getattr(self, f"shared_{number}")
        )
        edge = self._kernel
        entries = entries.view(out.size, into.size, edge, edge, out.count, into.count)
        shape = (out.channels, into.channels, edge, edge)
        block: Tensor = entries.permute(4, 0, 5, 1, 2, 3).reshape(shape)
        return block

    def _index(self, name: str, shared: Indices) -> None:
        # Follows from the settings: no part of the weights.
        flat = torch.from_numpy(shared.reshape(-1))
        self.register_buffer(name, flat, persistent=False)


class FieldPReLU(nn.Module):
    """PReLU with one slope for the eight orientations of a field.

    Parameters
    ----------
    fields : int
        Fields of eight channels.
    """

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((fields,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 8 · fields, Y, X) to the same shape."""
        return F.prelu(x, self.weight.repeat_interleave(TURNS))

    def as_plain(self) -> nn.Module:
        """Return the plain PReLU that does the same."""
        slopes = self.weight.repeat_interleave(TURNS)
        layer = nn.PReLU(len(slopes))
        layer.weight = nn.Parameter(slopes)
        return layer


def as_plain(network: nn.Module) -> None:
    """Replace the layers of a network by plain ones that do the same.

    For inference: filters are then expanded once.

    Parameters
    ----------
    network : module
        Is changed.
    """
    for name, child in network.named_children():
        if isinstance(child, (EquivariantConv2d, FieldPReLU)):
            setattr(network, name, child.as_plain())
        else:
            as_plain(child)


class Layers(Protocol):
    """Builds the layers of a network."""

    def conv(
        self,
        inputs: Channels,
        outputs: Channels,
        kernel: int,
        *,
        stride: int = 1,
        transposed: bool = False,
    ) -> nn.Module:
        """Return a convolution; the size is kept, divided or multiplied exactly."""

    def activation(self, channels: int) -> nn.Module:
        """Return a PReLU for a hidden layer."""


class PlainLayers:
    """Layers of `torch.nn`."""

    def conv(
        self,
        inputs: Channels,
        outputs: Channels,
        kernel: int,
        *,
        stride: int = 1,
        transposed: bool = False,
    ) -> nn.Module:
        """Return `torch.nn.Conv2d` or `torch.nn.ConvTranspose2d`."""
        kind = nn.ConvTranspose2d if transposed else nn.Conv2d
        padding = (kernel - stride) // 2
        sizes = (_count(inputs), _count(outputs), kernel)
        return kind(*sizes, stride=stride, padding=padding)

    def activation(self, channels: int) -> nn.Module:
        """Return `torch.nn.PReLU`, a slope for each channel."""
        return nn.PReLU(channels)


class OrientedLayers:
    """Layers that turn with the image; hidden channels come in fields of eight."""

    def conv(
        self,
        inputs: Channels,
        outputs: Channels,
        kernel: int,
        *,
        stride: int = 1,
        transposed: bool = False,
    ) -> nn.Module:
        """Return an `EquivariantConv2d`."""
        return EquivariantConv2d(
            _fields(inputs),
            _fields(outputs),
            kernel,
            stride=stride,
            transposed=transposed,
        )

    def activation(self, channels: int) -> nn.Module:
        """Return a `FieldPReLU`."""
        return FieldPReLU(_fields(channels)[0].count)


PLAIN, ORIENTED = PlainLayers(), OrientedLayers()


def layers_of(oriented: bool) -> Layers:
    """Return `ORIENTED` or `PLAIN`."""
    return ORIENTED if oriented else PLAIN


def _channels_last(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last)


def _count(channels: Channels) -> int:
    if isinstance(channels, int):
        return channels
    return sum(fields.channels for fields in channels)


def _fields(channels: Channels) -> Sequence[Fields]:
    if not isinstance(channels, int):
        return [fields for fields in channels if fields.count]
    if channels % TURNS:
        raise InputError(
            "channels of a network that turns with the image",
            got=channels,
            allowed=f"a multiple of {TURNS}",
        )
    return [Fields(channels // TURNS, cell=0)]


@lru_cache
def _sources(cell: int) -> tuple[Indices, ...]:
    """Return for each turn the channel that each channel of a group comes from."""
    if cell:
        places = np.arange(cell**2).reshape(cell, cell)
        return tuple(turned(places, turn).reshape(-1) for turn in range(TURNS))
    # Orientation h becomes g h: so h comes from g⁻¹ h.
    corners = np.arange(4).reshape(2, 2)
    images = [turned(corners, turn) for turn in range(TURNS)]
    table = np.zeros((TURNS, TURNS), dtype=np.int64)
    for g in range(TURNS):
        for h in range(TURNS):
            both = turned(images[h], g)
            (product,) = (n for n, one in enumerate(images) if (one == both).all())
            table[g, product] = h
    return tuple(table)


@lru_cache
def _shared_entries(out_cell: int, in_cell: int, kernel: int) -> Indices:
    """Give the entries of filters from one group of channels to another a number.

    Returns
    -------
    array (C', C, K, K)
        Equal where a turn of the image brings one entry to the other.
    """
    shape = (len(_sources(out_cell)[0]), len(_sources(in_cell)[0]), kernel, kernel)
    entries = np.arange(math.prod(shape)).reshape(shape)
    least = entries
    for turn, (out, into) in enumerate(
        zip(_sources(out_cell), _sources(in_cell), strict=True)
    ):
        least = np.minimum(least, turned(entries[np.ix_(out, into)], turn))
    _, numbers = np.unique(least, return_inverse=True)
    return np.asarray(numbers, dtype=np.int64).reshape(shape)

"""Transforms of a Wiener reconstruction: frames to orders, orders to an image.

One complex FFT an order at the size of the input, one real FFT for the order 0 of all
angles together, one inverse real FFT at the size of the output: images are real, so
half a plane and one of each pair of orders ±n do. A wave vector is split into whole
bins, which shift an index, and a remainder, which is a phase ramp in space.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from napari_dps.core.at_once import at_once
from napari_dps.core.tiling import strips
from napari_dps.physics.sim.separate import AngleOrders
from napari_dps.physics.sim.wiener_grid import (
    OrderSupport,
    Padding,
    order_supports,
    plane_extent,
)

if TYPE_CHECKING:
    import torch


class SeparatedOrders(NamedTuple):
    """The orders of a stack, before any filter.

    Attributes
    ----------
    spectra : list of tensors (..., 2 J_x + 1, 2 J_y + 1), complex
        Order 0 summed over the angles (half plane: J_x + 1), then each used order,
        within the support of the OTF; columns first, as the transforms leave them.
    mean : tensor (...)
        Mean counts of order 0, averaged over the angles.
    """

    spectra: list[torch.Tensor]
    mean: torch.Tensor


class OrderTransforms:
    """Transforms frames of one shape to the spectra of their orders, and these back.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) of a frame.
    angles : sequence of AngleOrders
        Orders of each angle.
    cutoff : float
        2 NA/λ in cycles per pixel.
    padding_px : int
        Pixels by which each edge is extended at least.
    real : tensor
        Any tensor on the device and of the real type to compute in.

    Attributes
    ----------
    supports : list of OrderSupport
        Order 0 of all angles first, then each used order.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        angles: Sequence[AngleOrders],
        cutoff: float,
        padding_px: int,
        real: torch.Tensor,
    ) -> None:
        import torch

        self._shape, self._real = shape, real
        self._complex = torch.complex(real, real)
        self._paddings = [Padding(n, padding_px) for n in shape]
        size = self._paddings[0].size, self._paddings[1].size
        self.supports = order_supports(size, cutoff, angles)
        self._tables = [
            [_AxisTables(order, axis, self._paddings[axis], real) for axis in (0, 1)]
            for order in self.supports
        ]
        columns = plane_extent(self.supports)[1] + 1
        self._line_mean = torch.as_tensor(
            self._paddings[1].mean_of_lines(2 * shape[1], columns)
        ).to(self._complex)

    def separate(
        self, frames: torch.Tensor, matrices: Sequence[torch.Tensor]
    ) -> SeparatedOrders:
        """Return the orders of frames (..., A, P, Y, X) by the matrices of the angles.

        A matrix (1 + 2 N, P) gives D_0, Re D_1, Im D_1, … of an angle.
        """
        batch = frames.shape[:-4]
        lines = [
            self._complex.new_empty(*batch, order.size[0], len(order.bins(1)))
            for order in self.supports
        ]

        def light_of(rows: slice) -> torch.Tensor:
            light = self._real.new_zeros(batch)
            for index, image in _separated(frames[..., rows, :], matrices):
                lines[index][..., rows, :] = self._along_x(index, image)
                if index == 0:
                    light = image.sum(dim=(-2, -1))
            return light

        tiles = _tiles(frames[..., 0, :, :, :])
        total = self._real.new_zeros(batch)
        for light in at_once(partial(light_of, rows) for rows in tiles):
            total = total + light
        spectra = at_once(partial(self._along_y, *one) for one in enumerate(lines))
        return SeparatedOrders(
            list(spectra), total / (len(matrices) * math.prod(self._shape))
        )

    def columns(
        self, spectra: Sequence[torch.Tensor], weights: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return the half spectra along x of the image's lines, (..., q_x, 2 Y).

        They are those of the sum of all orders' spectra times their weights.
        """
        blocks = (s * w for s, w in zip(spectra, weights, strict=True))
        batch = tuple(spectra[0].shape[:-2])
        return self.columns_of(self.half_plane(((b, b) for b in blocks), batch))

    def columns_of(self, plane: torch.Tensor) -> torch.Tensor:
        """Return the half spectra along x of the lines of a plane, (..., q_x, 2 Y).

        Parameters
        ----------
        plane : tensor (..., q_x, q_y), complex
            As `half_plane` returns it.
        """
        import torch

        extent = plane_extent(self.supports)[0]
        gap = 2 * self._paddings[0].size - plane.shape[-1]
        zeros = plane.new_zeros(*plane.shape[:-1], gap)
        whole = torch.cat([plane[..., extent:], zeros, plane[..., :extent]], dim=-1)
        columns: torch.Tensor = torch.fft.ifft(whole)
        return columns[..., : 2 * self._shape[0]]

    def half_plane(
        self,
        blocks: Iterable[tuple[torch.Tensor, torch.Tensor]],
        batch: tuple[int, ...] = (),
    ) -> torch.Tensor:
        """Return the sum of all orders at q_x ≥ 0.

        Parameters
        ----------
        blocks : iterable of (tensor, tensor)
            Of each order the weighted spectrum, and that whose mirror image is the
            spectrum of the order −n: the same one, of a volume that at −kz.
        batch : tuple of int
            Shape of their leading axes.

        Returns
        -------
        tensor (..., q_x, q_y), complex
            Of the extent of `plane_extent`, q_y from −extent on.
        """
        extent = plane_extent(self.supports)
        plane = self._complex.new_zeros(*batch, extent[1] + 1, 2 * extent[0] + 1)
        for order, pair in zip(self.supports, blocks, strict=True):
            for overlap in order.overlaps(extent):
                piece = pair[overlap.is_mirrored][..., *reversed(overlap.block)]
                if overlap.is_mirrored:
                    piece = piece.flip((-2, -1)).conj()
                plane[..., *reversed(overlap.plane)] += piece
        return plane

    def set_mean(self, columns: torch.Tensor, mean: torch.Tensor) -> None:
        """Change the half spectra of lines so that the image has this mean."""
        found = (columns.mean(dim=-1) * self._line_mean).real.sum(dim=-1)
        columns[..., 0, :] += 2 * self._paddings[1].size * (mean - found)[..., None]

    def image(self, columns: torch.Tensor) -> torch.Tensor:
        """Return the image (..., 2 Y, 2 X) of the half spectra of its lines."""
        import torch

        height, width = (2 * length for length in self._shape)
        image = self._real.new_empty(*columns.shape[:-2], height, width)
        size = 2 * self._paddings[1].size

        def fill(rows: slice) -> None:
            lines = torch.fft.irfft(columns[..., rows].mT, n=size)
            image[..., rows, :] = lines[..., :width]

        for _ in at_once(partial(fill, rows) for rows in _tiles(image)):
            pass
        return image

    def _along_x(self, index: int, image: torch.Tensor) -> torch.Tensor:
        """Transform lines of an order's image; the ramp brings its support to bin 0."""
        import torch

        order, table = self.supports[index], self._tables[index][1]
        image = torch.cat([image, table.ends(image, -1)], dim=-1)
        lines: torch.Tensor = (
            torch.fft.rfft(image)
            if order.is_order_zero
            else torch.fft.fft(image * table.ramp)
        )
        return lines.narrow(-1, 0, len(order.bins(1)))

    def _along_y(self, index: int, lines: torch.Tensor) -> torch.Tensor:
        """Transform columns of lines (..., padded Y, 2 J_x + 1); overwrites them."""
        import torch

        order, table = self.supports[index], self._tables[index][0]
        height = self._shape[0]
        lines[..., height:, :] = table.ends(lines[..., :height, :], -2)
        lines *= table.ramp[:, None]
        columns: torch.Tensor = torch.fft.fft(lines.mT)
        return columns.narrow(-1, 0, len(order.bins(0)))


def plain_ends(image: torch.Tensor, padding: Padding, axis: int) -> torch.Tensor:
    """Return what follows an image without a wave along an axis to make it periodic."""
    import torch

    shape = [-1 if axis == other else 1 for other in range(image.ndim)]
    like = image.real if image.is_complex() else image
    after, before = (
        image.index_select(axis, torch.as_tensor(source, device=image.device))
        * torch.as_tensor(factor.real).to(like).reshape(shape)
        for source, factor in zip(padding.sources, padding.factors(0.0), strict=True)
    )
    return after.add_(before)


class _AxisTables:
    """What an order needs along one axis: its phase ramp and how to pad."""

    def __init__(
        self, order: OrderSupport, axis: int, padding: Padding, like: torch.Tensor
    ) -> None:
        import torch

        kind = torch.complex(like, like)
        self.ramp = torch.as_tensor(order.ramp(axis, padding.positions)).to(kind)
        self._sources = [
            torch.as_tensor(source, device=like.device) for source in padding.sources
        ]
        factors = [
            torch.as_tensor(values).to(kind)
            for values in padding.factors(order.wavevector[axis])
        ]
        self._factors = [f.real for f in factors] if order.is_order_zero else factors

    def ends(self, image: torch.Tensor, axis: int) -> torch.Tensor:
        """Return what follows an image along axis −1 or −2 to make it periodic."""
        after, before = (
            image.index_select(axis, source)
            * (factor if axis == -1 else factor[:, None])
            for source, factor in zip(self._sources, self._factors, strict=True)
        )
        return after.add_(before)


def _separated(
    frames: torch.Tensor, matrices: Sequence[torch.Tensor]
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the number and the image of each order, order 0 of all angles last."""
    import torch

    index, zeros = 0, []
    for angle, matrix in enumerate(matrices):
        lines = matrix @ frames[..., angle, :, :, :].movedim(-3, -2)
        zero, *others = lines.unbind(-2)
        zeros.append(zero)
        for real, imaginary in zip(others[::2], others[1::2], strict=True):
            index += 1
            yield index, torch.complex(real, imaginary)
    yield 0, sum(zeros[1:], zeros[0])


def _tiles(images: torch.Tensor) -> list[slice]:
    """Return slices of rows, so few that a CPU keeps them in its cache."""
    height = images.shape[-2]
    size = images.element_size() * images.numel()
    return strips(height, size / height, images.device)

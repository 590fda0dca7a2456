"""Where the orders lie on the discrete grids of a Wiener reconstruction."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.physics.sim.separate import AngleOrders


class Padding:
    """Makes an axis periodic: the object is continued and its ends fade together.

    Without it a bright edge rings across the opposite one, and both leave a cross in
    the spectrum. The object is continued, and so is the illumination.

    Parameters
    ----------
    length : int
        Pixels of the axis.
    padding_px : int
        Fewest pixels to add at either end.
    continued : str
        How the object goes on: ``"reflect"`` mirrors it in its last pixel, ``"edge"``
        repeats that.

    Attributes
    ----------
    size : int
        Pixels of the padded axis, a number that is quick to transform.
    positions : array (size,)
        Coordinate of each pixel; those of the last half of the padding are negative.
    sources : (array, array)
        Pixels that each added pixel takes its values from, seen from the last and from
        the first pixel.
    """

    def __init__(
        self,
        length: int,
        padding_px: int,
        continued: Literal["reflect", "edge"] = "reflect",
    ) -> None:
        self.size = int(scipy.fft.next_fast_len(length + 2 * padding_px, real=True))
        added = self.size - length
        self.positions = np.arange(self.size)
        self.positions[self.size - added // 2 :] -= self.size
        source = np.pad(np.arange(length), added, mode=continued)
        self.sources = source[length + added :], source[:added]

    def factors(
        self, wavenumber: float
    ) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Return the factors of the two sources of each added pixel.

        Parameters
        ----------
        wavenumber : float
            Component of the order's wave vector along this axis, in cycles per pixel:
            an order is the object times a wave, and the object alone is continued so.
        """
        added = len(self.sources[0])
        places = self.positions[self.size - added :]
        fade = np.sin(np.pi / 2 * (np.arange(added) + 0.5) / max(added, 1)) ** 2
        after, before = (
            np.exp(2j * np.pi * wavenumber * (places - source))
            for source in self.sources
        )
        return (1 - fade) * after, fade * before

    def mean_of_lines(self, count: int, columns: int) -> NDArray[np.complex128]:
        """Return what gives the mean of a line's first pixels from its half spectrum.

        Parameters
        ----------
        count : int
            Pixels to average, on the 2× grid.
        columns : int
            Frequencies of the half spectrum that may differ from zero.

        Returns
        -------
        array (columns,), complex128
            The mean is the real part of the sum of its product with the spectrum.
        """
        turns = np.outer(np.arange(columns), np.arange(count)) / (2 * self.size)
        factors = np.exp(2j * np.pi * turns).mean(axis=1) / (2 * self.size)
        factors[1:] *= 2  # the negative frequencies
        return np.asarray(factors)


@dataclass(frozen=True)
class Overlap:
    """A part of an order's block and where it is added to the half plane.

    A mirrored part is flipped along both axes and conjugated: the order −n, whose
    spectrum need not be computed since images are real.
    """

    block: tuple[slice, slice]
    plane: tuple[slice, slice]
    is_mirrored: bool


@dataclass(frozen=True)
class OrderSupport:
    """Where one order lies on the padded grid, in bins of the discrete transform.

    The support of the order's OTF is a block of 2 half + 1 bins a side. Its spectrum
    is sampled at frequencies (j + remainder) / size, |j| ≤ half, and belongs to the
    object at (j + shift) / size. Pairs are (y, x).

    Attributes
    ----------
    size : (int, int)
        Shape of the padded image.
    half : (int, int)
        Half the width of the block.
    shift : (int, int)
        Whole bins from the order to the object; along x never negative.
    remainder : (float, float)
        What is left of the wave vector, in bins, −0.5 to 0.5.
    coefficient : float
        c, 1 for order 0 and half the modulation depth of others.
    copies : int
        How many angles contribute to it (order 0), else 1.
    """

    size: tuple[int, int]
    half: tuple[int, int]
    shift: tuple[int, int] = (0, 0)
    remainder: tuple[float, float] = (0.0, 0.0)
    coefficient: float = 1.0
    copies: int = 1

    @classmethod
    def of_order_zero(
        cls, size: tuple[int, int], cutoff: float, *, copies: int
    ) -> OrderSupport:
        """Return the support of order 0 of so many angles."""
        return cls(size, _half(size, cutoff), copies=copies)

    @classmethod
    def of_order(
        cls,
        size: tuple[int, int],
        cutoff: float,
        *,
        wavevector: tuple[float, float],
        modulation: float,
    ) -> OrderSupport:
        """Return the support of an order ±n, n ≥ 1.

        Parameters
        ----------
        size : (int, int)
            Shape of the padded image.
        cutoff : float
            2 NA/λ in cycles per pixel.
        wavevector : (float, float)
            (y, x) in cycles per pixel; x not positive, each below 1.
        modulation : float
            Modulation depth m.
        """
        bins = [k * n for k, n in zip(wavevector, size, strict=True)]
        whole = [round(value) for value in bins]
        return cls(
            size,
            _half(size, cutoff),
            shift=(-whole[0], -whole[1]),
            remainder=(bins[0] - whole[0], bins[1] - whole[1]),
            coefficient=modulation / 2,
        )

    @property
    def is_order_zero(self) -> bool:
        """Whether this is order 0, real in space: only its half plane is used."""
        return self.shift == (0, 0) and self.remainder == (0.0, 0.0)

    @property
    def wavevector(self) -> tuple[float, float]:
        """Wave vector (y, x) in cycles per pixel."""
        y, x = (
            (rest - shift) / size
            for rest, shift, size in zip(
                self.remainder, self.shift, self.size, strict=True
            )
        )
        return y, x

    def bins(self, axis: int) -> NDArray[np.int64]:
        """Bins j of the block along an axis (0 is y); x of order 0 from 0 on."""
        first = 0 if axis == 1 and self.is_order_zero else -self.half[axis]
        return np.arange(first, self.half[axis] + 1)

    def ramp(self, axis: int, positions: NDArray[np.int64]) -> NDArray[np.complex128]:
        """Return the phase ramp that moves the block's first bin to bin 0.

        Parameters
        ----------
        axis : int
            0 is y, 1 is x.
        positions : array (N,)
            Coordinate of each pixel of the padded axis.
        """
        first = self.bins(axis)[0] + self.remainder[axis]
        ramp = np.exp(-2j * np.pi * first * positions / self.size[axis])
        return np.asarray(ramp)

    def radius(self) -> NDArray[np.float64]:
        """Spatial frequency of each bin of the block, in cycles per pixel."""
        y, x = (
            (self.bins(axis) + self.remainder[axis]) / self.size[axis]
            for axis in (0, 1)
        )
        return np.hypot(y[:, None], x[None, :])

    def overlaps(self, extent: tuple[int, int]) -> Iterator[Overlap]:
        """List what of the block falls into the half plane, and what mirrored.

        Parameters
        ----------
        extent : (int, int)
            Largest |q_y| and q_x of the half plane, in bins.
        """
        low = [self.bins(axis)[0] + self.shift[axis] for axis in (0, 1)]
        high = [self.half[axis] + self.shift[axis] for axis in (0, 1)]
        top, bottom = max(low[0], -extent[0]), min(high[0], extent[0])
        left, right = max(low[1], 0), min(high[1], extent[1])
        rows = slice(top - low[0], bottom - low[0] + 1)
        yield Overlap(
            (rows, slice(left - low[1], right - low[1] + 1)),
            (slice(top + extent[0], bottom + extent[0] + 1), slice(left, right + 1)),
            is_mirrored=False,
        )
        if low[1] <= 0 and not self.is_order_zero:
            yield Overlap(
                (rows, slice(0, 1 - low[1])),
                (
                    slice(extent[0] - bottom, extent[0] - top + 1),
                    slice(0, 1 - low[1]),
                ),
                is_mirrored=True,
            )


def order_supports(
    size: tuple[int, int], cutoff: float, angles: Sequence[AngleOrders]
) -> list[OrderSupport]:
    """Return the supports of order 0 of all angles together, then of each used order.

    Parameters
    ----------
    size : (int, int)
        Shape of the padded image.
    cutoff : float
        2 NA/λ in cycles per pixel.
    angles : sequence of AngleOrders
        Orders of each angle.
    """
    zero = OrderSupport.of_order_zero(size, cutoff, copies=len(angles))
    others = [
        OrderSupport.of_order(
            size, cutoff, wavevector=order.wavevector, modulation=order.modulation
        )
        for angle in angles
        for order in angle.used
    ]
    return [zero, *others]


def plane_extent(orders: Sequence[OrderSupport]) -> tuple[int, int]:
    """Return the largest |q_y| and q_x that any order reaches, in bins.

    The output's Nyquist frequency, one cycle per input pixel, is left out: there the
    sign of a frequency is lost.
    """
    reach = [
        min(
            max(abs(order.shift[axis]) + order.half[axis] for order in orders),
            orders[0].size[axis] - 1,
        )
        for axis in (0, 1)
    ]
    return reach[0], reach[1]


def _half(size: tuple[int, int], cutoff: float) -> tuple[int, int]:
    """Return half the width of the OTF's support in bins, Nyquist left out."""
    y, x = (min(math.floor(cutoff * n + 0.5), (n - 1) // 2) for n in size)
    return y, x

"""The wave vectors that are searched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

OVERSAMPLING = 1.5
"""Cells of the map a bin of 1/field: a peak between cells keeps half its height."""
LEAST_OUTSIDE = 0.04
"""Of the cut-off: shorter wave vectors are uneven light or motion, not stripes."""


@dataclass(frozen=True)
class SearchRange:
    """Where wave vectors are looked for, in cycles per pixel.

    Attributes
    ----------
    cutoff : float
        Of the OTF.
    shortest, longest : float
        Length of the wave vector.
    """

    cutoff: float
    shortest: float
    longest: float


class SearchGrid:
    """The wave vectors of the map of T.

    Parameters
    ----------
    size : (int, int)
        Pixels (Y, X) of the frames.
    grid : (int, int)
        Cells (Y', X') of the correlation grid.
    search : SearchRange
        Range of wave vectors.

    Attributes
    ----------
    cells : (int, int)
        Of the correlation grid.
    lengths : (int, int)
        Of the zero-padded transforms.
    frequencies : pair of arrays, float64
        (y, x) of rows and columns in cycles per pixel, ascending.
    inside : array (M, N), bool
        Whether the wave vector is within the range.
    """

    def __init__(
        self, size: tuple[int, int], grid: tuple[int, int], search: SearchRange
    ) -> None:
        self.size, self.cells, self.search = size, grid, search
        self.lengths = tuple(
            int(next_fast_len(math.ceil(OVERSAMPLING * n))) for n in grid
        )
        self.steps = tuple(
            cells / (length * pixels)
            for cells, length, pixels in zip(grid, self.lengths, size, strict=True)
        )
        self.reach = tuple(
            min(math.ceil(search.longest / step), (length - 1) // 2)
            for step, length in zip(self.steps, self.lengths, strict=True)
        )
        fy, fx = (
            np.arange(-r, r + 1) * step
            for r, step in zip(self.reach, self.steps, strict=True)
        )
        self.frequencies = (fy, fx)
        squared = (fy**2)[:, np.newaxis] + fx**2
        self.inside = (squared >= search.shortest**2) & (squared <= search.longest**2)
        # An independent wave vector is a bin of 1/field.
        self.bins_per_cell = math.prod(self.steps) * math.prod(size)

    def cell(self, wavevector: tuple[float, float]) -> tuple[int, int]:
        """Return the row and column nearest to a wave vector."""
        row, column = (
            round(k / step) + r
            for k, step, r in zip(wavevector, self.steps, self.reach, strict=True)
        )
        return row, column

    def holds(self, row: int, column: int) -> bool:
        """Whether a cell is on the map."""
        return row in range(self.inside.shape[0]) and column in range(
            self.inside.shape[1]
        )

    def disc(
        self, wavevector: tuple[float, float], bins: float
    ) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """Return a window of the map and the cells in it within a radius in bins."""
        window, squared = [], []
        centre = self.cell(wavevector)
        for axis in (0, 1):
            frequency, pixels = self.frequencies[axis], self.size[axis]
            half = math.ceil(bins / (self.steps[axis] * pixels))
            low = max(centre[axis] - half, 0)
            part = slice(low, max(min(centre[axis] + half + 1, len(frequency)), low))
            window.append(part)
            squared.append(((frequency[part] - wavevector[axis]) * pixels) ** 2)
        near = squared[0][:, np.newaxis] + squared[1] <= bins**2
        return (window[0], window[1]), near


@lru_cache(maxsize=8)
def search_grid(
    size: tuple[int, int], grid: tuple[int, int], search: SearchRange
) -> SearchGrid:
    """Return a `SearchGrid`, the same for the same arguments."""
    return SearchGrid(size, grid, search)


@lru_cache(maxsize=8)
def outside_search(
    grid: SearchGrid,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the rings of the correlation grid, and those outside the range.

    In the latter, cells within the range have the number after the last ring.
    """
    fy, fx = (
        np.fft.fftfreq(cells) * cells / pixels
        for cells, pixels in zip(grid.cells, grid.size, strict=True)
    )
    radius = np.hypot(fy[:, np.newaxis], fx)
    bin_size = 1 / min(grid.size)
    least = max(LEAST_OUTSIDE * grid.search.cutoff, 3 * bin_size)
    rim = 1.5 * bin_size
    outside = (radius > grid.search.longest + rim) | (
        radius < grid.search.shortest - rim
    )
    # Where the grid's corners reach, template and band no longer overlap everywhere.
    reach = 0.98 * min(abs(f).max() for f in (fy, fx))
    outside &= (radius > least) & (radius < reach)
    rings = np.rint(radius / (2 * bin_size)).astype(np.int32)
    judged = np.where(outside, rings, rings.max() + 1).astype(np.int32)
    return rings, judged

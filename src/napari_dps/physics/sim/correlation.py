"""The statistic of the search for stripes, as a map and at any wave vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from napari_dps.physics.sim.pixel_weights import balancing, capping, on_cells
from napari_dps.physics.sim.search_grid import SearchGrid, outside_search
from napari_dps.physics.sim.spectrum import FloatArray, plane_waves, squared, vertex

if TYPE_CHECKING:
    import torch

EULER_GAMMA = 0.5772156649
"""E[ln T] = −γ for an exponential T of mean 1."""
MIN_RELATIVE_VARIANCE = 1e-4
"""Wave vectors with less overlap energy V than this (of the largest) are not judged."""
UNJUDGED = np.float32(1e30)
"""V of a wave vector that is not judged: its T vanishes."""
LEVEL_BINS = 61
"""Side of the surroundings in which the level of T without stripes is measured."""
THIN = 3
"""So many rows and columns of the map stand for one when the level is measured."""
PEAK_BINS = 4.0
"""Radius of a peak of T: the window's main lobe and first side lobes."""
MOST_PEAKS = 12
"""So many peaks are told apart at most."""
CANDIDATES, CANDIDATE_SHARE = 4, 0.5
"""So many of the highest cells, at least this share of the highest, are climbed."""


class Correlation:
    """The matched filter of one band.

    Parameters
    ----------
    product : tensor (Y', X'), complex64
        Of band and template; its Fourier transform at p is X(p) without weights.
    power : array, float32
        Of the band around each cell, from `local_power`: what decides over the
        weights.
    variance : array, float64
        V on a coarse grid, p = 0 in its middle cell.
    coarse : (int, int)
        Bins of 1/field that a cell of ``variance`` spans.
    grid : SearchGrid
        Of the map.
    whitening : array (R,), float64
        One over the power of the band, by ring of the frames' spectrum.
    noise : float
        Mean noise power of the band's spectrum.

    Attributes
    ----------
    statistic : array (M, N), float32
        T at the wave vectors of ``grid``, 0 where it is not judged.
    cells : float
        Number of independent wave vectors among them.
    """

    def __init__(
        self,
        product: torch.Tensor,
        *,
        power: NDArray[np.float32],
        variance: FloatArray,
        coarse: tuple[int, int],
        grid: SearchGrid,
        whitening: FloatArray,
        noise: float,
    ) -> None:
        import torch

        self.whitening, self.noise = whitening, noise
        self.grid = grid
        balance = balancing(power)
        weights = torch.from_numpy(on_cells(balance, product.shape))
        self._product = product * weights.to(product.device)
        self._capped_over_balanced = capping(power) / balance
        # Unjudged cells get an energy so large that their T vanishes: all of them
        # when nothing in the mean frame rose above the noise.
        floor = max(MIN_RELATIVE_VARIANCE * float(variance.max()), 1e-30)
        self._variance = np.where(variance > floor, variance, UNJUDGED).astype(
            np.float32
        )
        self._coarse = coarse
        statistic = self._power_map()
        self._level_out(statistic)
        statistic /= self._interpolate(*grid.frequencies)
        statistic *= grid.inside
        self.statistic = statistic

    def _power_map(self) -> NDArray[np.float32]:
        """|X|² on the map, from a zero-padded transform, pruned."""
        import torch

        result = self._product
        for axis in (1, 0):
            length, reach = self.grid.lengths[axis], self.grid.reach[axis]
            result = torch.fft.fft(result, n=length, dim=axis)
            parts = (
                result.narrow(axis, length - reach, reach),
                result.narrow(axis, 0, reach + 1),
            )
            result = torch.cat(parts, dim=axis)
        power: NDArray[np.float32] = squared(result).cpu().numpy()
        return power

    def _interpolate(
        self, fy: NDArray[np.floating], fx: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """V on the outer grid of two lists of frequencies, bilinear."""
        result = self._variance
        for axis, frequency in enumerate((fy, fx)):
            count = result.shape[axis]
            bins = frequency * self.grid.size[axis]
            where = bins / self._coarse[axis] + count // 2
            left = np.clip(np.floor(where).astype(int), 0, count - 2)
            weight = np.expand_dims((where - left).astype(np.float32), 1 - axis)
            lower, upper = (result.take(left + n, axis) for n in (0, 1))
            lower *= 1 - weight
            upper *= weight
            result = lower + upper
        return result

    def _level_out(self, power: NDArray[np.float32]) -> None:
        """Scale V so that |X|²/V without stripes is 1 around every wave vector.

        V takes noise for the same everywhere, but photons are noisiest where the
        object is: what that does to |X|² is smooth, and is measured as the geometric
        mean of its surroundings. The logarithm keeps stripes from moving it.

        Every `THIN`-th row and column of the map is read, p = 0 among them.

        Parameters
        ----------
        power : array (M, N)
            |X|² on the map.
        """
        rows, columns = (slice(reach % THIN, None, THIN) for reach in self.grid.reach)
        fy, fx = self.grid.frequencies[0][rows], self.grid.frequencies[1][columns]
        raw = np.divide(power[rows, columns], self._interpolate(fy, fx))
        judged = self.grid.inside[rows, columns] & (raw > 1e-20)
        self.cells = max(1.0, THIN**2 * float(judged.sum()) * self.grid.bins_per_cell)
        cells = [
            np.rint(f * n / block).astype(int) + count // 2
            for f, n, block, count in zip(
                (fy, fx),
                self.grid.size,
                self._coarse,
                self._variance.shape,
                strict=True,
            )
        ]
        index = cells[0][:, np.newaxis] * self._variance.shape[1] + cells[1]
        sums, counts = (
            np.bincount(index[judged], weights, minlength=self._variance.size)
            for weights in (np.log(raw[judged]), None)
        )
        around = [max(3, round(LEVEL_BINS / block) | 1) for block in self._coarse]
        sums, counts = (
            uniform_filter(
                values.reshape(self._variance.shape).astype(np.float64),
                around,
                mode="constant",
            )
            for values in (sums, counts)
        )
        known = (counts > 1e-9) & (self._variance < UNJUDGED)
        level = np.exp(sums[known] / counts[known] + EULER_GAMMA)
        self._variance[known] *= level.astype(np.float32)

    def at(self, fy: FloatArray, fx: FloatArray) -> FloatArray:
        """Return T on the outer grid of two short lists of frequencies."""
        power = self._power_at(self._product, fy, fx)
        return np.asarray(power / self._interpolate(fy, fx))

    def amplitudes(self, fy: FloatArray, fx: FloatArray) -> NDArray[np.complex64]:
        """Return X/√V on such a grid, whose squared modulus is T.

        Its phase is that of the stripes; the real and imaginary part have a variance of
        ½ where there are none.
        """
        sums = self._sums_at(self._product, fy, fx).cpu().numpy()
        return np.asarray(sums / np.sqrt(self._interpolate(fy, fx)))

    def _power_at(
        self, product: torch.Tensor, fy: FloatArray, fx: FloatArray
    ) -> NDArray[np.float32]:
        power: NDArray[np.float32] = (
            squared(self._sums_at(product, fy, fx)).cpu().numpy()
        )
        return power

    def _sums_at(
        self, product: torch.Tensor, fy: FloatArray, fx: FloatArray
    ) -> torch.Tensor:
        """Return X on the outer grid of two lists of frequencies."""
        import torch

        factors = [
            plane_waves(-f * n / cells, cells)
            for f, n, cells in zip((fy, fx), self.grid.size, product.shape, strict=True)
        ]
        rows, columns = (torch.from_numpy(f).to(product.device) for f in factors)
        sums: torch.Tensor = rows @ (product @ columns.T)
        return sums

    def refine(self, start: tuple[float, float]) -> tuple[tuple[float, float], float]:
        """Climb from a wave vector to the nearest maximum of T.

        Parameters
        ----------
        start : (float, float)
            (y, x) in cycles per pixel, within 2/3 of a bin of the maximum.

        Returns
        -------
        wavevector : (float, float)
            (y, x) in cycles per pixel, to a small part of a bin.
        statistic : float
            T there.
        """
        return self._climb(self._product, start, 1 / 6)

    def polish(self, start: tuple[float, float]) -> tuple[float, float]:
        """Return the wave vector near a maximum of T that fits best.

        That of the highest |X|² without weights, outliers apart, errs half as much.
        """
        import torch

        weights = torch.from_numpy(
            on_cells(self._capped_over_balanced, self._product.shape)
        )
        product = self._product * weights.to(self._product.device)
        return self._climb(product, start, 1 / 10)[0]

    def _climb(
        self, product: torch.Tensor, start: tuple[float, float], step: float
    ) -> tuple[tuple[float, float], float]:
        """Return the vertex of |X|²/V among 9 × 9 wave vectors, and the highest.

        ``step`` is in bins.
        """
        size, offsets = self.grid.size, np.arange(-4, 5) * step
        fy, fx = (c + offsets / n for c, n in zip(start, size, strict=True))
        power = self._power_at(product, fy, fx)
        values: FloatArray = power / self._interpolate(fy, fx).astype(np.float64)
        peak = np.unravel_index(np.argmax(values), values.shape)
        i, j = (int(np.clip(k, 1, 7)) for k in peak)
        dy = vertex(values[i - 1 : i + 2, j])
        dx = vertex(values[i, j - 1 : j + 2])
        centre = (
            float(fy[i] + dy * step / size[0]),
            float(fx[j] + dx * step / size[1]),
        )
        return centre, float(values.max())

    def is_flank(self, wavevector: tuple[float, float]) -> bool:
        """Whether a higher peak stands beyond the rim of the search, near by.

        What is within the range is its flank then.
        """
        search, size = self.grid.search, self.grid.size
        reach = PEAK_BINS / min(size)
        length = math.hypot(*wavevector)
        if search.shortest + reach < length < search.longest - reach:
            return False
        steps = np.arange(-PEAK_BINS, PEAK_BINS + 0.1, 0.5)
        fy, fx = (k + steps / n for k, n in zip(wavevector, size, strict=True))
        values = self.at(fy, fx)
        radius = np.hypot(fy[:, np.newaxis], fx)
        beyond = (radius < search.shortest) | (radius > search.longest)
        return float(values.max(where=beyond, initial=0)) > float(
            values.max(where=~beyond, initial=0)
        )

    def runner_up(self, wavevector: tuple[float, float]) -> float:
        """Return the largest T more than `PEAK_BINS` bins away from a wave vector."""
        window, near = self.grid.disc(wavevector, PEAK_BINS)
        statistic = self.statistic.copy()
        statistic[window][near] = 0
        return float(statistic.max())

    def peaks(self, least: float) -> list[tuple[float, tuple[float, float]]]:
        """Return the distinct peaks of T, the highest first: T and wave vector.

        Parameters
        ----------
        least : float
            Height of the lowest; `MOST_PEAKS` at most are returned.
        """
        statistic = self.statistic.copy()
        fy, fx = self.grid.frequencies
        found: list[tuple[float, tuple[float, float]]] = []
        while len(found) < MOST_PEAKS:
            i, j = np.unravel_index(int(np.argmax(statistic)), statistic.shape)
            if statistic[i, j] < least:
                break
            wavevector, value = self.refine((float(fy[i]), float(fx[j])))
            found.append((value, wavevector))
            window, near = self.grid.disc(wavevector, PEAK_BINS)
            statistic[window][near] = 0
            statistic[i, j] = 0
        return sorted(found, reverse=True)

    def highest_outside(self) -> tuple[tuple[float, float], float]:
        """Return the highest peak outside the range of the search, and its T.

        Here T is |X|² over what is usual at that length of p, and the longest wave
        vector is that which the correlation grid holds.
        """
        import torch

        power = squared(torch.fft.fft2(self._product)).cpu().numpy()
        rings, judged = outside_search(self.grid)
        some = np.ix_(*(_thinned(cells) for cells in power.shape))
        few = rings[some].ravel()
        logs = np.log(power[some] + 1e-12 * float(power.max()) + 1e-30).ravel()
        counts = np.bincount(few, minlength=rings.max() + 1)
        sums = np.bincount(few, logs, minlength=rings.max() + 1)
        level = np.exp(sums / np.maximum(counts, 1) + EULER_GAMMA)
        factors = np.append(1 / level, 0).astype(np.float32)
        statistic = power * factors.take(judged)
        i, j = np.unravel_index(int(np.argmax(statistic)), statistic.shape)
        y, x = (
            float(np.fft.fftfreq(cells)[n] * cells / pixels)
            for n, cells, pixels in zip(
                (i, j), power.shape, self.grid.size, strict=True
            )
        )
        is_judged = bool(self._interpolate(np.array([y]), np.array([x])) < UNJUDGED / 2)
        return (y, x), float(statistic[i, j]) if is_judged else 0.0

    def best(
        self, where: NDArray[np.bool_] | None = None
    ) -> tuple[tuple[float, float], float, float]:
        """Return the highest peak: wave vector, T and confidence.

        Parameters
        ----------
        where : array (M, N), optional
            Cells to search; all when left out.

        Returns
        -------
        wavevector : (float, float)
            (y, x) in cycles per pixel.
        statistic : float
            T.
        confidence : float
            T − ln(independent cells searched): ln 1/p.
        """
        statistic, cells = self.statistic.copy(), self.cells
        if where is not None:
            statistic *= where
            count = np.count_nonzero(statistic)
            cells = max(1.0, count * self.grid.bins_per_cell)
        highest = float(statistic.max())
        found: list[tuple[float, tuple[float, float]]] = []
        for _ in range(CANDIDATES):
            i, j = np.unravel_index(int(np.argmax(statistic)), statistic.shape)
            if found and statistic[i, j] < CANDIDATE_SHARE * highest:
                break
            fy, fx = self.grid.frequencies
            wavevector, value = self.refine((float(fy[i]), float(fx[j])))
            found.append((value, wavevector))
            window, near = self.grid.disc((float(fy[i]), float(fx[j])), 1.5)
            statistic[window][near] = 0
        value, wavevector = max(found)
        return self.polish(wavevector), value, value - math.log(cells)


def _thinned(cells: int) -> NDArray[np.intp]:
    """Return every `THIN`-th frequency of a transform, on either side of zero."""
    bins = np.rint(np.fft.fftfreq(cells) * cells).astype(int)
    return np.flatnonzero(bins % THIN == 0)

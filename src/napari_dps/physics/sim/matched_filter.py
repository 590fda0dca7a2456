"""The statistic that finds stripes: a matched filter with a known null distribution.

The band of order n separated from the frames of an angle is the object's spectrum,
shifted by the wave vector k and seen through the OTF: D_n(f) = m S(f − k) O(f). The
spectrum of the mean of all frames, D_0(f) = S(f) O(f), is the template that says what
S looks like. With weights of one over the noise-and-clutter power P_n(f) of the band,
the matched filter (Turin 1960, doi:10.1109/TIT.1960.1057571) is

    X(p) = Σ_f D_n(f) O(f) Ŝ*(f − p) / P_n(f),    V(p) = Σ_f O²(f) |Ŝ(f − p)|² / P_n(f)

summed in space with the weights of `pixel_weights`, which V takes over when it is
levelled. T(p) = |X|²/V is exponential with mean 1 wherever there are no stripes:
T − ln(number of independent p) is the natural logarithm of one over a p-value.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.sim.correlation import Correlation
from napari_dps.physics.sim.pixel_weights import local_power
from napari_dps.physics.sim.search_grid import SearchRange, search_grid
from napari_dps.physics.sim.spectrum import (
    FloatArray,
    axis_excess,
    correlate_full,
    inverse_fft2,
    noise_cells,
    noise_power,
    resize_spectrum,
    ring_index,
    ring_mean,
    squared,
)

if TYPE_CHECKING:
    import torch

NOTCH_WIDTH = 0.06
"""Of the cut-off: hides the zero frequency of the template, which haze dominates."""
MARGIN = 1.6
"""Of the cut-off: the correlation grid spans (MARGIN + search range) cut-offs, so
that the circular correlation wraps only where template and band no longer overlap."""
BUMP = 4.0
"""A ring of the object's spectrum holds at most this many times its predecessors."""
FLAT_CENTRE = 0.2
"""Of the cut-off: below it the mean frame, less its mean, says little of how spectra
fall."""
OTF_ENDS = 1.05
"""Of the cut-off: beyond it there is noise alone."""
EMPTY_RINGS, EMPTY_GAIN, EMPTY_SHARE = (0.15, 0.9), 0.1, 0.25
"""Rings (of the cut-off) that are judged, signal over signal and noise of one that
shows structure, and their least share: in simulations of structures 0.56 or more with 5
photons, of an even film 0.06 or less."""
COARSE_CELLS = 96
"""V is smooth: about this many cells a side carry it."""


class Template:
    """What the mean of all frames tells of the object, on the correlation grid.

    Ŝ = D_0/O · max(0, 1 − s_0/S_0): the Wiener estimate with the ring-averaged power
    S_0 and the noise power s_0, zero where the signal is not significant.

    Parameters
    ----------
    mean_spectrum : tensor (Y, X), complex64
        ``fft2`` of the windowed mean of all frames.
    search : SearchRange
        Cut-off and range of wave vectors.
    least_noise : float
        What s_0 is at least: frames that were interpolated to finer pixels have more
        noise within the cut-off than beyond, where it is measured. Noise that is taken
        for the object makes the modulation too low.
    """

    def __init__(
        self,
        mean_spectrum: torch.Tensor,
        search: SearchRange,
        least_noise: float = 0.0,
    ) -> None:
        self.search = search
        self._least_noise = least_noise
        self.size = (int(mean_spectrum.shape[0]), int(mean_spectrum.shape[1]))
        self.scale = min(self.size)
        span = MARGIN * search.cutoff + search.longest
        self.grid = (_grid_side(span * self.size[0]), _grid_side(span * self.size[1]))
        self.rings = ring_index(self.size, self.scale, self.size)
        grid_rings = ring_index(self.grid, self.scale, self.size)
        radius = np.arange(1 + max(self.rings.max(), grid_rings.max()))
        # From the middle block on: the other side is the same.
        padded = _in_blocks(grid_rings, self._coarse, len(radius))
        first = [
            n // block // 2 * block
            for n, block in zip(padded.shape, self._coarse, strict=True)
        ]
        self._block_rings = padded[first[0] :, first[1] :]
        self.otf = widefield_otf(radius / self.scale, search.cutoff)
        self.mean_spectrum = mean_spectrum
        self._radius = radius / self.scale
        self._counts = np.bincount(self.rings.ravel())
        self._otf_map = self.otf.astype(np.float32).take(self.rings)
        # Beyond the cut-off.
        self._noise_cells = noise_cells(
            self.rings, OTF_ENDS * search.cutoff * self.scale
        )
        self._mean_energy = squared(mean_spectrum).sum().clamp_min(1e-20)
        self._mean_gain = self._gain(mean_spectrum)
        spectrum = self._on_grid(self.filtered(mean_spectrum, self._mean_gain))
        self.image = inverse_fft2(spectrum)
        power = squared(spectrum).cpu().numpy()
        self._coarse_power = _block_sums(
            _in_blocks(power, self._coarse, 0), self._coarse
        )

    def _on_grid(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return a spectrum on the correlation grid.

        The cells are centred on the field, as the pixels are: those of flipped frames
        are the flipped ones.
        """
        import torch

        ramp = torch.from_numpy(self._ramp).to(spectrum.device)
        return resize_spectrum(spectrum, self.grid).mul_(ramp)

    @cached_property
    def _ramp(self) -> NDArray[np.complex64]:
        """Phases (Y', X') that move the cells to the centre of the field."""
        rows, columns = (
            np.exp(1j * np.pi * np.fft.fftfreq(cells) * (1 - cells / pixels))
            for pixels, cells in zip(self.size, self.grid, strict=True)
        )
        return np.outer(rows, columns).astype(np.complex64)

    def object_of(self, mean: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
        """Return the object (Y, X), complex64, that a mean of frames shows."""
        import torch

        spectrum = torch.fft.fft2((mean - mean.mean()) * window)
        return inverse_fft2(self.filtered(spectrum, self._gain(spectrum)))

    def filtered(self, spectrum: torch.Tensor, gain: FloatArray) -> torch.Tensor:
        """Return a spectrum (Y, X) times a gain (R,) of its rings."""
        import torch

        weights = gain.astype(np.float32).take(self.rings)
        return spectrum * torch.from_numpy(weights).to(spectrum.device)

    @cached_property
    def is_empty(self) -> bool:
        """Whether the mean frame shows hardly any structure: an even film."""
        gain = self._mean_gain
        radius = self._radius[: len(gain)] / self.search.cutoff
        judged = (radius > EMPTY_RINGS[0]) & (radius < EMPTY_RINGS[1])
        seen = gain[judged] * self.otf[: len(gain)][judged] > EMPTY_GAIN
        return float(seen.mean()) < EMPTY_SHARE

    @property
    def _steps(self) -> tuple[float, float]:
        """Size (y, x) of a cell of the correlation grid, in pixels."""
        y, x = (n / cells for n, cells in zip(self.size, self.grid, strict=True))
        return y, x

    @property
    def _coarse(self) -> tuple[int, int]:
        """Odd block sizes (y, x) of the coarse grid, in cells."""
        y, x = (2 * (n // (2 * COARSE_CELLS)) + 1 for n in self.grid)
        return y, x

    def _gain(self, spectrum: torch.Tensor) -> FloatArray:
        """Wiener filter from a mean frame to the object, against the ring."""
        radius = self._radius
        power = squared(spectrum).cpu().numpy()
        noise = noise_power(power, self._noise_cells)
        noise = max(noise, self._least_noise)
        ring_power = _smooth(ring_mean(power, self.rings, self._counts))[: len(radius)]
        seen = ring_power > noise * (1 + 2 / np.sqrt(self._counts))
        otf = self.otf[: len(ring_power)]
        object_power = (
            np.where(seen & (otf > 1e-3), ring_power - noise, 0)
            / np.maximum(otf, 1e-3) ** 2
        )
        # Objects have falling spectra: a ring near the cut-off that seems to hold
        # much more than all before it is noise divided by a vanishing OTF.
        centre = math.ceil(FLAT_CENTRE * self.search.cutoff * self.scale)
        first_rings = object_power[: max(3, centre)]
        first_rings[:] = first_rings.max()
        object_power = np.minimum(
            object_power, BUMP * np.minimum.accumulate(object_power)
        )
        notch = 1 - np.exp(-((radius / (NOTCH_WIDTH * self.search.cutoff)) ** 2) / 2)
        gain: FloatArray = np.zeros(len(radius))
        gain[: len(otf)] = otf * object_power / (otf**2 * object_power + noise + 1e-30)
        gain *= notch
        return gain

    def correlate(self, band_spectrum: torch.Tensor) -> Correlation:
        """Run the matched filter of this template over a separated band.

        Parameters
        ----------
        band_spectrum : tensor (Y, X), complex64
            ``fft2`` of a windowed band D_n.

        Returns
        -------
        Correlation
        """
        import torch

        mean = self.mean_spectrum
        leak = torch.vdot(mean.flatten(), band_spectrum.flatten()) / self._mean_energy
        band = torch.addcmul(band_spectrum, mean, leak, value=-1)
        power = squared(band).cpu().numpy()
        ring_power = _smooth(ring_mean(power, self.rings, self._counts))
        ring_power = np.maximum(ring_power, 1e-9 * ring_power.max() + 1e-20)
        inverse = np.zeros(len(self.otf))
        inverse[: len(ring_power)] = 1 / ring_power
        weights = inverse.astype(np.float32).take(self.rings)
        excess = axis_excess(weights * power)
        weights *= self._otf_map
        weights /= excess
        band *= torch.from_numpy(weights).to(band.device)
        filtered = inverse_fft2(self._on_grid(band))
        energy = np.append(self.otf**2 * inverse, 0).take(self._block_rings)
        quarter = _block_sums(energy, self._coarse) / math.prod(self._coarse)
        half = np.concatenate([quarter[:0:-1], quarter])
        variance = correlate_full(
            np.concatenate([half[:, :0:-1], half], axis=1), self._coarse_power
        )
        # The inverse transforms of the product leave 1/(cells) in X: undo it in V.
        variance /= math.prod(self.grid) ** 2
        return Correlation(
            product=filtered * self.image.conj(),
            power=local_power(filtered, self.search.cutoff, self._steps),
            variance=variance,
            coarse=self._coarse,
            grid=search_grid(self.size, self.grid, self.search),
            whitening=inverse,
            noise=noise_power(power, self._noise_cells),
        )


def _grid_side(least: float) -> int:
    """Return an even number of cells that is quick to transform."""
    return 2 * int(next_fast_len(math.ceil(least / 2) + 1))


def _smooth(values: FloatArray) -> FloatArray:
    padded = np.pad(values, 2, mode="edge")
    return np.convolve(padded, np.array([1, 2, 3, 2, 1]) / 9, mode="valid")


def _in_blocks(
    values: NDArray[Any], block: tuple[int, int], fill: float
) -> NDArray[Any]:
    """Pad a map in ``fft2`` order to odd blocks; the middle one is centred on zero."""
    pads = []
    for cells, size in zip(values.shape, block, strict=True):
        centre = cells // 2
        before = -(-(centre - size // 2) // size)
        after = -(-(cells - centre - size // 2 - 1) // size)
        reach = max(before, after) * size + size // 2
        pads.append((reach - centre, reach + 1 - (cells - centre)))
    return np.pad(np.fft.fftshift(values), pads, constant_values=fill)


def _block_sums(values: NDArray[Any], block: tuple[int, int]) -> FloatArray:
    """Sum the blocks of a map whose sides they divide."""
    result = values.astype(np.float64, copy=False)
    for axis, size in enumerate(block):
        starts = np.arange(0, values.shape[axis], size)
        result = np.add.reduceat(result, starts, axis=axis)
    return result

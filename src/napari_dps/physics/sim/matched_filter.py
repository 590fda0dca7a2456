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
from typing import TYPE_CHECKING

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
        self.grid_rings = ring_index(self.grid, self.scale, self.size)
        radius = np.arange(1 + max(self.rings.max(), self.grid_rings.max()))
        self.otf = widefield_otf(radius / self.scale, search.cutoff)
        self.mean_spectrum = mean_spectrum
        self._radius = radius / self.scale
        spectrum = self._on_grid(self._object_spectrum(mean_spectrum))
        self.image = inverse_fft2(spectrum)
        power = squared(spectrum).cpu().numpy()
        self._coarse_power = _coarsen(power, self._coarse)

    def _on_grid(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return a spectrum on the correlation grid.

        The cells are centred on the field, as the pixels are: those of flipped frames
        are the flipped ones.
        """
        import torch

        result = resize_spectrum(spectrum, self.grid)
        for axis, (pixels, cells) in enumerate(zip(self.size, self.grid, strict=True)):
            turns = np.fft.fftfreq(cells) * (1 - cells / pixels) / 2
            ramp = np.exp(2j * np.pi * turns).astype(np.complex64)
            factors = torch.from_numpy(ramp).to(result.device)
            result *= factors[:, None] if axis == 0 else factors
        return result

    def object_of(self, mean: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
        """Return the object (Y, X), complex64, that a mean of frames shows."""
        import torch

        spectrum = torch.fft.fft2((mean - mean.mean()) * window)
        return inverse_fft2(self._object_spectrum(spectrum))

    def _object_spectrum(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return the object's spectrum by that of a mean of frames."""
        import torch

        weights = self._gain(spectrum)[self.rings].astype(np.float32)
        return spectrum * torch.from_numpy(weights).to(spectrum.device)

    @cached_property
    def is_empty(self) -> bool:
        """Whether the mean frame shows hardly any structure: an even film."""
        gain = self._gain(self.mean_spectrum)
        radius = self._radius[: len(gain)] / self.search.cutoff
        judged = (radius > EMPTY_RINGS[0]) & (radius < EMPTY_RINGS[1])
        seen = gain[judged] * self.otf[: len(gain)][judged] > EMPTY_GAIN
        return float(seen.mean()) < EMPTY_SHARE

    @property
    def first_noise_ring(self) -> float:
        """Ring of the frames' spectrum from which on the OTF is zero."""
        return 1.05 * self.search.cutoff * self.scale

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
        noise = noise_power(power, self.rings, self.first_noise_ring)
        noise = max(noise, self._least_noise)
        ring_power = _smooth(ring_mean(power, self.rings))[: len(radius)]
        counts = np.bincount(self.rings.ravel())
        seen = ring_power > noise * (1 + 2 / np.sqrt(counts))
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
        leak = (mean.conj() * band_spectrum).sum() / squared(mean).sum().clamp_min(
            1e-20
        )
        band = band_spectrum - leak * mean
        power = squared(band).cpu().numpy()
        ring_power = _smooth(ring_mean(power, self.rings))
        ring_power = np.maximum(ring_power, 1e-9 * ring_power.max() + 1e-20)
        relative = power / ring_power[self.rings].astype(np.float32)
        excess = axis_excess(relative.astype(np.float32))
        inverse = np.zeros(len(self.otf))
        inverse[: len(ring_power)] = 1 / ring_power
        filter_1d = (self.otf * inverse)[self.rings] / excess
        weights = torch.from_numpy(filter_1d.astype(np.float32)).to(band.device)
        filtered = inverse_fft2(self._on_grid(band * weights))
        energy = (self.otf**2 * inverse)[self.grid_rings]
        variance = correlate_full(
            _coarsen(energy, self._coarse) / math.prod(self._coarse),
            self._coarse_power,
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
            noise=noise_power(power, self.rings, self.first_noise_ring),
        )


def _grid_side(least: float) -> int:
    """Return an even number of cells that is quick to transform."""
    return 2 * int(next_fast_len(math.ceil(least / 2) + 1))


def _smooth(values: FloatArray) -> FloatArray:
    padded = np.pad(values, 2, mode="edge")
    return np.convolve(padded, np.array([1, 2, 3, 2, 1]) / 9, mode="valid")


def _coarsen(values: NDArray[np.float64], block: tuple[int, int]) -> FloatArray:
    """Sum blocks of a map in ``fft2`` order; the middle block is centred on zero."""
    result = np.fft.fftshift(values).astype(np.float64)
    for axis, size in enumerate(block):
        centre = result.shape[axis] // 2
        blocks_before = -(-(centre - size // 2) // size)
        blocks_after = -(-(result.shape[axis] - centre - size // 2 - 1) // size)
        side = max(blocks_before, blocks_after)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (
            side * size + size // 2 - centre,
            side * size + size // 2 + 1 - (result.shape[axis] - centre),
        )
        starts = np.arange(2 * side + 1) * size
        result = np.add.reduceat(np.pad(result, pad), starts, axis=axis)
    return result

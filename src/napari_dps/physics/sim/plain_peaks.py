"""Peaks in the spectrum of a separated band itself: stripes on what is even.

The band of order n is D_n(f) = m S(f − k) O(f). An even fluorescent film has nothing
that a template could hold on to, S is a peak at zero, and D_n one at k. No object that
is nowhere negative has a higher peak than that at zero: so where the object repeats
itself and several wave vectors fit, the stripes' is that at which |D_n|/O is largest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.sim.search_grid import SearchRange
from napari_dps.physics.sim.spectrum import (
    FloatArray,
    axis_excess,
    plane_waves,
    ring_index,
    squared,
)

if TYPE_CHECKING:
    import torch

LEAST_OTF = 0.05
"""Where the OTF passes less, noise divided by it would be taken for a peak."""
FAINT_OTF, ABOVE_NOISE = 0.01, 10.0
"""What the OTF passes at least, and the power over that of the noise, where a single
wave vector is judged: fine stripes lie where it passes 0.02 to 0.05."""
CENTRE = 0.15
"""Of the cut-off: below it every object has a peak."""


def plain_statistic(spectrum: torch.Tensor) -> NDArray[np.float32]:
    """Return the power of a spectrum over what is usual in its ring.

    Parameters
    ----------
    spectrum : tensor (Y, X), complex64
        ``fft2`` of a windowed image.

    Returns
    -------
    array (Y, X), float32
        Exponential with mean 1 where there is noise alone.
    """
    power = squared(spectrum).cpu().numpy()
    shape = (int(power.shape[0]), int(power.shape[1]))
    rings = ring_index(shape, min(shape), shape)
    floor = 1e-12 * float(power.max()) + 1e-30
    logs = np.log(power + floor)
    counts = np.bincount(rings.ravel())
    # The mean logarithm of an exponential variable; peaks hardly move it.
    level = np.bincount(rings.ravel(), logs.ravel()) / counts - digamma(1)
    level = np.convolve(np.pad(level, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
    relative = power * np.exp(-level).astype(np.float32).take(rings)
    relative /= axis_excess(relative)
    return np.asarray(relative)


def sharpest_peak(spectrum: torch.Tensor, cutoff: float) -> float:
    """Return how much the sharpest peak of an object exceeds what is usual.

    Parameters
    ----------
    spectrum : tensor (Y, X), complex64
        ``fft2`` of the windowed mean of all frames, less its mean.
    cutoff : float
        Of the OTF, in cycles per pixel.
    """
    statistic = plain_statistic(spectrum)
    shape = (int(statistic.shape[0]), int(statistic.shape[1]))
    scale = min(shape)
    rings = ring_index(shape, scale, shape)
    inside = (rings > CENTRE * cutoff * scale) & (rings < cutoff * scale)
    return float(statistic.max(where=inside, initial=0))


def plain_peak(
    band: torch.Tensor, search: SearchRange
) -> tuple[tuple[float, float], float]:
    """Return the highest peak of a band's spectrum: wave vector and confidence.

    Parameters
    ----------
    band : tensor (Y, X), complex64
        A windowed band.
    search : SearchRange
        Cut-off and range of wave vectors.

    Returns
    -------
    wavevector : (float, float)
        (y, x) in cycles per pixel.
    confidence : float
        ln 1/p.
    """
    import torch

    statistic = plain_statistic(torch.fft.fft2(band))
    size = statistic.shape
    y, x = (np.fft.fftfreq(n) for n in size)
    radius = np.hypot(y[:, np.newaxis], x)
    inside = (radius >= search.shortest) & (radius <= search.longest)
    inside &= widefield_otf(radius, search.cutoff) > LEAST_OTF
    if not inside.any():
        return (0.0, 0.0), 0.0
    statistic = np.where(inside, statistic, 0)
    i, j = np.unravel_index(int(np.argmax(statistic)), size)
    centre = (float(y[i]), float(x[j]))
    for step in (1 / 4, 1 / 20):
        offsets = np.arange(-4, 5) * step
        fy, fx = (c + offsets / n for c, n in zip(centre, size, strict=True))
        values = np.abs(amplitudes(band, fy, fx))
        row, column = np.unravel_index(int(np.argmax(values)), values.shape)
        centre = (float(fy[row]), float(fx[column]))
    return centre, float(statistic[i, j]) - math.log(np.count_nonzero(inside))


def amplitudes(image: torch.Tensor, fy: FloatArray, fx: FloatArray) -> FloatArray:
    """Return the Fourier transform on the outer grid of two lists of frequencies."""
    import torch

    rows, columns = (
        torch.from_numpy(plane_waves(-f, n)).to(image.device)
        for f, n in zip((fy, fx), image.shape, strict=True)
    )
    values: FloatArray = (rows @ (image @ columns.T)).cpu().numpy()
    return values


def deconvolved_power(
    band: torch.Tensor, wavevector: tuple[float, float], cutoff: float, noise: float
) -> float:
    """Return |D_n/O|² at a wave vector, less its noise; 0 where noise is all.

    Parameters
    ----------
    band : tensor (Y, X), complex64
        A windowed band.
    wavevector : (float, float)
        (y, x) in cycles per pixel.
    cutoff : float
        Of the OTF, in cycles per pixel.
    noise : float
        Mean noise power of the band's spectrum.
    """
    otf = _passed(wavevector, cutoff)
    fy, fx = (np.array([f]) for f in wavevector)
    power = float(np.abs(amplitudes(band, fy, fx)[0, 0]) ** 2)
    if otf < FAINT_OTF or power < ABOVE_NOISE * noise:
        return 0.0
    return (power - noise) / otf**2


def is_faint(wavevector: tuple[float, float], cutoff: float) -> bool:
    """Return whether the OTF passes less than `LEAST_OTF` of a wave vector."""
    return _passed(wavevector, cutoff) < LEAST_OTF


def _passed(wavevector: tuple[float, float], cutoff: float) -> float:
    return float(widefield_otf(np.array([math.hypot(*wavevector)]), cutoff)[0])

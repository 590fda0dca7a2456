"""What the width of the PSF is read from: the radial spectrum and its kurtosis."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core.kept import kept
from napari_dps.metrics.spectrum import (
    CORNER_PER_PIXEL,
    Floats,
    Shape,
    centred,
    fourier_ring_sums,
)

FREQUENCIES = np.concatenate(
    [np.linspace(0.012, 0.5, 62), np.linspace(0.515, 0.69, 10)]
)
"""Where the spectrum is read, in cycles per pixel; the last ten are its corner."""

BANDS = np.geomspace(0.03, 0.48, 10)
"""Centres of the bands whose kurtosis is taken, in cycles per pixel."""

LOG_FREQUENCIES = np.geomspace(FREQUENCIES[0], FREQUENCIES[-1], 80)
"""Axis of the channels, in cycles per pixel: a change of zoom is a shift along it."""

_BAND_WIDTH = 0.22
_BAND_REACH = float(np.exp(3 * _BAND_WIDTH))
_RINGS = 512
_SMOOTHING = 0.005
_DYNAMIC_RANGE = 18.0
_HOT_SIGMAS = 10.0
_HOT_SHARE = 0.8


def without_spikes(plane: Floats) -> Floats:
    """Replace single pixels that stand out more than any optics could make them.

    A pixel is hot if it exceeds its eight neighbours by 80 % of what it exceeds their
    minimum by, and by ten standard deviations of the noise. A point source that is
    sampled at its Nyquist limit reaches 62 %.

    `napari_dps.physics.hot_pixels` finds fainter ones, but needs the cut-off, which is
    what this image is to tell.

    Parameters
    ----------
    plane : (Y, X) array, floating point

    Returns
    -------
    (Y, X) array
        Hot pixels replaced by the median of their neighbours; the input if it has none.
    """
    padded = np.pad(plane, 1, mode="reflect")
    height, width = plane.shape
    lowest, highest = np.full_like(plane, np.inf), np.full_like(plane, -np.inf)
    for y in range(3):
        for x in range(3):
            if (y, x) != (1, 1):
                neighbour = padded[y : y + height, x : x + width]
                np.minimum(lowest, neighbour, out=lowest)
                np.maximum(highest, neighbour, out=highest)
    detail = np.abs(np.diff(np.diff(plane, 2, axis=0), 2, axis=1)) / 6
    noise = float(np.median(detail)) / 0.6745 or float(np.sqrt(np.mean(detail**2)))
    above = plane - highest
    hot = (above > _HOT_SIGMAS * noise) & (above > _HOT_SHARE * (plane - lowest))
    if not hot.any():
        return plane
    cleaned = plane.copy()
    for y, x in np.argwhere(hot):
        around = np.delete(padded[y : y + 3, x : x + 3].ravel(), 4)
        cleaned[y, x] = np.median(around)
    return cleaned


def psf_features(plane: Floats) -> NDArray[np.float64]:
    """Return what the estimator of the PSF reads from an image.

    Parameters
    ----------
    plane : (Y, X) array, floating point
        Finite, not constant, 64 px a side or more, any units.

    Returns
    -------
    (83,) float64 array
        ln of the radial mean power at `FREQUENCIES` above its floor (the lowest value
        from 0.4 cycles per pixel up), ln of the total power over the floor, and
        ln(kurtosis/3) in each of `BANDS`: structure is sparse, noise is normal, so it
        falls where structure ends.

    Notes
    -----
    The image is multiplied by a Hann window, since edges would add a k⁻² tail. More
    than e¹⁸ below its maximum a spectrum is rounding, and is cut.
    """
    from scipy.fft import rfft2

    shape = plane.shape
    image = centred(plane)
    image = image / image.dtype.type(np.sqrt(np.mean(image**2, dtype=np.float64)))
    spectrum = rfft2(image * _hann(shape))
    power = np.abs(spectrum) ** 2
    sums = fourier_ring_sums(power, shape, _RINGS, CORNER_PER_PIXEL)
    smoothing, counts = _smoothing(shape)
    log_power = np.log((smoothing @ sums) / counts + 1e-30)
    log_power = np.maximum(log_power, log_power.max() - _DYNAMIC_RANGE)
    floor = log_power[FREQUENCIES >= 0.4].min()
    total = np.log(sums.sum() / counts.size)
    kurtosis = [_log_kurtosis(spectrum, shape, centre) for centre in BANDS]
    return np.concatenate([log_power - floor, [total - floor], kurtosis])


def log_channels(features: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the features along the logarithm of the frequency.

    Parameters
    ----------
    features : (83,) array
        From `psf_features`.

    Returns
    -------
    (5, 80) float32 array
        At `LOG_FREQUENCIES`: power, whether it stands above its floor, kurtosis, total
        power and the place on the axis; the scales suit a network.
    """
    count = len(FREQUENCIES)
    power = np.interp(LOG_FREQUENCIES, FREQUENCIES, features[:count])
    kurtosis = np.interp(np.log(LOG_FREQUENCIES), np.log(BANDS), features[count + 1 :])
    total = np.full_like(power, features[count] / 4 - 1)
    place = np.linspace(-1, 1, len(LOG_FREQUENCIES))
    channels = [power / 4 - 1, power > 0.5, kurtosis, total, place]
    return np.stack(channels).astype(np.float32)


@kept(8)
def _hann(shape: Shape) -> Floats:
    """Return the separable Hann window, (Y, X) float32."""
    windows = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in shape)
    window: Floats = np.outer(*windows).astype(np.float32)
    window.flags.writeable = False
    return window


@lru_cache(maxsize=8)
def _smoothing(shape: Shape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Gaussian weights (72, rings), and the elements that each row weighs."""
    ones = np.ones((shape[0], shape[1] // 2 + 1))
    elements = fourier_ring_sums(ones, shape, _RINGS, CORNER_PER_PIXEL)
    rings = (np.arange(_RINGS) + 0.5) * CORNER_PER_PIXEL / _RINGS
    width = max(_SMOOTHING, 0.6 / min(shape))
    weights = np.exp(-(((FREQUENCIES[:, np.newaxis] - rings) / width) ** 2) / 2)
    return weights, weights @ elements


def _log_kurtosis(spectrum: NDArray[Any], shape: Shape, centre: float) -> float:
    """Return ln(kurtosis/3) of the image in a log-Gaussian band.

    Computed on the grid that the band needs, not on that of the image.
    """
    from scipy.fft import irfft2

    half_y, half_x = (
        min(int(np.ceil(_BAND_REACH * centre * n)), (n - 1) // 2) for n in shape
    )
    rows = np.r_[0 : half_y + 1, -half_y:0]
    radius = np.hypot(rows[:, np.newaxis] / shape[0], np.arange(half_x + 1) / shape[1])
    radius[0, 0] = 1e-6
    gain = np.exp(-((np.log(radius / centre) / _BAND_WIDTH) ** 2) / 2)
    block = spectrum[rows, : half_x + 1] * gain.astype(np.float32)
    square = irfft2(block, s=(2 * half_y + 1, 2 * half_x + 1)) ** 2
    mean = np.mean(square, dtype=np.float64)
    if mean == 0:
        return 0.0
    return float(np.log(np.mean((square / mean) ** 2, dtype=np.float64) / 3))

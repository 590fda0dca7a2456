"""How sharp a reconstruction is: the edge of its power spectrum.

A Wiener filter leaves nothing beyond the finest frequency that the patterns bring into
reach, so the spectrum of a reconstruction ends there, whatever the object, the light,
the Wiener parameter and the apodisation: an edge that needs no history to be found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.metrics.spectrum import (
    as_plane,
    centred,
    fourier_ring_sums,
    is_flat,
)

LEAST_SIDE_PX = 32
"""Of an image whose edge is looked for."""
_LOWEST_PER_PX, _NYQUIST_PER_PX = 0.06, 0.5
"""Where an edge is looked for; below, it is the fall of the structure itself."""
_REACH = 1.08
"""An edge is the fall of the power from a frequency to this many times it."""
_LEAST_FALL = 0.3
"""Decades of the steepest fall; that of a camera's image into its white noise is 0.1
to 0.2."""
_SHARE = 0.7
"""The last fall that is so large a share of the steepest: steps of lattices and lines
within the spectrum are less steep, and what lies beyond the edge is flat."""
_CORRECTION = 1 / 1.04
"""The foot of that fall lies a little beyond the edge: mean of simulations."""
_AXIS_ELEMENTS = 3
"""Elements beside the axes of the Fourier plane that are left out: what an image's
borders leave there is no structure."""
_STEPS = 400
_DARKEST = 1e-18
"""Power over its maximum that counts as none."""


def spectral_edge(image: NDArray[Any]) -> float | None:
    """Find where the power spectrum of a reconstruction ends.

    The radial mean of |FFT|², Hann-windowed, axes left out, falls by decades within a
    few per cent of the frequency there, into what rounding, the camera or the borders
    leave. Scale and offset of the image do not matter.

    Parameters
    ----------
    image : array (Y, X)
        Finite; any unit.

    Returns
    -------
    float or None
        Cycles per pixel. None if the spectrum has no edge below the Nyquist
        frequency: a camera's image with its noise, an even image, or one below
        32 px a side.

    Raises
    ------
    InputError
        If it is not a finite plane.

    Examples
    --------
    >>> from napari_dps.metrics.spectrum import fourier_radius
    >>> rng = np.random.default_rng(0)
    >>> spectrum = np.fft.rfft2(rng.normal(size=(256, 256)))
    >>> spectrum[fourier_radius((256, 256)) > 0.3] = 0
    >>> round(spectral_edge(np.fft.irfft2(spectrum)), 1)
    0.3
    """
    plane = as_plane(image)
    if min(plane.shape) < LEAST_SIDE_PX or is_flat(plane):
        return None
    frequencies, decades = _log_power(plane)
    # From the right: a peak beyond a gap keeps the spectrum from having ended.
    remaining = np.maximum.accumulate(decades[::-1])[::-1]
    starts = np.geomspace(_LOWEST_PER_PX, _NYQUIST_PER_PX / _REACH, _STEPS)
    falls = np.interp(starts, frequencies, remaining) - np.interp(
        starts * _REACH, frequencies, remaining
    )
    steepest = float(falls.max())
    if steepest < _LEAST_FALL:
        return None
    last = int(np.flatnonzero(falls >= _SHARE * steepest)[-1])
    foot_per_px = float(starts[last]) * _REACH * _CORRECTION
    # The window spreads every frequency by a bin.
    bin_per_px: float = 1 / min(plane.shape)
    return foot_per_px - bin_per_px


def spectral_power(
    plane: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the power of a plane, Hann-windowed, and which of it is of structure.

    Parameters
    ----------
    plane : array (Y, X)
        Finite.

    Returns
    -------
    power : array (Y, X // 2 + 1)
        |FFT|², as of `scipy.fft.rfft2`.
    inside : array (Y, X // 2 + 1), bool
        Beside the axes, where what an image's borders leave lies.
    """
    height, width = plane.shape
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in plane.shape))
    # In double precision: the power falls by more decades than float32 holds.
    values = centred(plane.astype(np.float64))
    values -= (values * window).sum() / window.sum()
    power = np.abs(scipy.fft.rfft2(values * window, workers=1)) ** 2
    rows = np.abs(scipy.fft.fftfreq(height)) * height > _AXIS_ELEMENTS
    columns = np.arange(width // 2 + 1) > _AXIS_ELEMENTS
    return power, np.logical_and.outer(rows, columns)


def _log_power(
    plane: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the frequencies of rings, and the decimal logarithm of their power."""
    power, chosen = spectral_power(plane)
    inside = chosen.astype(np.float64)
    rings = min(plane.shape) // 2
    counts = fourier_ring_sums(inside, plane.shape, rings)
    filled = counts > 0
    sums = fourier_ring_sums(power * inside, plane.shape, rings)[filled]
    mean = sums / counts[filled]
    frequencies = (np.arange(rings) + 0.5)[filled] * (_NYQUIST_PER_PX / rings)
    return frequencies, np.log10(np.maximum(mean, mean.max() * _DARKEST))

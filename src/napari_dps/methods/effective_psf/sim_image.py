"""Whether an image is a SIM reconstruction, where its spectrum alone can tell.

Other images have spectra that end beyond the cut-off of the lens as well: smoothed,
resampled and confocal ones, or those with a gamma. So the edge of the spectrum is
believed where it is as steep as a Wiener filter leaves it, or where the PSF, measured
in another way, is as narrow as the edge says. The limits were chosen on 340 simulated
reconstructions and 1400 other images, resampled, filtered, confocal, with gamma and
hot pixels among them; benchmarks/plain_images.py counts on others.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_dps.methods.effective_psf.estimate import effective_psf
from napari_dps.methods.effective_psf.spectral_edge import spectral_edge, spectral_power
from napari_dps.methods.reconstruction_noise import (
    CANONICAL_EDGE_PER_PX,
    canonical_shape,
    noise_spectra,
)
from napari_dps.metrics.spectrum import as_plane, fourier_radius
from napari_dps.physics.resampling import resample

_LEAST_EDGE, _GREATEST_EDGE = 1.25, 2.25
"""Edge over the cut-off of the lens: stripes of a quarter of it, and stripes of TIRF
with the tolerance of the edge."""
_MIDDLE, _NEAR, _BEYOND = (0.45, 0.55), (0.85, 0.95), (1.08, 1.2)
"""Bands over the edge: within the spectrum, before its end and after it."""
_FAR = (1.1, 1.3)
_LEAST_CLIFF = 1.0
"""Decades from before the edge to after it that make a cliff."""
_STEEPNESS = 1.25
"""The least cliff over the fall within the spectrum. That of Gaussian filters is 0.8,
that of confocal images up to 1.15, that of reconstructions that were not cut off at 0
is 1.5 to 5."""
_SQUARE, _SQUARE_BEYOND = 0.35, 0.35
"""Decades of power that diagonals have more than axes: resampled images end by a
square. Reconstructions have up to 0.3."""
_FLAT = -2.0
"""The same the other way round: pixels that are not square."""
_PSF_EDGE, _PSF_FACTOR = 1.5, 1.5
"""Edge and PSF, both over those of the lens, that are believed together: confocal
images with noise have up to 1.45 and 1.53."""
_PSF_SQUARE = (-0.5, 0.6)
_PSF_RELATIVE_SD, _PSF_STEEPNESS = 0.13, 0.9
"""Of a PSF that is less sure than is accepted by itself, and the steepness of the edge
that makes up for that: smoothed noise has up to 0.8."""
_MOST_FACTOR = 1.25
"""Of the PSF over the edge: it is no narrower than the spectrum is wide."""
_LEAST_FACTOR = 1.15
"""Of a PSF that is known, over that of the lens: else the lens explains it."""
_FEWEST_ELEMENTS = 20
_NOISE_AT = (0.3, 0.6)
"""Frequencies over the edge between which the fall of the noise tells the filter."""
_USUAL_FALL = 0.64
"""Decades by which it falls behind this project's filter, as it adapts to the noise."""
_STEEPER, _FLATTER = 0.8, 0.2
"""Logarithm of the width that a decade more, or less, changes: chosen by the PSNR of
`dps` on 70 reconstructions by seven filters, Wiener parameters 0.005 to 0.3."""
_LEAST_WIDTH, _GREATEST_WIDTH = 0.75, 1.1
"""In little light less than the first costs more than it gains."""
_LEAST_SIDE_PX = 16
"""Of an image whose noise is measured, with its edge at 0.4 cycles per pixel."""


class _End(NamedTuple):
    """How a spectrum ends: decades of power.

    Attributes
    ----------
    fall : float
        From the middle of the spectrum to its end.
    cliff : float
        From its end to what lies beyond.
    square, square_beyond : float
        What diagonals have more than axes, before the end and beyond it.
    """

    fall: float
    cliff: float
    square: float
    square_beyond: float


def sim_edge(image: NDArray[Any], cutoff_per_pixel: float) -> float | None:
    """Return where the spectrum of a SIM reconstruction ends, if an image is one.

    Parameters
    ----------
    image : array (Y, X)
        Finite; any unit.
    cutoff_per_pixel : float
        Cut-off 2 NA/λ of the lens, cycles per pixel.

    Returns
    -------
    float or None
        Cycles per pixel. None where anything else may have made the image: a lens
        alone, a confocal microscope, a filter, resampling. Of reconstructions that were
        cut off at 0 or stored in 8 bits, whose spectrum ends in what that leaves, one
        in three is not known.

    Raises
    ------
    InputError
        If it is not a finite plane.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(100, 10, (128, 128))
    >>> sim_edge(noise, 0.2) is None
    True
    """
    edge = spectral_edge(image)
    if edge is None or not _LEAST_EDGE <= edge / cutoff_per_pixel <= _GREATEST_EDGE:
        return None
    end = _end_of(image, edge)
    # Written so that bands without elements, which are not numbers, make no edge.
    if not end.square_beyond <= _SQUARE_BEYOND:
        return None
    psf = effective_psf(image)
    factor = (psf.cutoff_per_pixel or 0.0) / cutoff_per_pixel
    if psf.accepted and factor < _LEAST_FACTOR:
        return None
    is_cliff = end.cliff >= max(_LEAST_CLIFF, _STEEPNESS * end.fall)
    if is_cliff and _FLAT < end.square < _SQUARE:
        return edge
    is_known = psf.accepted or (
        (psf.relative_sd or 1.0) <= _PSF_RELATIVE_SD
        and end.cliff >= _PSF_STEEPNESS * end.fall
    )
    ratio = edge / cutoff_per_pixel
    agree = ratio >= _PSF_EDGE and _PSF_FACTOR <= factor <= _MOST_FACTOR * ratio
    low, high = _PSF_SQUARE
    return edge if is_known and agree and low < end.square < high else None


def filter_width(image: NDArray[Any], edge_per_px: float) -> float:
    """Return how sharp a reconstruction is for its edge, by what the filter shows.

    The edge is that of the patterns and the lens. Within it a Wiener parameter that is
    large for the light leaves a blurred image, and a small one, or none of the
    apodisation, a sharp one. White noise went through the same filter, so its spectrum
    falls steeply behind the one, and rises behind the other, whatever the structure.

    Parameters
    ----------
    image : array (Y, X)
        Finite; any unit.
    edge_per_px : float
        As `sim_edge` returns it.

    Returns
    -------
    float
        Cut-off of the lens whose PSF is as wide, over that behind the filter of this
        project; 0.75 to 1.1.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(160, 160))
    >>> filter_width(noise, 0.4)
    1.1
    """
    plane = as_plane(image)
    shape = canonical_shape((plane.shape[0], plane.shape[1]), edge_per_px)
    if min(shape) < _LEAST_SIDE_PX:
        return 1.0
    spectra = noise_spectra(resample(plane.astype(np.float32), shape))
    low, high = (spectra.near(at * CANONICAL_EDGE_PER_PX)[1] for at in _NOISE_AT)
    more = math.log10(low / high) - _USUAL_FALL
    width = math.exp(-(_STEEPER if more > 0 else _FLATTER) * more)
    return min(max(width, _LEAST_WIDTH), _GREATEST_WIDTH)


def _end_of(image: NDArray[Any], edge: float) -> _End:
    """Return how the spectrum ends at its edge."""
    plane = as_plane(image)
    power, inside = spectral_power(plane)
    radius = fourier_radius(plane.shape) / edge
    height, width = plane.shape
    rows = np.abs(np.fft.fftfreq(height))[:, None]
    columns = np.fft.rfftfreq(width)
    degrees = np.degrees(np.arctan2(rows, columns))
    diagonal = (degrees > 30) & (degrees < 60)

    def decades(band: tuple[float, float], where: NDArray[np.bool_]) -> float:
        chosen = where & (radius >= band[0]) & (radius < band[1])
        if np.count_nonzero(chosen) < _FEWEST_ELEMENTS:
            return float("nan")
        return float(np.log10(max(power[chosen].mean(), np.finfo(float).tiny)))

    near = decades(_NEAR, inside)
    return _End(
        decades(_MIDDLE, inside) - near,
        near - decades(_BEYOND, inside),
        decades(_NEAR, inside & diagonal) - decades(_NEAR, inside & ~diagonal),
        decades(_FAR, inside & diagonal) - decades(_FAR, inside & ~diagonal),
    )

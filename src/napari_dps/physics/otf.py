"""Optical transfer function of an ideal incoherent, circular aperture."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Transfer = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From frequency over cut-off to the value of an OTF."""


def widefield_otf(frequency: ArrayLike, cutoff: float) -> NDArray[np.float64]:
    """Return the incoherent OTF of a circular aperture, free of aberrations.

    OTF(v) = 2/π (acos v − v √(1 − v²)) with v = |f|/f_c (Goodman, *Introduction to
    Fourier Optics*, eq. 6-31). It is the Fourier transform of the PSF [2 J₁(x)/x]².

    Parameters
    ----------
    frequency : array_like, any shape
        Frequencies f, of either sign.
    cutoff : float
        Cut-off f_c = 2 mf NA/λ in the unit of ``frequency``; above 0.

    Returns
    -------
    array, shape of ``frequency``, float64
        1 at f = 0, 0 from the cut-off on.

    Examples
    --------
    >>> widefield_otf([0.0, 0.5, 1.0, 2.0], cutoff=1.0).round(3).tolist()
    [1.0, 0.391, 0.0, 0.0]
    """
    ratio = np.minimum(np.abs(np.asarray(frequency, dtype=np.float64)) / cutoff, 1.0)
    return np.asarray(
        2 / math.pi * (np.arccos(ratio) - ratio * np.sqrt(1 - ratio**2)),
        dtype=np.float64,
    )


def radial_frequency(
    shape: tuple[int, int], *, half_plane: bool = False
) -> NDArray[np.float64]:
    """Return |f| in cycles per pixel on the grid of ``fft2`` or ``rfft2``.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the image.
    half_plane : bool
        Whether to return the (Y, X // 2 + 1) half plane of ``rfft2``.

    Returns
    -------
    array (Y, X) or (Y, X // 2 + 1), float64
        Zero frequency first.
    """
    frequency_y = np.fft.fftfreq(shape[0])
    frequency_x = (np.fft.rfftfreq if half_plane else np.fft.fftfreq)(shape[1])
    radius: NDArray[np.float64] = np.hypot(frequency_y[:, np.newaxis], frequency_x)
    return radius


def otf_2d(
    shape: tuple[int, int], cutoff_per_pixel: float, *, half_plane: bool = False
) -> NDArray[np.float64]:
    """Return the OTF on the frequency grid of an image.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the image; odd, even, non-square.
    cutoff_per_pixel : float
        Cut-off in cycles per pixel, as `Optics.cutoff_per_pixel` gives it (times the
        modulation factor for an OTF after SIM).
    half_plane : bool
        Whether to return the half plane of ``rfft2``.

    Returns
    -------
    array (Y, X) or (Y, X // 2 + 1), float64
        Multiply with ``fft2`` (``rfft2``) of an image to blur it without a shift.

    Examples
    --------
    >>> otf_2d((4, 6), 0.6, half_plane=True).shape
    (4, 4)
    """
    return widefield_otf(
        radial_frequency(shape, half_plane=half_plane), cutoff_per_pixel
    )

"""The curves of a PSF and an OTF, as numbers: what every picture of them shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Optics
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.psf import (
    airy_intensity,
    first_zero_nm,
    fwhm_nm,
    sr_psf,
    whole_psf_px,
)

GAMMA = 0.4
"""Display only: makes the rings visible beside the peak."""
LARGEST_PX = 512

_POINTS = 400


@dataclass(frozen=True, slots=True, eq=False)
class PsfCurves:
    """PSF and OTF of a microscope.

    Attributes
    ----------
    optics : Optics
        Of the microscope.
    radius_nm, intensity : (N,) arrays
        Radial profile up to three times the first zero; 1 in the centre.
    frequency_per_um, transfer : (N,) arrays
        OTF up to a little beyond cut-off and Nyquist limit.
    fwhm_nm, first_zero_nm : float
        Of the profile.
    cutoff_per_um, nyquist_per_um : float
        Of the effective OTF, and of the pixels.
    """

    optics: Optics
    radius_nm: NDArray[np.float64]
    intensity: NDArray[np.float64]
    frequency_per_um: NDArray[np.float64]
    transfer: NDArray[np.float64]
    fwhm_nm: float
    first_zero_nm: float
    cutoff_per_um: float
    nyquist_per_um: float


def psf_curves(optics: Optics) -> PsfCurves:
    """Compute the curves.

    Parameters
    ----------
    optics : Optics
        The microscope.

    Returns
    -------
    PsfCurves

    Examples
    --------
    >>> curves = psf_curves(Optics(na=1.4, emission_nm=560, pixel_size_nm=50))
    >>> round(curves.cutoff_per_um, 6), curves.nyquist_per_um
    (5.0, 10.0)
    """
    zero = first_zero_nm(optics)
    radius = np.linspace(0, 3 * zero, _POINTS)
    effective_na = optics.modulation_factor * optics.na
    v = 2 * np.pi * effective_na / optics.emission_nm * radius
    cutoff = 1e3 * optics.modulation_factor / optics.cutoff_period_nm
    nyquist = 1e3 / (2 * optics.pixel_size_nm)
    frequency = np.linspace(0, 1.05 * max(cutoff, nyquist), _POINTS)
    return PsfCurves(
        optics=optics,
        radius_nm=radius,
        intensity=airy_intensity(v),
        frequency_per_um=frequency,
        transfer=widefield_otf(frequency, cutoff),
        fwhm_nm=fwhm_nm(optics),
        first_zero_nm=zero,
        cutoff_per_um=cutoff,
        nyquist_per_um=nyquist,
    )


def psf_stack(optics: Optics) -> ImageStack:
    """Return the PSF as an image with four dark rings, centred, of sum 1.

    Its origin is such that the peak lies at (0, 0).

    Examples
    --------
    >>> psf = psf_stack(Optics(na=1.4, emission_nm=560, pixel_size_nm=50))
    >>> psf.shape, psf.origin_nm
    ((41, 41), (-1000.0, -1000.0))
    """
    size = min(whole_psf_px(optics), LARGEST_PX)
    corner = -optics.pixel_size_nm * (size // 2)
    return ImageStack(
        sr_psf(optics, (size, size)).astype(np.float32),
        "YX",
        pixel_size_nm=optics.pixel_size_nm,
        origin_nm=(corner, corner),
        optics=optics,
    )


def psf_picture(optics: Optics, side_px: int) -> NDArray[np.uint8]:
    """Return a picture of the PSF as its pixels sample it, for a display.

    Parameters
    ----------
    optics : Optics
        The microscope.
    side_px : int
        Edge of the field in pixels of the image; odd.

    Returns
    -------
    array (side_px, side_px), uint8
        With `GAMMA`.
    """
    psf = sr_psf(optics, (side_px, side_px))
    return np.asarray(255 * (psf / psf.max()) ** GAMMA, dtype=np.uint8)

"""Point spread functions: widefield and after SIM, analytic."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import j1, jn_zeros

from napari_dps.core import InputError, Optics

_HALF_MAXIMUM_V = 1.616339948310703
"""Where [2 J₁(v)/v]² = 1/2."""


def airy_intensity(v: ArrayLike) -> NDArray[np.float64]:
    """Return [2 J₁(v)/v]², the Airy pattern; 1 at v = 0.

    Parameters
    ----------
    v : array_like, any shape
        Optical coordinate 2π NA r/λ.

    Returns
    -------
    array, shape of ``v``, float64

    Examples
    --------
    >>> airy_intensity([0.0, 1.61634, 3.83171]).round(4).tolist()
    [1.0, 0.5, 0.0]
    """
    v = np.abs(np.asarray(v, dtype=np.float64))
    # Below 1e-4 the series is exact to double precision and nothing divides by 0.
    safe = np.where(v < 1e-4, 1.0, v)
    amplitude = np.where(v < 1e-4, 1 - v**2 / 8, 2 * j1(safe) / safe)
    return np.asarray(amplitude**2, dtype=np.float64)


def sr_psf(
    optics: Optics,
    shape: tuple[int, int],
    *,
    origin: Literal["centre", "corner"] = "centre",
) -> NDArray[np.float64]:
    """Return the PSF after super-resolution by SIM (srPSF) on a pixel grid.

    srPSF(r) = [2 J₁(v)/v]² with v = 2π mf NA r/λ (Ye et al. 2024,
    doi:10.34133/icomputing.0082); with modulation factor mf = 1 it is the widefield
    PSF of an ideal lens. It is sampled at the pixel centres, not integrated over the
    pixels: the published model convolves samples.

    Parameters
    ----------
    optics : Optics
        NA, emission wavelength, pixel size of the grid and modulation factor.
    shape : tuple of int
        (Y, X), each at least 1; odd or even.
    origin : {"centre", "corner"}
        ``"centre"`` puts the peak exactly on pixel (Y // 2, X // 2). ``"corner"`` puts
        it on pixel (0, 0) with negative coordinates wrapped round, so that the product
        of ``fft2`` of it and of an image blurs without a shift.

    Returns
    -------
    array (Y, X), float64
        Its sum over the array is 1 (the part of the tails outside is shared out).

    Raises
    ------
    InputError
        If a side of ``shape`` is below 1.

    Examples
    --------
    >>> optics = Optics(na=1.5, emission_nm=488, pixel_size_nm=32.5)
    >>> psf = sr_psf(optics, (64, 63))
    >>> bool(psf[32, 31] == psf.max()), round(float(psf.sum()), 12)
    (True, 1.0)
    """
    if min(shape) < 1:
        raise InputError("shape of the PSF", got=tuple(shape), allowed="at least 1 × 1")
    scale = (
        2
        * math.pi
        * optics.modulation_factor
        * optics.na
        * optics.pixel_size_nm
        / optics.emission_nm
    )
    y, x = (np.arange(size) - size // 2 for size in shape)
    psf = airy_intensity(scale * np.hypot(y[:, np.newaxis], x))
    psf /= psf.sum()
    return psf if origin == "centre" else np.fft.ifftshift(psf)


def whole_psf_px(optics: Optics) -> int:
    """Return the odd edge in pixels of an image that shows four dark rings.

    Examples
    --------
    >>> whole_psf_px(Optics(na=1.5, emission_nm=488, pixel_size_nm=32.5))
    51
    """
    return 2 * math.ceil(4 * first_zero_nm(optics) / optics.pixel_size_nm) + 1


def first_zero_nm(optics: Optics) -> float:
    """Return the radius of the first dark ring, 0.61 λ/(mf NA), in nm.

    The zero of J₁ at 3.8317 over 2π; also Rayleigh's criterion.

    Examples
    --------
    >>> round(first_zero_nm(Optics(na=1.5, emission_nm=488, pixel_size_nm=32.5)), 1)
    198.4
    """
    return _radius_nm(optics, float(jn_zeros(1, 1)[0]))


def fwhm_nm(optics: Optics) -> float:
    """Return the full width at half maximum, 0.5145 λ/(mf NA), in nm.

    Examples
    --------
    >>> round(fwhm_nm(Optics(na=1.5, emission_nm=488, pixel_size_nm=32.5)), 1)
    167.4
    """
    return 2 * _radius_nm(optics, _HALF_MAXIMUM_V)


def _radius_nm(optics: Optics, v: float) -> float:
    """Return the radius in nm at an optical coordinate."""
    effective_na = optics.modulation_factor * optics.na
    return v / (2 * math.pi) * optics.emission_nm / effective_na

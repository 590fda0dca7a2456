"""Noise and signal-to-noise ratio, with a reference and without."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.metrics.spectrum import (
    Floats,
    as_pair,
    as_plane,
    centred,
    cosine_radius,
    cosine_transform,
    require_variation,
)

_MEDIAN_CHI2 = 0.454936
_MEDIAN_ABS_NORMAL = 0.674490
_FEWEST_ELEMENTS = 64
_MIDDLE_BAND = (0.40, 0.48)
_CORNER_BAND = (0.515, 0.69)
_WHITE_LN_RATIO = -0.3
_VARIANCE_ERROR = 2.5


def noise_std(image: NDArray[Any], cutoff_per_pixel: float | None = None) -> float:
    """Measure the standard deviation of the noise of one image.

    With a cut-off: beyond the OTF a frame holds noise alone. The median power there
    over that of a χ² variable with one degree of freedom (0.4549) is the variance; it
    is the mean of the shot noise over the whole image. Without: the second difference
    along y of that along x (Immerkær's operator, which no linear structure passes),
    its median absolute value over 6·0.6745; that is the noise of the *typical* pixel,
    mostly background.

    Parameters
    ----------
    image : (Y, X) array
        Finite; at least 4 px a side. Its noise must be white: not a reconstruction,
        nor resampled or filtered (see `noise_is_white`).
    cutoff_per_pixel : float, optional
        Cut-off 2NA/λ of the detection in cycles per pixel. Used if it leaves at least
        64 frequencies beyond it, 5 % away.

    Returns
    -------
    float
        In the image's units.

    Raises
    ------
    InputError
        If it is not a finite plane of at least 4×4.

    References
    ----------
    .. [1] Immerkær, Computer Vision and Image Understanding 64, 300 (1996),
       doi:10.1006/cviu.1996.0060; the median for the mean as in Donoho, Johnstone,
       Biometrika 81, 425 (1994), doi:10.1093/biomet/81.3.425.

    Examples
    --------
    >>> flat = np.random.default_rng(0).normal(100, 5, (256, 256))
    >>> round(noise_std(flat)), round(noise_std(flat, cutoff_per_pixel=0.3))
    (5, 5)
    """
    plane = as_plane(image)
    if min(plane.shape) < 4:
        raise InputError("shape for the noise level", got=image.shape, allowed="4×4 up")
    if cutoff_per_pixel is not None:
        beyond = cosine_radius(plane.shape) > 1.05 * cutoff_per_pixel
        if np.count_nonzero(beyond) >= _FEWEST_ELEMENTS:
            power = cosine_transform(centred(plane))[beyond] ** 2
            return float(np.sqrt(np.median(power) / _MEDIAN_CHI2))
    detail = np.abs(np.diff(np.diff(plane, 2, axis=0), 2, axis=1)) / 6
    median = float(np.median(detail))
    if median > 0:
        return median / _MEDIAN_ABS_NORMAL
    # a few counts: most differences are exactly zero, their RMS still sees the rest
    return float(np.sqrt(np.mean(detail**2, dtype=np.float64)))


def noise_is_white(image: NDArray[Any]) -> bool:
    """Whether the finest detail looks like white noise, as a camera's raw frame.

    Compares the power in the corner of the Fourier plane (0.515 to 0.69 cycles per
    pixel) with that at 0.40 to 0.48: in images that were resampled, filtered, denoised
    or reconstructed it falls (ln ratio below −0.3). An image whose structure reaches
    0.4 cycles per pixel can be taken for one of those.

    Parameters
    ----------
    image : (Y, X) array
        Finite.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        If it is not a finite plane.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(128, 128))
    >>> noise_is_white(noise), noise_is_white((noise + np.roll(noise, 1, 0)) / 2)
    (True, False)
    """
    plane = as_plane(image)
    power = cosine_transform(centred(plane)) ** 2
    radius = cosine_radius(plane.shape)
    bands = [
        power[(radius >= low) & (radius < high)]
        for low, high in (_MIDDLE_BAND, _CORNER_BAND)
    ]
    if min(band.size for band in bands) == 0:
        return False
    # Medians: what edges leave on the axes is in the middle band alone.
    middle, corner = (float(np.median(band)) for band in bands)
    return corner > 0 and bool(np.log(corner / middle) > _WHITE_LN_RATIO)


def snr_reference_db(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return the SNR against a noise-free reference, in dB.

    20·log10(σ_reference / RMS(image − reference)): the standard deviation of the true
    structure over the RMS error. Contrast counts as signal, a constant background does
    not.

    Parameters
    ----------
    image, reference : (Y, X) arrays
        In the same units, of one shape.

    Returns
    -------
    float
        In dB; infinite for identical images.

    Raises
    ------
    InputError
        If they are not finite planes of one shape, or the reference is constant.

    Examples
    --------
    >>> truth = np.tile([0.0, 2.0], (4, 2))
    >>> round(snr_reference_db(truth + 0.1, truth), 6)
    20.0
    """
    image, reference = as_pair(image, reference)
    require_variation(reference, "SNR")
    error = np.mean((image - reference) ** 2, dtype=np.float64)
    if error == 0:
        return float("inf")
    return float(10 * np.log10(np.var(reference, dtype=np.float64) / error))


def snr_db(image: NDArray[Any], noise: float) -> float | None:
    """Return the SNR without a reference, in dB.

    20·log10 √(σ²_image − σ²_noise)/σ_noise: what varies more than the noise is signal.
    It estimates `snr_reference_db` without the truth.

    Parameters
    ----------
    image : (Y, X) array
        Finite.
    noise : float
        Standard deviation of its noise, in its units, as from `noise_std`.

    Returns
    -------
    float or None
        In dB; None if the image does not vary more than its noise by three standard
        errors of that difference, or the noise is zero. The error is 2.5·σ²√(2/n) with
        the noise measured in the same image (by simulation).

    Raises
    ------
    InputError
        If it is not a finite plane.

    Examples
    --------
    >>> snr_db(np.random.default_rng(0).normal(0, 1, (64, 64)), noise=1.0) is None
    True
    """
    plane = as_plane(image)
    if noise <= 0:
        return None
    signal = float(np.var(plane, dtype=np.float64)) - noise**2
    if signal <= 3 * _VARIANCE_ERROR * noise**2 * np.sqrt(2 / plane.size):
        return None
    return float(10 * np.log10(signal / noise**2))


def peak_to_noise(image: NDArray[Any], noise: float) -> float | None:
    """Return (99.9th percentile − median)/noise, a ratio: how far structure stands out.

    Parameters
    ----------
    image : (Y, X) array
        Finite. The median is taken for the background, so structure should fill less
        than half of it.
    noise : float
        Standard deviation of its noise, in its units, as from `noise_std`.

    Returns
    -------
    float or None
        About 3.1 for Gaussian noise alone; None if the noise is zero.

    Raises
    ------
    InputError
        If it is not a finite plane.
    """
    plane: Floats = as_plane(image)
    if noise <= 0:
        return None
    background, peak = np.percentile(plane, (50, 99.9))
    return float((peak - background) / noise)

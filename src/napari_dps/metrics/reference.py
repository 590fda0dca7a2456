"""Likeness of an image to a reference: PSNR, SSIM, NRMSE, correlation, and fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.metrics.spectrum import (
    CORNER_PER_PIXEL,
    Floats,
    as_pair,
    centred,
    cosine_radius,
    cosine_ring_sums,
    cosine_transform,
    inverse_cosine_transform,
    is_flat,
    require_variation,
)

SSIM_WINDOW_PX = 11
"""Width of the Gaussian window (σ = 1.5) of `ssim`: the least side of an image."""


def _data_range(reference: Floats, data_range: float | None) -> float:
    """Return the range given, or the reference's maximum less its minimum."""
    if data_range is None:
        require_variation(reference, "the range of the reference")
        return float(np.ptp(reference))
    if not 0 < data_range < np.inf:
        raise InputError("data range", got=data_range, allowed="above 0")
    return float(data_range)


def psnr_db(
    image: NDArray[Any], reference: NDArray[Any], data_range: float | None = None
) -> float:
    """Return the peak signal-to-noise ratio, 10·log10(range²/MSE), in dB.

    Parameters
    ----------
    image, reference : (Y, X) arrays
        In the same units, of one shape.
    data_range : float, optional
        Range of the true signal; by default the reference's maximum less its minimum.

    Returns
    -------
    float
        In dB; infinite for identical images.

    Raises
    ------
    InputError
        If they are not finite planes of one shape, or the range is not above 0.

    Examples
    --------
    >>> truth = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> round(psnr_db(truth + 0.1, truth), 6)
    20.0
    """
    import skimage.metrics

    image, reference = as_pair(image, reference)
    span = _data_range(reference, data_range)
    if np.array_equal(image, reference):
        return float("inf")
    compare: Any = skimage.metrics.peak_signal_noise_ratio  # untyped
    value = compare(
        reference.astype(np.float64), image.astype(np.float64), data_range=span
    )
    return float(value)


def ssim(
    image: NDArray[Any],
    reference: NDArray[Any],
    data_range: float | None = None,
    *,
    k1: float = 0.01,
    k2: float = 0.03,
) -> float:
    """Return the mean structural similarity with the Gaussian window of its authors.

    Parameters
    ----------
    image, reference : (Y, X) arrays
        In the same units, of one shape, at least 11 px a side.
    data_range : float, optional
        Range L of the true signal; by default the reference's maximum less its minimum.
    k1, k2 : float
        Constants of the stabilising terms (k₁L)² and (k₂L)².

    Returns
    -------
    float
        −1 to 1; 1 for identical images.

    Raises
    ------
    InputError
        As for `psnr_db`, and if a side is shorter than 11 px.

    References
    ----------
    .. [1] Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13, 600
       (2004), doi:10.1109/TIP.2003.819861: σ = 1.5 px, 11×11, population covariance.
    """
    import skimage.metrics

    image, reference = as_pair(image, reference)
    if min(image.shape) < SSIM_WINDOW_PX:
        raise InputError("shape for SSIM", got=image.shape, allowed="11×11 px up")
    # the constants c₁, c₂ scale with the range, so counts can be brought to order 1
    span = _data_range(reference, data_range)
    compare: Any = skimage.metrics.structural_similarity  # untyped
    return float(
        compare(
            reference / span,
            image / span,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            K1=k1,
            K2=k2,
        )
    )


def nrmse(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return ‖image − reference‖ / ‖reference‖, the Euclidean normalised RMSE.

    Parameters
    ----------
    image, reference : (Y, X) arrays
        In the same units, of one shape.

    Returns
    -------
    float
        0 for identical images, 1 for a black image.

    Raises
    ------
    InputError
        If they are not finite planes of one shape, or the reference is all zero.

    Examples
    --------
    >>> nrmse(np.full((2, 2), 1.5), np.full((2, 2), 2.0))
    0.25
    """
    from skimage.metrics import normalized_root_mse

    image, reference = as_pair(image, reference)
    if not reference.any():
        raise InputError("NRMSE is not defined: the reference is zero everywhere")
    value = normalized_root_mse(
        reference.astype(np.float64),
        image.astype(np.float64),
        normalization="euclidean",
    )
    return float(value)


def pearson(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return Pearson's correlation coefficient of the pixel values.

    Parameters
    ----------
    image, reference : (Y, X) arrays
        Images of one shape; scale and offset do not matter.

    Returns
    -------
    float
        −1 to 1.

    Raises
    ------
    InputError
        If they are not finite planes of one shape, or one is constant.

    Examples
    --------
    >>> ramp = np.arange(12.0).reshape(3, 4)
    >>> round(pearson(5 - 2 * ramp, ramp), 6)
    -1.0
    """
    image, reference = as_pair(image, reference)
    require_variation(image, "correlation")
    require_variation(reference, "correlation")
    a, b = (centred(p.astype(np.float64)).ravel() for p in (image, reference))
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def fit_intensity(image: NDArray[Any], reference: NDArray[Any]) -> Floats:
    """Return scale·image + offset, nearest to the reference in least squares.

    For images whose units differ (another gain, a reconstruction, a normalised truth).

    Parameters
    ----------
    image, reference : (Y, X) arrays
        Finite, of one shape.

    Returns
    -------
    (Y, X) array
        In the reference's units; the reference's mean if the image is constant.

    Raises
    ------
    InputError
        If they are not finite planes of one shape.

    Examples
    --------
    >>> ramp = np.arange(12.0).reshape(3, 4)
    >>> bool(np.allclose(fit_intensity(ramp / 7 + 3, ramp), ramp))
    True
    """
    image, reference = as_pair(image, reference)
    mean = reference.mean(dtype=np.float64)
    scale = 0.0
    if not is_flat(image):
        a, b = (centred(p.astype(np.float64)).ravel() for p in (image, reference))
        scale = float(a @ b / (a @ a))
    fitted: Floats = (scale * centred(image) + mean).astype(image.dtype)
    return fitted


def fit_radial_gain(image: NDArray[Any], reference: NDArray[Any]) -> Floats:
    """Return the image after the isotropic filter that best matches a reference.

    Reconstructions with another Wiener parameter or apodisation differ by a radial
    transfer function that says nothing of their quality. This fits that function (a
    least-squares gain for each ring of frequencies, joined by straight lines, and the
    mean) and applies it; score what is left. An image that is merely blurred or
    sharpened becomes equal to the reference as far as noise allows, so report the plain
    score as well.

    Parameters
    ----------
    image, reference : (Y, X) arrays
        Finite, of one shape, registered.

    Returns
    -------
    (Y, X) array
        In the reference's units.

    Raises
    ------
    InputError
        If they are not finite planes of one shape.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> truth = gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 1)
    >>> blurred = 3 * gaussian_filter(truth, 1.5) + 7
    >>> round(nrmse(fit_intensity(blurred, truth), truth), 2)
    0.51
    >>> round(nrmse(fit_radial_gain(blurred, truth), truth), 2)
    0.02
    """
    image, reference = as_pair(image, reference)
    spectra = [cosine_transform(centred(p)) for p in (image, reference)]
    rings = int(np.clip(min(image.shape) // 4, 4, 64))
    both = cosine_ring_sums(spectra[0] * spectra[1], rings)
    power = cosine_ring_sums(spectra[0] ** 2, rings)
    gain = np.divide(both, power, out=np.zeros(rings), where=power > 0)
    centre = (np.arange(rings) + 0.5) * CORNER_PER_PIXEL / rings
    shaped = spectra[0] * np.interp(cosine_radius(image.shape), centre, gain)
    fitted = inverse_cosine_transform(shaped) + reference.mean(dtype=np.float64)
    result: Floats = fitted.astype(image.dtype)
    return result

"""Sub-pixel registration by un-normalised cross-correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.metrics.grids import interpolate
from napari_dps.metrics.spectrum import (
    Floats,
    Shape,
    as_pair,
    centred,
    edge_taper,
    require_variation,
)

_NEWTON_STEPS = 8


def find_shift(image: NDArray[Any], reference: NDArray[Any]) -> tuple[float, float]:
    """Find by how much an image is displaced from a reference.

    The peak of the cross-correlation of the tapered images, found on whole pixels and
    refined by Newton's method on the exact trigonometric polynomial. The spectra are
    *not* normalised (no phase correlation): where noise dominates, phases are random,
    and giving them full weight misplaces dim images by up to a pixel.

    Parameters
    ----------
    image, reference : (Y, X) arrays
        Finite, of one shape.

    Returns
    -------
    (float, float)
        Displacement (y, x) in pixels: what is at r in the reference is at r + shift in
        the image.

    Raises
    ------
    InputError
        If they are not finite planes of one shape, or one is constant.

    References
    ----------
    .. [1] Guizar-Sicairos, Thurman, Fienup, Optics Letters 33, 156 (2008),
       doi:10.1364/OL.33.000156 (sub-pixel registration by matrix DFT).

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> spot = lambda cy, cx: np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18)
    >>> [round(s, 2) for s in find_shift(spot(30.25, 33), spot(32, 32))]
    [-1.75, 1.0]
    """
    image, reference = as_pair(image, reference)
    require_variation(image, "registration")
    require_variation(reference, "registration")
    dy, dx = _correlation_peak(image, reference)
    whole = round(dy), round(dx)
    half = [n // 2 for n in image.shape]
    if whole == (0, 0) or abs(whole[0]) > half[0] or abs(whole[1]) > half[1]:
        return dy, dx
    # once more where the two overlap: the taper then cuts both at the same place
    rows, columns = (_overlap(s, n) for s, n in zip(whole, image.shape, strict=True))
    part = image[rows[0], columns[0]], reference[rows[1], columns[1]]
    if min(part[0].shape) < 16:
        return dy, dx
    dy, dx = _correlation_peak(*part)
    return dy + whole[0], dx + whole[1]


def _overlap(shift: int, n: int) -> tuple[slice, slice]:
    """Return the parts of a displaced axis and of its reference that show the same."""
    return slice(max(shift, 0), n + min(shift, 0)), slice(
        max(-shift, 0), n + min(-shift, 0)
    )


def _correlation_peak(image: Floats, reference: Floats) -> tuple[float, float]:
    """Return the place of the highest correlation, in pixels."""
    from scipy.fft import irfft2, rfft2

    shape = image.shape
    taper = edge_taper(shape, (shape[0] // 8, shape[1] // 8))
    cross = rfft2(centred(image) * taper) * np.conj(rfft2(centred(reference) * taper))
    correlation = irfft2(cross, shape)
    peak = np.unravel_index(np.argmax(correlation), shape)
    start = [
        float(p - n if p > n // 2 else p) for p, n in zip(peak, shape, strict=True)
    ]
    return _climb(cross, shape, np.array(start))


def _climb(
    cross: NDArray[Any], shape: Shape, start: NDArray[np.float64]
) -> tuple[float, float]:
    """Climb to the top of the polynomial Re Σ cross·exp(2πi k·s) from near it."""
    ky = 2j * np.pi * np.fft.fftfreq(shape[0])
    kx = 2j * np.pi * np.fft.rfftfreq(shape[1])
    weight = np.where((kx == 0) | (np.abs(kx.imag) == np.pi), 1, 2)  # half plane
    at = start
    for _ in range(_NEWTON_STEPS):
        wave_y, wave_x = np.exp(ky * at[0]), np.exp(kx * at[1]) * weight
        left = np.stack([wave_y, ky * wave_y, ky**2 * wave_y]).astype(cross.dtype)
        right = np.stack([wave_x, kx * wave_x, kx**2 * wave_x], axis=1)
        d = (left @ cross @ right).real  # d[i, j]: i-th derivative in y, j-th in x
        hessian = np.array([[d[2, 0], d[1, 1]], [d[1, 1], d[0, 2]]])
        is_summit = d[2, 0] < 0 and np.linalg.det(hessian) > 0
        if not is_summit:
            break
        step = -np.linalg.solve(hessian, np.array([d[1, 0], d[0, 1]]))
        if np.abs(at + step - start).max() > 1:  # left the pixel of the peak
            break
        at = at + step
        if np.abs(step).max() < 1e-4:
            break
    return float(at[0]), float(at[1])


def shift_onto(
    image: NDArray[Any], reference: NDArray[Any], shift_px: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Move an image onto a reference and cut both to the part that they share.

    Parameters
    ----------
    image, reference : (Y, X) arrays
        Finite, of one shape.
    shift_px : (float, float)
        Displacement (y, x) of the image, as from `find_shift`.

    Returns
    -------
    image, reference : (Y2, X2) arrays
        The image interpolated at the reference's pixels, and the reference, less a
        border of the displacement rounded up.

    Raises
    ------
    InputError
        If they are not finite planes of one shape, or nothing is left.
    """
    image, reference = as_pair(image, reference)
    places, window = [], []
    for n, s in zip(image.shape, shift_px, strict=True):
        kept = slice(max(0, int(np.ceil(-s))), max(0, n - max(0, int(np.ceil(s)))))
        places.append(np.arange(n, dtype=float)[kept] + s)
        window.append(kept)
    if not all(at.size for at in places):
        raise InputError("displacement in px", got=shift_px, allowed="less than a side")
    return interpolate(image, *places), reference[tuple(window)]

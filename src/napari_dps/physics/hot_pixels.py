"""Hot pixels: pixels brighter than any object seen through the PSF can be."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_NOISES = 8.0
"""Standard deviations above its neighbours that a hot pixel has at least."""
_LARGEST_PHOTON = 4.0
"""Most that a photon is taken to count, in standard deviations of the noise: read noise
makes it seem larger than it is."""
_NYQUIST = 0.5
_CUTOFFS = (0.0, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5)
_BRIGHTEST = (1.0, 0.906, 0.802, 0.741, 0.678, 0.613, 0.548)
_THIRD = (1.0, 0.888, 0.766, 0.696, 0.623, 0.55, 0.48)
"""Least light of the brightest and of the third of a pixel's eight neighbours over its
own, of a point source wherever it lies in the pixel, by the cut-off of the OTF in
cycles per pixel: the Airy pattern integrated over the pixels."""
_MARGIN = 0.65
"""With less than that of the least share no lens can have made a pixel."""
_EDGE_MARGIN = 0.2
"""The same at the image's edge, where a spot whose middle lies beyond it ends in a
flank that is steeper than any middle."""
_REACH = 2
_RING = [step for step in product((-1, 0, 1), repeat=2) if step != (0, 0)]
_INNER = np.pad(np.ones((3, 3), bool), _REACH - 1)


def without_hot_pixels(
    image: NDArray[np.float32], cutoff_per_pixel: float, noise: float
) -> tuple[NDArray[np.float32], int]:
    """Replace hot pixels by the median of their neighbours.

    Parameters
    ----------
    image : array (Y, X), float32
        Counts.
    cutoff_per_pixel : float
        Cut-off of the effective OTF, in cycles per pixel. Beyond 0.5 a point may fill a
        single pixel: then nothing is replaced.
    noise : float
        Standard deviation of the noise, in counts, its mean over the image; where the
        image is brighter it is taken to be larger, as shot noise.

    Returns
    -------
    image : array (Y, X), float32
        The image itself if it has none.
    count : int
        How many were replaced.

    Examples
    --------
    >>> image = np.full((9, 9), 10, np.float32)
    >>> image[4, 5] = 4000
    >>> cleaned, count = without_hot_pixels(image, cutoff_per_pixel=0.4, noise=3)
    >>> float(cleaned.max()), count
    (10.0, 1)
    """
    hot = hot_pixels(image, cutoff_per_pixel, noise)
    count = int(hot.sum())
    return (replaced(image, hot), count) if count else (image, 0)


def hot_pixels(
    image: NDArray[np.float32], cutoff_per_pixel: float, noise: float
) -> NDArray[np.bool_]:
    """Return where an image has hot pixels, alone or two or three together.

    Parameters are those of `without_hot_pixels`.

    Returns
    -------
    array (Y, X), bool
        None in images below 5 × 5.
    """
    hot = np.zeros(image.shape, bool)
    if cutoff_per_pixel > _NYQUIST or min(image.shape) < 2 * _REACH + 1:
        return hot
    padded = np.pad(image, _REACH, mode="reflect")
    # Six neighbours are clearly darker: the third brightest is. Some photons more than
    # the noise tells of: where light is faint a single one stands far out of it.
    mean = max(float(np.maximum(image, 0).mean()), float(np.finfo(np.float32).tiny))
    photon = min(noise**2 / mean, _LARGEST_PHOTON * noise)
    darker = np.zeros(image.shape, np.int8)
    limit = image - np.float32(_NOISES * (noise + photon))
    for step in _RING:
        darker += _shifted(padded, *step) < limit
    row, column = np.nonzero(darker >= len(_RING) - 2)
    if not len(row):
        return hot
    # Each with its 5 × 5 neighbourhood, of which the darkest show the background.
    windows = sliding_window_view(padded, (2 * _REACH + 1,) * 2)[row, column]
    level = np.partition(windows.reshape(len(row), -1), 2, axis=1)[:, 2]
    rim = np.where(_INNER, -np.inf, windows).max(axis=(1, 2))
    around = [windows[:, _REACH + y, _REACH + x] for y, x in _RING]
    third, _, brightest = np.sort(around, axis=0)[-3:]
    height = image[row, column] - level
    least = _NOISES * (noise * np.sqrt(np.maximum(third / mean, 1)) + photon)
    # At the image's edge nothing tells a hot pair from a spot that is cut off.
    height_px, width_px = image.shape
    inside = (row >= _REACH) & (row < height_px - _REACH)
    inside &= (column >= _REACH) & (column < width_px - _REACH)
    on_edge = (row % (height_px - 1) == 0) | (column % (width_px - 1) == 0)
    margin = np.where(on_edge, _EDGE_MARGIN, _MARGIN)
    for neighbour, shares, where in (
        (brightest, _BRIGHTEST, True),
        (np.maximum(third, rim), _THIRD, inside),  # ripples of a bright spot have a rim
    ):
        share = margin * np.interp(cutoff_per_pixel, _CUTOFFS, shares)
        rise = neighbour - level
        hot[row, column] |= where & (rise < share * height) & (height - rise > least)
    return hot


def replaced(image: NDArray[np.float32], hot: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return an image with some pixels replaced by the median of the others around.

    Parameters
    ----------
    image : array (Y, X), float32
        Counts.
    hot : array (Y, X), bool
        Which.

    Returns
    -------
    array (Y, X), float32
    """
    row, column = np.nonzero(hot)
    values = np.pad(image, _REACH, mode="reflect").astype(np.float32)
    values[np.pad(hot, _REACH, mode="reflect")] = np.nan
    windows = sliding_window_view(values, (2 * _REACH + 1,) * 2)[row, column]
    near = windows[:, 1:-1, 1:-1].reshape(len(row), -1).copy()
    wide = windows.reshape(len(row), -1)
    alone = np.isnan(near).all(axis=1)
    near[alone] = np.nanmedian(wide[alone], axis=1)[:, np.newaxis]
    cleaned = image.copy()
    cleaned[row, column] = np.nanmedian(near, axis=1)
    return cleaned


def _shifted(padded: NDArray[np.float32], y: int, x: int) -> NDArray[np.float32]:
    """Return, for each pixel, its neighbour at an offset."""
    rows, columns = padded.shape
    return padded[_REACH + y : rows - _REACH + y, _REACH + x : columns - _REACH + x]

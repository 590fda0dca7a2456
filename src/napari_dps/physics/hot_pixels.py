"""Hot pixels: single pixels brighter than any object seen through the PSF can be."""

from __future__ import annotations

from functools import reduce
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_NOISES = 8.0
"""Standard deviations above its neighbours that a hot pixel has at least."""
_SHARE = 0.4
"""What the brightest neighbour has at most of a hot pixel's light. Of a point source
sampled at the Nyquist limit it has 0.4 or more, wherever the point lies in its pixel
(0.66 at 0.4 cycles per pixel)."""
_NYQUIST = 0.5
_REACH = 2
_RING = [step for step in product((-1, 0, 1), repeat=2) if step != (0, 0)]


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
        Standard deviation of the noise, in counts.

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
    if cutoff_per_pixel > _NYQUIST or min(image.shape) < 2 * _REACH + 1:
        return image, 0
    padded = np.pad(image, _REACH, mode="reflect")
    around = reduce(np.maximum, (_shifted(padded, *step) for step in _RING))
    places = np.argwhere(image > around + _NOISES * noise)
    if not len(places):
        return image, 0
    # Each with its 5 × 5 neighbourhood; its own light hardly reaches their median.
    windows = sliding_window_view(padded, (2 * _REACH + 1,) * 2)[tuple(places.T)]
    level = np.median(windows, axis=(1, 2))
    row, column = places.T
    height = image[row, column] - level
    hot = around[row, column] - level < _SHARE * height
    if not hot.any():
        return image, 0
    near = np.stack([_shifted(padded, *step)[row[hot], column[hot]] for step in _RING])
    cleaned = image.copy()
    cleaned[row[hot], column[hot]] = np.median(near, axis=0)
    return cleaned, int(hot.sum())


def _shifted(padded: NDArray[np.float32], y: int, x: int) -> NDArray[np.float32]:
    """Return, for each pixel, its neighbour at an offset."""
    rows, columns = padded.shape
    return padded[_REACH + y : rows - _REACH + y, _REACH + x : columns - _REACH + x]

"""Hot pixels: single pixels brighter than any object seen through the PSF can be."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

_NOISES = 8.0
"""Standard deviations above its neighbours that a hot pixel has at least."""
_SHARE = 0.4
"""What the brightest neighbour has at most of a hot pixel's light. Of a point source
sampled at the Nyquist limit it has 0.4 or more, wherever the point lies in its pixel
(0.66 at 0.4 cycles per pixel)."""
_NYQUIST = 0.5


def without_hot_pixels(
    image: NDArray[np.float32], cutoff_per_pixel: float, noise: float
) -> tuple[NDArray[np.float32], int]:
    """Replace hot pixels by the median of their neighbours.

    Parameters
    ----------
    image : array (Y, X), float32
        Counts.
    cutoff_per_pixel : float
        Of the effective OTF, in cycles per pixel. Beyond 0.5 a point may fill a single
        pixel: then nothing is replaced.
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
    if cutoff_per_pixel > _NYQUIST or min(image.shape) < 3:
        return image, 0
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    around = scipy.ndimage.maximum_filter(image, footprint=ring, mode="mirror")
    candidates = image > around + _NOISES * noise
    if not candidates.any():
        return image, 0
    # The level around it, from a ring that its own light does not reach.
    level = scipy.ndimage.median_filter(image, size=5, mode="mirror")
    hot = candidates & (around - level < _SHARE * (image - level))
    cleaned = image.copy()
    median = scipy.ndimage.median_filter(image, footprint=ring, mode="mirror")
    cleaned[hot] = median[hot]
    return cleaned, int(hot.sum())

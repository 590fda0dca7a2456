"""How much noise an image holds, as it came from a camera or was reconstructed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack
from napari_dps.core.context import Context
from napari_dps.methods.sensor import noise_beside_hot_pixels
from napari_dps.metrics.snr import noise_is_white, noise_std
from napari_dps.physics.hot_pixels import without_hot_pixels

COLOURED_NOISE = 5.0
"""Noise of a reconstruction at low frequencies over what is measured after binning 2×2
(2 for the binning; 2.5 on simulated reconstructions, where it was 2 to 8)."""

LEAST_SIDE_PX = 4
"""Images with a shorter side are too small to measure noise in."""
_LEAST_WHITE_PX = 16


def is_raw(image: NDArray[np.float32]) -> bool:
    """Whether the noise is white; taken for granted in images below 16 × 16."""
    return min(image.shape) < _LEAST_WHITE_PX or noise_is_white(image)


def measured_noise(
    image: NDArray[np.float32], cutoff_per_pixel: float, *, white: bool
) -> float:
    """Return the standard deviation of the noise.

    White noise is measured beyond the cut-off. In an image that was resampled or
    reconstructed there is none: there it is measured after binning 2×2 and multiplied
    by `COLOURED_NOISE`.

    Parameters
    ----------
    image : array (Y, X), float32
        Finite.
    cutoff_per_pixel : float
        Cut-off of the effective OTF.
    white : bool
        Whether the noise is white.

    Returns
    -------
    float
        In the unit of the image; of coloured noise that of white noise as strong at
        low frequencies. 0 for images too small to tell.
    """
    if min(image.shape) < LEAST_SIDE_PX:
        return 0.0
    if white:
        return noise_beside_hot_pixels(image, cutoff_per_pixel)
    height, width = (side // 2 for side in image.shape)
    # An odd side is binned from either end, so that a mirrored image is no other.
    parts = [
        image[row : row + 2 * height, column : column + 2 * width]
        for row in range(1 + image.shape[0] % 2)
        for column in range(1 + image.shape[1] % 2)
    ]
    blocks = (part.reshape(height, 2, width, 2).mean(axis=(1, 3)) for part in parts)
    return COLOURED_NOISE * float(np.mean([noise_std(block) for block in blocks]))


def cleaned(
    image: ImageStack, cutoff: float, context: Context
) -> tuple[NDArray[np.float32], float, bool]:
    """Return an image without hot pixels, its noise, and whether that is white.

    Parameters
    ----------
    image : ImageStack
        Axes "YX"; counts above the camera's offset.
    cutoff : float
        Cut-off of the effective OTF, cycles per pixel.
    context : Context
        Warned where hot pixels were replaced.

    Returns
    -------
    image : array (Y, X), float32
    noise : float
        Standard deviation in counts: as the camera's is stated, else measured.
    white : bool
        Whether it comes from a camera; else nothing is replaced.
    """
    data = np.array(image.data, dtype=np.float32)
    white = is_raw(data)
    if image.camera is not None:
        noise = math.sqrt(image.camera.variance(float(data.mean())))
    else:
        noise = measured_noise(data, cutoff, white=white)
    if white:
        data, count = without_hot_pixels(data, cutoff, noise)
        if count:
            context.warn("hot pixels were replaced by the median of their neighbours")
    return data, noise, white

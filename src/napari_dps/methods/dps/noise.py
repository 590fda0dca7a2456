"""How much noise an image holds, as it came from a camera or was reconstructed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_dps.metrics.snr import noise_is_white, noise_std

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
        return noise_std(image, cutoff_per_pixel)
    height, width = (side // 2 for side in image.shape)
    # An odd side is binned from either end, so that a mirrored image is no other.
    parts = [
        image[row : row + 2 * height, column : column + 2 * width]
        for row in range(1 + image.shape[0] % 2)
        for column in range(1 + image.shape[1] % 2)
    ]
    blocks = (part.reshape(height, 2, width, 2).mean(axis=(1, 3)) for part in parts)
    return COLOURED_NOISE * float(np.mean([noise_std(block) for block in blocks]))

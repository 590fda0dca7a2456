"""Light that falls otherwise on the field at each angle: made the same."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import ImageStack
from napari_dps.core.context import Context
from napari_dps.metrics.snr import noise_std

SIGMA_PX = 16.0
"""Of the Gaussian that light is compared through: beams are wider, stripes and what
structures show otherwise at each angle are finer."""
_FLOOR = 0.1
"""Of the mean light, which is added where light is compared: the dark tells nothing."""
_LEAST = 0.05
"""Share of the light that is worth a correction: frames of even light stay."""
_SURE = 5.0
"""Standard deviations by which it exceeds noise."""
_TOLD = 0.3
"""Share from which on it is worth a word."""


def with_even_angles(image: ImageStack, context: Context) -> ImageStack:
    """Return raw frames whose angles are lit alike all over the field.

    A beam that is not centred, or that enters the lens elsewhere at each angle, makes
    one side of the field brighter at one angle and the other at the next. No object
    explains that, so that one which is to explain all frames goes wrong.

    Parameters
    ----------
    image : ImageStack
        Axes "APYX"; counts above the camera's offset, motion undone.
    context : Context
        Told of a large correction.

    Returns
    -------
    ImageStack
        Each angle times a smooth field; the image itself where its angles are alike.
    """
    frames = np.asarray(image.data, dtype=np.float32)
    if len(frames) == 1 or min(frames.shape[-2:]) < 2 * SIGMA_PX:
        return image
    fields, noise = _fields(frames)
    sure = np.where(np.abs(fields - 1) > _SURE * noise, np.abs(fields - 1), 0)
    largest = float(sure.max())
    if largest < _LEAST:
        return image
    if largest > _TOLD:
        context.warn(
            "the angles are lit otherwise over the field, by more than "
            f"{_TOLD:.0%}: they were made alike (check the alignment of the beam)"
        )
    return image.derive(frames * fields[:, np.newaxis])


def _fields(
    frames: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what makes the angles (A, Y, X) alike, and its noise."""
    angles = frames.mean(axis=1)
    means = angles.mean(axis=(-2, -1), keepdims=True)
    if not means.min() > 0:
        return np.ones_like(angles), np.ones_like(angles)
    mean = float(means.mean())
    level = angles * (mean / means)
    sigma = (0, SIGMA_PX, SIGMA_PX)
    smooth = scipy.ndimage.gaussian_filter(level, sigma, mode="mirror").clip(min=0)
    smooth += _FLOOR * mean
    # A Gaussian of width s averages over 4 π s² pixels.
    noise = max(noise_std(plane) for plane in level) / (2 * np.pi**0.5 * SIGMA_PX)
    return smooth.mean(axis=0) / smooth, noise / smooth

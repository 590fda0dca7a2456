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
_TOGETHER_PX = 4
"""Pixels along the edge of the squares that it is compared in: it is far smoother."""
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
    angles = frames.mean(axis=1)
    means = angles.mean(axis=(-2, -1), keepdims=True)
    if not means.min() > 0:
        return image
    angles *= means.mean() / means
    smooth = _smooth(angles) + np.float32(_FLOOR * means.mean())
    fields = smooth.mean(axis=0) / smooth
    unlike = np.abs(fields - 1)
    if float(unlike.max()) < _LEAST:
        return image
    # A Gaussian of width s averages over 4 π s² pixels.
    noise = max(noise_std(plane) for plane in angles) / (2 * np.pi**0.5 * SIGMA_PX)
    largest = float(unlike.max(where=unlike > _SURE * noise / smooth, initial=0))
    if largest < _LEAST:
        return image
    if largest > _TOLD:
        context.warn(
            "the angles are lit otherwise over the field, by more than "
            f"{_TOLD:.0%}: they were made alike (check the alignment of the beam)"
        )
    return image.derive(frames * _enlarged(fields, frames.shape)[:, np.newaxis])


def _smooth(angles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smooth light of angles (A, Y, X), a value for some pixels together."""
    rest = [(0, 0), *((0, -side % _TOGETHER_PX) for side in angles.shape[1:])]
    whole = np.pad(angles, rest, mode="symmetric")
    count, rows, columns = whole.shape
    cells = (rows // _TOGETHER_PX, _TOGETHER_PX, columns // _TOGETHER_PX, _TOGETHER_PX)
    together = whole.reshape(count, *cells).mean(axis=(2, 4))
    sigma = SIGMA_PX / _TOGETHER_PX
    smooth = scipy.ndimage.gaussian_filter(together, (0, sigma, sigma), mode="reflect")
    return np.asarray(smooth.clip(min=0), dtype=np.float32)


def _enlarged(
    fields: NDArray[np.float32], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return fields of `_smooth` for each pixel of frames of a shape (..., Y, X)."""
    zoom = (1, _TOGETHER_PX, _TOGETHER_PX)
    fine = scipy.ndimage.zoom(fields, zoom, order=1, mode="nearest", grid_mode=True)
    return np.asarray(fine[:, : shape[-2], : shape[-1]], dtype=np.float32)

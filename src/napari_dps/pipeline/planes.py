"""One image that stands for a whole stack, to look at and to measure."""

from __future__ import annotations

import numpy as np

from napari_dps import io
from napari_dps.core import ImageStack

LONGEST_MEASURED_PX = 512
"""Longest side of the part of a z-stack that is measured along z."""


def first_unit(stack: ImageStack) -> ImageStack:
    """Return the first T, C and Z: an image, or one set of raw SIM frames.

    Parameters
    ----------
    stack : ImageStack
        Any axes.

    Returns
    -------
    ImageStack
        Without the axes T, C, Z.
    """
    first = tuple(0 if axis in "TCZ" else slice(None) for axis in stack.axes)
    axes = "".join(axis for axis in stack.axes if axis not in "TCZ")
    pixels = io.fetch(stack.data[first])
    return stack.derive(pixels, axes=axes, channel_names=())


def first_plane(stack: ImageStack) -> ImageStack:
    """Return the first T, C, Z as one image; raw SIM frames as their mean.

    The mean over angles and phases is the widefield image of the same light.

    Parameters
    ----------
    stack : ImageStack
        Any axes.

    Returns
    -------
    ImageStack
        Axes "YX", float32.

    Examples
    --------
    >>> raw = ImageStack(np.arange(36.0).reshape(2, 1, 2, 3, 3), "TAPYX")
    >>> float(first_plane(raw).data[0, 0])
    4.5
    """
    frames = first_unit(stack).data
    plane = frames.reshape(-1, *stack.shape[-2:]).mean(axis=0, dtype=np.float64)
    return stack.derive(plane.astype(np.float32), axes="YX", channel_names=())


def first_volume(
    stack: ImageStack, longest_px: int = LONGEST_MEASURED_PX
) -> ImageStack | None:
    """Return the middle of the field of the first T and C, in all planes.

    Parameters
    ----------
    stack : ImageStack
        Any axes; the data may be lazy, what lies outside is not read.
    longest_px : int
        Longest side of the part.

    Returns
    -------
    ImageStack or None
        Axes "ZYX", float32; raw SIM frames as their mean. None of what has no planes.

    Examples
    --------
    >>> raw = ImageStack(np.zeros((9, 3, 5, 40, 30)), "ZAPYX")
    >>> first_volume(raw, 32).shape
    (9, 32, 30)
    """
    if stack.size("Z") < 2:
        return None
    places: dict[str, int | slice] = {"T": 0, "C": 0}
    for axis in "YX":
        size = stack.size(axis)
        start = max(size - longest_px, 0) // 2
        places[axis] = slice(start, min(start + longest_px, size))
    part = tuple(places.get(axis, slice(None)) for axis in stack.axes)
    found = io.fetch(stack.data[part]).astype(np.float32)
    kept = [axis for axis in stack.axes if axis not in "TC"]
    means = tuple(kept.index(axis) for axis in kept if axis in "AP")
    data = found.mean(axis=means, dtype=np.float64).astype(np.float32)
    return stack.derive(data, axes="ZYX", channel_names=())

"""One image that stands for a whole stack, to look at and to measure."""

from __future__ import annotations

import numpy as np

from napari_dps import io
from napari_dps.core import ImageStack


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

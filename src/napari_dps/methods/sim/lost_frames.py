"""Raw frames without light: lost frames, closed shutters, ends of a stack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack
from napari_dps.core.context import Context
from napari_dps.physics.sim.equalise import NO_LIGHT, refuse_darkness

_TOLD = 3
"""Places without light, of a stack, that are named."""


def with_lost_frames(image: ImageStack, context: Context) -> ImageStack:
    """Return raw frames of which none is without light, where others tell what it held.

    Stripes of all phases of an angle add up to even light, which the other angles show:
    a single lost frame is what its angle lacks. Of an angle that lost more nothing is
    known but that light: its frames then have no stripes.

    Parameters
    ----------
    image : ImageStack
        Axes "APYX"; counts above the camera's offset, as they were recorded.
    context : Context
        Told of lost frames, and of a stack without light among several; whether there
        are others.

    Returns
    -------
    ImageStack
        The image itself where no frame is lost, or the stack is dark.

    Raises
    ------
    InputError
        If the stack is the only one and nothing tells what a frame held.
    """
    frames = np.asarray(image.data, dtype=np.float32)
    means = frames.mean(axis=(-2, -1), dtype=np.float64)
    lost = _lost(means)
    if not lost.any():
        return image
    if lost.any(axis=1).all():
        if context.units == 1:
            refuse_darkness(means)
        _tell(context, "raw frames hold no light above the camera's offset")
        return image
    _tell(context, f"{_named(lost)} was computed from the others")
    return image.derive(_filled(frames, means, lost))


def _lost(means: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which frames (A, P) have no light where others have."""
    typical = float(np.median(means))
    of_angle = np.median(means, axis=1, keepdims=True)
    # An angle as dim as that may be weak light; less than nothing is none.
    dim = (means < NO_LIGHT * typical) & (means < NO_LIGHT * of_angle)
    return np.asarray(dim | (means <= 0))


def _filled(
    frames: NDArray[np.float32], means: NDArray[np.float64], lost: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the frames with what the lost ones held."""
    whole = ~lost.any(axis=1)
    level = frames[whole] / means[whole][..., None, None].astype(np.float32)
    light = level.mean(axis=(0, 1))
    result = frames.copy()
    for angle in np.flatnonzero(~whole):
        seen = ~lost[angle]
        bright = float(means[angle][seen].mean() if seen.any() else means[whole].mean())
        if np.count_nonzero(lost[angle]) == 1:
            each = means[angle][seen][:, None, None].astype(np.float32)
            rest = (frames[angle][seen] / each).sum(axis=0)
            result[angle, lost[angle]] = bright * (len(seen) * light - rest)
        else:
            result[angle] = bright * light
    return result


def _named(lost: NDArray[np.bool_]) -> str:
    """Say which frames of a stack have no light."""
    frames = [
        f"frame of angle {angle + 1}, phase {phase + 1}"
        for angle, phase in np.argwhere(lost)
    ]
    return f"what the dark {', '.join(frames)} held"


def _tell(context: Context, message: str) -> None:
    """Warn of one place of a stack; of many the first are named."""
    told = context.told.setdefault("places without light", set())
    told.add(context.where)
    if len(told) > _TOLD:
        message = "raw frames hold no light at more places"
    context.warn(message + context.where * (len(told) <= _TOLD))

"""Saturated pixels: where brightness has met the end of the camera's range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CAMERA_BITS = (8, 10, 11, 12, 14, 16)
"""Depths of cameras' digitisers."""

LEAST_PIXELS = 8
"""Fewer pixels at the highest value are chance."""

PILE_UP = 4
"""Pixels at the highest value over those at the next lower one that a histogram without
saturation does not reach: it falls towards its end."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """Pixels at the end of the range.

    Attributes
    ----------
    level : int
        The highest value, in counts.
    percent : float
        Of the pixels that have it.
    """

    level: int
    percent: float


def saturation(frames: NDArray[Any]) -> Saturation | None:
    """Find pixels at the end of the range, whatever its value.

    Parameters
    ----------
    frames : array of integers
        Raw counts, the camera's offset in them or not.

    Returns
    -------
    Saturation or None
        None where the highest value is neither the full scale of a camera nor piled
        up, or has fewer than 8 pixels.

    Examples
    --------
    >>> ramp = np.arange(1000, dtype=np.uint16)
    >>> saturation(ramp) is None
    True
    >>> saturation(np.minimum(ramp, 900)).percent
    10.0
    """
    highest = int(frames.max())
    at = int(np.count_nonzero(frames == highest))
    lower = frames[frames < highest]
    if at < LEAST_PIXELS or not lower.size or highest <= 0:
        return None
    next_lower = int(np.count_nonzero(lower == lower.max()))
    if highest in full_scales() or at > PILE_UP * next_lower:
        return Saturation(highest, 100 * at / frames.size)
    return None


def full_scales() -> tuple[int, ...]:
    """Return the highest values of usual cameras.

    Examples
    --------
    >>> full_scales()
    (255, 1023, 2047, 4095, 16383, 65535)
    """
    return tuple(2**bits - 1 for bits in CAMERA_BITS)

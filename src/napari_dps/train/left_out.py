"""Which regions of a user's images train, which choose, and which judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError

_EVERY = (2, 5)
"""One region in so many is left out; in few images more of them."""
_LEAST_LEFT_OUT, _MOST_LEFT_OUT = 6, 48
"""Regions that are left out where there are enough: looking at them takes time."""
MOST_POINTS = 16
"""Time points and planes of an image that are used, evenly spread over it."""
_MOST_LOOKED_AT = 96
"""Fields that choose, and that judge: so many are looked at in some seconds."""

T = TypeVar("T")


def split_regions(count: int) -> tuple[list[int], list[int], list[int]]:
    """Return the regions to train on, to choose the step by, and to judge by.

    Examples
    --------
    >>> split_regions(9)
    ([1, 3, 5, 7], [2, 6], [0, 4, 8])
    >>> split_regions(1)
    ([0], [0], [])
    """
    if count < 2 * _EVERY[0]:
        return list(range(1, count)) or [0], [0], []
    every = min(max(count // _LEAST_LEFT_OUT, _EVERY[0]), _EVERY[1])
    every = max(every, math.ceil(count / _MOST_LEFT_OUT))
    left_out = list(range(0, count, every))
    training = [n for n in range(count) if n % every]
    return training, left_out[1::2], left_out[::2]


def too_few_regions() -> InputError:
    """Return the error for images of which nothing can be left out."""
    return InputError(
        "regions of the images",
        got="fewer than 4",
        allowed="4 or more, so that some can be left out: larger images",
    )


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, evenly spread.

    Examples
    --------
    >>> spread("abcdefg", 3), spread("ab", 3)
    (['a', 'd', 'g'], ['a', 'b'])
    """
    if len(items) <= most:
        return list(items)
    last = len(items) - 1
    return [items[round(n * last / max(most - 1, 1))] for n in range(most)]


def looked_at(
    of_region: Sequence[Sequence[T]], chosen: Sequence[int]
) -> list[tuple[T, int]]:
    """Return fields of some regions with the number of their region.

    Of every region as many, and of all no more than can be looked at in a while.
    """
    each = max(_MOST_LOOKED_AT // max(len(chosen), 1), 1)
    return [(field, n) for n in chosen for field in spread(of_region[n], each)]


def mean_of_regions(
    regions: Sequence[int], losses: Sequence[float]
) -> NDArray[np.float64]:
    """Return the mean loss of the fields of each region, as they first occur.

    Examples
    --------
    >>> mean_of_regions([0, 2, 0], [1.0, 5.0, 3.0]).tolist()
    [2.0, 5.0]
    """
    found: dict[int, list[float]] = {}
    for region, loss in zip(regions, losses, strict=True):
        found.setdefault(region, []).append(loss)
    return np.array([np.mean(some) for some in found.values()])


def corners(shape: tuple[int, int], side_px: int, what: str) -> list[tuple[int, int]]:
    """Return (y, x) of the patches that an image at canonical sampling is cut into.

    Raises
    ------
    InputError
        If not one fits; ``what`` names the image.

    Examples
    --------
    >>> corners((5, 7), 3, "the image")
    [(0, 0), (0, 3)]
    """
    height, width = shape
    if min(height, width) < side_px:
        raise InputError(
            f"size of {what} at canonical sampling",
            got=f"{height} × {width} px",
            allowed=f"at least {side_px} px a side",
        )
    return [
        (y, x)
        for y in range(0, height - side_px + 1, side_px)
        for x in range(0, width - side_px + 1, side_px)
    ]

"""The margin that an object on the 2× grid has around the frames that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Margin = tuple[tuple[int, int], ...]
"""Pixels of the frames before and after them, for each axis."""


def mirrored_rim(thing: torch.Tensor, margin: Margin) -> torch.Tensor:
    """Return an object (2 Y, 2 X) with a margin on all sides that mirrors its edges.

    Parameters
    ----------
    thing : tensor
        Object, without a margin.
    margin : tuple of (int, int)
        Pixels of the frames before and after them, for each axis.
    """
    import torch

    for axis, (before, after) in enumerate(margin):
        places = np.arange(thing.shape[axis])
        mirrored = np.pad(places, (2 * before, 2 * after), mode="symmetric")
        thing = thing.index_select(axis, torch.from_numpy(mirrored).to(thing.device))
    return thing


def without_rim(
    thing: torch.Tensor, shape: tuple[int, int], margin: Margin
) -> torch.Tensor:
    """Return what `mirrored_rim` was given, for frames (Y, X) of a shape."""
    rows, columns = (
        slice(2 * before, 2 * (before + side))
        for side, (before, _) in zip(shape, margin, strict=True)
    )
    return thing[rows, columns]

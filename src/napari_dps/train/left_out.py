"""Which blocks of a user's images train, which choose, and which judge.

Images are cut into small blocks with gaps between them. A network sees patches of many
blocks, but what it has to explain in training are the blocks that train: small images
have enough blocks to judge by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError

_EVERY = (2, 5)
"""One block in so many is left out; in small images more of them."""
_LEFT_OUT = 40
"""Blocks that are left out where there are enough."""
_LEAST_BLOCKS = 12
_BLOCKS = 96
"""Blocks that a small image is cut into."""
_BLOCK_PX, _GAP_PX = (8, 16), 2
"""Edge of a block, and its share that is looked at by none: noise that was resampled,
or filtered at the cut-off, is alike in neighbours."""
MOST_POINTS = 16
"""Time points and planes of an image that are used, evenly spread over it."""
_MOST_LOOKED_AT = 96
"""Patches that choose, and that judge: so many are looked at in some seconds."""
_OVERLAP_PX, _FEW = 16, 16
"""Patches of images that hold fewer along an edge overlap by this, their two rims."""
_RNG_SEED = 3
NOWHERE = -1
"""Number of pixels in no block."""

Numbers = NDArray[np.int32]

T = TypeVar("T")


class Split(NamedTuple):
    """Numbers of the blocks that train, choose the step that is kept, and judge."""

    training: Numbers
    choosing: Numbers
    judging: Numbers


def split_blocks(count: int) -> Split:
    """Deal out the blocks of all images, at random but always alike.

    Raises
    ------
    InputError
        If there are too few to leave some out.

    Examples
    --------
    >>> [len(numbers) for numbers in split_blocks(48)]
    [24, 12, 12]
    """
    if count < _LEAST_BLOCKS:
        raise InputError(
            "blocks of the images",
            got=count,
            allowed=f"{_LEAST_BLOCKS} or more, so that some can be left out: larger "
            "images",
        )
    every = min(max(count // _LEFT_OUT, _EVERY[0]), _EVERY[1])
    order = np.random.default_rng(_RNG_SEED).permutation(count).astype(np.int32)
    kinds = np.arange(count) % every
    left_out = np.sort(order[kinds == 0])
    return Split(np.sort(order[kinds > 0]), left_out[1::2], left_out[::2])


def number_blocks(shape: tuple[int, int], margin_px: int, first: int = 0) -> Numbers:
    """Return the number of the block of each pixel of an image; see `NOWHERE`.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) at canonical sampling.
    margin_px : int
        Rim of the image that is not looked at.
    first : int
        Number of the first block.

    Examples
    --------
    >>> number_blocks((12, 20), 1, first=5)[1:4, :12].tolist()[0]
    [-1, 5, 5, 5, 5, 5, 5, -1, -1, 6, 6, 6]
    """
    inner = [max(n - 2 * margin_px, 0) for n in shape]
    least, most = _BLOCK_PX
    side = min(max(math.isqrt(inner[0] * inner[1] // _BLOCKS), least), most)
    rows, columns = (n // side for n in inner)
    numbers = first + np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    blocks = np.kron(numbers, np.ones((side, side), np.int32))
    for axis in (0, 1):
        at = np.arange(blocks.shape[axis]) % side >= side - _GAP_PX
        blocks[(slice(None),) * axis + (at,)] = NOWHERE
    found = np.full(shape, NOWHERE, np.int32)
    height, width = blocks.shape
    found[margin_px : margin_px + height, margin_px : margin_px + width] = blocks
    return found


def patch_of(
    blocks: Numbers, corner: tuple[int, int], side_px: int, margin_px: int
) -> Numbers:
    """Return the numbers of a patch of an image, `NOWHERE` in the rim of the patch."""
    y, x = corner
    found = np.full((side_px, side_px), NOWHERE, np.int32)
    inner = np.s_[margin_px : side_px - margin_px]
    found[inner, inner] = blocks[y : y + side_px, x : x + side_px][inner, inner]
    return found


def only(blocks: Numbers, chosen: Numbers) -> Numbers:
    """Return the numbers with `NOWHERE` in place of those that are not chosen."""
    return np.where(np.isin(blocks, chosen), blocks, np.int32(NOWHERE))


@dataclass(frozen=True, slots=True)
class BlockMeans:
    """Means of a quantity over blocks, of patch after patch.

    Parameters
    ----------
    sums, counts : dict of int to float, int
        By the block's number.
    """

    sums: dict[int, float]
    counts: dict[int, int]

    def add(self, values: NDArray[np.floating], blocks: Numbers) -> None:
        """Take in the values of a patch, (Y, X), in the blocks that it shows."""
        for number in np.unique(blocks[blocks != NOWHERE]).tolist():
            inside = values[blocks == number]
            self.sums[number] = self.sums.get(number, 0.0) + float(inside.sum())
            self.counts[number] = self.counts.get(number, 0) + inside.size

    def value(self) -> NDArray[np.float64]:
        """Return the means, by the numbers of the blocks.

        Examples
        --------
        >>> means = BlockMeans({}, {})
        >>> means.add(np.array([[1.0, 3.0, 9.0]]), np.array([[4, 4, -1]], np.int32))
        >>> means.add(np.array([[5.0, 6.0, 9.0]]), np.array([[4, 2, -1]], np.int32))
        >>> means.value().tolist()
        [6.0, 3.0]
        """
        return np.array([self.sums[n] / self.counts[n] for n in sorted(self.sums)])


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


def looked_at(blocks: Sequence[Numbers], chosen: Numbers) -> list[int]:
    """Return the patches that show chosen blocks, no more than can be looked at.

    Parameters
    ----------
    blocks : sequence of array (Y, X)
        Of each patch, inside its rim.
    chosen : array
        Numbers of blocks.
    """
    showing = [n for n, one in enumerate(blocks) if np.isin(one, chosen).any()]
    return spread(showing, _MOST_LOOKED_AT)


def corners(shape: tuple[int, int], side_px: int, what: str) -> list[tuple[int, int]]:
    """Return (y, x) of patches that cover an image at canonical sampling.

    In small images they overlap, so that the rims of some are seen inside others.

    Raises
    ------
    InputError
        If not one fits; ``what`` names the image.

    Examples
    --------
    >>> corners((64, 100), 64, "the image")
    [(0, 0), (0, 36)]
    """
    height, width = shape
    if min(height, width) < side_px:
        raise InputError(
            f"size of {what} at canonical sampling",
            got=f"{height} × {width} px",
            allowed=f"at least {side_px} px a side",
        )
    return [(y, x) for y in _starts(height, side_px) for x in _starts(width, side_px)]


def _starts(length: int, side: int) -> list[int]:
    step = max(side - _OVERLAP_PX, 1) if length < _FEW * side else side
    count = 1 + math.ceil((length - side) / step)
    return [int(start) for start in np.linspace(0, length - side, count).round()]

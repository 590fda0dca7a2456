"""The rolling-ball background of a strip of an image, found by branch and bound.

1. The image is cut into blocks of a few pixels. For two blocks whose distance lies
   between two numbers, the ball's height h between their pixels lies between
   ``nearest`` and ``farthest``.
2. *Guess*: each block takes the source block with the least
   ``lowest pixel + farthest``, and its pixels the heights over that lowest pixel.
   Whatever the ball touches elsewhere, the background is not above this guess.
3. *Refine*: a source block can lower a target block only if
   ``lowest pixel + nearest`` is below the highest value of the target's guess. Only
   such pairs of blocks, a few in a hundred, are computed pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.ball import Ball

CHUNK_VALUES = 1 << 16
"""Values in memory while pairs of blocks are computed: they fit into a CPU's cache."""

_MIRRORS = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
"""Signs (y, x) of the four shifts of equal length."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Strip:
    """Rows of blocks to compute and all the blocks that they reach, as planes.

    Attributes
    ----------
    source : array (edge², S)
        Pixel i of each block in plane i; inf where there is no image.
    lowest : array (S,)
        The lowest pixel of each block.
    result : array (edge², N)
        What is computed: the blocks ``first`` to ``first + N`` of the source.
    """

    source: Array
    lowest: Array
    result: Array
    first: int

    def highest(self) -> Array:
        """Return the highest value of each block of the result, -inf in the margin."""
        highest: Array = self.result.max(axis=0)
        highest[np.isposinf(highest)] = -np.inf
        return highest


def roll_strip(
    pixels: Array, background: Array, start: int, stop: int, ball: Ball, slack: float
) -> Iterator[int]:
    """Fill in the background of some rows.

    Parameters
    ----------
    pixels : array (Y, X)
        The image.
    background : array (Y, X)
        Where the result goes.
    start, stop : int
        Rows to compute; the first is a multiple of the ball's ``edge``.
    ball : Ball
        The ball for this image.
    slack : float
        How far the result may lie above the exact background, in counts.

    Yields
    ------
    int
        Progress, from 0 to ``ball.reach[1] + 1``.
    """
    height, width = pixels[start:stop].shape
    rows = -(-height // ball.edge)
    source = _to_blocks(pixels, start // ball.edge, rows, ball)
    first = (ball.reach[0] + 1) * ball.columns
    result = source[:, first : first + rows * ball.columns].copy()
    strip = _Strip(source, source.min(axis=0), result, first)
    yield 0
    if ball.edge == 1:
        _try_all(strip, ball)
    else:
        _guess(strip, ball)
        yield from _refine(strip, ball, slack)
    planes = result.reshape(ball.edge, ball.edge, rows, ball.columns)
    joined = planes.transpose(2, 0, 3, 1).reshape(rows * ball.edge, -1)
    background[start:stop] = joined[:height, :width]
    yield ball.reach[1] + 1


def _to_blocks(pixels: Array, top: int, rows: int, ball: Ball) -> Array:
    """Cut ``rows`` of blocks from block row ``top``, and all they reach, into planes.

    A block that the image's border cuts is filled up with the border's pixels, which
    lie nearer than the copies and so decide alone; the rest is inf, never touched.
    """
    edge, above = ball.edge, ball.reach[0] + 1
    begin = max(top - above, 0)
    part = pixels[begin * edge : (top + rows + above) * edge]
    missing = [-length % edge for length in part.shape]
    if any(missing):
        part = np.pad(part, [(0, m) for m in missing], mode="edge")
    height, width = part.shape[0] // edge, part.shape[1] // edge
    shape = (edge, edge, rows + 2 * above, ball.columns)
    blocks = np.full(shape, np.inf, pixels.dtype)
    offset = begin - (top - above)
    cut = part.reshape(height, edge, width, edge).transpose(1, 3, 0, 2)
    blocks[:, :, offset : offset + height, :width] = cut
    return blocks.reshape(edge**2, -1)


def _mirrored_lowest(
    strip: _Strip, ball: Ball, heights: Array, bound: Array
) -> Iterator[tuple[int, int, Array]]:
    """Go through the shifts (dy, dx) >= 0 and find the lowest of the four mirrored.

    Yields dy, dx and, for each block of the result, the lowest pixel of the blocks at
    (±dy, ±dx); leaves out shifts so high that nothing falls below ``bound``, which the
    caller may lower on the way.
    """
    size, lowest, floor = bound.size, strip.lowest, float(strip.lowest.min())
    low = np.empty_like(bound)
    mirrored = lowest.copy()
    for dx in range(ball.reach[1] + 1):
        end, ceiling = lowest.size - dx, float(bound.max()) - floor
        np.minimum(lowest[: end - dx], lowest[2 * dx :], out=mirrored[dx:end])
        for dy in range(ball.reach[0] + 1):
            if heights[dy, dx] > ceiling:
                break
            above = strip.first - dy * ball.columns
            below = strip.first + dy * ball.columns
            np.minimum(
                mirrored[above : above + size], mirrored[below : below + size], out=low
            )
            yield dy, dx, low


def _try_all(strip: _Strip, ball: Ball) -> None:
    """Compute the background where the blocks are single pixels."""
    background = strip.highest()
    for dy, dx, raised in _mirrored_lowest(strip, ball, ball.farthest, background):
        raised += ball.farthest[dy, dx]
        np.minimum(raised, background, out=background)
    strip.result[0] = background


def _guess(strip: _Strip, ball: Ball) -> None:
    """Lower the result to the heights over the best single pixel of each block."""
    bound = strip.highest()
    code, better = np.zeros(bound.size, np.int16), np.empty(bound.size, bool)
    shifts: list[tuple[int, int]] = []
    for dy, dx, raised in _mirrored_lowest(strip, ball, ball.farthest, bound):
        raised += ball.farthest[dy, dx]
        np.less(raised, bound, out=better)
        np.copyto(code, len(shifts), where=better)
        np.minimum(raised, bound, out=bound)
        shifts.append((dy, dx))
    if not shifts:
        return  # the strip is too flat for the ball to touch it anywhere else
    depth, index = _lowest_pixel(strip, ball, np.array(shifts).T, code)
    heights = ball.heights.ravel()
    for values, offset in zip(strip.result, ball.within, strict=True):
        guess = heights.take(index - offset)
        guess += depth
        np.minimum(values, guess, out=values)


def _lowest_pixel(
    strip: _Strip, ball: Ball, shifts: Array, code: Array
) -> tuple[Array, Array]:
    """Find the lowest pixel of the four blocks at each block's best shift, mirrored.

    Returns its value and the index in the ball's heights of its displacement from the
    first pixel of the block.
    """
    y, x = _MIRRORS.T[:, :, None] * shifts[:, None]
    steps = y * ball.columns + x
    here = np.arange(strip.first, strip.first + code.size)
    depth, mirror = np.full(code.size, np.inf, strip.lowest.dtype), np.zeros_like(code)
    for number, step in enumerate(steps):
        low = strip.lowest.take(here + step.take(code))
        np.copyto(mirror, number, where=low < depth)
        np.minimum(low, depth, out=depth)
    block = here + steps[mirror, code]
    pixel = np.zeros(strip.lowest.size, np.int16)
    for number, values in enumerate(strip.source):
        np.copyto(pixel, number, where=values == strip.lowest)
    displacement = ball.displacement(y, x)[mirror, code]
    return depth, displacement + ball.within.take(pixel.take(block))


def _refine(strip: _Strip, ball: Ball, slack: float) -> Iterator[int]:
    """Lower the result by each pair of blocks that may lower it by over ``slack``.

    Yields the columns of shifts that are done.
    """
    highest, lowest = strip.highest(), strip.lowest
    between, heights = ball.within[:, None] - ball.within, ball.heights.ravel()
    scratch = np.empty(max(CHUNK_VALUES, between.size), lowest.dtype)
    for dy, dx, raised in _mirrored_lowest(strip, ball, ball.nearest, highest):
        if dy == 0:
            yield dx
        least = float(ball.nearest[dy, dx]) + slack
        if least >= ball.farthest[dy, dx]:
            continue  # the guess has the best of these shifts
        raised += least
        hits = (raised < highest).nonzero()[0]
        if not hits.size:
            continue
        for y, x in {(y * dy, x * dx) for y, x in _MIRRORS.tolist()}:
            start = strip.first + y * ball.columns + x
            blocks = hits[lowest[start + hits] + least < highest[hits]]
            height = heights.take(between + ball.displacement(y, x))
            _lower_blocks(strip, blocks, start, height, scratch)


def _lower_blocks(
    strip: _Strip, blocks: NDArray[np.intp], start: int, height: Array, scratch: Array
) -> None:
    """Lower some blocks of the result by their sources, pixel by pixel.

    ``height`` (source pixel, result pixel) holds h between the pixels of the two.
    """
    chunk = scratch.size // height.size
    for first in range(0, blocks.size, chunk):
        some = blocks[first : first + chunk]
        values = scratch[: height.size * some.size].reshape(*height.shape, -1)
        source = strip.source.take(some + start, axis=1)
        np.add(source[:, None], height[..., None], out=values)
        strip.result[:, some] = np.minimum(
            strip.result.take(some, axis=1), values.min(axis=0)
        )

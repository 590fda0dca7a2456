"""The rolling-ball background of an image, exact or within a stated tolerance.

The background is what the top of a ball traces that is rolled under the image seen as
a landscape, with 1 count as high as 1 pixel is wide [1]_::

    b(x) = min over |d| <= R of  f(x + d) + h(d),     h(d) = R - sqrt(R^2 - |d|^2)

Outside the image there is nothing for the ball to touch. These are the values of
``skimage.restoration.rolling_ball``, bit for bit at tolerance 0, found by branch and
bound instead of by trying all πR² offsets at each pixel:

1. The image is cut into blocks of a few pixels. For two blocks whose distance is
   known to lie between two numbers, the ball's height h between their pixels lies
   between ``nearest`` and ``farthest``.
2. *Guess*: each block takes the source block with the least
   ``lowest pixel + farthest``, and its pixels the heights over that lowest pixel.
   Whatever the ball touches elsewhere, the background is not above this guess.
3. *Refine*: a source block can lower a target block only if
   ``lowest pixel + nearest`` is below the highest value of the target's guess. Only
   such pairs of blocks, a few in a hundred, are computed pixel by pixel.

A tolerance leaves out pairs that could lower the target by no more than it: the
result is never below the exact background nor above the image, and never more than
the tolerance above the exact background.

References
----------
.. [1] S. R. Sternberg, "Biomedical image processing", Computer 16 (1983) 22-34,
   doi:10.1109/MC.1983.1654163
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Progress, finish

MAX_RADIUS_PX = 500.0

_STRIP_BLOCKS = 1 << 15
"""Blocks computed at a time: a strip's four working arrays fit into a CPU's cache."""

_CHUNK_VALUES = 1 << 16
"""Values held at a time while pairs of blocks are computed; fits as well."""

_MIRRORS = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
"""Signs (y, x) of the four shifts of equal length."""

Array = NDArray[Any]


def rolling_ball(
    image: Array, radius_px: float = 50.0, *, tolerance: float = 0.005
) -> Array:
    """Estimate the background of an image by a ball rolled under it.

    Parameters
    ----------
    image : array (Y, X)
        Real, finite values. Dark is background. The ball is as high as it is wide in
        the image's own units: a ball of 50 px bends by 50 counts, which is next to
        flat under an image of 4000 counts, and stiffens the background to a local
        minimum over few pixels under an image scaled to [0, 1].
    radius_px : float
        Radius of the ball in pixels, 1 to 500; larger than the largest structure to
        keep.
    tolerance : float
        How far the result may lie above the exact background, as a fraction of the
        image's range (max - min), 0 to 1. 0 is exact.

    Returns
    -------
    array (Y, X)
        The background in the image's units, nowhere above the image. float32 for
        float16, float32 and integers of up to 16 bits, which float32 holds exactly;
        else float64. Unlike scikit-image's, it is not cast back to integers.

    Raises
    ------
    InputError
        If the image is not 2-D, is empty or holds NaN or inf, or a parameter is out
        of its limits.

    Examples
    --------
    The ball bends 0.1 counts into the gap under a bright spot of 3 × 3 pixels.

    >>> image = np.full((64, 64), 10.0)
    >>> image[30:33, 30:33] = 500
    >>> background = rolling_ball(image, radius_px=20, tolerance=0)
    >>> round(float(background[31, 31]), 3)
    10.1
    """
    return finish(rolling_ball_steps(image, radius_px, tolerance=tolerance))


def rolling_ball_steps(
    image: Array, radius_px: float = 50.0, *, tolerance: float = 0.005
) -> Generator[Progress, None, Array]:
    """Do what `rolling_ball` does, in steps, so that it can report and be stopped.

    Yields
    ------
    Progress
        Several times a second.

    Returns
    -------
    array (Y, X)
        As `rolling_ball`.
    """
    pixels = _checked(image, radius_px, tolerance)
    low, high = float(pixels.min()), float(pixels.max())
    if not math.isfinite(high - low):
        raise InputError("the image holds values that are not finite (NaN or inf)")
    ball = _ball(pixels.shape, pixels.dtype, radius_px, high - low)
    # Rounding may add up to this; taken off, the tolerance holds including it.
    rounding = 4 * np.finfo(pixels.dtype).eps * (max(abs(low), abs(high)) + radius_px)
    slack = max(tolerance * (high - low) - rounding, 0.0)
    background = np.empty_like(pixels)
    rows = ball.edge * max(_STRIP_BLOCKS // ball.columns, 1)
    starts = range(0, len(pixels), rows)
    parts = ball.reach[1] + 1
    for number, start in enumerate(starts):
        for part in _roll_strip(pixels, background, start, start + rows, ball, slack):
            yield Progress(
                number * parts + part, len(starts) * parts, "Rolling the ball"
            )
    return background


def ball_reach_px(radius_px: float, span: float) -> float:
    """Return how far from a pixel the ball over it can touch the image.

    Parameters
    ----------
    radius_px : float
        Radius of the ball.
    span : float
        Range of the image (max - min): where the ball has risen by more than that,
        it touches nothing.

    Returns
    -------
    float
        √(span·(2R − span)) in pixels, at most the radius R.

    Examples
    --------
    >>> ball_reach_px(50, span=4000)
    50
    >>> round(ball_reach_px(50, span=1), 1)
    9.9
    """
    if span >= radius_px:
        return radius_px
    return math.sqrt(span * (2 * radius_px - span))


def _checked(image: Array, radius_px: float, tolerance: float) -> Array:
    """Return the image in the type it is computed in, or refuse it."""
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "iuf":
        raise InputError(
            "image",
            got=f"shape {image.shape} of {image.dtype}",
            allowed="2-D, not empty, integers or floating point",
        )
    if not 1 <= radius_px <= MAX_RADIUS_PX:
        raise InputError(
            "radius in px", got=radius_px, allowed=f"1 to {MAX_RADIUS_PX:g}"
        )
    if not 0 <= tolerance <= 1:
        raise InputError("tolerance", got=tolerance, allowed="0 to 1")
    return image.astype(np.result_type(image.dtype, np.float32), copy=False)


@dataclass(frozen=True, slots=True)
class _Ball:
    """The ball's heights and the layout of the blocks that it rolls under.

    Attributes
    ----------
    edge : int
        Edge of a block in pixels.
    reach : (int, int)
        Longest shift in blocks along (y, x).
    columns : int
        Blocks in a row, including a margin as wide as the reach: with it a shift is
        one constant step through the flattened rows.
    heights : array (D, D)
        h at each displacement; inf outside the ball.
    nearest, farthest : array (reach_y + 1, reach_x + 1)
        h at the least and at the greatest displacement between the pixels of two
        blocks, by the shift between the blocks.
    """

    edge: int
    reach: tuple[int, int]
    columns: int
    heights: Array
    nearest: Array
    farthest: Array

    @property
    def within(self) -> NDArray[np.intp]:
        """Step through ``heights`` from a block's first pixel to each of its pixels."""
        i, j = np.divmod(np.arange(self.edge**2), self.edge)
        return i * len(self.heights) + j

    def displacement(self, dy: Any, dx: Any) -> Any:
        """Index in the flattened ``heights`` of a shift by whole blocks."""
        width = len(self.heights)
        return (width // 2 + dy * self.edge) * width + width // 2 + dx * self.edge


def _ball(
    shape: tuple[int, ...], dtype: np.dtype[Any], radius_px: float, span: float
) -> _Ball:
    """Prepare the ball for images of one shape whose values span ``span``."""
    reach_px = min(radius_px, ball_reach_px(radius_px, span) + 1)  # 1 for rounding
    edge = _block_edge(reach_px)
    blocks = [-(-length // edge) for length in shape]
    longest = int(reach_px + edge - 1) // edge
    reach = (min(longest, blocks[0] - 1), min(longest, blocks[1] - 1))
    half = (max(reach) + 1) * edge - 1
    heights = _heights(radius_px, half, dtype)
    shifts = [half + np.arange(r + 1) * edge for r in reach]
    near = [np.maximum(shift - edge + 1, half) for shift in shifts]
    far = [shift + edge - 1 for shift in shifts]
    return _Ball(
        edge=edge,
        reach=reach,
        columns=blocks[1] + reach[1],
        heights=heights,
        nearest=heights[np.ix_(*near)],
        farthest=heights[np.ix_(*far)],
    )


def _block_edge(reach_px: float) -> int:
    """Choose the edge of a block: small blocks bound tightly, large ones are few.

    Measured on noisy, smooth and tilted images with radii of 5 to 500 px.
    """
    return 1 if reach_px <= 15 else round(1.7 * reach_px**0.23)


def _heights(radius_px: float, half: int, dtype: np.dtype[Any]) -> Array:
    """Return h at displacements up to ``half``, rounded as scikit-image rounds it."""
    d2 = np.arange(-half, half + 1.0) ** 2
    squared = d2[:, None] + d2
    ball = np.sqrt(np.clip(radius_px**2 - squared, 0, None)).astype(dtype)
    heights: Array = ball[half, half] - ball
    heights[np.sqrt(squared) > radius_px] = np.inf
    return heights


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


def _roll_strip(
    pixels: Array, background: Array, start: int, stop: int, ball: _Ball, slack: float
) -> Iterator[int]:
    """Fill in the background of some rows; yield 0 to the ball's reach + 1."""
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


def _to_blocks(pixels: Array, top: int, rows: int, ball: _Ball) -> Array:
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
    strip: _Strip, ball: _Ball, heights: Array, bound: Array
) -> Iterator[tuple[int, int, Array]]:
    """Go through the shifts (dy, dx) >= 0 and find the lowest of the four mirrored.

    Yields dy, dx and, for each block of the result, the lowest pixel of the blocks at
    (±dy, ±dx); leaves out shifts so high that nothing falls below ``bound``, which the
    caller may lower on the way.
    """
    size, lowest, floor = bound.size, strip.lowest, float(strip.lowest.min())
    low = np.empty_like(bound)
    beside = lowest.copy()
    for dx in range(ball.reach[1] + 1):
        end, ceiling = lowest.size - dx, float(bound.max()) - floor
        np.minimum(lowest[: end - dx], lowest[2 * dx :], out=beside[dx:end])
        for dy in range(ball.reach[0] + 1):
            if heights[dy, dx] > ceiling:
                break
            above = strip.first - dy * ball.columns
            below = strip.first + dy * ball.columns
            np.minimum(
                beside[above : above + size], beside[below : below + size], out=low
            )
            yield dy, dx, low


def _try_all(strip: _Strip, ball: _Ball) -> None:
    """Compute the background where the blocks are single pixels."""
    background = strip.highest()
    for dy, dx, raised in _mirrored_lowest(strip, ball, ball.farthest, background):
        raised += ball.farthest[dy, dx]
        np.minimum(raised, background, out=background)
    strip.result[0] = background


def _guess(strip: _Strip, ball: _Ball) -> None:
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
    strip: _Strip, ball: _Ball, shifts: Array, code: Array
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


def _refine(strip: _Strip, ball: _Ball, slack: float) -> Iterator[int]:
    """Lower the result by each pair of blocks that may lower it by over ``slack``.

    Yields the columns of shifts that are done.
    """
    highest, lowest = strip.highest(), strip.lowest
    between, heights = ball.within[:, None] - ball.within, ball.heights.ravel()
    scratch = np.empty(max(_CHUNK_VALUES, between.size), lowest.dtype)
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

"""The rolling-ball background of an image, exact or within a stated tolerance.

The background is what the top of a ball traces that is rolled under the image seen as
a landscape, with 1 count as high as 1 pixel is wide [1]_::

    b(x) = min over |d| <= R of  f(x + d) + h(d),     h(d) = R - sqrt(R^2 - |d|^2)

Outside the image there is nothing for the ball to touch. These are the values of
``skimage.restoration.rolling_ball``, bit for bit at tolerance 0, found by branch and
bound instead of by trying all πR² offsets at each pixel:

1. The image is cut into blocks of a few pixels, and the ball's height between two
   blocks is bounded from below and from above.
2. Each block takes the best of the upper bounds as a first guess.
3. Only the pairs of blocks whose lower bound is below the guess, a few in a hundred,
   are computed pixel by pixel (`napari_dps.physics.ball_strips`).

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
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Progress, finish
from napari_dps.physics.ball import make_ball
from napari_dps.physics.ball_strips import roll_strip

MAX_RADIUS_PX = 500.0

STRIP_BLOCKS = 1 << 15
"""Blocks computed at a time: a strip's four working arrays fit into a CPU's cache."""

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
    ball = make_ball(pixels.shape, pixels.dtype, radius_px, high - low)
    # Rounding may add up to this; taken off, the tolerance holds including it.
    rounding = 4 * np.finfo(pixels.dtype).eps * (max(abs(low), abs(high)) + radius_px)
    slack = max(tolerance * (high - low) - rounding, 0.0)
    background = np.empty_like(pixels)
    rows = ball.edge * max(STRIP_BLOCKS // ball.columns, 1)
    starts = range(0, len(pixels), rows)
    ticks = ball.reach[1] + 1
    for number, start in enumerate(starts):
        for tick in roll_strip(pixels, background, start, start + rows, ball, slack):
            done = number * ticks + tick
            yield Progress(done, len(starts) * ticks, "Rolling the ball")
    return background


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

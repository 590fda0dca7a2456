"""Background of a fluorescence image: a rolling ball as high as the image is bright."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.physics.rolling_ball import rolling_ball_steps

GREY_LEVELS = 255
"""Height of the image's range in pixels of the ball's width: what it is in an image of
8 bits, for which the method's radius of 50 px was chosen. On simulated widefield images
and reconstructions of four structures at 20 and 200 photons with 30 and 60 % haze, 100
to 255 gave the least error; 4000 (a flat disc) left 1.2 to 1.7 times as much."""
_DARK_PERCENT, _BRIGHT_PERCENT = 1.0, 99.9
"""Of the smoothed image: its range, which neither a bright speck nor a hole decides."""


def background_steps(
    image: NDArray[Any],
    radius_px: float,
    *,
    smoothing_px: float = 2.0,
    tolerance: float = 0.005,
) -> Generator[Progress, None, NDArray[np.float64]]:
    """Find the background under an image.

    The ball rolls under the smoothed image, so that it follows the light and not the
    lowest noise (ImageJ smooths too), and its height follows the image's range, so
    that the background of k·x is k times that of x.

    Parameters
    ----------
    image : array (Y, X)
        Counts; finite. Dark is background.
    radius_px : float
        Radius of the ball, 1 to 500 px.
    smoothing_px : float
        Sigma of the Gaussian that the image is smoothed by before; 0: not at all.
    tolerance : float
        How far the background may lie above the exact one, as a fraction of the
        image's range.

    Yields
    ------
    Progress

    Returns
    -------
    array (Y, X), float64
        Counts, nowhere negative: the undershoot beside bright structures of a
        reconstruction is no background, and taking it off would add light.

    Raises
    ------
    InputError
        As `napari_dps.physics.rolling_ball.rolling_ball`.

    References
    ----------
    .. [1] S. R. Sternberg, "Biomedical image processing", Computer 16 (1983) 22-34,
       doi:10.1109/MC.1983.1654163
    """
    counts = image.astype(np.float64)
    smooth = counts
    if smoothing_px:
        smooth = scipy.ndimage.gaussian_filter(counts, smoothing_px, mode="nearest")
    dark, bright = np.percentile(smooth, [_DARK_PERCENT, _BRIGHT_PERCENT])
    level = (bright - dark) / GREY_LEVELS or (smooth.max() - dark) / GREY_LEVELS
    if level <= np.finfo(np.float64).eps * abs(dark):  # one value everywhere
        yield Progress(1, 1, "Rolling the ball")
        return _not_negative(smooth)
    levels = ((smooth - dark) / level).astype(np.float32)
    found = yield from rolling_ball_steps(levels, radius_px, tolerance=tolerance)
    return _not_negative(found * level + dark)


def _not_negative(background: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(background, 0, None)

"""Rigid drift of a sample from time point to time point."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import InputError, Optics
from napari_dps.metrics.registration import find_shift

_SMOOTH_OF_PERIOD = 0.5
"""Width (sigma) of the Gaussian that widefield images are freed of noise with, over the
finest period that the lens passes."""
_SMOOTH_PX = 2.0
"""The same in pixels where no optics are known."""
_REPEATS, _CLOSE_PX = 4, 0.005
"""How often a displacement is undone to seek what is left, and when that is enough."""
_FARTHEST = 0.125
"""Displacement, over the shorter side, from which on an image takes the place of the
reference: else too little of the two overlaps."""


class DriftTracker:
    """Measures how far a sample has drifted, one time point after the other.

    The widefield image of each time point, smoothed, is registered with a reference by
    `napari_dps.metrics.registration.find_shift`. The reference is the first image,
    until the sample has drifted by an eighth of the field: then it is the one at hand.
    So memory does not grow, and errors add up but once every eighth of the field.

    Parameters
    ----------
    optics : Optics, optional
        Of the images: say how far they can be smoothed.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> tracker = DriftTracker()
    >>> for centre in (32.0, 32.4):
    ...     spot = np.exp(-((y - centre) ** 2 + (x - 32) ** 2) / 30)
    ...     shift_px = tracker.add(spot)
    >>> [abs(round(s, 2)) for s in shift_px]
    [0.4, 0.0]
    """

    def __init__(self, optics: Optics | None = None) -> None:
        self._sigma_px = (
            _SMOOTH_PX
            if optics is None
            else _SMOOTH_OF_PERIOD / optics.cutoff_per_pixel
        )
        self._reference: NDArray[np.floating[Any]] | None = None
        self._origin = self._last = (0.0, 0.0)

    def add(self, widefield: NDArray[np.floating[Any]]) -> tuple[float, float]:
        """Measure the next time point.

        Parameters
        ----------
        widefield : array (Y, X)
            All of one shape.

        Returns
        -------
        (float, float)
            Displacement (y, x) from the first time point, in pixels; that of the one
            before where the image is even.
        """
        smooth = scipy.ndimage.gaussian_filter(widefield, self._sigma_px)
        if self._reference is None:
            self._reference = smooth
            return self._last
        try:
            step = _shift(smooth, self._reference)
        except InputError:  # an even field tells nothing
            return self._last
        self._last = self._origin[0] + step[0], self._origin[1] + step[1]
        if np.hypot(*step) > _FARTHEST * min(smooth.shape):
            self._reference, self._origin = smooth, self._last
        return self._last


def _shift(
    image: NDArray[np.floating[Any]], reference: NDArray[np.floating[Any]]
) -> tuple[float, float]:
    """Return the displacement (y, x) of an image, in pixels.

    The taper of the registration stays where it is while the sample moves, which draws
    a displacement towards 0, by a tenth of a pixel where there is much at the rim. So
    what is found is undone, and what is left sought again.
    """
    total = find_shift(image, reference)
    for _ in range(_REPEATS):
        back = (-total[0], -total[1])
        aligned = scipy.ndimage.shift(image, back, order=3, mode="nearest")
        rows, columns = (
            slice(max(0, math.ceil(-s)), n - max(0, math.ceil(s)))
            for s, n in zip(total, image.shape, strict=True)
        )
        left = find_shift(aligned[rows, columns], reference[rows, columns])
        total = total[0] + left[0], total[1] + left[1]
        if math.hypot(*left) < _CLOSE_PX:
            break
    return total


def undone(
    image: NDArray[np.float32], shift_px: tuple[float, float]
) -> NDArray[np.float32]:
    """Return an image with a displacement (y, x) undone; 0 where nothing was recorded.

    Cubic splines, float32. Without displacement it is the image itself.
    """
    if not any(shift_px):
        return image
    back = (-shift_px[0], -shift_px[1])
    moved: NDArray[np.float32] = scipy.ndimage.shift(image, back, order=3)
    return moved

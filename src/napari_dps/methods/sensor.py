"""Faults of a sensor: the noise beside hot pixels, lines without light."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.metrics.snr import noise_std
from napari_dps.physics.hot_pixels import hot_pixels, replaced

_MOST_LINES = 0.5
"""Of all lines that may be without light: more is no fault of a sensor."""
_TOO_NOISY = 1.5
"""Noise over that without hot pixels, from which these have made it."""


def noise_beside_hot_pixels(image: NDArray[np.float32], cutoff: float) -> float:
    """Return the noise of an image that hot pixels do not make larger.

    They are noise beyond the cut-off as well: many of them, or very bright ones, would
    hide behind it. The noise of the typical pixel does not know them.

    Parameters
    ----------
    image : array (Y, X), float32
        Counts; at least 4 px a side.
    cutoff : float
        Cut-off of the OTF, cycles per pixel.

    Returns
    -------
    float
        As `noise_std` measures it beyond the cut-off.
    """
    noise = noise_std(image, cutoff)
    typical = noise_std(image)
    if noise < _TOO_NOISY * typical:
        return noise
    hot = hot_pixels(image, cutoff, typical)
    beside = noise_std(replaced(image, hot), cutoff) if hot.any() else noise
    return beside if noise > _TOO_NOISY * beside else noise


def dead_lines(frames: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows and which columns show nothing.

    Each of their pixels holds the same value in all frames: lines of the sensor that
    are dead, or a border that moved frames were filled with.

    Parameters
    ----------
    frames : array (N, Y, X)
        Of different light.

    Returns
    -------
    rows : array (Y,), bool
    columns : array (X,), bool
        None where most lines are so, or there are fewer than three frames.
    """
    rows, columns = (np.zeros(side, bool) for side in frames.shape[-2:])
    if len(frames) < 3:
        return rows, columns
    still = (frames == frames[0]).all(axis=0)
    found = still.all(axis=1), still.all(axis=0)
    few = all(lines.mean() <= _MOST_LINES for lines in found)
    return found if few else (rows, columns)


def filled(
    frames: NDArray[np.float32],
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return frames (…, Y, X) whose dead lines are drawn from the nearest beside them.

    Parameters
    ----------
    frames : array (…, Y, X), float32
        Counts.
    rows, columns : array (Y,), array (X,), bool
        As of `dead_lines`.
    """
    for axis, dead in ((-2, rows), (-1, columns)):
        if not dead.any():
            continue
        places, alive = np.arange(len(dead)), np.flatnonzero(~dead)
        where = np.interp(places, alive, np.arange(len(alive)))
        low, high = (
            alive[np.floor(where).astype(int)],
            alive[np.ceil(where).astype(int)],
        )
        share = (where % 1).astype(np.float32)
        share = share[:, np.newaxis] if axis == -2 else share
        below, above = (np.take(frames, n, axis=axis) for n in (low, high))
        frames = below + share * (above - below)
    return frames

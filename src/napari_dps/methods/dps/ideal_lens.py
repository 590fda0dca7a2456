"""An object as an ideal lens shows it, and back, by their cosine series."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core.at_once import threads_at_hand
from napari_dps.core.kept import MOST_BYTES, kept
from napari_dps.physics.otf import widefield_otf

_UNSEEN_NOISE = 0.15
"""Error of a network's result over the result, at which its lens is undone."""
_ROWS = 256
"""Of a spectrum that are worked on at a time."""
_NYQUIST, _TAPER = 0.5, 0.88
"""Finest frequency of a grid in cycles per pixel, and from where on in it what is shown
of an object fades."""


def shown_series(
    thing: NDArray[np.float32], cutoff: float, scale: float
) -> NDArray[np.float32]:
    """Return the cosine series of what an ideal lens shows of an object.

    Parameters
    ----------
    thing : array (Y, X), float32
        Object.
    cutoff : float
        Of the lens, in cycles per pixel; may lie beyond what the grid holds.
    scale : float
        To multiply by.

    Returns
    -------
    array (Y, X), float32
        As of `scipy.fft.dctn`.
    """
    series = np.asarray(scipy.fft.dctn(thing, workers=threads_at_hand()))
    tall, wide = (_ending(f) for f in _cosines(thing.shape))
    for rows, passed in _shown(thing.shape, cutoff):
        series[rows] *= passed
    series *= np.float32(scale) * tall[:, np.newaxis]
    series *= wide
    return series


def unseen(image: NDArray[np.float32], cutoff: float) -> NDArray[np.float32]:
    """Return the object of an image of hardly any noise, by its lens and pixels.

    A lens that sharp passes a quarter of the finest detail that the grid holds: its
    inverse brings up little.

    Parameters
    ----------
    image : array (Y, X), float32
        What the lens shows.
    cutoff : float
        Of the lens, in cycles per pixel.

    Returns
    -------
    array (Y, X), float32
    """
    series = scipy.fft.dctn(image, workers=threads_at_hand())
    # Pixels are means of two samples each way.
    y, x = (np.cos(np.pi * f / 2) for f in _cosines(image.shape))
    for rows, passed in _shown(image.shape, cutoff):
        passed = passed * (y[rows, np.newaxis] * x)
        noise = _UNSEEN_NOISE**2 * (1 - passed**2).clip(0)
        series[rows] *= passed / (passed**2 + noise)
    back = scipy.fft.idctn(series, overwrite_x=True, workers=threads_at_hand())
    return np.asarray(back, dtype=np.float32)


def _shown(
    shape: tuple[int, int], cutoff: float
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield rows of an object's cosine series, and what an ideal lens passes of them.

    The light of an object's pixel is that of its whole area, which the area's transform
    is divided by: what is shown is the light at the pixels' centres.
    """
    if np.dtype(np.float32).itemsize * math.prod(shape) <= MOST_BYTES:
        yield slice(None), _kept_rows(shape, cutoff, 0, shape[0])
        return
    for start in range(0, shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        yield rows, _shown_rows(shape, cutoff, start, rows.stop)


def _shown_rows(
    shape: tuple[int, int], cutoff: float, start: int, stop: int
) -> NDArray[np.float32]:
    """Return what an ideal lens passes of some rows of an object's cosine series."""
    f_y, f_x = _cosines(shape)
    high = f_y[start:stop, np.newaxis]
    area = np.sinc(high) * np.sinc(f_x)
    passed = widefield_otf(np.hypot(high, f_x), cutoff) / area
    return np.asarray(passed, dtype=np.float32)


_kept_rows = kept(2)(_shown_rows)


def _ending(frequency: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a taper along one axis: 1, but 0 at the grid's finest frequency.

    A spectrum that is cut off there shows a bright speck as a dotted cross through the
    whole field.
    """
    over = (frequency / _NYQUIST - _TAPER) / (1 - _TAPER)
    return np.asarray(np.cos(np.pi / 2 * over.clip(0, 1)) ** 2, dtype=np.float32)


def _cosines(shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the frequencies of a cosine series, in cycles per pixel."""
    rows, columns = shape
    return np.arange(rows) / (2 * rows), np.arange(columns) / (2 * columns)

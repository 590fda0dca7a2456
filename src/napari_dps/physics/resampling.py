"""Resampling of an image to another pixel grid over the same area."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.core.at_once import threads_at_hand

_COLUMNS = 256
"""That are resampled at a time, where memory counts."""


def resample(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample an image to another number of pixels over the same area.

    Its cosine series (mirrored edges, no seam) is continued with zeros or cut off, so
    a band-limited image is interpolated exactly, at the centres of the new pixels, and
    white noise stays white. Nothing is averaged over pixels.

    Parameters
    ----------
    image : array (Y, X)
        Finite.
    shape : tuple of int
        New (Y, X), each at least 1; the scales of the two axes may differ.

    Returns
    -------
    array of ``shape``, float32
        In the brightness of the image: an even image keeps its value.

    Raises
    ------
    InputError
        If a side of ``shape`` is below 1.

    Examples
    --------
    >>> fine = resample(np.array([[1.0, 3.0]]), (1, 4))
    >>> [f"{value:.3f}" for value in fine[0]]
    ['0.693', '1.459', '2.541', '3.307']
    """
    if min(shape) < 1:
        raise InputError("shape to resample to", got=tuple(shape), allowed="1 × 1 up")
    series = scipy.fft.dctn(
        np.asarray(image, dtype=np.float32), workers=threads_at_hand()
    )
    return from_series(series, shape)


def from_series(
    series: NDArray[np.float32], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return an image (Y, X) of a shape by the cosine series of one of another shape.

    Parameters
    ----------
    series : array (Y', X'), float32
        As of `scipy.fft.dctn`.
    shape : tuple of int
        As of `resample`.
    """
    kept = tuple(min(new, old) for new, old in zip(shape, series.shape, strict=True))
    continued = np.zeros(shape, np.float32)
    inside = (slice(kept[0]), slice(kept[1]))
    np.multiply(
        series[inside],
        np.float32(np.prod(shape) / np.prod(series.shape)),
        out=continued[inside],
    )
    result: NDArray[np.float32] = scipy.fft.idctn(
        continued, overwrite_x=True, workers=threads_at_hand()
    )
    return result


def resampled_means(
    image: NDArray[np.float32], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Resample an image, and average over 2 × 2 of the new pixels.

    Parameters
    ----------
    image : array (Y', X'), float32
        Finite.
    shape : tuple of int
        (Y, X) of the averages: as of `resample` to (2 Y, 2 X), averaged, in the memory
        of these alone.

    Examples
    --------
    >>> image = np.arange(12, dtype=np.float32).reshape(3, 4)
    >>> fine = resample(image, (4, 6)).reshape(2, 2, 3, 2)
    >>> np.allclose(resampled_means(image, (2, 3)), fine.mean(axis=(1, 3)), atol=1e-5)
    True
    """
    result = scipy.fft.dctn(image, workers=threads_at_hand())
    for size in shape:
        result = _means_of_series(result, size).T
    return np.ascontiguousarray(result)


def _means_of_series(series: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return averages (size, X) over pairs, by a cosine series along the first axis."""
    kept = min(2 * size, len(series))
    result = np.empty((size, series.shape[1]), np.float32)
    for start in range(0, series.shape[1], _COLUMNS):
        part = slice(start, start + _COLUMNS)
        fine = np.zeros((2 * size, result[:, part].shape[1]), np.float32)
        fine[:kept] = series[:kept, part] * np.float32(2 * size / len(series))
        fine = scipy.fft.idct(fine, axis=0, overwrite_x=True, workers=threads_at_hand())
        result[:, part] = (fine[0::2] + fine[1::2]) / 2
    return result

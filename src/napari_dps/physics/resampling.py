"""Resampling of an image to another pixel grid over the same area."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import InputError


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
    series = scipy.fft.dctn(np.asarray(image, dtype=np.float32), workers=1)
    kept = tuple(min(new, old) for new, old in zip(shape, series.shape, strict=True))
    continued = np.zeros(shape, np.float32)
    inside = (slice(kept[0]), slice(kept[1]))
    continued[inside] = series[inside] * np.float32(
        np.prod(shape) / np.prod(series.shape)
    )
    result: NDArray[np.float32] = scipy.fft.idctn(
        continued, overwrite_x=True, workers=1
    )
    return result

"""Canonical sampling: one width of the PSF in pixels for every microscope.

Networks are trained at one width alone. Any image is resampled to it before the
network and back after it, so one training serves every microscope.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics
from napari_dps.physics.resampling import resample

CANONICAL_OPTICS = Optics(
    na=1.5, emission_nm=488, pixel_size_nm=32.5, modulation_factor=2
)
"""Effective NA 3, 488 nm, pixels of 32.5 nm: the script of Ye et al. 2024."""

CANONICAL_CUTOFF_PER_PIXEL = (
    CANONICAL_OPTICS.cutoff_per_pixel * CANONICAL_OPTICS.modulation_factor
)
"""Cut-off of the effective OTF, 0.3996 cycles per pixel."""


def canonical_zoom(optics: Optics) -> float:
    """Return canonical pixels along one pixel of an image.

    zoom = (pixel · mf NA/λ) / (32.5 nm · 3/488 nm), mf the modulation factor. The
    script of Ye et al. (2024) has the wavelength in the numerator, which widens the PSF
    with the wavelength where it should undo it: at 640 nm it zooms 1.31×, right is
    0.76×.

    Parameters
    ----------
    optics : Optics
        Optics of the image.

    Returns
    -------
    float
        Above 1 where the image is sampled more coarsely than the networks need.

    Examples
    --------
    >>> optics = Optics(na=1.5, emission_nm=640, pixel_size_nm=32.5)
    >>> round(canonical_zoom(optics.model_copy(update={"modulation_factor": 2.0})), 4)
    0.7625
    """
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    return cutoff / CANONICAL_CUTOFF_PER_PIXEL


def to_canonical(
    image: NDArray[Any], optics: Optics, *, multiple: int = 1
) -> NDArray[np.float32]:
    """Resample an image to canonical sampling.

    Parameters
    ----------
    image : array (Y, X)
        Finite, any unit.
    optics : Optics
        Optics with the image's pixel size and modulation factor.
    multiple : int
        Pixels that sides are rounded to multiples of. Those of the cells of a network
        leave it nothing to fill up at one border alone, so that it can give the same
        however the image is turned.

    Returns
    -------
    array (Y', X'), float32
        Same area and brightness. The zoom is exact to half of ``multiple`` pixels over
        the field.
    """
    zoom = canonical_zoom(optics) / multiple
    height, width = (multiple * max(round(side * zoom), 1) for side in image.shape)
    return resample(image, (height, width))


def from_canonical(result: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample what was made at canonical sampling to the grid of the result.

    Parameters
    ----------
    result : array (Y', X')
        Over the same area as the image.
    shape : tuple of int
        (Y, X) of the grid wanted, for example twice that of the image.

    Returns
    -------
    array of ``shape``, float32
        Same brightness. Sharp edges of an image that holds finer detail than the new
        grid ring a little and may fall below zero.
    """
    return resample(result, shape)

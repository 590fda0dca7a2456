"""What a simulation gives, and what simulations of planes and volumes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Pattern
from napari_dps.physics.simulate_settings import SimulationSettings

_MARGIN_PX = 16
"""Camera pixels simulated beyond the frame: light comes in from there as well."""

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A simulated acquisition with its exact truth and patterns.

    Attributes
    ----------
    raw : ImageStack
        Counts of the camera (A, P, Y, X), uint16, with the offset; its optics are
        attached, the patterns are not. Of several planes (Z, A, P, Y, X).
    patterns : tuple of Pattern
        The exact patterns; phases are those of each frame, errors included.
    clean : array (..., A, P, Y, X), float32
        Expected photons, background included: without noise ``raw`` would be
        offset + gain · ``clean``.
    truth : ImageStack
        The emitters on the grid of half the pixel size (..., 2 Y, 2 X), float32:
        in-focus photons that each pixel sends in an evenly lit frame. Origin −pixel/4:
        2 × 2 of its pixels cover one camera pixel exactly.
    settings : SimulationSettings
        How it was made.
    """

    raw: ImageStack
    patterns: tuple[Pattern, ...]
    clean: Image
    truth: ImageStack
    settings: SimulationSettings


def margin_of(size: int) -> int:
    """Return the smallest margin of at least `_MARGIN_PX` with a fast FFT size."""
    margin = _MARGIN_PX
    while scipy.fft.next_fast_len(size + 2 * margin) != size + 2 * margin:
        margin += 1
    return margin


def bright_level(image: Image) -> float:
    """Return the 99.9th percentile, but at least a quarter of the maximum.

    The second rule keeps a few isolated points from being thousands of times brighter
    than the photons that were asked for.
    """
    return max(float(np.percentile(image, 99.9)), float(image.max()) / 4)


def binned(image: Image, factor: int) -> Image:
    """Return sums over factor × factor pixels of images (…, Y, X)."""
    height, width = (side // factor for side in image.shape[-2:])
    blocks = image.reshape(*image.shape[:-2], height, factor, width, factor)
    return np.asarray(blocks.sum(axis=(-3, -1)))


def cropped(image: Image, margin: Sequence[int]) -> Image:
    """Return the image (…, Y, X) without a margin (y, x) on each side."""
    height, width = image.shape[-2:]
    return image[..., margin[0] : height - margin[0], margin[1] : width - margin[1]]

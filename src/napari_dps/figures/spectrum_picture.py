"""Power spectra of raw SIM frames as pictures, in which the stripes show as spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError

LARGEST_PX = 512
"""Edge of the part of the field that is transformed, from its middle."""

_AROUND_PX = 31


@dataclass(frozen=True, slots=True, eq=False)
class SpectrumPicture:
    """The mean power spectrum of the frames of one angle.

    Attributes
    ----------
    pixels : array (S, S), uint8
        Logarithm of the power over that around; zero frequency at pixel
        (S // 2, S // 2), y down.
    per_nm : float
        Cycles per nm from pixel to pixel.
    cutoff_per_nm : float
        Cut-off of the detection.
    """

    pixels: NDArray[np.uint8]
    per_nm: float
    cutoff_per_nm: float


def spectrum_pictures(stack: ImageStack) -> list[SpectrumPicture]:
    """Return a picture of the power spectrum for each angle.

    Parameters
    ----------
    stack : ImageStack
        Axes "APYX", with optics.

    Returns
    -------
    list of SpectrumPicture
        One an angle; black is the median, white the maximum beyond a tenth of the
        cut-off.

    Raises
    ------
    InputError
        If the axes are others, or there are no optics.
    """
    import scipy.fft  # here, since docks import this module

    from napari_dps.physics.sim.spectrum import edge_window

    if stack.axes != "APYX":
        raise InputError("axes of raw frames", got=stack.axes, allowed="APYX")
    optics = stack.require_optics("the spectrum")
    side = min(LARGEST_PX, *stack.shape[-2:])
    top, left = ((length - side) // 2 for length in stack.shape[-2:])
    frames = stack.data[..., top : top + side, left : left + side].astype(np.float32)
    window = edge_window((side, side))
    per_nm = 1 / (side * optics.pixel_size_nm)
    bins = np.arange(side) - side // 2
    radius = np.hypot(bins[:, None], bins)
    beyond = radius * per_nm > 0.1 / optics.cutoff_period_nm
    pictures = []
    for angle in frames:
        spectra = scipy.fft.fft2(
            (angle - angle.mean(axis=(1, 2), keepdims=True)) * window
        )
        power = scipy.fft.fftshift((np.abs(spectra) ** 2).mean(axis=0))
        level = np.log(power + np.finfo(np.float32).tiny)
        level = _stand_out(level)
        low, high = np.percentile(level, 50), float(level[beyond].max())
        share = np.clip((level - low) / max(high - low, 1e-6), 0, 1)
        pixels = np.asarray(255 * share, dtype=np.uint8)
        pictures.append(SpectrumPicture(pixels, per_nm, 1 / optics.cutoff_period_nm))
    return pictures


def all_angles(pictures: Sequence[SpectrumPicture]) -> SpectrumPicture:
    """Return one picture of the spectra of all angles: the brightest at each frequency.

    Parameters
    ----------
    pictures : sequence of SpectrumPicture
        Of one stack, at least one.

    Returns
    -------
    SpectrumPicture
    """
    pixels = np.max([picture.pixels for picture in pictures], axis=0)
    return replace(pictures[0], pixels=pixels)


def _stand_out(level: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return a spectrum over its surroundings, averaged over a spot of the window.

    So the object's own spectrum does not outshine the stripes.
    """
    import scipy.ndimage

    spot, around = (scipy.ndimage.uniform_filter(level, n) for n in (3, _AROUND_PX))
    return np.asarray(spot - around)

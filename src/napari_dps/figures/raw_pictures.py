"""Pictures of a reading of raw frames: the frames, and the spectra of each angle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THUMBNAIL_PX = 24
SPECTRUM_PX = 64
_GAP_PX = 2
_LARGEST_PX = 256
_MOST_COLUMNS = 7


@dataclass(frozen=True, slots=True, eq=False)
class RawPicture:
    """What a reading of raw frames looks like.

    Attributes
    ----------
    frames : array (H, W), uint8
        The frames of the first set, a row an angle.
    spectra : array (H, W), uint8
        Spectrum of what changes from phase to phase, an angle beside the other. Where
        the reading is right each shows the spots of one direction; where it is wrong,
        those of several.
    """

    frames: NDArray[np.uint8]
    spectra: NDArray[np.uint8]


def raw_picture(frames: NDArray[Any]) -> RawPicture:
    """Draw the frames of one set.

    Parameters
    ----------
    frames : array (A, P, Y, X)
        Counts of the frames, arranged as a reading says.

    Returns
    -------
    RawPicture
    """
    shown = np.asarray(frames[:, :_MOST_COLUMNS], dtype=np.float32)
    low, high = np.percentile(shown, (1, 99.8))
    grey = np.clip((shown - low) / max(float(high - low), 1e-6), 0, 1)
    rows = [[_shrunk(frame, THUMBNAIL_PX) for frame in angle] for angle in grey]
    spectra = [_spectrum(np.asarray(angle, dtype=np.float32)) for angle in frames]
    return RawPicture(_mosaic(rows), _mosaic([spectra]))


def _spectrum(phases: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the spectrum of what differs between phases (P, Y, X), 0 to 1."""
    import scipy.fft  # here, since docks import this module

    from napari_dps.physics.sim.spectrum import edge_window

    side = min(_LARGEST_PX, *phases.shape[-2:])
    top, left = ((length - side) // 2 for length in phases.shape[-2:])
    part = phases[:, top : top + side, left : left + side]
    changes = (part - part.mean(axis=0)) * edge_window((side, side))
    power = (np.abs(scipy.fft.fft2(changes)) ** 2).mean(axis=0)
    level = np.log(scipy.fft.fftshift(power) + np.finfo(np.float32).tiny)
    low, high = np.percentile(level, (50, 99.97))
    share = np.clip((level - low) / max(float(high - low), 1e-6), 0, 1)
    return _brightest(share.astype(np.float32), SPECTRUM_PX)


def _blocks(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Cut the middle of an image into ``side`` blocks a row: (side, b, side, b)."""
    edge = min(image.shape)
    step = max(edge // side, 1)
    count = min(side, edge)
    top, left = ((length - count * step) // 2 for length in image.shape)
    middle = image[top : top + count * step, left : left + count * step]
    return middle.reshape(count, step, count, step)


def _shrunk(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the middle of an image in about ``side`` pixels, averaged."""
    small: NDArray[np.float32] = _blocks(image, side).mean(axis=(1, 3))
    return small


def _brightest(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the middle of an image in about ``side`` pixels: spots are not lost."""
    small: NDArray[np.float32] = _blocks(image, side).max(axis=(1, 3))
    return small


def _mosaic(rows: list[list[NDArray[np.float32]]]) -> NDArray[np.uint8]:
    """Join tiles, dark lines between them."""
    height, width = rows[0][0].shape
    step_y, step_x = height + _GAP_PX, width + _GAP_PX
    whole = np.zeros((len(rows) * step_y - _GAP_PX, len(rows[0]) * step_x - _GAP_PX))
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            top, left = y * step_y, x * step_x
            whole[top : top + height, left : left + width] = tile
    return np.asarray(255 * whole, dtype=np.uint8)

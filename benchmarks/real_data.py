"""Real images: where they lie, and the raw stacks with their optics.

Optics that the sources do not state are usual ones. The folder is that of
``NAPARI_DPS_DATA``, or ``../shared/data`` beside the clone.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Optics

OFFSET_COUNTS = 100.0
"""Camera offset where the sources state none: the mode of dark pixels."""

MITOCHONDRIA_OPTICS = Optics(na=1.3, emission_nm=660, pixel_size_nm=65)
MICROTUBULES_OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=30)
ER_OPTICS = Optics(na=1.41, emission_nm=525, pixel_size_nm=65)


def data_folder() -> Path | None:
    """Return the folder of real images, None if there is none."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("NAPARI_DPS_DATA") or root.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def raw_stack(
    frames: NDArray[np.generic], optics: Optics, *, angles: int = 3, offset: float = 0.0
) -> ImageStack:
    """Return angle-major frames (A·P, Y, X) as counts above the camera's offset."""
    counts = frames.astype(np.float32) - np.float32(offset)
    return ImageStack(
        counts.reshape(angles, -1, *counts.shape[-2:]),
        "APYX",
        pixel_size_nm=optics.pixel_size_nm,
        optics=optics,
    )


def mitochondria(folder: Path) -> ImageStack:
    """Return live HeLa mitochondria, 3 × 3 frames."""
    frames = tifffile.imread(folder / "sim9_hela_mito" / "raw.tif")
    return raw_stack(frames, MITOCHONDRIA_OPTICS, offset=OFFSET_COUNTS)


def microtubules(folder: Path, exposure: str, *, offset: float = 0.0) -> ImageStack:
    """Return microtubules at the exposure "he" (high) or "le" (low), 3 × 5 frames."""
    path = folder / "sim15_microtubules_pair" / f"{exposure}_frames.tif"
    return raw_stack(tifffile.imread(path), MICROTUBULES_OPTICS, offset=offset)


def reticulum(folder: Path) -> ImageStack:
    """Return the first time point of an endoplasmic reticulum, 3 × 3 frames."""
    frames = tifffile.imread(folder / "sim9_er_timelapse" / "raw.tif")
    frames = frames.reshape(-1, *frames.shape[-2:])[:9]
    return raw_stack(frames, ER_OPTICS)

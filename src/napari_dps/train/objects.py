"""What is simulated: drawn structures, and real images."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.content import content_hash
from napari_dps.physics.phantoms import StructureId

TRAINING_CLASSES: dict[StructureId, float] = {
    "microtubules": 2.0,
    "actin": 2.0,
    "er": 2.0,
    "vesicles": 1.5,
    "clathrin": 1.5,
    "beads": 1.0,
    "line_pairs": 1.2,
    "point_pairs": 1.0,
    "gratings": 1.0,
    "star": 0.5,
}
"""Structures that are trained on, and how often relative to one another."""
HELD_OUT_CLASSES: tuple[StructureId, ...] = ("nuclear_pores", "mitochondria", "glyphs")
"""Never trained on: they decide which checkpoint is best."""

VALIDATION_EVERY = 5
"""Images 0, 5, 10, … of every file are for validation: the same numbers in all files,
since files may show the same scenes."""

_BACKGROUND = 5.0
"""Percentile that is taken for darkness."""
_TINY = 1e-9

Split = Literal["train", "validation"]


def load_objects(folder: Path, split: Split) -> tuple[NDArray[np.float32], ...]:
    """Read a folder of TIFF stacks of sharp images, for example SIM reconstructions.

    Parameters
    ----------
    folder : Path
        Holds ``*.tif`` of shape (N, Y, X) or (Y, X), any dtype.
    split : {"train", "validation"}
        Which images; see `VALIDATION_EVERY`.

    Returns
    -------
    tuple of array (Y, X), float32
        Each ≥ 0 with a maximum of 1, its 5th percentile taken for darkness; files by
        name, images in order.

    Raises
    ------
    InputError
        If the folder holds no such file, or one cannot be read.
    """
    # Read once, and again when a file was changed.
    stamps = tuple((p, p.stat().st_mtime_ns, p.stat().st_size) for p in _files(folder))
    return _load(stamps, split)


def draw_class(rng: np.random.Generator) -> StructureId:
    """Draw one of `TRAINING_CLASSES`, as often as it says."""
    classes, weights = list(TRAINING_CLASSES), np.array([*TRAINING_CLASSES.values()])
    return classes[rng.choice(len(classes), p=weights / weights.sum())]


def draw_cut(
    rng: np.random.Generator, whole_px: int, side_px: int
) -> Callable[..., NDArray[np.float32]]:
    """Draw a square part of images of one size, turned and mirrored at random.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws place, turn and mirror.
    whole_px, side_px : int
        Edges of the images and of the part.

    Returns
    -------
    callable
        ``cut(image, finer=1)`` returns that part of an image (..., Y, X), whose grid
        may be finer by a whole factor; as float32.
    """
    corner = rng.integers(0, whole_px - side_px + 1, size=2)
    turns, is_mirrored = int(rng.integers(4)), bool(rng.integers(2))

    def cut(image: NDArray[Any], finer: int = 1) -> NDArray[np.float32]:
        y, x = (slice(finer * n, finer * (n + side_px)) for n in corner.tolist())
        part = np.rot90(image[..., y, x], turns, axes=(-2, -1))
        part = part[..., ::-1] if is_mirrored else part
        return np.ascontiguousarray(part, dtype=np.float32)

    return cut


def objects_key(folder: Path | None) -> list[str]:
    """Return the hashes of the files of a folder, in the order they are read.

    Parameters
    ----------
    folder : Path or None
        As for `load_objects`; None: no images.

    Returns
    -------
    list of str
        The names of the files play no part but for the order.

    Raises
    ------
    InputError
        As `load_objects`.
    """
    return [] if folder is None else [content_hash(path) for path in _files(folder)]


def _files(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.tif")) + sorted(folder.glob("*.tiff"))
    if not paths:
        raise InputError(f"no .tif files of objects in {folder.name}")
    return paths


@lru_cache(maxsize=2)
def _load(
    stamps: tuple[tuple[Path, int, int], ...], split: Split
) -> tuple[NDArray[np.float32], ...]:
    chosen = []
    for path, *_ in stamps:
        for number, image in enumerate(_images(path)):
            held_out = number % VALIDATION_EVERY == 0
            if held_out == (split == "validation"):
                above = np.maximum(image - np.percentile(image, _BACKGROUND), 0)
                chosen.append(above / max(float(above.max()), _TINY))
    return tuple(chosen)


def _images(path: Path) -> NDArray[np.float32]:
    try:
        stack = tifffile.imread(path)
    except (OSError, ValueError, tifffile.TiffFileError) as problem:
        raise InputError(f"cannot read {path.name}: {problem}") from problem
    if stack.ndim not in (2, 3) or not np.isfinite(stack).all():
        raise InputError(
            f"{path.name}: objects", got=stack.shape, allowed="(N, Y, X) or (Y, X)"
        )
    images = stack.reshape(-1, *stack.shape[-2:])
    return np.asarray(images, dtype=np.float32)

"""Real images as objects to simulate from, beside the drawn structures."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dps.core import InputError

VALIDATION_EVERY = 5
"""Images 0, 5, 10, … of every file are for validation: the same numbers in all files,
since files may show the same scenes."""

_BACKGROUND = 5.0
"""Percentile that is taken for darkness."""
_TINY = 1e-9

Split = Literal["train", "validation"]


@cache
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
    paths = sorted(folder.glob("*.tif")) + sorted(folder.glob("*.tiff"))
    if not paths:
        raise InputError(f"no .tif files of objects in {folder.name}")
    chosen = []
    for path in paths:
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

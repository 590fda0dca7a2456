"""What an instrument's file promises, looked at before BioIO makes tables of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from napari_dps.core import InputError

_EXPANSION = {"lif": 1, "nd2": 1100, "czi": 100_000}
"""Bytes that one stored byte can become: as it is, deflate, JPEG XR and others."""

_LEAST_BYTES_A_PLANE = 32
"""Of the header of a plane, however small the plane is."""

_LIF_AXES = {
    "λ": "wavelength (lambda)",
    "Λ": "excitation wavelength (lambda)",
    "A": "rotation",
    "N": "xt slices",
    "Q": "t slices",
    "M": "tiles (mosaic)",
    "L": "loop",
    "?": "unknown",
}
"""Axes of Leica's images that are not read, as people know them."""


def check_promises(kind: str, path: Path) -> None:
    """Refuse a file that promises more than it can hold, or axes that are not read.

    Parameters
    ----------
    kind : {"czi", "nd2", "lif"}
        The format.
    path : Path
        The file. One that its library cannot open is left to BioIO to refuse.

    Raises
    ------
    InputError
        If it promises too much, or (LIF) its first image has another axis than T, C,
        Z, Y and X.
    """
    try:
        sizes, itemsize = _PROMISES[kind](path)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - untrusted bytes; BioIO says what is wrong
        return
    held = path.stat().st_size
    planes = math.prod(n for axis, n in sizes.items() if axis not in "YXS")
    needed = math.prod(sizes.values()) * itemsize
    is_too_many = kind != "lif" and planes * _LEAST_BYTES_A_PLANE > held
    if needed > _EXPANSION[kind] * held or is_too_many:
        raise InputError(
            f"truncated or damaged: it promises {planes} planes, {needed} bytes of "
            f"pixels, in {held} bytes"
        )


def _lif_promises(path: Path) -> tuple[dict[str, int], int]:
    from liffile import LifFile

    with LifFile(path) as file:
        images = list(file.images)
        if not images:
            raise InputError("it holds no image")
        first, *others = images
        if reason := _lif_refusal(first.sizes):
            good = [image.path for image in others if not _lif_refusal(image.sizes)]
            more = f"; other images in the file can be: {', '.join(good)}"
            raise InputError(
                f"its first image, {first.path}, {reason}{more if good else ''}; "
                "export one as OME-TIFF"
            )
        return dict(first.sizes), int(np.dtype(first.dtype).itemsize)


def _lif_refusal(sizes: Any) -> str:
    """Say why an image of these axes is not read, else ""."""
    for axis, count in sizes.items():
        if axis not in "TCZYXSM" and count > 1:
            name = _LIF_AXES.get(axis[0], axis)
            return f"has an axis that is not read: {name}, of {count} entries"
    lacking = [axis for axis in "YX" if axis not in sizes]
    if lacking:
        return f"has the axes {', '.join(sizes)}, and no {' and '.join(lacking)}"
    return ""


def _nd2_promises(path: Path) -> tuple[dict[str, int], int]:
    from nd2 import ND2File

    with ND2File(path) as file:
        return dict(file.sizes), int(np.dtype(file.dtype).itemsize)


def _czi_promises(path: Path) -> tuple[dict[str, int], int]:
    from pylibCZIrw import czi

    with czi.open_czi(str(path)) as document:
        box = document.total_bounding_box
        return {axis: int(end - start) for axis, (start, end) in box.items()}, 1


_PROMISES = {"lif": _lif_promises, "nd2": _nd2_promises, "czi": _czi_promises}

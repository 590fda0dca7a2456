"""OME-Zarr (NGFF 0.4 and 0.5) in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dps.core import InputError
from napari_dps.io import stored
from napari_dps.io.lazy import Planes
from napari_dps.io.ngff_chunks import opened
from napari_dps.io.ngff_layout import find_image, ome_of
from napari_dps.io.raw import (
    Format,
    Metadata,
    RawImage,
    length_nm,
    seconds,
    square_pixel,
)

if TYPE_CHECKING:
    from types import ModuleType

KINDS = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
"""Type of each axis, as NGFF names it."""

_OLD_AXES = ("t", "c", "z", "y", "x")
"""Axes of every image before version 0.3, which does not name them."""


def require_zarr(path: Path) -> ModuleType:
    """Import zarr, or say what is missing to read or write a file.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise InputError(
            f'{path.name}: OME-Zarr needs the extra: pip install "napari-dps[zarr]"'
        ) from error
    return zarr


def is_zarr(path: Path) -> bool:
    """Whether a folder looks like a Zarr group or array."""
    names = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
    return any((path / name).is_file() for name in names)


def read_zarr(path: Path, lazy: bool = False, number: int | None = None) -> RawImage:
    """Read the full-resolution level of an image of a Zarr folder.

    Parameters
    ----------
    path : Path
        OME-Zarr; also with several images in it, as bioformats2raw writes them, a plate
        or a well of one, or a bare array.
    lazy : bool
        Leave the pixels unread.
    number : int, optional
        Of the image, from 0, where the folder lists several. Default: the first.

    Returns
    -------
    RawImage
        Chunks that are missing are filled with the array's fill value, and counted in
        ``missing``.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed, or the folder holds no image or is
        damaged.
    """
    require_zarr(path)
    try:
        array, letters, metadata = open_array(path, number)
        stored_array, missing = opened(array, path / array.path)
        planes = Planes.of(stored_array)
        data = planes if lazy else planes[()]
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except Exception as error:
        # Whatever a parser of untrusted bytes raises means: not readable.
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, KeyError):
            reason = f"its metadata lack {error}"
        raise InputError(f"{path.name} is not a readable OME-Zarr: {reason}") from error
    return RawImage(data=data, axes=letters, metadata=metadata, missing=missing)


def open_array(path: Path, number: int | None = None) -> tuple[Any, str, Metadata]:
    """Open the full-resolution level of an image of a Zarr folder.

    Parameters are those of `read_zarr`.

    Returns
    -------
    (zarr.Array, str, Metadata)
        The array, no chunk of it read; its axes; what is said of it.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed, or there is no image. Zarr's errors are
        passed on.
    """
    zarr = require_zarr(path)
    node, others = find_image(zarr.open(path, mode="r"), number)
    if hasattr(node, "shape"):
        array, letters, metadata = node, _bare_letters(node), Metadata()
    else:
        array, letters, metadata = _described(node)
    if array.dtype.kind not in "iuf":
        raise InputError(
            "pixel type", got=array.dtype, allowed="integers or floating point"
        )
    if others:
        metadata = replace(metadata, warnings=(*metadata.warnings, others))
    return array, letters, metadata


def _described(group: Any) -> tuple[Any, str, Metadata]:
    """Array of the finest level of an image, its axes, and what is said of it."""
    ome = ome_of(group)
    multiscales = ome["multiscales"][0]
    level = multiscales["datasets"][0]
    axes = [_axis(entry) for entry in multiscales.get("axes", _OLD_AXES)]
    array = group[str(level["path"])]
    letters = "".join(letter for letter, _ in axes)
    if not letters.endswith("YX") or getattr(array, "ndim", None) != len(axes):
        dimensions = getattr(array, "ndim", "no")
        raise InputError(f"axes of {dimensions} dimensions", got=letters, allowed="…YX")
    metadata = _metadata(axes, _scales(multiscales, level), ome)
    texts = group.attrs.get(stored.NAMESPACE)
    if isinstance(texts, Mapping):
        metadata = stored.decode(texts, metadata)
    return array, letters, metadata


def _bare_letters(array: Any) -> str:
    """Axes of an array without metadata: its names of dimensions, else Y and X last."""
    if array.ndim < 2:
        raise InputError(
            "array",
            got=f"of {array.ndim} dimension(s)",
            allowed="2 or more, Y and X last",
        )
    names = getattr(array.metadata, "dimension_names", None) or ("",) * array.ndim
    letters = "".join(_axis(str(name))[0] for name in names)
    return letters if letters.endswith("YX") else "Q" * (array.ndim - 2) + "YX"


def _axis(entry: Any) -> tuple[str, str]:
    """Letter and unit of an axis; 0.3 wrote bare names."""
    name, unit = (
        (entry, "")
        if isinstance(entry, str)
        else (entry["name"], entry.get("unit", ""))
    )
    letter = str(name).upper()
    return letter if letter in KINDS else "Q", str(unit)


def _scales(*levels: Mapping[str, Any]) -> list[list[float]]:
    """Scale vectors of the whole image and of its level, to be multiplied."""
    return [
        transform["scale"]
        for level in levels
        for transform in level.get("coordinateTransformations", ())
        if transform.get("type") == "scale"
    ]


def _metadata(
    axes: list[tuple[str, str]], scales: list[list[float]], ome: Mapping[str, Any]
) -> Metadata:
    scale = np.prod(np.array(scales, dtype=np.float64), axis=0) if scales else []
    spacing = {
        letter: (float(value), unit)
        for (letter, unit), value in zip(axes, scale, strict=False)
    }
    lengths = {a: length_nm(*spacing[a]) for a in "ZYX" if a in spacing}
    pixel_size_nm, doubt = square_pixel(lengths.get("X"), lengths.get("Y"))
    channels = (ome.get("omero") or {}).get("channels", [])
    names = tuple(str(channel.get("label", "")) for channel in channels)
    return Metadata(
        pixel_size_nm=pixel_size_nm,
        z_step_nm=lengths.get("Z"),
        frame_interval_s=seconds(*spacing["T"]) if "T" in spacing else None,
        channel_names=names if any(names) else (),
        warnings=(doubt,) if doubt else (),
    )


def _is_group(path: Path, head: bytes) -> bool:
    return path.is_dir() and is_zarr(path)


# Folders have no suffix that is looked for: what they hold tells them.
FORMAT = Format("OME-Zarr", (), _is_group, read_zarr, read_zarr)

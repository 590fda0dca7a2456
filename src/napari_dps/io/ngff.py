"""OME-Zarr (NGFF 0.4 and 0.5) in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dps.core import InputError
from napari_dps.io import stored
from napari_dps.io.lazy import Planes
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
    """Whether a folder looks like a Zarr group."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs"))


def read_zarr(path: Path, lazy: bool = False) -> RawImage:
    """Read the full-resolution level of the first image of an OME-Zarr group.

    Parameters
    ----------
    path : Path
        The group's folder.
    lazy : bool
        Leave the pixels unread.

    Returns
    -------
    RawImage

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed, or the group holds no image or is
        damaged.
    """
    zarr = require_zarr(path)
    try:
        group = zarr.open_group(path, mode="r")
        attributes = dict(group.attrs)
        ome = attributes.get("ome", attributes)
        multiscales = ome["multiscales"][0]
        level = multiscales["datasets"][0]
        axes = [_axis(entry) for entry in multiscales["axes"]]
        array = group[str(level["path"])]
        letters = "".join(letter for letter, _ in axes)
        if not letters.endswith("YX") or array.ndim != len(axes):
            raise InputError(
                f"axes of {array.ndim} dimensions", got=letters, allowed="…YX"
            )
        if array.dtype.kind not in "iuf":
            raise InputError(
                "pixel type", got=array.dtype, allowed="integers or floating point"
            )
        metadata = _metadata(axes, _scales(multiscales, level), ome)
        data = Planes.of(array) if lazy else np.asarray(array[...])
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except Exception as error:
        # Whatever a parser of untrusted bytes raises means: not readable.
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path.name} is not a readable OME-Zarr: {reason}") from error
    texts = attributes.get(stored.NAMESPACE)
    if isinstance(texts, Mapping):
        metadata = stored.decode(texts, metadata)
    return RawImage(data=data, axes=letters, metadata=metadata)


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
FORMAT = Format("OME-Zarr", (), _is_group, read_zarr)

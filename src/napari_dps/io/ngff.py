"""OME-Zarr (NGFF 0.4 and 0.5) in, 0.5 out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dps.core import ImageStack, InputError
from napari_dps.io import stored
from napari_dps.io.lazy import Planes
from napari_dps.io.raw import Metadata, RawImage, length_nm, seconds, square_pixel

if TYPE_CHECKING:
    from types import ModuleType

_KINDS = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
_UNITS = {"time": "second", "space": "nanometer"}


def _zarr(path: Path) -> ModuleType:
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
    zarr = _zarr(path)
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
    return letter if letter in _KINDS else "Q", str(unit)


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


def write_zarr(stack: ImageStack, path: Path, name: str, compressed: bool) -> None:
    """Write an OME-Zarr 0.5 group of one level; angles and phases are folded into Z.

    Parameters
    ----------
    stack : ImageStack
        Axes in canonical order.
    path : Path
        A folder that does not exist.
    name : str
        Name of the image.
    compressed : bool
        Zstandard; else the chunks are stored as they are.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed.
    """
    zarr = _zarr(path)
    data, axes = folded(stack)
    step = {
        "T": stack.frame_interval_s,
        "Z": stack.z_step_nm,
        "Y": stack.pixel_size_nm,
        "X": stack.pixel_size_nm,
    }
    origin = dict(zip("YX", stack.origin_nm, strict=True))
    entries: list[dict[str, str]] = []
    for axis in axes:
        entries.append({"name": axis.lower(), "type": _KINDS[axis]})
        if step.get(axis) is not None:
            entries[-1]["unit"] = _UNITS[_KINDS[axis]]
    level = {
        "path": "0",
        "coordinateTransformations": [
            {"type": "scale", "scale": [float(step.get(a) or 1.0) for a in axes]},
            {"type": "translation", "translation": [origin.get(a, 0.0) for a in axes]},
        ],
    }
    ome: dict[str, Any] = {"version": "0.5"}
    ome["multiscales"] = [{"name": name, "axes": entries, "datasets": [level]}]
    if stack.channel_names:
        # A viewer needs a colour and a contrast window wherever it gets a label.
        low, high = float(data.min()), float(data.max())
        window = {"start": low, "end": high, "min": low, "max": high}
        ome["omero"] = {
            "channels": [
                {"label": label, "color": "FFFFFF", "active": True, "window": window}
                for label in stack.channel_names
            ]
        }
    group = zarr.create_group(path, zarr_format=3)
    group.create_array(
        "0",
        data=data,
        chunks=(1,) * (data.ndim - 2) + data.shape[-2:],
        compressors="auto" if compressed else None,
        dimension_names=[axis.lower() for axis in axes],
    )
    group.attrs.update({"ome": ome, stored.NAMESPACE: stored.encode(stack)})


def folded(stack: ImageStack) -> tuple[np.ndarray[Any, Any], str]:
    """Fold angles and phases into Z, phase fastest.

    Parameters
    ----------
    stack : ImageStack
        Axes in canonical order.

    Returns
    -------
    (array, str)
        The data and its axes, letters of TCZYX.
    """
    frames = stack.size("Z") * stack.size("A") * stack.size("P")
    lead = "".join(axis for axis in "TC" if axis in stack.axes)
    axes = f"{lead}ZYX" if {"Z", "A", "P"} & set(stack.axes) else f"{lead}YX"
    shape = [stack.size(axis) for axis in axes]
    if "Z" in axes:
        shape[axes.index("Z")] = frames
    return stack.data.reshape(shape), axes

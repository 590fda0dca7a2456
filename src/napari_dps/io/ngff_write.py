"""OME-Zarr 0.5 out: plane by plane, or in parallel by blocks."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_dps.core import ImageStack, InputError
from napari_dps.core.types import AXES
from napari_dps.io import stored
from napari_dps.io.lazy import planes
from napari_dps.io.ngff import KINDS, require_zarr
from napari_dps.io.ome_xml import stored_type
from napari_dps.io.replacing import put, temporary_name, writing

if TYPE_CHECKING:
    from zarr import Array

_UNITS = {"time": "second", "space": "nanometer"}
_ARRAY = "0"
"""Name of the full-resolution level, the only one."""


def write_zarr(stack: ImageStack, folder: Path, path: Path, compressed: bool) -> None:
    """Write an OME-Zarr group of one level; angles and phases are folded into Z.

    Parameters
    ----------
    stack : ImageStack
        Axes in canonical order; lazy data are read plane by plane.
    folder : Path
        Where to write; does not exist.
    path : Path
        Its name in the end.
    compressed : bool
        Zstandard; else the chunks are stored as they are.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed.
    """
    array = _make(folder, stack.shape, stack.axes, stack.data.dtype, compressed)
    low, high = math.inf, -math.inf
    places = np.ndindex(array.shape[:-2])
    for place, plane in zip(places, planes(stack.data), strict=True):
        array[place] = plane.astype(array.dtype, copy=False)
        low, high = min(low, float(plane.min())), max(high, float(plane.max()))
    _describe(folder, stack, (low, high), path)


class ZarrBlocks:
    """An OME-Zarr that several processes fill at once, block by block.

    The folder is not yet the output: `finish` gives it its name.

    Examples
    --------
    >>> import tempfile
    >>> root = tempfile.TemporaryDirectory()
    >>> part, path = Path(root.name) / "a.part", Path(root.name) / "a.ome.zarr"
    >>> stack = ImageStack(np.ones((4, 8, 6), np.float32), "TYX", pixel_size_nm=65)
    >>> ZarrBlocks.create(part, shape=(4, 8, 6), axes="TYX", dtype="float32")
    >>> for start in (2, 0):
    ...     ZarrBlocks.write(part, start, stack.data[start : start + 2])
    >>> ZarrBlocks.finish(part, path, stack).name
    'a.ome.zarr'
    >>> root.cleanup()
    """

    @staticmethod
    def create(
        folder: str | os.PathLike[str],
        *,
        shape: tuple[int, ...],
        axes: str,
        dtype: DTypeLike,
        compressed: bool = False,
    ) -> None:
        """Make the empty group; nothing is done where the same one is already.

        Parameters
        ----------
        folder : path-like
            Where; blocks that it holds are kept.
        shape : tuple of int
            Shape of the whole stack.
        axes : str
            In canonical order, T, C, Z, A, P, Y, X; A and P are folded into Z.
        dtype : dtype-like
            Type of the pixels; other types than 8- and 16-bit integers become float32.
        compressed : bool
            Zstandard; else the chunks, single planes, are stored as they are.

        Raises
        ------
        InputError
            If the folder holds something else, or cannot be written.
        """
        if axes != "".join(axis for axis in AXES if axis in axes):
            raise InputError("axes of the blocks", got=axes, allowed=f"in order {AXES}")
        folder = Path(folder)
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            mine = temporary_name(folder)
            try:
                _make(mine, shape, axes, np.dtype(dtype), compressed)
                _settle(mine, folder)
            finally:
                shutil.rmtree(mine, ignore_errors=True)

    @staticmethod
    def write(folder: str | os.PathLike[str], start: int, block: NDArray[Any]) -> None:
        """Write a block; several processes may, and each chunk appears whole.

        Parameters
        ----------
        folder : path-like
            As given to `create`.
        start : int
            Index along the first axis of the stack.
        block : array
            Some entries along that axis, all others whole; cast to the stored type.

        Raises
        ------
        InputError
            If the block does not fit, or cannot be written.
        """
        folder = Path(folder)
        with writing(folder):
            array = _open(folder)
            count, odd = divmod(block.size, math.prod(array.shape[1:]))
            # Angles and phases below the first axis are folded into it.
            first = start * (count // len(block))
            is_part_of_plane = array.ndim == 2 and block.shape != array.shape
            if odd or is_part_of_plane or not 0 <= first <= array.shape[0] - count:
                raise InputError(
                    f"a block of {block.shape} at {start} does not fit the stack of "
                    f"{array.shape} in {folder.name}"
                )
            rows = block.reshape(count, *array.shape[1:])
            array[first : first + count] = rows.astype(array.dtype, copy=False)

    @staticmethod
    def finish(
        folder: str | os.PathLike[str],
        path: str | os.PathLike[str],
        stack_like: ImageStack,
    ) -> Path:
        """Write the metadata and give the folder its final name.

        Parameters
        ----------
        folder : path-like
            Filled, on the same file system as ``path``.
        path : path-like
            The output; an OME-Zarr of that name is replaced.
        stack_like : ImageStack
            With the axes, shape and metadata of the output; its pixels are not looked
            at and may be a broadcast zero.

        Returns
        -------
        Path
            The output.

        Raises
        ------
        InputError
            If the stack does not fit, or the target is an ordinary folder or cannot be
            written.
        """
        folder, path = Path(folder), Path(path)
        with writing(path):
            array = _open(folder)
            if array.shape != _folded(stack_like.shape, stack_like.axes)[0]:
                raise InputError(
                    f"{folder.name} holds {array.shape} pixels, not {stack_like.shape}"
                )
            for rest in folder.rglob("*.partial"):  # of a writer that was killed
                rest.unlink()
            limits = _limits(array) if stack_like.channel_names else (0.0, 0.0)
            _describe(folder, stack_like, limits, path)
            put(folder, path)
        return path


def image_name(path: Path) -> str:
    """Name of the image that a file holds: without ``.ome`` and the suffix."""
    return path.name.removesuffix(path.suffix).removesuffix(".ome")


def _make(
    folder: Path,
    shape: tuple[int, ...],
    axes: str,
    dtype: np.dtype[Any],
    compressed: bool,
) -> Array[Any]:
    """Make a group with an array in chunks of one plane."""
    zarr = require_zarr(folder)
    folded, letters = _folded(shape, axes)
    group = zarr.create_group(folder, zarr_format=3)
    array: Array[Any] = group.create_array(
        _ARRAY,
        shape=folded,
        dtype=stored_type(dtype),
        chunks=(1,) * (len(folded) - 2) + folded[-2:],
        compressors="auto" if compressed else None,
        # A chunk that is not there is one that was lost.
        config={"write_empty_chunks": True},
        dimension_names=[letter.lower() for letter in letters],
    )
    return array


def _settle(mine: Path, folder: Path) -> None:
    """Rename a fresh group, unless another process made the same one first."""
    try:
        mine.rename(folder)
    except OSError:
        try:
            is_same = _open(folder).metadata == _open(mine).metadata
        except (InputError, ValueError):
            is_same = False
        if not is_same:
            raise InputError(
                f"{folder} holds something else", allowed="no such folder"
            ) from None


def _open(folder: Path) -> Array[Any]:
    zarr = require_zarr(folder)
    try:
        array: Array[Any] = zarr.open_array(
            folder / _ARRAY, mode="r+", config={"write_empty_chunks": True}
        )
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no blocks") from error
    return array


def _limits(array: Array[Any]) -> tuple[float, float]:
    low, high = math.inf, -math.inf
    for place in np.ndindex(array.shape[:-2]):
        plane = np.asarray(array[place])
        low, high = min(low, float(plane.min())), max(high, float(plane.max()))
    return low, high


def _describe(
    folder: Path, stack: ImageStack, limits: tuple[float, float], path: Path
) -> None:
    """Write the metadata of a group whose pixels lie between two limits."""
    zarr = require_zarr(folder)
    ome = _image(stack, image_name(path))
    if stack.channel_names:
        # A viewer needs a colour and a contrast window wherever it gets a label.
        low, high = limits
        window = {"start": low, "end": high, "min": low, "max": high}
        ome["omero"] = {
            "channels": [
                {"label": label, "color": "FFFFFF", "active": True, "window": window}
                for label in stack.channel_names
            ]
        }
    group = zarr.open_group(folder, mode="r+")
    group.attrs.update({"ome": ome, stored.NAMESPACE: stored.encode(stack)})


def _image(stack: ImageStack, name: str) -> dict[str, Any]:
    """Axes, scale and position of a stack, as NGFF writes them."""
    axes = _folded(stack.shape, stack.axes)[1]
    step = {
        "T": stack.frame_interval_s,
        "Z": stack.z_step_nm,
        "Y": stack.pixel_size_nm,
        "X": stack.pixel_size_nm,
    }
    origin = dict(zip("YX", stack.origin_nm, strict=True))
    entries: list[dict[str, str]] = []
    for axis in axes:
        entries.append({"name": axis.lower(), "type": KINDS[axis]})
        if step.get(axis) is not None:
            entries[-1]["unit"] = _UNITS[KINDS[axis]]
    level = {
        "path": _ARRAY,
        "coordinateTransformations": [
            {"type": "scale", "scale": [float(step.get(a) or 1.0) for a in axes]},
            {"type": "translation", "translation": [origin.get(a, 0.0) for a in axes]},
        ],
    }
    multiscales = [{"name": name, "axes": entries, "datasets": [level]}]
    return {"version": "0.5", "multiscales": multiscales}


def _folded(shape: tuple[int, ...], axes: str) -> tuple[tuple[int, ...], str]:
    """Shape and axes with angles and phases folded into Z, phase fastest."""
    sizes = dict(zip(axes, shape, strict=True))
    frames = math.prod(sizes.pop(axis, 1) for axis in "ZAP")
    if {"Z", "A", "P"} & set(axes):
        sizes["Z"] = frames
    letters = "".join(axis for axis in AXES if axis in sizes)
    return tuple(sizes[axis] for axis in letters), letters

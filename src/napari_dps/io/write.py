"""Stacks out: OME-TIFF or OME-Zarr, with everything needed to read them back."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile

from napari_dps import __version__
from napari_dps.core import ImageStack, InputError
from napari_dps.core.types import AXES
from napari_dps.io import ome_xml
from napari_dps.io.lazy import planes
from napari_dps.io.ngff_write import image_name, write_zarr
from napari_dps.io.replacing import replacing

TIFF_SUFFIXES = (".tif", ".tiff")
ZARR_SUFFIXES = (".zarr",)

_BIGTIFF_BYTES = 2**32 - 2**25
"""Classic TIFF counts bytes in 32 bits; some are left for the headers."""


def save(
    stack: ImageStack,
    path: str | os.PathLike[str],
    *,
    compression: Literal["none", "zlib"] = "none",
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Write a stack so that `load` restores it and other programs open it.

    8- and 16-bit integers keep their type, everything else becomes float32. Axes are
    written in the order T, C, Z, A, P, Y, X; angles and phases are folded into Z,
    phase fastest. The file appears under its name only when it is whole. Lazy data
    are computed plane by plane, or chunk by chunk.

    Parameters
    ----------
    stack : ImageStack
        Anything; optics, patterns, history, origin and names are stored with it.
    path : path-like
        Ending in ``.tif``, ``.tiff`` (OME-TIFF; BigTIFF when large) or ``.zarr``
        (OME-Zarr 0.5).
    compression : {"none", "zlib"}
        Lossless; in OME-Zarr the default codec of zarr takes the place of zlib.
    inputs : iterable of path-like
        Files that must not be overwritten.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        If the suffix is unknown, the target is an input or cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in TIFF_SUFFIXES + ZARR_SUFFIXES:
        raise InputError(
            "output name", got=path.name, allowed=".ome.tif, .tif, .tiff, .ome.zarr"
        )
    stack = _canonical(stack)
    with replacing(path, inputs) as temporary:
        if suffix in ZARR_SUFFIXES:
            write_zarr(stack, temporary, path, compression != "none")
        else:
            _write_tiff(stack, temporary, image_name(path), compression)
    return path


def _canonical(stack: ImageStack) -> ImageStack:
    axes = "".join(axis for axis in AXES if axis in stack.axes)
    if axes == stack.axes:
        return stack
    order = [stack.axes.index(axis) for axis in axes]
    return replace(stack, data=stack.data.transpose(order), axes=axes)


def _write_tiff(stack: ImageStack, path: Path, name: str, compression: str) -> None:
    dtype = ome_xml.stored_type(stack.data.dtype)
    height, width = stack.shape[-2:]
    count = int(np.prod(stack.shape[:-2], dtype=np.int64))
    # The XML needs the type that is stored, not a converted copy of the pixels.
    described = replace(stack, data=np.broadcast_to(dtype.type(0), stack.shape))
    creator = f"napari-dps {__version__}"
    resolution = None
    if stack.pixel_size_nm is not None:
        resolution = (1e7 / stack.pixel_size_nm,) * 2
    tifffile.imwrite(
        path,
        (np.ascontiguousarray(plane, dtype) for plane in planes(stack.data)),
        shape=(count, height, width),
        dtype=dtype,
        photometric="minisblack",
        bigtiff=count * height * width * dtype.itemsize > _BIGTIFF_BYTES,
        compression="zlib" if compression == "zlib" else None,
        predictor=compression == "zlib",
        description=ome_xml.build(described, name, creator).decode("ascii"),
        resolution=resolution,
        resolutionunit="CENTIMETER" if resolution else None,
        software=creator,
        metadata=None,
    )

"""TIFF in: OME, ImageJ, LSM and plain ones, checked before a byte is allocated."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io import ome_xml
from napari_dps.io.lazy import MappedPlanes, Planes, one_line
from napari_dps.io.ome_files import OmeImage, ome_image
from napari_dps.io.raw import Format, Metadata, RawImage, check_series
from napari_dps.io.tiff_metadata import lsm_metadata, plain_metadata
from napari_dps.io.tiff_pages import (
    TIFF_MARKS,
    Pages,
    check_pages,
    page_offsets,
    planes_of_pages,
    silence,
)

_COLOURS = (3, 4)
"""Samples a pixel that a picture has, without and with transparency."""


def read_tiff(path: Path, lazy: bool = False, number: int | None = None) -> RawImage:
    """Read the first image of a TIFF file.

    Pixels are read, never mapped: a file that shrinks meanwhile is an error, and does
    not end the process.

    Parameters
    ----------
    path : Path
        OME-TIFF, ImageJ TIFF, BigTIFF, LSM or plain TIFF; any compression that
        imagecodecs decodes. Of OME-TIFF in several files any one.
    lazy : bool
        Leave the pixels unread; not those of compressed LSM files.
    number : int, optional
        Of the image, from 0, in a file that holds several. Default: the first.

    Returns
    -------
    RawImage

    Raises
    ------
    InputError
        If the file is damaged, truncated, of several samples a pixel, promises
        more pixels than it can hold, or needs another file that is missing.
    """
    offsets = page_offsets(path)
    try:
        image = ome_image(path)
        # Neither kind is read as such: both name other files.
        with (
            silence(),
            tifffile.TiffFile(path, is_mmstack=False, is_ndtiff=False) as tif,
        ):
            if image is not None:
                check_series(number or 0, 1)  # each image is opened by its own file
                return _read_files(image, path, lazy)
            if xml := tif.ome_metadata:
                ome_xml.check_promises(xml, len(offsets))
                metadata = ome_xml.parse(xml, number or 0)
            elif tif.is_lsm:
                metadata = lsm_metadata(tif)
            else:
                metadata = plain_metadata(tif)
            return _read_series(tif, metadata, lazy, number)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except Exception as error:
        # Whatever a parser of untrusted bytes raises means: not readable.
        reason = one_line(error)
        raise InputError(f"{path.name} is not a readable TIFF: {reason}") from error


def _read_files(image: OmeImage, path: Path, lazy: bool) -> RawImage:
    """Read an image of an OME-TIFF whose planes lie in several files."""
    offsets = [page_offsets(file) for file in image.files]
    places = zip(image.file_of, image.page_of, strict=True)
    at = [offsets[file][page] for file, page in places]
    planes = planes_of_pages(image.files, image.file_of.tolist(), at)
    planes = planes.reshape(*image.sizes, *planes.plane)
    metadata = ome_xml.parse(image.xml, image.number)
    if image.count > 1:
        text = (
            f"{image.count} images in the metadata: number {image.number + 1}, which "
            f"{path.name} holds, is read"
        )
        metadata = replace(metadata, warnings=(*metadata.warnings, text))
    data = planes if lazy else planes[()]
    return RawImage(data=data, axes=f"{image.axes}YX", metadata=metadata)


def _read_series(
    tif: tifffile.TiffFile, metadata: Metadata, lazy: bool, number: int | None
) -> RawImage:
    page = tif.pages.first
    if 0 in (page.imagewidth, page.imagelength):
        size = f"{page.imagelength} × {page.imagewidth}"
        raise InputError(f"the image is empty: {size} pixels")
    listed = [series for series in tif.series if series.pages]
    if not listed:
        raise InputError("the file holds no image")
    # Thumbnails and the coarser levels of a pyramid are no images of their own.
    full = [series for series in listed if not series.keyframe.is_reduced] or listed
    check_series(number or 0, len(full))
    series = full[number or 0]
    warnings = list(metadata.warnings)
    _check_series(tif, series)
    if number is None and len(full) > 1 and _are_frames(full):
        warnings.append(f"{len(full)} images of one plane each: read as one stack")
        joined = _joined(tif, full)
        data, axes = joined if lazy else joined[()], "QYX"
        metadata = replace(metadata, warnings=tuple(warnings))
        return RawImage(data=data, axes=axes, metadata=metadata)
    if number is None and len(full) > 1:
        warnings.append(f"{len(full)} images in the file: the first one is read")
    check_pages(series)
    data, axes = _pixels(tif, series, lazy)
    return RawImage(
        data=data,
        axes=axes,
        metadata=replace(metadata, warnings=tuple(warnings)),
        colours=_colours(series),
    )


def _check_series(tif: tifffile.TiffFile, series: Any) -> None:
    """Refuse pixels that are no intensities, and metadata that promise more frames."""
    if {page.parent for page in series.pages if page is not None} != {tif}:
        raise InputError("its pages lie in another file")
    if np.dtype(series.dtype).kind not in "iuf":
        raise InputError(
            "pixel type", got=series.dtype, allowed="integers or floating point"
        )
    if series.keyframe.photometric == 2 and "YXS" in str(series.axes):
        raise InputError(
            "colour image (RGB)", allowed="one channel a plane; split the channels"
        )
    if tif.imagej_metadata and series.kind != "imagej" and not tif.is_ome:
        sizes = [
            tif.imagej_metadata.get(k, 1) for k in ("frames", "slices", "channels")
        ]
        planes = math.prod(series.shape) // max(math.prod(series.keyframe.shape), 1)
        if all(isinstance(n, int) for n in sizes) and math.prod(sizes) > planes:
            raise InputError(
                f"truncated: {math.prod(sizes)} planes promised, {planes} present"
            )


def _colours(series: Any) -> int:
    """Planes of a pixel that the file calls red, green, blue (and alpha); else 0."""
    axes, shape = str(series.axes), series.shape
    count = shape[axes.index("S")] if "S" in axes else 1
    return int(count) if count in _COLOURS and series.keyframe.photometric == 2 else 0


def _are_frames(listed: list[Any]) -> bool:
    """Whether the images of a file are frames that were written one by one."""
    return len({(s.shape, np.dtype(s.dtype)) for s in listed}) == 1 and all(
        len(s.pages) == 1 and len(s.shape) == 2 and s.keyframe.samplesperpixel == 1
        for s in listed
    )


def _joined(tif: tifffile.TiffFile, listed: list[Any]) -> Planes:
    path = Path(tif.filehandle.path)
    offsets = [series.keyframe.offset for series in listed]
    return planes_of_pages([path], [0] * len(offsets), offsets)


def _pixels(
    tif: tifffile.TiffFile, series: Any, lazy: bool
) -> tuple[NDArray[Any] | Planes, str]:
    """Pixels with Y and X last, and their axes."""
    letters = "TCZAYXS" if tif.is_lsm else "TCZAPYXS"  # P is the position in LSM
    axes = "".join(axis if axis in letters else "Q" for axis in str(series.axes))
    shape = tuple(series.shape)
    if "S" in axes and axes[-1] != "S":  # planes of samples are frames
        axes = axes.replace("S", "Q")
    planes = _in_one_block(tif, series, axes, shape)
    if planes is None and lazy:
        planes = _unread(tif, series, axes, shape)
    if planes is not None:
        return (planes if lazy else planes[()]), axes.replace("S", "")
    return _planes_last(np.asarray(series.asarray()).reshape(shape), axes)


def _in_one_block(
    tif: tifffile.TiffFile, series: Any, axes: str, shape: tuple[int, ...]
) -> Planes | None:
    """Planes of a series that lies in the file as it is; None for any other."""
    kept, sizes = _without_samples(axes, shape)
    if series.dataoffset is None or sizes is None or not kept.endswith("YX"):
        return None
    stored = np.dtype(series.dtype).newbyteorder(tif.byteorder)
    plane = (sizes[-2], sizes[-1])
    path = Path(tif.filehandle.path)
    read = MappedPlanes(path, int(series.dataoffset), plane, stored)
    index = np.arange(math.prod(sizes[:-2])).reshape(sizes[:-2])
    return Planes(read, index, plane, stored.newbyteorder("="))


def _without_samples(
    axes: str, shape: tuple[int, ...]
) -> tuple[str, tuple[int, ...] | None]:
    """Leave out an axis of one sample; None as the shape where there are several."""
    pairs = list(zip(axes, shape, strict=True))
    if any(axis == "S" and size > 1 for axis, size in pairs):
        return axes, None
    return axes.replace("S", ""), tuple(size for axis, size in pairs if axis != "S")


def _unread(
    tif: tifffile.TiffFile, series: Any, axes: str, shape: tuple[int, ...]
) -> Planes | None:
    """Planes of a compressed series; None where pages are no whole planes.

    That is so where channels are interleaved, and in LSM files, whose headers
    tifffile must repair together.
    """
    kept, sizes = _without_samples(axes, shape)
    if tif.is_lsm or sizes is None or not kept.endswith("YX"):
        return None
    path, keyframe = Path(tif.filehandle.path), series.keyframe
    pages = Pages(
        paths=(path,),
        numbers=np.zeros(len(series.pages), np.intp),
        offsets=np.array([page.offset for page in series.pages], dtype=np.int64),
        plane=(sizes[-2], sizes[-1]),
        first=(path, keyframe.offset),
    )
    per_page = math.prod(keyframe.shape) // math.prod(sizes[-2:])
    count = per_page * len(pages.offsets)
    if count != math.prod(sizes[:-2]) or not pages.offsets.all():
        return None
    index = np.arange(count).reshape(sizes[:-2])
    dtype = np.dtype(series.dtype).newbyteorder("=")
    return Planes(pages, index, pages.plane, dtype, per_page)


def _planes_last(data: NDArray[Any], axes: str) -> tuple[NDArray[Any], str]:
    """Move Y and X to the end; samples of one pixel, no colours, become frames."""
    axes = axes.replace("S", "Q") if "S" in axes else axes
    if "Y" not in axes or "X" not in axes:
        raise InputError("axes of the image", got=axes, allowed="with Y and X")
    others = axes.replace("Y", "").replace("X", "")
    if axes != f"{others}YX":
        data = np.moveaxis(data, (axes.index("Y"), axes.index("X")), (-2, -1))
    return data, f"{others}YX"


def _is_tiff(path: Path, head: bytes) -> bool:
    return head[:4] in TIFF_MARKS


FORMAT = Format(
    "TIFF (OME, ImageJ, plain)",
    (".tif", ".tiff", ".btf", ".tf8", ".lsm"),
    _is_tiff,
    read_tiff,
    read_tiff,
)

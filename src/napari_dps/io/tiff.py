"""TIFF in: OME, ImageJ and plain ones, checked before a byte is allocated."""

from __future__ import annotations

import logging
import math
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io import ome_xml
from napari_dps.io.lazy import Planes, one_line, unreadable
from napari_dps.io.raw import (
    Format,
    Metadata,
    RawImage,
    doubted_length,
    length_nm,
    positive,
    seconds,
    square_pixel,
)

_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes, of either order; with a plus sign those of BigTIFF."""

_EXPANSION = {1: 8, 5: 1500, 8: 1100, 32946: 1100, 32773: 130}
"""Bytes that one stored byte can become: none (packed bits), LZW, deflate, PackBits."""

_EXPANSION_OTHER = 100_000

_RESOLUTION_UNITS = {2: "inch", 3: "cm"}


def read_tiff(path: Path, lazy: bool = False) -> RawImage:
    """Read the first image series of a TIFF file.

    Uncompressed files whose planes lie in one block are memory-mapped.

    Parameters
    ----------
    path : Path
        OME-TIFF, ImageJ TIFF, BigTIFF, LSM or plain TIFF; any compression that
        imagecodecs decodes.
    lazy : bool
        Leave the pixels of other files unread too; not those of LSM files.

    Returns
    -------
    RawImage

    Raises
    ------
    InputError
        If the file is damaged, truncated, of several samples a pixel, or promises
        more pixels than it can hold.
    """
    _check_chain(path)
    try:
        with _silence(), tifffile.TiffFile(path) as tif:
            xml = tif.ome_metadata
            metadata = ome_xml.parse(xml) if xml else _plain_metadata(tif)
            return _read_series(tif, metadata, lazy)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except Exception as error:
        # Whatever a parser of untrusted bytes raises means: not readable.
        reason = one_line(error)
        raise InputError(f"{path.name} is not a readable TIFF: {reason}") from error


class _Silence(logging.Filter):
    """Keeps tifffile's log off the terminal; `_check_pages` finds what it reports."""

    def __init__(self) -> None:
        super().__init__()
        self.readers = 0
        self.lock = threading.Lock()
        logging.getLogger("tifffile").addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        return not self.readers

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            self.readers += 1
        try:
            yield
        finally:
            with self.lock:
                self.readers -= 1


_silence = _Silence()


def _read_series(tif: tifffile.TiffFile, metadata: Metadata, lazy: bool) -> RawImage:
    page = tif.pages.first
    if 0 in (page.imagewidth, page.imagelength):
        size = f"{page.imagelength} × {page.imagewidth}"
        raise InputError(f"the image is empty: {size} pixels")
    if not tif.series:
        raise InputError("the file holds no image")
    series = tif.series[0]
    warnings = list(metadata.warnings)
    if len(tif.series) > 1:
        warnings.append(f"{len(tif.series)} images in the file: the first one is read")
    axes, shape = str(series.axes), tuple(series.shape)
    if "S" in axes and shape[axes.index("S")] > 1:
        raise InputError(
            "colour image (RGB)", allowed="one channel a plane; split the channels"
        )
    if np.dtype(series.dtype).kind not in "iuf":
        raise InputError(
            "pixel type", got=series.dtype, allowed="integers or floating point"
        )
    _check_pages(series)
    axes = "".join(axis if axis in "TCZAPYXS" else "Q" for axis in axes)
    data: NDArray[Any] | Planes
    planes = _unread(tif, series, axes) if lazy else None
    if planes is not None:
        data, axes = planes, axes.replace("S", "")
    else:
        data, axes = _planes_last(_map_or_load(tif, series).reshape(shape), axes)
    metadata = replace(metadata, warnings=tuple(warnings))
    return RawImage(data=data, axes=axes, metadata=metadata)


def _map_or_load(tif: tifffile.TiffFile, series: Any) -> NDArray[Any]:
    if series.dataoffset is None:
        return np.asarray(series.asarray())
    dtype = np.dtype(series.dtype).newbyteorder(tif.byteorder)
    path = Path(tif.filehandle.path)
    return np.memmap(
        path, dtype=dtype, mode="r", offset=series.dataoffset, shape=series.shape
    )


def _unread(tif: tifffile.TiffFile, series: Any, axes: str) -> Planes | None:
    """Planes of a series that cannot be mapped; None where pages are no whole planes.

    That is so where channels are interleaved, and in LSM files, whose headers
    tifffile must repair together.
    """
    keyframe, kept = series.keyframe, axes.replace("S", "")
    if series.dataoffset is not None or tif.is_lsm or not kept.endswith("YX"):
        return None
    shape = tuple(n for n, a in zip(series.shape, axes, strict=True) if a != "S")
    files = [page.parent.filehandle.path for page in series.pages]
    paths = list(dict.fromkeys(files))
    pages = _Pages(
        paths=tuple(Path(path) for path in paths),
        numbers=np.array([paths.index(file) for file in files]),
        offsets=np.array([page.offset for page in series.pages], dtype=np.int64),
        plane=(shape[-2], shape[-1]),
        first=(Path(keyframe.parent.filehandle.path), keyframe.offset),
    )
    per_page = math.prod(keyframe.shape) // math.prod(shape[-2:])
    count = per_page * len(pages.offsets)
    if count != math.prod(shape[:-2]) or not pages.offsets.all():
        return None
    index = np.arange(count).reshape(shape[:-2])
    dtype = np.dtype(series.dtype).newbyteorder("=")
    return Planes(pages, index, pages.plane, dtype, per_page)


@dataclass(frozen=True, slots=True, eq=False)
class _Pages:
    """Reads pages of a series by their number; opens the file each time.

    Attributes
    ----------
    paths : tuple of Path
        The files of the series; OME-TIFF may spread it over several.
    numbers, offsets : array of int
        File of each page, and position of its header.
    plane : (int, int)
        Height and width.
    first : (Path, int)
        File and position of the header that describes all pages.
    """

    paths: tuple[Path, ...]
    numbers: NDArray[np.intp]
    offsets: NDArray[np.int64]
    plane: tuple[int, int]
    first: tuple[Path, int]

    def __call__(self, block: int) -> NDArray[Any]:
        path = self.paths[self.numbers[block]]
        try:
            with (
                _silence(),
                tifffile.TiffFile(self.first[0]) as described,
                tifffile.TiffFile(path) as tif,
            ):
                described.filehandle.seek(self.first[1])
                keyframe = tifffile.TiffPage(described, 0)
                offset = int(self.offsets[block])
                page = tifffile.TiffFrame(tif, 0, offset=offset, keyframe=keyframe)
                if not _is_whole(page, math.prod(keyframe.chunked)):
                    raise InputError("its pixels are missing")
                return page.asarray(maxworkers=1).reshape(-1, *self.plane)
        except Exception as error:
            # Whatever a decoder of untrusted bytes raises means: not readable.
            raise unreadable(path.name, block, error) from error


def _planes_last(data: NDArray[Any], axes: str) -> tuple[NDArray[Any], str]:
    """Drop a single sample axis and move Y and X to the end."""
    if "S" in axes:
        data, axes = data.squeeze(axes.index("S")), axes.replace("S", "")
    if "Y" not in axes or "X" not in axes:
        raise InputError("axes of the image", got=axes, allowed="with Y and X")
    others = axes.replace("Y", "").replace("X", "")
    if axes != f"{others}YX":
        data = np.moveaxis(data, (axes.index("Y"), axes.index("X")), (-2, -1))
    return data, f"{others}YX"


def _check_pages(series: Any) -> None:
    """Refuse what would be filled with zeros, or allocated without being there.

    Raises
    ------
    InputError
        If pixel data are missing, lie beyond the end, or could not expand to the
        size that the header promises.
    """
    needed = math.prod(series.shape) * np.dtype(series.dtype).itemsize
    if series.dataoffset is not None:
        present = series.parent.filehandle.size - series.dataoffset
        if present < needed:
            raise InputError(
                f"truncated: {needed} bytes of pixels promised, "
                f"{max(present, 0)} present"
            )
        return
    keyframe = series.keyframe
    chunks = math.prod(keyframe.chunked)
    factor = _EXPANSION.get(int(keyframe.compression), _EXPANSION_OTHER)
    capacity, missing, frames = 0, 0, 0
    for page in series.pages:
        frames += 1
        if page is None or not _is_whole(page, chunks):
            missing += 1
        else:
            capacity += sum(page.databytecounts) * factor
    if missing:
        raise InputError(f"truncated: pixels of {missing} of {frames} planes missing")
    if capacity < needed:
        raise InputError(
            f"damaged: the header promises {needed} bytes of pixels, far more than "
            "the file can hold"
        )


def _is_whole(page: Any, chunks: int) -> bool:
    offsets, counts = page.dataoffsets, page.databytecounts
    if len(offsets) < chunks or len(counts) < chunks:
        return False
    size = page.parent.filehandle.size
    return all(
        offset > 0 and count > 0 and offset + count <= size
        for offset, count in zip(offsets, counts, strict=True)
    )


def _check_chain(path: Path) -> None:
    """Follow the chain of page headers to its end.

    tifffile stops at a broken link and returns the pages before it, so that a
    truncated stack would look like a shorter one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        order = "<" if file.read(2) == b"II" else ">"
        is_big = struct.unpack(f"{order}H", _take(file, 2, path))[0] == 43
        word, count, entry = ("Q", "Q", 20) if is_big else ("I", "H", 12)
        file.seek(8 if is_big else 4)
        seen: set[int] = set()
        while True:
            width = struct.calcsize(f"{order}{word}")
            offset = struct.unpack(f"{order}{word}", _take(file, width, path))[0]
            if offset == 0:
                break
            if offset >= size or offset in seen:
                raise InputError(f"{path.name} is truncated or damaged")
            seen.add(offset)
            file.seek(offset)
            width = struct.calcsize(f"{order}{count}")
            tags = struct.unpack(f"{order}{count}", _take(file, width, path))[0]
            following = offset + width + tags * entry
            if following >= size:
                raise InputError(f"{path.name} is truncated or damaged")
            file.seek(following)
    if not seen:
        raise InputError(f"{path.name} holds no image")


def _take(file: BinaryIO, count: int, path: Path) -> bytes:
    found = file.read(count)
    if len(found) < count:
        raise InputError(f"{path.name} is truncated or damaged")
    return found


def _plain_metadata(tif: tifffile.TiffFile) -> Metadata:
    """ImageJ's description, else the resolution tags."""
    tags = tif.pages.first.tags
    imagej = tif.imagej_metadata or {}
    unit = str(imagej.get("unit", ""))
    if not imagej:
        unit = _RESOLUTION_UNITS.get(int(tags.valueof(296, 0)), "")
    x, y = (_edge(tags.valueof(code)) for code in (282, 283))
    y_nm = length_nm(y, str(imagej.get("yunit", unit)))
    pixel_size_nm, doubt = square_pixel(length_nm(x, unit), y_nm)
    doubt = doubt or doubted_length(x, unit, "pixel size")
    # A printer's resolution (72 to 2400 dpi) is everywhere and deserves no warning.
    warnings = (doubt,) if doubt and imagej else ()
    return Metadata(
        pixel_size_nm=pixel_size_nm,
        z_step_nm=length_nm(imagej.get("spacing"), unit),
        frame_interval_s=seconds(
            imagej.get("finterval"), str(imagej.get("tunit", "s"))
        ),
        warnings=warnings,
    )


def _edge(resolution: object) -> float | None:
    """Edge of a pixel from a resolution tag: a fraction of pixels a unit."""
    if not isinstance(resolution, tuple) or len(resolution) != 2 or not resolution[0]:
        return None
    return positive(resolution[1] / resolution[0])


def _is_tiff(path: Path, head: bytes) -> bool:
    return head[:4] in _MARKS


FORMAT = Format(
    "TIFF (OME, ImageJ, plain)",
    (".tif", ".tiff", ".btf", ".tf8", ".lsm"),
    _is_tiff,
    read_tiff,
)

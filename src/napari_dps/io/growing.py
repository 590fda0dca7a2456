"""Files and folders that grow while they are read: which sets of frames are there."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile

from napari_dps.core import InputError
from napari_dps.io import ome_xml
from napari_dps.io.growing_folder import GrowingFolder
from napari_dps.io.lazy import one_line
from napari_dps.io.ngff import is_zarr, open_array
from napari_dps.io.ngff_chunks import chunk_files
from napari_dps.io.raw import Metadata, RawImage
from napari_dps.io.result_files import stem
from napari_dps.io.tiff import FORMAT
from napari_dps.io.tiff_metadata import plain_metadata
from napari_dps.io.tiff_pages import (
    PageChain,
    count_whole_pages,
    planes_of_pages,
    silence,
)


class Growing(Protocol):
    """Sets of frames that arrive one after the other, numbered from 0."""

    def arrived(self) -> int:
        """Look again; return how many whole sets have arrived so far."""

    def read(self, number: int) -> RawImage:
        """Read a set.

        Raises
        ------
        InputError
            If it cannot be read.
        """

    def name(self, number: int) -> str:
        """Return what the results of a set are called after."""

    @property
    def newest_written(self) -> float:
        """When the newest set was written, in seconds since the epoch."""


def open_growing(
    path: str | os.PathLike[str], frames: int, *, exclude: Path | None = None
) -> Growing:
    """Return what tells of the sets that arrive in a folder or a file.

    Parameters
    ----------
    path : path-like
        A folder of files, each of one set, or of some frames of one; a TIFF file that
        gets page after page; an OME-Zarr that grows along its first axis. A file need
        not be there yet.
    frames : int
        Of a set: angles × phases; 1 for plain images.
    exclude : Path, optional
        Folder that is not to be looked into.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> open_growing("not there yet.tif", 9).arrived()
    0
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".zarr" or is_zarr(path):
        return GrowingZarr(path, frames)
    if path.is_dir():
        return GrowingFolder(path, frames, exclude)
    if suffix in FORMAT.suffixes:
        return GrowingTiff(path, frames)
    raise InputError(
        "what to watch",
        got=path,
        allowed="a folder, a TIFF file, or an OME-Zarr (.zarr)",
    )


class GrowingTiff:
    """A TIFF file to which page after page is written, each a frame.

    Parameters
    ----------
    path : Path
        The file; it may appear later.
    frames : int
        Of a set.
    """

    def __init__(self, path: Path, frames: int) -> None:
        self._path, self._frames = path, frames
        self._chain = PageChain(path)
        self._state: tuple[int, int] | None = None
        self._is_settled = False
        self._metadata: Metadata | None = None
        self._sets, self.newest_written = 0, 0.0

    def arrived(self) -> int:
        """Follow the chain of pages to where it ends now."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return 0
        state = found.st_size, found.st_mtime_ns
        is_same = state == self._state
        if is_same and self._is_settled:
            return self._sets
        # Once more: what was written within a tick of the clock leaves no other trace.
        self._state, self._is_settled = state, is_same
        self._chain.forget(self._sets * self._frames)
        self._chain.extend()
        offsets = self._chain.offsets
        # Of a set that is whole but for its last page the pixels may come later.
        sets = len(offsets) // self._frames
        whole = count_whole_pages(self._path, offsets[: sets * self._frames])
        sets = whole // self._frames
        if sets > self._sets:
            self._sets, self.newest_written = sets, found.st_mtime
        return self._sets

    def read(self, number: int) -> RawImage:
        """Read the pages of a set."""
        pages = slice(number * self._frames, (number + 1) * self._frames)
        offsets = self._chain.offsets[pages]
        try:
            planes = planes_of_pages([self._path], [0] * len(offsets), offsets)
            if self._metadata is None:
                self._metadata = _first_metadata(self._path)
            return RawImage(planes[()], "QYX", self._metadata)
        except InputError as error:
            raise InputError(f"{self._path.name}: {error}") from error
        except Exception as error:
            # Whatever a parser of untrusted bytes raises means: not readable.
            raise InputError(f"{self._path.name}: {one_line(error)}") from error

    def name(self, number: int) -> str:
        """Return the name of the file with the number of the set."""
        return f"{stem(self._path)}.{number:06d}"


def _first_metadata(path: Path) -> Metadata:
    """Return what the first page says; of its promises of frames none is believed."""
    with silence(), tifffile.TiffFile(path, is_mmstack=False, is_ndtiff=False) as tif:
        xml = tif.ome_metadata
        metadata = ome_xml.parse(xml, 0) if xml else plain_metadata(tif)
    return replace(metadata, stored_axes="", stored_shape=(), warnings=())


class GrowingZarr:
    """An OME-Zarr that grows along its first axis, or whose chunks are filled along it.

    Parameters
    ----------
    path : Path
        The folder; it may appear later.
    frames : int
        Of a set.
    """

    def __init__(self, path: Path, frames: int) -> None:
        self._path, self._frames = path, frames
        self._opened: tuple[Any, str, Metadata] | None = None
        self._state = 0
        self._places, self.newest_written = 0, 0.0

    def arrived(self) -> int:
        """Look how many places along the first axis have all of their chunks."""
        if not is_zarr(self._path):
            return 0
        array = self._array()
        folder = self._path / array.path
        while self._places < array.shape[0]:
            files = [folder / name for name in chunk_files(array, self._places)]
            try:
                self.newest_written = max(file.stat().st_mtime for file in files)
            except FileNotFoundError:
                break
            self._places += 1
        return self._places // self._per_set(array)

    def read(self, number: int) -> RawImage:
        """Read the chunks of a set."""
        array = self._array()
        _, axes, metadata = self._opened or (None, "", Metadata())
        count = self._per_set(array)
        try:
            data = np.asarray(array[number * count : (number + 1) * count])
        except Exception as error:
            # Whatever a decoder of untrusted bytes raises means: not readable.
            raise InputError(f"{self._path.name}: {one_line(error)}") from error
        if count > 1:
            metadata = replace(metadata, stored_axes="", stored_shape=())
            return RawImage(data, f"Q{axes[1:]}", metadata)
        stored = metadata.stored_axes
        if stored.startswith("T"):
            metadata = replace(
                metadata, stored_axes=stored[1:], stored_shape=metadata.stored_shape[1:]
            )
        return RawImage(data[0], axes[1:], metadata)

    def name(self, number: int) -> str:
        """Return the name of the folder with the number of the set."""
        return f"{stem(self._path)}.{number:06d}"

    def _array(self) -> Any:
        """Open the array, anew if its description has changed."""
        files = [p for p in self._path.rglob("*") if p.name in _DESCRIPTIONS]
        state = max((file.stat().st_mtime_ns for file in files), default=0)
        if self._opened is None or state != self._state:
            try:
                self._opened, self._state = open_array(self._path), state
            except InputError as error:
                raise InputError(f"{self._path.name}: {error}") from error
            if self._opened[0].ndim < 3:
                raise InputError(
                    f"{self._path.name}: axes", got=self._opened[1], allowed="T first"
                )
        return self._opened[0]

    def _per_set(self, array: Any) -> int:
        """Return how many places along the first axis a set takes."""
        planes = math.prod(map(int, array.shape[1:-2]))
        return max(self._frames // planes, 1)


_DESCRIPTIONS = ("zarr.json", ".zarray", ".zattrs", ".zgroup")

"""Pages of TIFF files: found, checked before a byte is allocated, and read."""

from __future__ import annotations

import logging
import math
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.core.files import open_regular
from napari_dps.io.lazy import Planes, unreadable

TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes, of either order; with a plus sign those of BigTIFF."""

_EXPANSION = {1: 8, 5: 1500, 8: 1100, 32946: 1100, 32773: 130}
"""Bytes that one stored byte can become: none (packed bits), LZW, deflate, PackBits."""

_EXPANSION_OTHER = 100_000


class _Silence(logging.Filter):
    """Keeps tifffile's log off the terminal; `check_pages` finds what it reports."""

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


silence = _Silence()
"""Context manager in which tifffile logs nothing."""


class PageChain:
    """The chain of page headers of a TIFF file, which may still grow.

    tifffile stops at a broken link and returns the pages before it, so that a
    truncated stack would look like a shorter one.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    offsets : list of int
        Position in the file of each page's header that was reached.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._order, self._begins = "", 0
        # Of each page, where the link to the next one is.
        self._seen: dict[int, int] = {}

    @property
    def offsets(self) -> list[int]:
        """Position in the file of each page's header that was reached."""
        return list(self._seen)

    def forget(self, count: int) -> None:
        """Forget all pages but the first ``count``: `extend` follows the others anew.

        What led to them may have been read while it was written.
        """
        for offset in self.offsets[count:]:
            del self._seen[offset]

    def extend(self) -> bool:
        """Follow the chain from where it ended before.

        Returns
        -------
        bool
            Whether it ends as it should; else it leads beyond the end of the file,
            which is truncated, damaged or not yet written.

        Raises
        ------
        InputError
            If the chain leads in a circle, or the file cannot be opened.
        """
        with open_regular(self._path) as file:
            size = file.seek(0, 2)
            if not self._order and not self._begin(file):
                return False
            word, count, entry = (
                ("Q", "Q", 20) if self._order[1:] == "big" else ("I", "H", 12)
            )
            link = next(reversed(self._seen.values()), self._begins)
            while True:
                offset = self._number(file, link, word)
                if not offset:  # none, or 0: the end
                    return offset == 0
                if offset in self._seen:
                    raise InputError(f"{self._path.name} is truncated or damaged")
                tags = self._number(file, offset, count) if offset < size else None
                # A writer may make room for a header before it fills it: no page has
                # no tags.
                if not tags:
                    return False
                following = offset + struct.calcsize(f"<{count}") + tags * entry
                if following >= size:
                    return False
                self._seen[offset] = link = following

    def _begin(self, file: BinaryIO) -> bool:
        """Read byte order and kind, once they are there."""
        file.seek(0)
        order = {b"II": "<", b"MM": ">"}.get(file.read(2), "")
        if not order:
            return False
        self._order = order
        version = self._number(file, 2, "H")
        self._order = order + "big" * (version == 43) if version else ""
        self._begins = 8 if version == 43 else 4
        return bool(version)

    def _number(self, file: BinaryIO, at: int, kind: str) -> int | None:
        """Read a number; None where the file ends before."""
        form = f"{self._order[0]}{kind}"
        file.seek(at)
        found = file.read(struct.calcsize(form))
        if len(found) < struct.calcsize(form):
            return None
        return int(struct.unpack(form, found)[0])


def page_offsets(path: Path) -> list[int]:
    """Follow the chain of page headers to its end.

    Returns
    -------
    list of int
        Position of each page's header in the file.

    Raises
    ------
    InputError
        If the chain leads beyond the end of the file or in a circle, or is empty.
    """
    chain = PageChain(path)
    if not chain.extend():
        raise InputError(f"{path.name} is truncated or damaged")
    if not chain.offsets:
        raise InputError(f"{path.name} holds no image")
    return chain.offsets


_HALF_A_HEADER = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
    tifffile.TiffFileError,
)
"""What tifffile stops with where a header is not written to its end."""


def count_whole_pages(path: Path, offsets: Sequence[int]) -> int:
    """Return how many of the pages at the end of a growing file, and before, are whole.

    Pixels may be written after their header, and a header in parts; pages before the
    last are taken for whole.
    """
    if not offsets:
        return 0
    try:
        with (
            silence(),
            tifffile.TiffFile(path, is_mmstack=False, is_ndtiff=False) as tif,
        ):
            tif.filehandle.seek(offsets[-1])
            page = tifffile.TiffPage(tif, 0)
            is_whole = _is_whole(page, math.prod(page.chunked))
    except _HALF_A_HEADER:
        is_whole = False
    return len(offsets) - (not is_whole)


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
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
        """Read the planes of one page, (plane, Y, X)."""
        path = self.paths[self.numbers[block]]
        try:
            with (
                silence(),
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


def planes_of_pages(
    paths: Sequence[Path], numbers: Sequence[int], offsets: Sequence[int]
) -> Planes:
    """Planes of single pages of one kind, (plane, Y, X), after each was checked.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    numbers, offsets : sequence of int
        File of each page, and position of its header.

    Raises
    ------
    InputError
        If a page is missing, of another size, type or compression than the first one,
        or of colours, or if its pixels could not be in the file.
    """
    first: tifffile.TiffPage | None = None
    pages = Pages(
        tuple(paths),
        np.asarray(numbers, np.intp),
        np.asarray(offsets, np.int64),
        (0, 0),
        (paths[numbers[0]], int(offsets[0])),
    )
    for number in sorted(set(map(int, pages.numbers))):
        with tifffile.TiffFile(paths[number]) as tif:
            for at in pages.offsets[pages.numbers == number]:
                tif.filehandle.seek(int(at))
                page = tifffile.TiffPage(tif, 0)
                first = _page_like(page, first, paths[number])
    if first is None:
        raise InputError("the image holds no planes")
    plane = (int(first.imagelength), int(first.imagewidth))
    pages = Pages(pages.paths, pages.numbers, pages.offsets, plane, pages.first)
    dtype = np.dtype(first.dtype).newbyteorder("=")
    return Planes(pages, np.arange(len(pages.offsets)), plane, dtype)


def _page_like(
    page: tifffile.TiffPage, first: tifffile.TiffPage | None, path: Path
) -> tifffile.TiffPage:
    """Return the first page, after another one was compared with it."""
    if page.samplesperpixel > 1:
        raise InputError(
            "colour image (RGB)", allowed="one channel a plane; split the channels"
        )
    needed = page.imagelength * page.imagewidth * page.imagedepth
    if page.imagedepth != 1 or not needed or page.dtype is None:
        raise InputError(f"{path.name} holds a page that is no plane of pixels")
    if not _is_whole(page, math.prod(page.chunked)):
        raise InputError(f"truncated: pixels of a plane in {path.name} are missing")
    _check_capacity(needed * page.dtype.itemsize, _capacity(page))
    if first is not None and page.hash != first.hash:
        raise InputError(
            f"{path.name} holds a page of another size, type or compression"
        )
    return page if first is None else first


def check_pages(series: Any) -> None:
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
    chunks = math.prod(series.keyframe.chunked)
    capacity, missing, frames = 0, 0, 0
    for page in series.pages:
        frames += 1
        if page is None or not _is_whole(page, chunks):
            missing += 1
        else:
            capacity += _capacity(page)
    if missing:
        raise InputError(f"truncated: pixels of {missing} of {frames} planes missing")
    _check_capacity(needed, capacity)


def _capacity(page: Any) -> int:
    """Bytes that the pixels of a page can be at most."""
    factor = _EXPANSION.get(int(page.keyframe.compression), _EXPANSION_OTHER)
    return int(sum(page.databytecounts)) * factor


def _check_capacity(needed: int, capacity: int) -> None:
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

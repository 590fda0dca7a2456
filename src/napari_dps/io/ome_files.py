"""Which image an OME-TIFF holds, and in which files and pages its planes lie.

OME-XML may spread an image over files, and every file may describe all images of the
set. The names that it holds are untrusted: only regular files in the folder of the one
that was opened are read, and each must be the one that the metadata mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.core.files import open_regular
from napari_dps.io import ome_xml
from napari_dps.io.ome_set import (
    Entry,
    OmeSet,
    beside,
    described,
    description,
    is_plain_name,
    listed,
    names_itself_only,
    whole,
)
from napari_dps.io.tiff_pages import TIFF_MARKS, page_offsets

_ROOT_UUID = re.compile(r"<(?:\w+:)?OME\b[^>]*?\sUUID\s*=\s*[\"']([^\"']*)[\"']")


@dataclass(frozen=True, slots=True, eq=False)
class OmeImage:
    """An image of an OME-TIFF that tifffile is not to put together.

    Attributes
    ----------
    xml : str
        The metadata that describe it.
    number, count : int
        Which of their images it is, from 0, and how many there are.
    axes : str
        Letters of the leading axes, slowest first.
    sizes : tuple of int
        Their lengths.
    files : tuple of Path
        All that hold planes of it, in the order of the metadata.
    file_of, page_of : array of int
        File of each plane, and its page there.
    metadata_file : Path or None
        Where the metadata lie, if not in one of the files.
    """

    xml: str
    number: int
    count: int
    axes: str
    sizes: tuple[int, ...]
    files: tuple[Path, ...]
    file_of: NDArray[np.intp]
    page_of: NDArray[np.intp]
    metadata_file: Path | None = None


def ome_image(path: Path) -> OmeImage | None:
    """Find the planes of the first image that a file holds.

    Parameters
    ----------
    path : Path
        A TIFF file.

    Returns
    -------
    OmeImage or None
        None where the file is no OME-TIFF, or names no file but itself.

    Raises
    ------
    InputError
        If a file is missing, lies elsewhere, is another one than the metadata mean, or
        lacks pages; or if no image lies in this file.
    """
    found = described(path)
    if found is None or names_itself_only(found):
        return None
    images = [pixels for _, pixels in ome_xml.images(found.root)]
    entries = found.entries()
    number = _first_held(found, entries)
    return _located(found, images[number], entries[number], (number, len(images)))


def companions(path: Path) -> tuple[Path, ...]:
    """Return all files that reading a file would read, that file first.

    Raises
    ------
    InputError
        As `ome_image`.
    """
    with open_regular(path) as file:
        is_tiff = file.read(4) in TIFF_MARKS
    image = ome_image(path) if is_tiff else None
    if image is None:
        return (path,)
    more = [] if image.metadata_file is None else [image.metadata_file]
    real = path.resolve()
    return (path, *(f for f in (*image.files, *more) if f.resolve() != real))


def first_of_each_set(paths: Iterable[Path]) -> list[Path]:
    """Leave out files whose image another one of them stands for.

    An image in several files is named by the first of them, in the order of its
    metadata. What cannot be read stays, to fail by itself.
    """
    paths = list(paths)
    by_place = {path.absolute(): path for path in paths}
    covered: set[Path] = set()
    for path in paths:
        if path.absolute() in covered or not _may_be_ome(path):
            continue
        here = [f.absolute() for f in _same_image(path) if f.absolute() in by_place]
        covered.update(here[1:])
    return [path for path in paths if path.absolute() not in covered]


def _may_be_ome(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in (".tif", ".tiff", ".tf2", ".tf8", ".btf") and path.is_file()


def _same_image(path: Path) -> list[Path]:
    """Files that, opened, give the same image as this one, in the metadata's order."""
    try:
        found = described(path)
        if found is None or names_itself_only(found):
            return [path]
        entries = found.entries()
        number = _first_held(found, entries)
    except (InputError, OSError):
        return [path]
    earlier = {entry.file for listed in entries[:number] for entry in listed}
    names = dict.fromkeys(
        path.name if found.is_own(entry) else entry.file for entry in entries[number]
    )
    return [
        path.parent / name
        for name in names
        if name not in earlier and is_plain_name(name)
    ]


def _first_held(found: OmeSet, images: list[list[Entry]]) -> int:
    """Return the number of the first image with planes in the opened file.

    Raises
    ------
    InputError
        If there is none; a file that was renamed, and is the only one, holds its own.
    """
    for number, entries in enumerate(images):
        if any(found.is_own(entry) for entry in entries):
            return number
    names = dict.fromkeys(entry.file for entries in images for entry in entries)
    if not names:
        raise InputError("the OME-XML of the file names no planes")
    if len(names) == 1 and found.uuid is None:
        return 0
    present = [name for name in names if beside(found.path, name, "planes")]
    if not present:
        verb = "is" if len(names) == 1 else "are"
        raise InputError(f"the image lies in {listed(names)}, which {verb} missing")
    raise InputError(
        f"the image lies in {listed(present)}, not in this file: open that one"
    )


def _located(
    found: OmeSet, pixels: Element, entries: list[Entry], place: tuple[int, int]
) -> OmeImage:
    """Look up each plane; everything is checked before a table is made."""
    names = {entry.file for entry in entries}
    is_renamed = len(names) == 1 and not any(map(found.is_own, entries))
    files = _checked_files(found, entries, is_renamed)
    paths = tuple(dict.fromkeys(files))
    pages = {path: len(page_offsets(path)) for path in paths}
    order = pixels.get("DimensionOrder", "XYZCT")
    axes = order[:1:-1] if sorted(order) == sorted("XYZCT") else ""
    if not order.startswith("XY") or not axes:
        raise InputError("DimensionOrder of the OME-XML", got=order, allowed="XYZCT …")
    sizes = tuple(whole(pixels.get(f"Size{axis}", "1")) for axis in axes)
    total, held = math.prod(sizes), sum(pages.values())
    if not 0 < total <= held:
        raise InputError(
            f"truncated: the metadata promise {total} planes, the files hold {held}"
        )
    file_of = np.full(total, -1, np.intp)
    page_of = np.zeros(total, np.intp)
    budget = 4 * total  # an element may not name all planes, again and again
    for entry, path in zip(entries, files, strict=True):
        start, page, count = _run(entry, path, pages[path], axes, sizes)
        budget -= count
        if budget < 0:
            raise InputError("the OME-XML of the file is damaged: planes named again")
        count = min(count, total - start)
        file_of[start : start + count] = paths.index(path)
        page_of[start : start + count] = np.arange(page, page + count)
    if lost := int((file_of < 0).sum()):
        raise InputError(f"truncated: {lost} of {total} planes lie in no file")
    return OmeImage(
        found.xml, *place, axes, sizes, paths, file_of, page_of, found.metadata_file
    )


def _run(
    entry: Entry, path: Path, pages: int, axes: str, sizes: tuple[int, ...]
) -> tuple[int, int, int]:
    """First plane, first page and number of planes of an element."""
    page = entry.page or 0
    count = entry.count
    if count is None:
        count = pages if entry.page is None else 1
    if page + count > pages:
        raise InputError(
            f"{path.name} is truncated: it holds {pages} pages, the metadata speak of "
            f"{page + count}"
        )
    first = [entry.first[axis] for axis in axes]
    if any(i >= n for i, n in zip(first, sizes, strict=True)):
        raise InputError("the OME-XML of the file is damaged: planes beyond the image")
    return int(np.ravel_multi_index(first, sizes)), page, count


def _checked_files(found: OmeSet, entries: list[Entry], is_renamed: bool) -> list[Path]:
    """File of each entry; all that are missing are named at once."""
    files: dict[tuple[str, str], Path] = {}
    missing = []
    for entry in entries:
        key = (entry.file, entry.uuid)
        if key in files or entry.file in missing:
            continue
        if is_renamed or found.is_own(entry):
            files[key] = found.path
            continue
        path = beside(found.path, entry.file, "planes")
        if path is None:
            missing.append(entry.file)
            continue
        uuid = _ROOT_UUID.search(description(path)[:10_000])
        if uuid is not None and entry.uuid and uuid[1] != entry.uuid:
            raise InputError(
                f"{entry.file} is another file than the metadata mean: its UUID differs"
            )
        files[key] = path
    if missing:
        raise InputError(
            f"{listed(missing)} of the {len({e.file for e in entries})} files of "
            f"the image {'is' if len(missing) == 1 else 'are'} missing"
        )
    return [files[entry.file, entry.uuid] for entry in entries]

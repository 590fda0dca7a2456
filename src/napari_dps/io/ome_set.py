"""What the metadata of an OME-TIFF say of a set of files, and which files those are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

import tifffile

from napari_dps.core import InputError
from napari_dps.core.files import read_bytes, require_regular
from napari_dps.io import ome_xml
from napari_dps.io.tiff_pages import silence

_LARGEST_COMPANION_BYTES = 2**27
_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One TiffData element: some planes in a row, in one file."""

    file: str
    uuid: str
    page: int | None
    count: int | None
    first: dict[str, int]


@dataclass(frozen=True, slots=True)
class OmeSet:
    """What the metadata of a file say of the whole set."""

    path: Path
    xml: str
    root: Element
    uuid: str | None
    metadata_file: Path | None

    def entries(self) -> list[list[Entry]]:
        """Where the planes of each image lie.

        Without a name they lie beside the metadata, which may be in another file.
        """
        here = "" if self.metadata_file is None else self.metadata_file.name
        return [
            [e if e.file or e.uuid else replace(e, file=here) for e in _read(pixels)]
            for _, pixels in ome_xml.images(self.root)
        ]

    def is_own(self, entry: Entry) -> bool:
        """Whether planes lie in the file that was opened."""
        if not entry.file and not entry.uuid:
            return True
        if self.uuid is not None and entry.uuid == self.uuid:
            return True
        return entry.file.casefold() == self.path.name.casefold()


def described(path: Path) -> OmeSet | None:
    """Read the metadata of a file, or those in the file that it refers to."""
    xml = description(path)
    if not xml:
        return None
    root = ome_xml.tree(xml)
    uuid = root.get("UUID")
    only = root.find("{*}BinaryOnly")
    if only is None:
        return OmeSet(path, xml, root, uuid, None)
    name = only.get("MetadataFile", "")
    companion = beside(path, name, "its metadata")
    if companion is None:
        raise InputError(f"{name} is missing, which holds the metadata of this file")
    xml = description(companion) or _text(companion)
    root = ome_xml.tree(xml)
    wanted, is_uuid = only.get("UUID"), root.get("UUID")
    if wanted and is_uuid and wanted != is_uuid:
        raise InputError(f"{name} holds the metadata of other files: its UUID differs")
    return OmeSet(path, xml, root, uuid, companion)


def description(path: Path) -> str:
    """Return the OME-XML of a TIFF file, else ""."""
    require_regular(path)
    try:
        with silence(), tifffile.TiffFile(path) as tif:
            return tif.ome_metadata or ""
    except Exception:  # noqa: BLE001 - untrusted bytes; reading says what is wrong
        return ""


def _text(path: Path) -> str:
    return read_bytes(path, _LARGEST_COMPANION_BYTES).decode("utf-8", "replace")


def names_itself_only(found: OmeSet) -> bool:
    """Whether tifffile, which opens any file that is named, would open no other.

    It tells elements by the end of their names, wherever they stand.
    """
    if found.metadata_file is not None:
        return False
    named = [e for e in found.root.iter() if str(e.tag).endswith("UUID")]
    if found.uuid is not None:
        return all(element.text == found.uuid for element in named)
    own = found.path.name.lower()
    return len({element.text for element in named}) <= 1 and all(
        element.get("FileName", "").lower() == own for element in named
    )


def _read(pixels: Element) -> list[Entry]:
    """Read which planes of an image lie where.

    Raises
    ------
    InputError
        If a number is none.
    """
    entries = []
    for element in pixels.findall("{*}TiffData"):
        uuid = element.find("{*}UUID")
        count = element.get("PlaneCount", element.get("NumPlanes"))
        page = element.get("IFD")
        entries.append(
            Entry(
                file="" if uuid is None else uuid.get("FileName", ""),
                uuid="" if uuid is None else (uuid.text or "").strip(),
                page=None if page is None else whole(page),
                count=None if count is None else whole(count),
                first={a: whole(element.get(f"First{a}", "0")) for a in "TCZ"},
            )
        )
    return entries


def whole(text: str) -> int:
    """Return an untrusted number that counts something.

    Raises
    ------
    InputError
        If it is none, or has more than 18 digits.
    """
    if not re.fullmatch(r"\s*\d{1,18}\s*", text, re.ASCII):
        raise InputError(
            "the OME-XML of the file is damaged: no whole number", got=text
        )
    return int(text)


def beside(path: Path, name: str, what: str) -> Path | None:
    """Return the file of a name in the folder of another file; None if it is missing.

    Raises
    ------
    InputError
        If the name or a link leads out of the folder, or it is no regular file.
    """
    outside = InputError(
        f"the metadata name {name!r} for {what}: only files of the same folder are read"
    )
    if not is_plain_name(name):
        raise outside
    file = path.parent / name
    try:
        require_regular(file)
        real = file.resolve()
    except FileNotFoundError:
        return None
    if real.parent != path.parent.resolve():
        raise outside
    return file


def is_plain_name(name: str) -> bool:
    """Whether a name leads to no other folder, on any system."""
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\:\0")


def listed(names: Iterable[str]) -> str:
    """Return names for a message; the first ones, and how many more there are."""
    names = list(names)
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown

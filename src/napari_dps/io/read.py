"""A file in: its format is known by its first bytes, not by its name."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

from napari_dps.core import InputError
from napari_dps.io.dv import read_dv
from napari_dps.io.ngff import is_zarr, read_zarr
from napari_dps.io.raw import RawImage
from napari_dps.io.tiff import read_tiff
from napari_dps.io.vendor import MARKS, read_vendor

FORMATS = (
    "TIFF (OME, ImageJ, plain), DeltaVision (.dv, .mrc), OME-Zarr, Zeiss CZI, "
    "Nikon ND2, Leica LIF"
)

_TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DV_NUMBER, _DV_OFFSET = -16224, 96
"""Identification of DeltaVision files, in bytes 96 and 97 of the header."""

_MRC_MARK, _MRC_OFFSET = b"MAP ", 208

_FOREIGN = {
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"PK\x03\x04": "a ZIP archive",
    b"\x93NUMPY": "a NumPy array",
}


def read(path: str | os.PathLike[str], *, lazy: bool = False) -> RawImage:
    """Read a file as it is; see `load` for a stack with SIM axes.

    Parameters
    ----------
    path : path-like
        TIFF, DeltaVision, OME-Zarr, CZI, ND2 or LIF.
    lazy : bool
        Leave the pixels of compressed files unread too.

    Returns
    -------
    RawImage

    Raises
    ------
    InputError
        If the file is missing, empty, damaged or of another format.
    """
    path = Path(path)
    try:
        if path.is_dir():
            if is_zarr(path):
                return read_zarr(path, lazy)
            raise InputError(f"{path} is a folder", allowed=FORMATS)
        with path.open("rb") as file:
            head = file.read(1024)
        reader = _reader(head, path)
        return reader(path, lazy)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read {path}: {reason}") from error


def _reader(head: bytes, path: Path) -> Callable[[Path, bool], RawImage]:
    if not head:
        raise InputError(f"{path.name} is empty (0 bytes)")
    if head[:4] in _TIFF_MARKS:
        return read_tiff
    number = head[_DV_OFFSET : _DV_OFFSET + 2]
    if number in (struct.pack("<h", _DV_NUMBER), struct.pack(">h", _DV_NUMBER)):
        return read_dv
    if head[_MRC_OFFSET : _MRC_OFFSET + 4] == _MRC_MARK:
        raise InputError(
            f"{path.name} is an MRC map of an electron microscope", allowed=FORMATS
        )
    for mark, kind in MARKS.items():
        if head.startswith(mark):
            return partial(read_vendor, kind)
    for mark, kind in _FOREIGN.items():
        if head.startswith(mark):
            raise InputError(
                f"{path.name} is {kind}",
                allowed=f"{FORMATS}; Fiji with Bio-Formats exports OME-TIFF",
            )
    raise InputError(f"{path.name} is not an image file", allowed=FORMATS)

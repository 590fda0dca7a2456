"""A file in: its format is known by its first bytes, not by its name."""

from __future__ import annotations

import os
from pathlib import Path

from napari_dps.core import InputError
from napari_dps.core.files import open_regular
from napari_dps.io import dv, ngff, tiff, vendor
from napari_dps.io.raw import Format, RawImage, check_series

FORMATS: tuple[Format, ...] = (tiff.FORMAT, dv.FORMAT, ngff.FORMAT, *vendor.FORMATS)
"""All formats; the first that recognises a file reads it."""

_NAMES = ", ".join(file_format.name for file_format in FORMATS)

_HEAD_BYTES = 1024
_MRC_MARK, _MRC_OFFSET = b"MAP ", 208

_FOREIGN = {
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"PK\x03\x04": "a ZIP archive",
    b"\x93NUMPY": "a NumPy array",
}


def read(
    path: str | os.PathLike[str],
    *,
    lazy: bool = False,
    allow_missing: bool = False,
    series: int | None = None,
) -> RawImage:
    """Read a file as it is; see `load` for a stack with SIM axes.

    Parameters
    ----------
    path : path-like
        A file, or the folder of an OME-Zarr; see `FORMATS`.
    lazy : bool
        Leave the pixels unread.
    allow_missing : bool
        Fill pixels that the file lacks where its format tells which (chunks of an
        OME-Zarr); `RawImage.missing` says how many.

    series : int, optional
        Number of the image, from 0, in a file that holds several: series, scene,
        position. Default: the first, with a warning.

    Returns
    -------
    RawImage

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, incomplete, of another format, or no
        file but a pipe, a device or a socket.
    """
    path = Path(path)
    try:
        head = b"" if path.is_dir() else _head(path)
        for file_format in FORMATS:
            if file_format.recognises(path, head):
                raw = _read_by(file_format, path, lazy, series)
                break
        else:
            raise _refusal(path, head)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read {path}: {reason}") from error
    if raw.missing and not allow_missing:
        raise InputError(
            f"{path.name}: {raw.missing}; filled in only if that is allowed",
            field="input.allow_missing",
        )
    return raw


def _read_by(
    file_format: Format, path: Path, lazy: bool, series: int | None
) -> RawImage:
    if series is None:
        return file_format.read(path, lazy)
    if file_format.read_series is not None:
        return file_format.read_series(path, lazy, series)
    check_series(series, 1)
    return file_format.read(path, lazy)


def _head(path: Path) -> bytes:
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise InputError(f"{path.name} is empty (0 bytes)")
    return head


def _refusal(path: Path, head: bytes) -> InputError:
    """Say what a file is that no format recognises."""
    if path.is_dir():
        return InputError(f"{path} is a folder", allowed=_NAMES)
    if head[_MRC_OFFSET : _MRC_OFFSET + 4] == _MRC_MARK:
        return InputError(
            f"{path.name} is an MRC map of an electron microscope", allowed=_NAMES
        )
    for mark, kind in _FOREIGN.items():
        if head.startswith(mark):
            return InputError(
                f"{path.name} is {kind}",
                allowed=f"{_NAMES}; Fiji with Bio-Formats exports OME-TIFF",
            )
    return InputError(f"{path.name} is not an image file", allowed=_NAMES)

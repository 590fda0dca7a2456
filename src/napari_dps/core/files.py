"""Files that are safe to open: no pipes, devices or sockets, of bounded size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from napari_dps.core.errors import InputError

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def require_regular(path: str | os.PathLike[str]) -> os.stat_result:
    """Refuse what is no regular file, which could block for ever when it is opened.

    Parameters
    ----------
    path : path-like
        Links are followed.

    Returns
    -------
    os.stat_result

    Raises
    ------
    InputError
        If it is a pipe, a device, a socket, a folder, or a link that leads in a circle.
    OSError
        If it is missing or must not be read.
    """
    name = Path(path).name or os.fspath(path)
    try:
        status = os.stat(path)
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"no such file: {os.fspath(path)!r}") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{name} is a link that leads in a circle") from error
        raise
    _refuse_special(status, name)
    return status


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file to read bytes; never waits for a writer.

    Raises
    ------
    InputError, OSError
        As `require_regular`.
    """
    require_regular(path)
    # What is at the name may have changed since: neither is this call to wait.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _refuse_special(os.fstat(file.fileno()), Path(path).name)
    except InputError:
        file.close()
        raise
    return file


def read_bytes(path: str | os.PathLike[str], largest: int) -> bytes:
    """Read all of a regular file.

    Parameters
    ----------
    path : path-like
        The file.
    largest : int
        Its bytes at most.

    Raises
    ------
    InputError
        If it is larger; and as `require_regular`.
    OSError
        If it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise InputError(
            f"{Path(path).name} is too large: more than {largest} bytes",
        )
    return content


def _refuse_special(status: os.stat_result, name: str) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "something else")
        raise InputError(f"{name} is {what}, no file")

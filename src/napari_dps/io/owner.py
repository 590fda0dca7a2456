"""Whose a temporary file is, and whether the process that made it is gone."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
from functools import cache
from pathlib import Path

MARK = "[0-9a-f]{8}-[0-9a-f]+-[0-9a-f]+"
"""What `process_mark` returns, as a regular expression."""

_TEMPORARY = re.compile(
    rf"\..*\.(?P<mark>{MARK})\.[0-9a-f]{{8}}\.(part|old)", re.DOTALL
)
_ABANDONED_S = 7 * 86400
"""Nobody can tell whether a process of another machine still runs: what has not changed
for so long is of none."""


def process_mark() -> str:
    """Return a name for this process that no other one has, here or elsewhere."""
    return f"{_machine()}-{os.getpid():x}-{_start_of(os.getpid()) or 0:x}"


def is_gone(mark: str) -> bool | None:
    """Whether the process of a mark has ended; None where that cannot be told."""
    machine, pid, start = mark.split("-")
    if machine != _machine():
        return None
    found = _start_of(int(pid, 16))
    return None if found is None else found != int(start, 16)


def remove_stale(folder: Path) -> None:
    """Remove what runs that were killed have left half-written in a folder.

    Parameters
    ----------
    folder : Path
        Not those below it; it may be missing.
    """
    try:
        names = [name for name in os.listdir(folder) if _TEMPORARY.fullmatch(name)]
    except OSError:
        return
    for name in names:
        found = _TEMPORARY.fullmatch(name)
        if found is not None and is_abandoned(folder / name, found["mark"]):
            remove_all(folder / name)


def is_abandoned(path: Path, mark: str) -> bool:
    """Whether a temporary file or folder is of a process that is gone."""
    gone = is_gone(mark)
    if gone is not None:
        return gone
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_S
    except OSError:
        return False


def remove_all(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """Return a name for this machine, or for the container, which counts anew."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _start_of(pid: int) -> int | None:
    """Return when a process began, -1 if there is none; None where nothing tells.

    Numbers of processes come again; the time of the start tells them apart.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return -1 if Path("/proc/self/stat").exists() else _is_running(pid)
    except OSError:
        return None
    # A process that has ended and that nobody has asked for is no longer there.
    state, *fields = status.rpartition(b")")[2].split()
    return -1 if state in (b"Z", b"X") else int(fields[18])


def _is_running(pid: int) -> int | None:
    if os.name == "nt":  # where the signal 0 would end it
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return -1
    except OSError:
        return 0
    return 0

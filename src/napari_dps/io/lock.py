"""One writer at a time, of all processes; the lock of one that died is free."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class Lock:
    """A lock on a name in a folder that several processes may write into.

    The system gives it back when a process ends, however that happens. Where a file
    system has no locks, and on Windows, nothing is locked.

    Parameters
    ----------
    path : Path
        A hidden file, which is there while someone has the lock.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, second = (Lock(Path(folder) / ".lock") for _ in range(2))
    ...     print(first.take(), second.take())
    ...     first.give_back()
    ...     with second:
    ...         print(second.take(), first.take())
    True False
    True False
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, -1

    def take(self) -> bool:
        """Take the lock, if nobody else has it; whether it is ours."""
        while self._file < 0:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            if not _lock(file):
                os.close(file)
                return False
            if _is_at(file, self._path):
                self._file = file
            else:  # the one before has removed its file in between
                os.close(file)
        return True

    def give_back(self) -> None:
        """Let others have it."""
        if self._file >= 0:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Lock:
        """Give the lock back at the end, if it was taken."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        self.give_back()


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except OSError:
        return False


def _lock(file: int) -> bool:
    """Lock a file, or say that another has locked it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks here
        return True
    return True

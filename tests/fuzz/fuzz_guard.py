"""What untrusted input may cost, and what may come of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from napari_dps.core import NapariDpsError

LONGEST_S = 10.0
ALLOWED_BYTES = 2**30
"""More than four times the input."""

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class TakesTooLong(BaseException):
    """Raised in the midst of it; no handler of errors catches it."""


def checked(task: Callable[[], object], size: int) -> bool:
    """Run a task that reads an input of a size in bytes; whether it accepted it.

    Anything but a result or an error for the user, more than 10 s, and more memory
    than four times the input and 1 GB are failures.
    """
    before = _reset_peak()
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    start, message = time.monotonic(), "accepted"
    try:
        task()
        is_accepted = True
    except NapariDpsError as error:
        is_accepted, message = False, str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert message.strip(), "an error without a message"
    assert time.monotonic() - start < LONGEST_S
    used = _peak() - before
    assert used < 4 * size + ALLOWED_BYTES, f"{used} bytes for an input of {size}"
    return is_accepted


def _stop(number: int, frame: FrameType | None) -> None:
    raise TakesTooLong


def _reset_peak() -> int:
    """Start to measure the most memory that is used; only Linux tells it."""
    if not _RESET.exists():
        return 0
    _RESET.write_text("5")
    return _peak()


def _peak() -> int:
    if not _STATUS.exists():
        return 0
    line = next(x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

"""An end to the patience with parsers of other libraries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from napari_dps.core import InputError

T = TypeVar("T")

_LEAST_S = 8.0
_BYTES_A_SECOND = 1e7
"""What a parser looks at in a second at least, on a slow disk."""


def limited(path: Path, task: Callable[[], T]) -> T:
    """Run a task on a file in a thread; give up when it takes far too long.

    A damaged file can lead a parser round in a circle. The thread stays behind, and
    does not keep the process from ending.

    Parameters
    ----------
    path : Path
        The file: the larger, the longer a task may take.
    task : callable
        Without parameters.

    Returns
    -------
    object
        What the task returns; it may raise anything.

    Raises
    ------
    InputError
        If it is not done in time.

    Examples
    --------
    >>> limited(Path("."), lambda: 1)
    1
    """
    allowed = _LEAST_S + path.stat().st_size / _BYTES_A_SECOND
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome[:] = [True, task()]
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            outcome[:] = [False, error]

    thread = threading.Thread(target=run, name=f"opening {path.name}", daemon=True)
    thread.start()
    thread.join(allowed)
    if not outcome:
        raise InputError(f"it could not be read in {allowed:.0f} s: damaged?")
    is_done, value = outcome
    if not is_done:
        raise value
    done: T = value
    return done

"""One computation at a time in a thread of its own, which can be stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import closing
from typing import Generic, TypeVar

from napari_dps.core import Progress
from napari_dps.core.errors import explain

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Background(Generic[T]):
    """Runs a generator of `Progress` in a thread; its result waits to be taken.

    Attributes
    ----------
    taken : int
        Results that were taken so far.
    failure : str
        Why the last one failed; empty if it did not.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._found: T | None = None
        self.taken, self.failure = 0, ""

    @property
    def is_busy(self) -> bool:
        """Whether something is computed, or waits to be taken."""
        is_alive = self._thread is not None and self._thread.is_alive()
        return is_alive or self._found is not None

    def start(self, steps: Generator[Progress, None, T]) -> None:
        """Begin; call it only while nothing else goes on."""
        self.failure = ""
        self._thread = threading.Thread(target=self._run, args=(steps,), daemon=True)
        self._thread.start()

    def take(self) -> T | None:
        """Return the result, once; None while there is none."""
        found, self._found = self._found, None
        self.taken += found is not None
        return found

    def join(self) -> None:
        """Wait for the end."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Stop after the step at work, and wait for that."""
        self._stop.set()
        self.join()

    def _run(self, steps: Generator[Progress, None, T]) -> None:
        try:
            with closing(steps):
                while not self._stop.is_set():
                    try:
                        next(steps)
                    except StopIteration as end:
                        self._found = end.value
                        return
        except Exception as error:  # noqa: BLE001 - told, and logged
            _log.warning("a computation in the background failed", exc_info=error)
            self.failure = explain(error).text

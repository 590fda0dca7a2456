"""Work that reports nothing, beside a generator that does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from napari_dps.core import Progress

T = TypeVar("T")

PATIENCE_S = 0.3
"""How long is waited for news before the caller hears that all is going on."""


class Cancelled(Exception):
    """The generator was closed while the work went on."""


def beside(
    work: Callable[[Callable[[], None]], T], message: str
) -> Generator[Progress, None, T]:
    """Do some work in a thread of its own, and say in the meantime that it goes on.

    Parameters
    ----------
    work : callable
        Is given a function to call now and then, which raises `Cancelled` when the
        generator has been closed while the work went on.
    message : str
        What is being done.

    Yields
    ------
    Progress
        Often enough to be stopped at.

    Returns
    -------
    object
        What the work returned.

    Examples
    --------
    >>> from napari_dps.core import finish
    >>> finish(beside(lambda check: 6 * 7, "Thinking"))
    42
    """
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Cancelled

    with ThreadPoolExecutor(1) as runner:
        running = runner.submit(work, check)
        try:
            while not running.done():
                yield Progress(0, 1, message)
                wait([running], timeout=PATIENCE_S)
            return running.result()
        finally:
            if not running.done():  # what it returned may check once more, in peace
                stop.set()

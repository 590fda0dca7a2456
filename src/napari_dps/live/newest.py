"""A place for one thing between two threads: the newest wins, none waits behind it."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Holds the newest of what one thread puts in, for another that takes it out.

    Examples
    --------
    >>> place = Newest[str]()
    >>> for name in "abc":
    ...     place.put(name)
    >>> place.take(), place.take()
    (('c', 2), None)
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: tuple[T, int] | None = None

    def put(self, item: T, missed: int = 0) -> None:
        """Put something in place of what nobody has taken yet.

        Parameters
        ----------
        item : object
            The newest.
        missed : int
            How many came between the one before and this that were never put here.
        """
        with self._changed:
            skipped = 0 if self._held is None else self._held[1] + 1
            self._held = item, skipped + missed
            self._changed.notify()

    def take(self, wait_s: float = 0.0) -> tuple[T, int] | None:
        """Take the newest out.

        Parameters
        ----------
        wait_s : float
            How long to wait for one.

        Returns
        -------
        (object, int) or None
            The newest and how many it has overtaken; None if nothing came.
        """
        with self._changed:
            if self._held is None and wait_s > 0:
                self._changed.wait(wait_s)
            held, self._held = self._held, None
            return held

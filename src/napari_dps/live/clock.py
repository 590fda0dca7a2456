"""How fast a live view is, and what it leaves out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

_LATEST = 200
"""Sets that percentiles are taken of."""
_RATE_OF = 20
"""Sets that the present rate is taken of."""


@dataclass
class Clock:
    """Counts sets and their latencies; its memory does not grow.

    Attributes
    ----------
    done, skipped, failed : int
        Sets that have results; sets that a newer one overtook; sets that could not be
        computed.
    refreshes : int
        How often the patterns were looked at anew.
    now : callable
        Seconds; of a clock that never goes back.

    Examples
    --------
    >>> clock = Clock(now=iter([1.0, 1.5, 2.0]).__next__)
    >>> for latency_s in (0.1, 0.2, 0.3):
    ...     clock.add(latency_s, skipped=1)
    >>> clock.done, clock.skipped, clock.sets_per_s, clock.latency_s(50)
    (3, 3, 2.0, 0.2)
    """

    done: int = 0
    skipped: int = 0
    failed: int = 0
    refreshes: int = 0
    now: Callable[[], float] = time.monotonic
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=_RATE_OF))
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATEST))

    def add(self, latency_s: float, *, skipped: int = 0) -> None:
        """Count a set that has its result, and those skipped before it.

        Parameters
        ----------
        latency_s : float
            From its last frame to its result.
        skipped : int
            Sets that came between the last one and this.
        """
        self.done += 1
        self.skipped += skipped
        self._ends.append(self.now())
        self._latencies.append(latency_s)

    @property
    def sets_per_s(self) -> float | None:
        """Results a second, of the latest of them; None before the second."""
        if len(self._ends) < 2 or self._ends[-1] <= self._ends[0]:
            return None
        return (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])

    def latency_s(self, percent: float) -> float | None:
        """Return a percentile of the latest latencies; None before the first."""
        if not self._latencies:
            return None
        return float(np.percentile(self._latencies, percent))

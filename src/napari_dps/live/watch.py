"""Sets of frames on the disk, computed as they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from napari_dps.core import InputError, Progress
from napari_dps.core.errors import Failure, explain
from napari_dps.io import Growing
from napari_dps.live.clock import Clock
from napari_dps.live.session import LiveSession
from napari_dps.pipeline import PipelineResult

POLL_S = 0.01
"""Between two looks at the disk while nothing is new."""


@dataclass(frozen=True, eq=False)
class Arrived:
    """A set that has its result, or none.

    Attributes
    ----------
    number : int
        Of the set, from 0.
    skipped : int
        Sets between the one before and this, which a newer one overtook.
    result : PipelineResult or None
        None where it failed.
    failure : Failure or None
        Why.
    """

    number: int
    skipped: int
    result: PipelineResult | None
    failure: Failure | None = None


def watch(
    source: Growing,
    session: LiveSession,
    put: Callable[[Arrived], None],
    *,
    tell: Callable[[Arrived, float], None] = lambda _, __: None,
    clock: Clock | None = None,
    count: int | None = None,
    until_idle_s: float | None = None,
) -> Generator[Progress, None, Clock]:
    """Compute the newest set whenever one is free, and never queue any.

    Of sets that are there at the start the newest is computed; those before it do not
    count as skipped.

    Parameters
    ----------
    source : Growing
        As `napari_dps.io.open_growing` returns it.
    session : LiveSession
        What computes.
    put : callable
        Given each set in the order of their arrival; the time that it takes counts for
        the latency.
    tell : callable
        Given each set and its latency in seconds, after it was put.
    clock : Clock, optional
        Counts sets and latencies.
    count : int, optional
        Ends after so many results.
    until_idle_s : float, optional
        Ends when no set has come for so long.

    Yields
    ------
    Progress

    Returns
    -------
    Clock

    Raises
    ------
    InputError
        If the first set does not fit the settings.
    """
    clock = Clock() if clock is None else clock
    yield from session.warm_up()
    following, heard = 0, time.monotonic()
    while count is None or clock.done < count:
        arrived = source.arrived()
        if arrived <= following:
            if until_idle_s is not None and time.monotonic() - heard > until_idle_s:
                break
            yield Progress(0, 1, f"waiting · {in_words(clock)}")
            time.sleep(POLL_S)
            continue
        number = arrived - 1
        skipped = number - following if following else 0
        written = source.newest_written
        arrival = yield from _computed(source, session, number, skipped, clock)
        clock.refreshes = session.refreshes
        put(arrival)
        latency_s = time.time() - written
        if arrival.result is not None:
            clock.add(latency_s, skipped=skipped)
        else:
            clock.failed += 1
            clock.skipped += skipped
        tell(arrival, latency_s)
        following, heard = arrived, time.monotonic()
        yield Progress(0, 1, in_words(clock))
    return clock


def _computed(
    source: Growing, session: LiveSession, number: int, skipped: int, clock: Clock
) -> Generator[Progress, None, Arrived]:
    """Compute a set; one that cannot be read, or fails after others, is told."""
    try:
        raw = source.read(number)
    except InputError as error:
        return Arrived(number, skipped, None, explain(error))
    try:
        result = yield from session.process(raw)
    except InputError as error:
        if not clock.done:
            raise
        return Arrived(number, skipped, None, explain(error))
    return Arrived(number, skipped, result)


def in_words(clock: Clock) -> str:
    """Say in a line how fast it goes.

    Examples
    --------
    >>> in_words(Clock())
    '0 sets'
    """
    parts = [f"{clock.done} sets"]
    rate, latency = clock.sets_per_s, clock.latency_s(50)
    if rate is not None:
        parts.append(f"{rate:.1f}/s")
    if latency is not None:
        parts.append(f"latency {latency:.2f} s")
    if clock.skipped:
        parts.append(f"{clock.skipped} skipped")
    if clock.failed:
        parts.append(f"{clock.failed} failed")
    if clock.refreshes:
        parts.append(f"patterns looked at {clock.refreshes}×")
    return " · ".join(parts)

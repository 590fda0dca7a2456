"""How a long computation reports where it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

T = TypeVar("T")

PART_TICKS = 100
"""Resolution of the progress inside one of several parts."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One progress report, yielded by a stage.

    Attributes
    ----------
    done, total : int
        Steps finished and steps in all, ``0 <= done <= total``.
    message : str
        What is being done, for a person.
    """

    done: int
    total: int
    message: str = ""

    def __post_init__(self) -> None:
        """Refuse a report that no progress bar could draw."""
        if not 0 <= self.done <= self.total:
            raise ValueError(f"progress {self.done} of {self.total}")


def finish(steps: Generator[Progress, None, T]) -> T:
    """Run a generator of `Progress` to its end and return its result.

    Parameters
    ----------
    steps : generator
        As returned by ``Stage.run`` or ``pipeline.run``.

    Returns
    -------
    object
        The value that the generator returned.
    """
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


def relay(
    steps: Generator[Progress, None, T],
    change: Callable[[Progress], Progress],
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Generator[Progress, None, T]:
    """Pass on the progress of a generator, changed, and return its result.

    Closing the relay closes the generator, so that a part can be stopped with the
    whole.

    Parameters
    ----------
    steps : generator
        A part of a longer computation.
    change : callable
        Turns a report of the part into one of the whole.
    around : callable
        Makes the context of each step, which ends before its report is passed on.

    Yields
    ------
    Progress

    Returns
    -------
    object
        The value that the generator returned.
    """
    with closing(steps):
        while True:
            with around():
                try:
                    report = next(steps)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
            yield change(report)


def within(
    steps: Generator[Progress, None, T], done: int, total: int
) -> Generator[Progress, None, T]:
    """Pass progress on as a part of a longer whole, ``done`` of which came before."""
    return relay(steps, lambda r: Progress(done + r.done, total, r.message))


def one_of(
    steps: Generator[Progress, None, T], number: int, count: int
) -> Generator[Progress, None, T]:
    """Pass progress on as one of parts that take equally long.

    Parameters
    ----------
    steps : generator
        The part.
    number, count : int
        Which of how many; from 0.
    """

    def change(report: Progress) -> Progress:
        done = PART_TICKS * report.done // max(report.total, 1)
        return Progress(number * PART_TICKS + done, count * PART_TICKS, report.message)

    return relay(steps, change)


def uncounted(steps: Generator[Progress, None, T]) -> Generator[Progress, None, T]:
    """Pass on what is said, and no progress: what counts begins after it."""
    return relay(steps, lambda report: replace(report, done=0))


def between(
    steps: Generator[Progress, None, T], start: int, stop: int
) -> Generator[Progress, None, T]:
    """Pass progress on as a part of a whole, where parts take unequally long.

    Parameters
    ----------
    steps : generator
        The part.
    start, stop : int
        Where in the whole it begins and ends, in per cent.

    Examples
    --------
    >>> halves = (Progress(done, 2) for done in range(3))
    >>> [report.done for report in between(halves, 10, 90)]
    [10, 50, 90]
    """

    def change(report: Progress) -> Progress:
        done = (stop - start) * report.done // max(report.total, 1)
        return Progress(start + done, 100, report.message)

    return relay(steps, change)

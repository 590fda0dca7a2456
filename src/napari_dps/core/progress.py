"""How a long computation reports where it is."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


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

"""Two tasks at a time, where torch's own threads would wait for each other.

Torch shares out every single operation to its threads. On two cores the many short
ones of an image of 512² gain little by that, and where another program works as well
each waits for a thread that has been put aside: they take up to ten times longer.
Whole tasks on threads of their own wait but once, and give the same pixels.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar, cast

from napari_dps.core.progress import Progress, relay

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
U = TypeVar("U")

TASKS = 2
"""At a time: more would need more memory."""
_FEW = 3
"""Threads up to which torch shares out nothing but what `on_all_threads` does."""


class _Threads(threading.local):
    """Of the steps at work on a thread; 1: tasks are done one by one."""

    count = 1


_threads = _Threads()


def in_tasks(
    steps: Generator[Progress, None, T], device: torch.device
) -> Generator[Progress, None, T]:
    """Run steps whose tasks `at_once` does, on as many threads as torch has.

    Parameters
    ----------
    steps : generator
        Whose results do not depend on the number of threads.
    device : torch.device
        Of their tensors; all but the CPU share out the work themselves.

    Yields
    ------
    Progress

    Returns
    -------
    object
        The value that the generator returned.
    """
    # Never across a yield: the caller's operations are its own affair.
    return relay(steps, lambda report: report, partial(_in_tasks, device))


def at_once(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield the results of tasks in their order, `TASKS` of them done at a time.

    Parameters
    ----------
    tasks : iterable of callable
        That need nothing of one another. Outside of `in_tasks` they are done one by
        one.

    Examples
    --------
    >>> list(at_once(lambda n=n: n * n for n in range(3)))
    [0, 1, 4]
    """
    remaining, count = iter(tasks), _threads.count
    if count < TASKS:
        for task in remaining:
            yield task()
        return
    pool = _pool(count // TASKS)
    while some := list(islice(remaining, TASKS)):
        if len(some) == 1:
            yield some[0]()  # with all threads for the tasks in it
            return
        others: list[Future[T]] = [pool.submit(task) for task in some[1:]]
        try:
            with _torch_threads(count // TASKS):
                _threads.count = 1
                first = some[0]()
        finally:
            _threads.count = count
            wait(others)
        yield first
        for other in others:
            yield other.result()


def both(one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
    """Return the results of two tasks of different kinds; see `at_once`.

    Examples
    --------
    >>> both(lambda: 1, lambda: "b")
    (1, 'b')
    """
    first, second = at_once((one, other))
    return cast("tuple[T, U]", (first, second))


def threads_at_hand() -> int:
    """Return how many threads the work of this thread may take, for others than torch.

    Examples
    --------
    >>> threads_at_hand() >= 1
    True
    """
    return max(_threads.count, _now()) if "torch" in sys.modules else 1


@contextmanager
def on_all_threads() -> Iterator[None]:
    """Let torch share out operations to all threads: a few that take long."""
    with _torch_threads(threads_at_hand()):
        yield


@contextmanager
def _in_tasks(device: torch.device) -> Iterator[None]:
    """Let `at_once` have the threads of torch."""
    before, count = _threads.count, _now()
    if device.type != "cpu" or count < TASKS:
        yield
        return
    _threads.count = count
    try:
        with _torch_threads(count if count > _FEW else 1):
            yield
    finally:
        _threads.count = before


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Give the operations of this thread so many threads."""
    import torch

    before = _now()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _now() -> int:
    import torch

    return torch.get_num_threads()


@lru_cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return what does all tasks but the first, so many threads each."""
    import torch

    return ThreadPoolExecutor(
        TASKS - 1, "task", initializer=torch.set_num_threads, initargs=(threads,)
    )

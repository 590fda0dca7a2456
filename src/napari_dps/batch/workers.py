"""Who does the tasks of a batch: threads of this process, or a cluster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from napari_dps.batch.cluster import gone
from napari_dps.core import Progress, finish
from napari_dps.core.beside import PATIENCE_S, Cancelled
from napari_dps.core.errors import Failure, explain

Work = Callable[[], Generator[Progress, None, Any]]
"""A task that can be sent to another process."""

_log = logging.getLogger(__name__)


def reason_of(problem: BaseException) -> Failure:
    """Return what a person is told of an error; the log has its traceback."""
    _log.debug("a task has failed", exc_info=problem)
    return explain(problem)


def result_of(future: Future[Any]) -> Any:
    """Return what a task has given, or why it has not."""
    try:
        return future.result()
    except Exception as problem:  # noqa: BLE001 - told in the table
        reason = str(problem) or "the connection to the scheduler is lost"
        return gone(f"the workers did not finish it: {reason}")


class Monitor:
    """What tasks in threads of this process say, and whether they are to stop.

    Whoever says something waits until the caller of the batch has heard it: so none
    goes on after the caller has stopped the batch.
    """

    def __init__(self) -> None:
        self.said: dict[int, Progress] = {}
        self._turn = threading.Condition()
        self._has_news = self._is_stopped = False
        self._times_told = 0

    def watch(self, work: Work, number: int) -> Any:
        """Do a task of an input to its end, or until it is to stop."""
        with closing(work()) as steps:
            while not self._is_stopped:
                try:
                    report = next(steps)
                except StopIteration as end:
                    return end.value
                with self._turn:
                    self.said[number], before = report, self._times_told
                    self.wake()
                    while self._times_told == before and not self._is_stopped:
                        self._turn.wait()
            raise Cancelled

    def wake(self) -> None:
        """Say that there is news."""
        with self._turn:
            self._has_news = True
            self._turn.notify_all()

    def wait(self) -> None:
        """Wait a little for news."""
        with self._turn:
            self._turn.wait_for(lambda: self._has_news, PATIENCE_S)
            self._has_news = False

    def told(self, *, stop: bool = False) -> None:
        """Let all go on, or stop."""
        with self._turn:
            self._times_told += 1
            self._is_stopped = stop
            self._turn.notify_all()


def do(work: Work, number: int, monitor: Monitor | None) -> Any:
    """Do a task, wherever that is."""
    try:
        return finish(work()) if monitor is None else monitor.watch(work, number)
    except Exception as problem:  # noqa: BLE001 - told in the table
        return reason_of(problem)


@dataclass(frozen=True)
class Workers:
    """Who does the tasks: an executor, how many it does at once, what is heard of it.

    Only threads of this process can be listened to.
    """

    executor: Executor
    count: Callable[[], int]
    monitor: Monitor | None = None
    failure: Callable[[], Failure | None] = lambda: None

    def submit(self, work: Work, number: int) -> Future[Any]:
        """Give a task of an input to one of them."""
        try:
            future = self.executor.submit(do, work, number, self.monitor)
        except RuntimeError as problem:  # of a cluster that is gone
            future = Future()
            future.set_exception(problem)
        if (monitor := self.monitor) is not None:
            future.add_done_callback(lambda _: monitor.wake())
        return future

    def ended(self, waiting: Iterable[Future[Any]]) -> set[Future[Any]]:
        """Wait a little for news; return the tasks that have ended."""
        if self.monitor is not None:
            self.monitor.wait()
            return wait(waiting, 0).done
        return wait(waiting, PATIENCE_S, return_when=FIRST_COMPLETED).done

    def share(self, number: int) -> float:
        """Return how much of the running task of an input is done."""
        report = self.monitor.said.get(number) if self.monitor is not None else None
        return 0.0 if report is None else report.done / max(report.total, 1)

    def message(self, number: int) -> str:
        """Return what is going on, to follow the name of an input."""
        if self.monitor is None:
            return f", {self.count()} workers"
        report = self.monitor.said.get(number)
        return f": {report.message}" if report is not None and report.message else ""

    def forget(self, number: int) -> None:
        """Forget what was said of a task that has ended."""
        if self.monitor is not None:
            self.monitor.said.pop(number, None)

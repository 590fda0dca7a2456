"""A batch: all inputs through all steps, by an executor of threads or of a cluster."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_dps.batch.beside import PATIENCE_S, Cancelled
from napari_dps.batch.job import Job, Source, blocks, units
from napari_dps.batch.store import remove_others, stored
from napari_dps.batch.work import begin, check_names, complete, opened, run_block, whole
from napari_dps.core import InputError, Progress, finish
from napari_dps.core.errors import Failure, explain
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline import read_patterns
from napari_dps.pipeline.units import Span
from napari_dps.results import Row, failed_row, finished_row

if TYPE_CHECKING:
    import distributed

Put = Callable[[int, Row], None]
Work = Callable[[], Generator[Progress, None, Any]]
"""A task that can be sent to another process."""
Course = Generator[list[Work], list[Any], Row]

_log = logging.getLogger(__name__)

_CONNECT_S = 15


def reason_of(problem: BaseException) -> Failure:
    """Return what a person is told of an error; the log has its traceback."""
    _log.debug("a task has failed", exc_info=problem)
    return explain(problem)


def run_batch(
    job: Job,
    sources: Sequence[Source],
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    tell: Callable[[Row], None] = lambda row: None,
) -> Generator[Progress, None, list[Row]]:
    """Run all steps on all inputs; one that fails never stops the others.

    Close the generator to stop: blocks that are done stay, and a job with ``resume``
    goes on from them.

    Parameters
    ----------
    job : Job
        What is asked, the same for all.
    sources : sequence of Source
        The inputs.
    jobs : int
        Tasks at once in threads of this process.
    scheduler : str, optional
        Address of a dask scheduler whose workers do it; they must see the same files.
    tell : callable
        Is given the row of each input as soon as that is finished.

    Yields
    ------
    Progress
        Over all inputs.

    Returns
    -------
    list of dict
        A row an input, in their order; see `napari_dps.results.table` for ``status``.

    Raises
    ------
    InputError
        If the scheduler cannot be reached, or a file of patterns cannot be read.
    """
    job = replace(job, settings=read_patterns(job.settings))
    rows: dict[int, Row] = {}

    def put(number: int, row: Row) -> None:
        rows[number] = row
        tell(row)

    inputs = yield from _plan(job, sources, put)
    with _workers(jobs, scheduler) as workers:
        yield from _run(inputs, workers, put)
    return [rows[number] for number in range(len(sources))]


def _plan(
    job: Job, sources: Sequence[Source], put: Put
) -> Generator[Progress, None, list[_Input]]:
    """Open each input once: what cannot be read is told before any time is spent."""
    inputs = []
    for number, source in enumerate(sources):
        yield Progress(0, 1, f"Opening {source.path.name}")
        try:
            plan = opened(job, source)
            check_names(plan, source)
            if not job.resume:
                remove_others(source.files)
        except Exception as problem:  # noqa: BLE001 - told; the others go on
            put(number, failed_row(source.path, reason_of(problem)))
        else:
            spans = () if units(plan) == 1 else blocks(plan)
            course = _course(job, source, spans)
            inputs.append(_Input(number, source, spans, course))
    return inputs


def _course(job: Job, source: Source, spans: Sequence[Span]) -> Course:
    """Yield the tasks of an input that may be done at once; is sent their results.

    Without blocks the input is a single unit, and one task.
    """
    if spans:
        (begun,) = yield [partial(begin, job, source)]
        yield [partial(run_block, job, source, begun, span) for span in spans]
        (report,) = yield [partial(complete, job, source, begun)]
    else:
        ((begun, report),) = yield [partial(whole, job, source)]
    return finished_row(source.path, report, was_done=begun.report is not None)


@dataclass(eq=False)
class _Input:
    """An input on its way.

    Attributes
    ----------
    number, source, spans
        Its place among the inputs, where it lies, its blocks of time points.
    course : generator
        As of `_course`.
    left, ended : int
        Tasks of the present step that have not ended; tasks of all steps that have.
    results : list
        Of the tasks of the present step.
    failure : Failure or None
        Of the first task that failed.
    """

    number: int
    source: Source
    spans: tuple[Span, ...]
    course: Course
    left: int = 0
    ended: int = 0
    results: list[Any] = field(default_factory=list)
    failure: Failure | None = None

    @property
    def tasks(self) -> int:
        """How many tasks it is in all."""
        return len(self.spans) + 2 if self.spans else 1

    def take(self, found: Any) -> None:
        """Take the result of a task, or why it has none."""
        self.left -= 1
        self.ended += 1
        if isinstance(found, Failure):
            self.failure = self.failure or found
        else:
            self.results.append(found)

    def next_works(self, put: Put) -> list[Work]:
        """Return what comes when a step has ended; without any the row is put."""
        row = None
        if self.failure is not None:
            row = self._failed(self.failure)
        else:
            results, self.results = self.results, []
            try:
                works = self.course.send(results) if self.ended else next(self.course)
            except StopIteration as end:
                row = end.value
        if row is not None:
            put(self.number, row)
            return []
        self.left = len(works)
        return works

    def _failed(self, failure: Failure) -> Row:
        """Return the row of a failure, and keep what is done."""
        store = stored(self.source.files)
        kept = sum(store.has(span) for span in self.spans) if store is not None else 0
        if kept:
            more = f" ({kept} of {len(self.spans)} blocks are kept to resume from)"
            failure = replace(failure, detail=failure.detail + more)
        else:
            remove_others(self.source.files)
        return failed_row(self.source.path, failure)


def _run(
    inputs: Sequence[_Input], workers: _Workers, put: Put
) -> Generator[Progress, None, None]:
    """Give the tasks to the workers: an input that is begun goes before the next."""
    ready = deque((one, work) for one in inputs for work in one.next_works(put))
    waiting: dict[Future[Any], _Input] = {}
    total, done = len(inputs) * PART_TICKS, 0
    try:
        while ready or waiting:
            # Those who have more than they can do at once no longer take what is next.
            while ready and len(waiting) < max(workers.count(), 1):
                one, work = ready.popleft()
                waiting[workers.submit(work, one.number)] = one
            ended = workers.ended(waiting)
            shares = sum((n.ended + workers.share(n.number)) / n.tasks for n in inputs)
            done = max(done, min(int(shares * PART_TICKS), total))
            one = next(iter(waiting.values()))
            place = f"{inputs.index(one) + 1} of {len(inputs)}, " * (len(inputs) > 1)
            message = workers.message(one.number)
            yield Progress(done, total, f"{place}{one.source.files.name}{message}")
            if workers.monitor is not None:
                workers.monitor.told()
            for future in ended:
                one = waiting.pop(future)
                workers.forget(one.number)
                one.take(_result_of(future))
                if one.failure is not None:
                    rest = deque(task for task in ready if task[0] is not one)
                    one.left -= len(ready) - len(rest)
                    ready = rest
                if not one.left:
                    works = one.next_works(put)
                    ready.extendleft((one, work) for work in reversed(works))
    finally:
        for future in waiting:
            future.cancel()
    yield Progress(total, total, "Done")


def _result_of(future: Future[Any]) -> Any:
    try:
        return future.result()
    except Exception as problem:  # noqa: BLE001 - told in the table
        return Failure(f"workers were lost: {problem}", kind="fault")


class _Monitor:
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


def _do(work: Work, number: int, monitor: _Monitor | None) -> Any:
    """Do a task, wherever that is."""
    try:
        return finish(work()) if monitor is None else monitor.watch(work, number)
    except Exception as problem:  # noqa: BLE001 - told in the table
        return reason_of(problem)


@dataclass(frozen=True)
class _Workers:
    """Who does the tasks: an executor, how many it does at once, what is heard of it.

    Only threads of this process can be listened to.
    """

    executor: Executor
    count: Callable[[], int]
    monitor: _Monitor | None = None

    def submit(self, work: Work, number: int) -> Future[Any]:
        """Give a task of an input to one of them."""
        future = self.executor.submit(_do, work, number, self.monitor)
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


@contextmanager
def _workers(jobs: int, scheduler: str | None) -> Iterator[_Workers]:
    """Lend threads of this process, or the workers of a dask scheduler."""
    if scheduler is not None:
        with _client(scheduler) as client:
            executor = client.get_executor(pure=False)
            yield _Workers(executor, lambda: sum(client.nthreads().values()))
        return
    monitor = _Monitor()
    with ThreadPoolExecutor(jobs) as executor:
        try:
            yield _Workers(executor, lambda: jobs, monitor)
        finally:
            monitor.told(stop=True)


def _client(scheduler: str) -> distributed.Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "a cluster needs dask.distributed", allowed="pip install distributed"
        ) from error
    try:
        return Client(scheduler, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise InputError(
            field="scheduler",
            got=scheduler,
            allowed="the address of one, tcp://HOST:PORT",
        ) from error

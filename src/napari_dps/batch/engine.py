"""A batch: all inputs through all steps, by an executor of threads or of a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    Future,
    ThreadPoolExecutor,
)
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_dps import io
from napari_dps.batch.cluster import Cluster, addresses, quiet
from napari_dps.batch.job import Job, Source, blocks, units
from napari_dps.batch.store import new_owner, release, remove_left, stored
from napari_dps.batch.work import begin, check_names, complete, opened, run_block, whole
from napari_dps.batch.workers import Monitor, Work, Workers, reason_of, result_of
from napari_dps.core import InputError, Progress
from napari_dps.core.errors import Failure
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline import read_patterns
from napari_dps.pipeline.units import Span
from napari_dps.results import Row, failed_row, finished_row

if TYPE_CHECKING:
    import distributed

Put = Callable[[int, Row], None]
Course = Generator[list[Work], list[Any], Row]
Tasks = deque[tuple["_Input", Work]]

_CONNECT_S = 15


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
    owner = new_owner()
    job = replace(job, settings=read_patterns(job.settings), owner=owner)
    rows: dict[int, Row] = {}

    def put(number: int, row: Row) -> None:
        rows[number] = row
        tell(row)

    inputs = yield from _plan(job, sources, put)
    try:
        with _workers(jobs, scheduler) as workers:
            yield from _run(inputs, workers, put)
    finally:
        for source in sources:
            release(source.files, owner)
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
            io.remove_stale(source.files.folder)
            release(source.files)
            if not job.resume:
                remove_left(source.files)
        except Exception as problem:  # noqa: BLE001 - told; the others go on
            put(number, failed_row(source.path, reason_of(problem)))
        else:
            spans = () if units(plan) == 1 else blocks(plan)
            course = _course(job, source, spans)
            inputs.append(_Input(number, source, spans, course, job.owner))
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
    owner : str
        The run.
    left, ended : int
        Tasks of the present step that have not ended; tasks of all steps that have.
    results : list
        Of the tasks of the present step.
    failure : Failure or None
        Of the first task that failed.
    is_told : bool
        Whether its row was put.
    """

    number: int
    source: Source
    spans: tuple[Span, ...]
    course: Course
    owner: str
    left: int = 0
    ended: int = 0
    results: list[Any] = field(default_factory=list)
    failure: Failure | None = None
    is_told: bool = False

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
            self.is_told = True
            put(self.number, row)
            return []
        self.left = len(works)
        return works

    def without_rest(self, ready: Tasks) -> Tasks:
        """Return the tasks that are ready but for those of this input."""
        rest = deque(task for task in ready if task[0] is not self)
        self.left -= len(ready) - len(rest)
        return rest

    def give_up(self, failure: Failure, put: Put) -> None:
        """Put the row of a failure, unless the input has one."""
        if not self.is_told:
            self.is_told = True
            put(self.number, self._failed(failure))

    def _failed(self, failure: Failure) -> Row:
        """Return the row of a failure, and keep what is done."""
        store = stored(self.source.files, self.owner)
        kept = sum(store.has(span) for span in self.spans) if store is not None else 0
        if kept:
            more = f" ({kept} of {len(self.spans)} blocks are kept to resume from)"
            failure = replace(failure, detail=failure.detail + more)
        elif store is not None:
            store.remove()
        return failed_row(self.source.path, failure)


def _run(
    inputs: Sequence[_Input], workers: Workers, put: Put
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
            if (failure := workers.failure()) is not None:
                for one in inputs:
                    one.give_up(failure, put)
                return
            for future in ended:
                one = waiting.pop(future)
                workers.forget(one.number)
                one.take(result_of(future))
                if one.failure is not None:
                    ready = one.without_rest(ready)
                if not one.left:
                    works = one.next_works(put)
                    ready.extendleft((one, work) for work in reversed(works))
    finally:
        for future in waiting:
            future.cancel()
    yield Progress(total, total, "Done")


@contextmanager
def _workers(jobs: int, scheduler: str | None) -> Iterator[Workers]:
    """Lend threads of this process, or the workers of a dask scheduler."""
    if scheduler is not None:
        with quiet(), _client(scheduler) as client:
            executor = client.get_executor(pure=False)
            cluster = Cluster(client)
            yield Workers(executor, cluster.threads, failure=cluster.failure)
        return
    monitor = Monitor()
    with ThreadPoolExecutor(jobs) as executor:
        try:
            yield Workers(executor, lambda: jobs, monitor)
        finally:
            monitor.told(stop=True)


def _client(scheduler: str) -> distributed.Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            'a cluster needs dask.distributed: pip install "napari-dps[distributed]"'
        ) from error
    try:
        # Not the process's default client: the lazy layers of a viewer in this process
        # are computed here, not by this batch's workers.
        return Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            field="scheduler", got=scheduler, allowed=addresses(scheduler)
        ) from error

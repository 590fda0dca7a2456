"""A batch: all inputs through all steps, here, in threads or on a cluster."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from napari_dps.batch.beside import PATIENCE_S, Cancelled
from napari_dps.batch.job import Job, Source, blocks, open_source
from napari_dps.batch.store import remove_others, stored
from napari_dps.batch.work import Begun, begin, complete, run_block
from napari_dps.core import InputError, Progress, finish, one_of, relay
from napari_dps.core.errors import Failure, explain
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline import read_patterns
from napari_dps.pipeline.units import Span
from napari_dps.results import Json, Row, failed_row, finished_row

if TYPE_CHECKING:
    import distributed

T = TypeVar("T")

_log = logging.getLogger(__name__)

_CONNECT_S = 15


@dataclass(frozen=True)
class Planned:
    """An input and the blocks of time points that it is cut into."""

    number: int
    source: Source
    spans: tuple[Span, ...]


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
        Tasks at once in threads of this process (dask's threaded scheduler).
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

    plans = yield from _plan(job, sources, put)
    if scheduler is not None:
        running = _on_cluster(job, plans, scheduler, put)
    elif jobs > 1:
        running = _in_threads(job, plans, jobs, put)
    else:
        running = _here(job, plans, put)
    yield from running
    return [rows[number] for number in range(len(sources))]


Put = Callable[[int, Row], None]


def _plan(
    job: Job, sources: Sequence[Source], put: Put
) -> Generator[Progress, None, list[Planned]]:
    """Open each input once: what cannot be read is told before any time is spent."""
    plans = []
    for number, source in enumerate(sources):
        yield Progress(0, 1, f"Opening {source.path.name}")
        try:
            spans = blocks(open_source(job, source.path))
            if not job.resume:
                remove_others(source.files)
        except Exception as problem:  # noqa: BLE001 - told; the others go on
            put(number, failed_row(source.path, reason_of(problem)))
        else:
            plans.append(Planned(number, source, spans))
    return plans


def _here(
    job: Job, plans: Sequence[Planned], put: Put
) -> Generator[Progress, None, None]:
    """Run one task after the other in this thread."""
    total = len(plans) * PART_TICKS
    for place, plan in enumerate(plans):

        def change(
            report: Progress, place: int = place, plan: Planned = plan
        ) -> Progress:
            done = PART_TICKS * report.done // max(report.total, 1)
            name = plan.source.files.name
            which = f"{place + 1} of {len(plans)}, {name}" if len(plans) > 1 else name
            message = f"{which}: {report.message}" if report.message else which
            return Progress(place * PART_TICKS + done, total, message)

        try:
            begun, report = yield from relay(_all_tasks(job, plan), change)
        except Exception as problem:  # noqa: BLE001 - told; the others go on
            put(plan.number, _failed(plan, reason_of(problem)))
        else:
            done_before = begun.report is not None
            put(
                plan.number,
                finished_row(plan.source.path, report, was_done=done_before),
            )
    yield Progress(total, total, "Done")


def _all_tasks(
    job: Job, plan: Planned
) -> Generator[Progress, None, tuple[Begun, Json]]:
    """Begin an input, compute its blocks, complete it."""
    count = len(plan.spans) + 2
    begun = yield from one_of(begin(job, plan.source), 0, count)
    for number, span in enumerate(plan.spans, 1):
        block = run_block(job, plan.source, begun, span)
        yield from one_of(block, number, count)
    report = yield from one_of(complete(job, plan.source, begun), count - 1, count)
    return begun, report


def _failed(plan: Planned, failure: Failure) -> Row:
    """Return the row of an input that failed, and keep what is done of it."""
    store = stored(plan.source.files)
    kept = sum(store.has(span) for span in plan.spans) if store is not None else 0
    if kept:
        more = f" ({kept} of {len(plan.spans)} blocks are kept to resume from)"
        failure = replace(failure, detail=failure.detail + more)
    else:
        remove_others(plan.source.files)
    return failed_row(plan.source.path, failure)


class _Monitor:
    """What tasks in threads say, and whether they are to stop."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.said: queue.SimpleQueue[tuple[int, int, str]] = queue.SimpleQueue()
        self.rows: queue.SimpleQueue[tuple[int, Row]] = queue.SimpleQueue()

    def watch(self, steps: Generator[Progress, None, T], plan: Planned) -> T:
        """Run a task to its end, or until it is to stop."""
        with closing(steps):
            while True:
                if self.stop.is_set():
                    raise Cancelled
                try:
                    report = next(steps)
                except StopIteration as end:
                    result: T = end.value
                    return result
                self.said.put((plan.number, 0, report.message))


def _watched(
    steps: Generator[Progress, None, T], plan: Planned, monitor: _Monitor | None
) -> T:
    return finish(steps) if monitor is None else monitor.watch(steps, plan)


def _begin(job: Job, plan: Planned, monitor: _Monitor | None) -> Begun | Failure:
    try:
        return _watched(begin(job, plan.source), plan, monitor)
    except Exception as problem:  # noqa: BLE001 - told by `_complete`
        return reason_of(problem)


def _block(
    job: Job,
    plan: Planned,
    begun: Begun | Failure,
    span: Span,
    monitor: _Monitor | None,
) -> Failure | None:
    if isinstance(begun, Failure):
        return begun
    try:
        _watched(run_block(job, plan.source, begun, span), plan, monitor)
    except Exception as problem:  # noqa: BLE001 - told by `_complete`
        return reason_of(problem)
    if monitor is not None:
        monitor.said.put((plan.number, 1, ""))
    return None


def _complete(
    job: Job,
    plan: Planned,
    begun: Begun | Failure,
    blocks: Sequence[Failure | None],
    monitor: _Monitor | None,
) -> Row:
    failures = [part for part in (begun, *blocks) if isinstance(part, Failure)]
    if failures or isinstance(begun, Failure):
        row = _failed(plan, failures[0])
    else:
        try:
            report = _watched(complete(job, plan.source, begun), plan, monitor)
        except Exception as problem:  # noqa: BLE001 - told in the table
            row = _failed(plan, reason_of(problem))
        else:
            was_done = begun.report is not None
            row = finished_row(plan.source.path, report, was_done=was_done)
    if monitor is not None:
        monitor.rows.put((plan.number, row))
    return row


def _graph(job: Job, plan: Planned, monitor: _Monitor | None = None) -> Any:
    """Return the tasks of an input: one begins, one a block, one completes."""
    from dask.delayed import delayed

    begun = delayed(_begin, pure=False)(job, plan, monitor)
    block = delayed(_block, pure=False)
    blocks = [block(job, plan, begun, span, monitor) for span in plan.spans]
    return delayed(_complete, pure=False)(job, plan, begun, blocks, monitor)


def _in_threads(
    job: Job, plans: Sequence[Planned], jobs: int, put: Put
) -> Generator[Progress, None, None]:
    """Run tasks in threads of this process."""
    from dask.base import compute

    monitor = _Monitor()
    graphs = [_graph(job, plan, monitor) for plan in plans]
    names = {plan.number: plan.source.files.name for plan in plans}
    total, done = sum(len(plan.spans) for plan in plans), 0
    with ThreadPoolExecutor(1) as runner:
        running = runner.submit(compute, *graphs, scheduler="threads", num_workers=jobs)
        try:
            yield Progress(0, total, f"{len(plans)} inputs, {jobs} at once")
            while not (running.done() and monitor.rows.empty()):
                for number, blocks, message in _drained(monitor.said):
                    done += blocks
                    name = names[number]
                    yield Progress(min(done, total), total, f"{name}: {message}")
                for number, row in _drained(monitor.rows):
                    put(number, row)
                wait([running], timeout=PATIENCE_S)
            running.result()
        finally:
            monitor.stop.set()
    yield Progress(total, total, "Done")


def _on_cluster(
    job: Job, plans: Sequence[Planned], scheduler: str, put: Put
) -> Generator[Progress, None, None]:
    """Run tasks on the workers of a dask scheduler."""
    with _client(scheduler) as client:
        waiting = {client.compute(_graph(job, plan)): plan for plan in plans}
        total = len(waiting)
        try:
            while waiting:
                done = total - len(waiting)
                workers = len(client.scheduler_info(n_workers=-1)["workers"])
                yield Progress(done, total, f"{done} of {total}, {workers} workers")
                for future in _finished(waiting):
                    # Let go of at once, or it were done again with a worker's loss.
                    plan = waiting.pop(future)
                    if future.status == "finished":
                        put(plan.number, future.result())
                    else:
                        is_known = future.status == "error"
                        why = future.exception() if is_known else future.status
                        lost = Failure(f"workers were lost: {why}", kind="fault")
                        put(plan.number, _failed(plan, lost))
                    future.release()
        finally:
            client.cancel(list(waiting))
    yield Progress(total, total, "Done")


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


def _finished(
    waiting: Collection[distributed.Future[Any]],
) -> set[distributed.Future[Any]]:
    """Wait a little for futures, and return those that have come to their end."""
    from distributed import wait

    try:
        ended: set[distributed.Future[Any]] = wait(
            list(waiting), timeout=PATIENCE_S, return_when="FIRST_COMPLETED"
        ).done
    except TimeoutError:
        return set()
    return ended


def _drained(said: queue.SimpleQueue[T]) -> Iterator[T]:
    """Return what has been said so far."""
    while not said.empty():
        yield said.get()

"""The tasks of a batch: begin an input, compute its blocks, finish it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from napari_dps import io
from napari_dps.batch.job import Job, Source, blocks, open_source
from napari_dps.batch.store import BlockWriter, Store, lock_of, remove_left
from napari_dps.batch.unchanged import (
    finished_report,
    of_one_content,
    require_unchanged,
)
from napari_dps.core import Progress, between
from napari_dps.core.beside import PATIENCE_S, beside
from napari_dps.core.context import Context
from napari_dps.core.device import resolve_device
from napari_dps.io import ResultFiles
from napari_dps.io.lock import Lock
from napari_dps.pipeline import PipelineResult, Plan, first_plane, run_plan
from napari_dps.pipeline.channel_run import Ahead
from napari_dps.pipeline.corrections import Corrections, find_corrections, noted
from napari_dps.pipeline.result import assemble
from napari_dps.pipeline.shared import Shared
from napari_dps.pipeline.stream import shared_by_blocks, stream
from napari_dps.pipeline.units import Span
from napari_dps.results import Json, write_images, write_report

_STARTS = {False: (5, 90), True: (3, 6)}
"""Per cent at which an input is computed, and is written; checked, 30 times as long."""
_MEASURED = 95
"""Per cent of the writing, and checking, at which the images are measured."""
_local = threading.local()
_opened: deque[tuple[Any, bool, Plan]] = deque(maxlen=8)
"""Inputs that were opened last; of no thread in particular, as plans do not change."""
_ahead: deque[tuple[str, Ahead]] = deque(maxlen=1)
"""What was computed of the input begun last, by its key, until a block takes it."""


@dataclass(frozen=True)
class Begun:
    """An input that is ready to be computed.

    Attributes
    ----------
    key, sha256 : str
        See `Job.key`; of the input's content alone.
    shared : tuple of Shared or None
        What all its units share; None where each block finds it.
    warnings : tuple of str
        What opening it has led to.
    report : dict or None
        That of an earlier batch which has done all of it.
    corrections : Corrections
        Of the results of all blocks.
    """

    key: str
    sha256: str
    shared: tuple[Shared, ...] | None = None
    warnings: tuple[str, ...] = ()
    report: Json | None = None
    corrections: Corrections = field(default_factory=Corrections)


def begin(job: Job, source: Source) -> Generator[Progress, None, Begun]:
    """Look at an input: its content, what is done of it, and what its units share.

    Raises
    ------
    InputError
        If it cannot be read, or its results cannot be written.
    """
    sha256 = yield from beside(source.content, "Reading")
    key = job.key(sha256)
    store = Store.of(source.files, key, job.owner)
    if job.resume:
        report = yield from beside(
            lambda check: finished_report(source.files, key, check),
            "Looking at what is done",
        )
        if report is not None:
            remove_left(source.files)  # by a run that ended right after the report
            return Begun(key, sha256, report=report)
        store.claim()
    plan = opened(job, source, check_order=True)
    _check_targets(plan, source)
    remove_left(source.files)
    begun = Begun(key, sha256, warnings=plan.warnings)
    if noted(plan):
        begun = yield from _with_corrections(begun, plan, store)
    if plan.patterns_every or len(blocks(plan)) == 1:
        return begun
    shared = store.shared()
    if shared is None:
        shared, ahead = yield from shared_by_blocks(plan, _context(job))
        _ahead.append((key, ahead))
        store.put_shared(shared)
    return replace(begun, shared=shared)


def _with_corrections(
    begun: Begun, plan: Plan, store: Store
) -> Generator[Progress, None, Begun]:
    """Measure what is corrected of all results, or read what was measured before."""
    corrections = store.corrections()
    if corrections is None:
        corrections = yield from find_corrections(plan)
        store.put_corrections(corrections)
    warnings = (*begun.warnings, *corrections.warnings)
    return replace(begun, corrections=corrections, warnings=warnings)


def run_block(
    job: Job, source: Source, begun: Begun, span: Span
) -> Generator[Progress, None, None]:
    """Compute a block of time points, unless that is done.

    Raises
    ------
    InputError
        If a stage refuses its input, or the block cannot be written.
    """
    store = Store.of(source.files, begun.key, job.owner)
    if begun.report is not None or store.has(span):
        return
    plan = opened(job, source)
    writer = BlockWriter(
        store,
        span,
        leading=plan.leading,
        kept=job.kept(len(plan.steps)),
        places=[plan.places(number) for number in range(len(plan.steps))],
        as_zarr=job.settings.output.format == "zarr",
    )
    try:
        with of_one_content(job, source, begun.key):
            tallies = yield from stream(
                plan,
                _context(job),
                begun.corrections.keeping(plan, writer.keep),
                span=span,
                shared=begun.shared,
                ahead=_take_ahead(begun) if span[0] == 0 else None,
            )
        writer.finish(tallies)
    finally:
        writer.remove()


def _take_ahead(begun: Begun) -> Ahead | None:
    """Return what `begin` has computed of an input, if it was here and just now."""
    try:
        key, ahead = _ahead.pop()
    except IndexError:
        return None
    return ahead if key == begun.key else None


def whole(job: Job, source: Source) -> Generator[Progress, None, tuple[Begun, Json]]:
    """Do all of an input that is a single unit; nothing of it waits on the disk.

    Raises
    ------
    InputError
        As `begin`, `run_block` and `complete`.
    """
    start, end = _STARTS[job.self_check]
    begun = yield from between(begin(job, source), 0, start)
    result = None
    if begun.report is None:
        plan = opened(job, source, check_order=True)
        with of_one_content(job, source, begun.key):
            running = run_plan(plan, _context(job))
            result = yield from between(running, start, end)
        kept = job.kept(len(result.outputs))
        outputs = tuple(
            output if number in kept else replace(output, image=None)
            for number, output in enumerate(result.outputs)
        )
        result = replace(result, outputs=outputs)
    finishing = complete(job, source, begun, result)
    return begun, (yield from between(finishing, end, 100))


def complete(
    job: Job, source: Source, begun: Begun, result: PipelineResult | None = None
) -> Generator[Progress, None, Json]:
    """Put the blocks of an input together: its images, picture and report.

    Parameters
    ----------
    job, source, begun
        As for `run_block`.
    result : PipelineResult, optional
        Of an input without blocks.

    Returns
    -------
    dict
        The report.

    Raises
    ------
    InputError
        If something cannot be written; the blocks stay for another try.
    """
    if begun.report is not None:
        return begun.report
    with lock_of(source.files) as lock:
        while not _taken(lock, source):
            yield Progress(0, 1, "Waiting for another run that writes these files")
            time.sleep(PATIENCE_S)
        report = yield from _completed(job, source, begun, result)
    return report


def _taken(lock: Lock, source: Source) -> bool:
    with io.writing(source.files.folder):
        source.files.folder.mkdir(parents=True, exist_ok=True)
        return lock.take()


def _completed(
    job: Job, source: Source, begun: Begun, result: PipelineResult | None
) -> Generator[Progress, None, Json]:
    """Do what `complete` does, while no other run does it."""
    context = _context(job)
    context.warnings += dict.fromkeys(begun.warnings)
    store = Store.of(source.files, begun.key, job.owner)

    def put_images(
        check: Callable[[], None],
    ) -> tuple[PipelineResult, dict[str, str]]:
        require_unchanged(job, source, begun.key, check)
        found = result
        if found is None:
            found = _result(opened(job, source), store, context, check)
            found = replace(found, corrections=begun.corrections)
        # While files of this run and of an earlier one mix no report vouches.
        with io.writing(source.files.report):
            source.files.report.unlink(missing_ok=True)
        if job.settings.output.format == "zarr" and result is None:
            return found, _put_zarrs(job, found, store, source.files)
        return found, write_images(found, source.files)

    result, names = yield from beside(put_images, "Writing the images")
    checked = None
    if job.self_check:
        checked = yield from _self_check(result, context)
    measuring = beside(
        lambda check: write_report(
            result,
            source.files,
            names,
            source=source.path,
            sha256=begun.sha256,
            key=begun.key,
            device=str(resolve_device(job.device)),
            self_check=checked,
            vouch=partial(require_unchanged, job, source, begun.key, check),
        ),
        "Measuring the images",
    )
    report = yield from between(measuring, _MEASURED, 100)
    store.remove()
    return report


def check_names(plan: Plan, source: Source) -> None:
    """Refuse an input whose results would have names too long for a file system.

    Raises
    ------
    InputError
        Saying so.
    """
    source.files.require_short(_maps(plan))


def _maps(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {step.stage.id: step.stage.maps for step in plan.steps}


def _check_targets(plan: Plan, source: Source) -> None:
    """Refuse results that could not be written, before any time is spent."""
    for path in source.files.all(_maps(plan)):
        io.check_target(path, source.reads)
    with io.writing(source.files.folder):
        source.files.folder.mkdir(parents=True, exist_ok=True)


def _result(
    plan: Plan, store: Store, context: Context, check: Callable[[], None]
) -> PipelineResult:
    """Return what the blocks hold, its pixels left on the disk."""
    spans = blocks(plan)
    records = [store.record(span) for span in spans]
    tallies = records[0].tallies
    for record in records[1:]:
        for tally, more in zip(tallies, record.tallies, strict=True):
            tally.add(more)
    for tally in tallies:
        for text in tally.warnings:
            context.warn(text)
    outputs = []
    for number in range(len(plan.steps)):
        firsts = [store.first(number, found) for found in records[0].firsts[number]]
        maps = {
            name: store.array(spans, number, name, check=check)
            for name in records[0].firsts[number][0].maps
        }
        outputs.append(
            assemble(
                plan,
                number,
                firsts=firsts,
                tallies=tallies,
                data=store.array(spans, number, check=check),
                maps={n: values for n, values in maps.items() if values is not None},
            )
        )
    return PipelineResult(
        plan.stack, plan.first, tuple(outputs), tuple(context.warnings)
    )


def _put_zarrs(
    job: Job, result: PipelineResult, store: Store, files: ResultFiles
) -> dict[str, str]:
    """Give the OME-Zarrs that the blocks have filled their names."""
    names = {}
    for number in sorted(job.kept(len(result.outputs))):
        output = result.outputs[number]
        stage_id = output.step.stage.id
        zeros = np.broadcast_to(np.float32(0), output.shape)
        like = output.first.derive(zeros, axes=output.axes)
        store.put_zarr(number, like, files.stage(stage_id))
        names[stage_id] = files.stage(stage_id).name
        for name in output.step.stage.maps:
            store.put_zarr(number, like, files.map(stage_id, name), name)
    return names


def _self_check(
    result: PipelineResult, context: Context
) -> Generator[Progress, None, Json]:
    """Let the last stage that can check itself do so on what it was given."""
    images = [result.first, *(output.first for output in result.outputs)]
    at, check = result.checked
    parameters = result.outputs[at].step.parameters
    checking = check(first_plane(images[at]), parameters, context)
    found: Json = yield from between(checking, 0, _MEASURED)
    return found


def opened(job: Job, source: Source, *, check_order: bool = False) -> Plan:
    """Open an input, or return the plan of one that was opened a moment ago.

    Headers of long files take seconds to read, and each task needs them.
    """
    states = tuple(path.stat() for path in source.reads)
    key = job, source, tuple((s.st_mtime_ns, s.st_size) for s in states)
    for known, was_checked, plan in list(_opened):
        if known == key and (was_checked or not check_order):
            return plan
    plan = open_source(job, source, check_order=check_order)
    _opened.append((key, check_order, plan))
    return plan


def _context(job: Job) -> Context:
    """Return a context whose networks and plans this worker keeps from task to task.

    It is of this thread alone: neither torch's plans nor the stages' caches are shared.
    """
    cache = getattr(_local, "cache", None)
    if cache is None:
        cache = _local.cache = {}
        if job.threads:
            import torch

            torch.set_num_threads(job.threads)
    return Context(
        device=job.device,
        cache=cache,
        tile_px=job.tile_px,
        networks=job.settings.networks,
    )

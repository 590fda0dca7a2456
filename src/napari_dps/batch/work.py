"""The tasks of a batch: begin an input, compute its blocks, finish it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass

from napari_dps import io
from napari_dps.batch.job import Job, Source, open_source
from napari_dps.batch.store import BlockWriter, Store, remove_others
from napari_dps.core import Progress, within
from napari_dps.pipeline.shared import Shared, shared_steps
from napari_dps.pipeline.stream import (
    frames_between_patterns,
    stream,
)
from napari_dps.pipeline.units import Span, channels
from napari_dps.report import Json

_local = threading.local()


@dataclass(frozen=True)
class Begun:
    """An input that is ready to be computed.

    Attributes
    ----------
    key, sha256 : str
        See `Job.key`; of the input's content alone.
    shared : tuple of Shared or None
        What all its units share; None where each block finds it.
    report : dict or None
        That of an earlier batch which has done all of it.
    """

    key: str
    sha256: str
    shared: tuple[Shared, ...] | None = None
    report: Json | None = None


def begin(job: Job, source: Source) -> Generator[Progress, None, Begun]:
    """Look at an input: its content, what is done of it, and what its units share.

    Raises
    ------
    InputError
        If it cannot be read, or its results cannot be written.
    """
    yield Progress(0, 2, "Reading")
    sha256 = io.content_hash(source.path)
    key = job.key(sha256)
    store = Store.of(source.files, key)
    if job.resume and (report := finished_report(source.files, key)) is not None:
        return Begun(key, sha256, report=report)
    _check_targets(job, source)
    remove_others(source.files, store if job.resume else None)
    context = _context(job)
    opened = open_source(job, source.path, context)
    if frames_between_patterns(opened.steps) or len(opened.spans) == 1:
        return Begun(key, sha256)
    shared = store.shared() if job.resume else None
    if shared is None:
        finding = shared_steps(
            opened.stack,
            opened.steps,
            context,
            (0, opened.stack.size("T")),
            camera_offset=job.settings.input.camera_offset,
        )
        shared = yield from within(finding, 0, 10**9)
        store.put_shared(shared)
    return Begun(key, sha256, shared)


def run_block(
    job: Job, source: Source, begun: Begun, span: Span
) -> Generator[Progress, None, None]:
    """Compute a block of time points, unless that is done.

    Raises
    ------
    InputError
        If a stage refuses its input, or the block cannot be written.
    """
    store = Store.of(source.files, begun.key)
    if begun.report is not None or store.has(span):
        return
    context = _context(job)
    opened = open_source(job, source.path, context)
    stack, steps = opened.stack, opened.steps
    takes = steps[0].stage.takes
    leading = stack.axes.removesuffix(takes)
    kept = (
        {len(steps) - 1}
        if job.settings.output.keep == "last"
        else set(range(len(steps)))
    )
    with io.writing(source.files.folder):
        writer = BlockWriter(
            store,
            span,
            list(zip(leading, stack.shape, strict=False)),
            kept,
            {c.units((0, 1))[0].index: c.number for c in channels(stack, takes)},
        )
        try:
            tallies = yield from stream(
                stack,
                steps,
                context,
                writer.keep,
                camera_offset=job.settings.input.camera_offset,
                span=span,
                shared=begun.shared,
            )
            writer.finish(tallies)
        finally:
            writer.remove()

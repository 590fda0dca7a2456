"""What is asked of a batch: the same for every input."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_dps import __version__, io
from napari_dps.batch.results import ResultFiles
from napari_dps.core import ImageStack, InputError, Pattern
from napari_dps.core.context import Context
from napari_dps.core.params import describe
from napari_dps.pipeline import (
    Settings,
    Step,
    as_given,
    choose_steps,
    give_patterns,
    left_out,
)
from napari_dps.pipeline.stream import frames_between_patterns
from napari_dps.pipeline.units import Span, spans
from napari_dps.stages import dps

BLOCK_UNITS = 16
"""Planes or raw sets, over all channels and z, that one task computes at least: what a
lost worker has to do again at most, and what the start of a task is shared by."""


@dataclass(frozen=True)
class Source:
    """One input of a batch.

    Attributes
    ----------
    path : Path
        The file, or the folder of an OME-Zarr.
    files : ResultFiles
        Names of its results.
    """

    path: Path
    files: ResultFiles


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know beside the input.

    Attributes
    ----------
    settings : Settings
        Stages, parameters, optics, how to read and what to write.
    patterns : tuple of Pattern
        Whose wave vectors are known; empty to find them.
    device : str
        As for `napari_dps.core.device.resolve_device`.
    threads : int
        For torch in each worker; 0 leaves it alone.
    tile_px : int or None
        As for `Context`.
    self_check : bool
        Report which planted pairs dps tells apart.
    resume : bool
        Go on from what an interrupted batch has left.
    refuse_wrong_order : bool
        Fail where the frames contradict the order that nobody has named: in a batch
        nobody reads warnings.
    named_stages : frozenset of str
        Stages whose parameters were named one by one: each must run.
    """

    settings: Settings
    patterns: tuple[Pattern, ...] = ()
    device: str = "auto"
    threads: int = 0
    tile_px: int | None = None
    self_check: bool = False
    resume: bool = False
    refuse_wrong_order: bool = False
    named_stages: frozenset[str] = field(default_factory=frozenset)

    def kept(self, steps: int) -> set[int]:
        """Return the numbers of the steps whose images are kept."""
        first = steps - 1 if self.settings.output.keep == "last" else 0
        return set(range(first, steps))

    def key(self, content: str) -> str:
        """Return the SHA-256 of an input's content and all that decides its results."""
        settings = self.settings.to_tables()
        asked = {
            "content": content,
            "version": __version__,
            "settings": settings,
            "patterns": [p.model_dump(mode="json") for p in self.patterns],
            "self_check": self.self_check,
            "tile_px": self.tile_px,
            "files": self._files(),
        }
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _files(self) -> list[str]:
        """Return what the files hold that parameters name: weights, patterns."""
        names = [
            str(getattr(parameters, info.name))
            for parameters in self.settings.parameters.values()
            for info in describe(type(parameters))
            if info.file
        ]
        return [io.content_hash(name) for name in names if Path(name).is_file()]


@dataclass(frozen=True, eq=False)
class Opened:
    """An input, read lazily, with the steps that it will go through.

    Attributes
    ----------
    stack : ImageStack
        With optics and given patterns.
    steps : tuple of Step
        Of the run.
    spans : tuple of (int, int)
        Blocks of time points, each a task.
    warnings : tuple of str
        What opening it has led to.
    """

    stack: ImageStack
    steps: tuple[Step, ...]
    spans: tuple[Span, ...]
    warnings: tuple[str, ...]


def open_source(job: Job, path: Path, *, check_order: bool = False) -> Opened:
    """Open an input and choose its steps; no pixels but a few are read.

    Parameters
    ----------
    job : Job
        Of the batch.
    path : Path
        The input.
    check_order : bool
        Whether the frames are asked if the order fits them.

    Raises
    ------
    InputError
        If it cannot be read, or does not fit what is asked.
    """
    settings, given, context = job.settings, job.settings.input, Context()
    raw = io.read(path, lazy=True)
    if isinstance(raw.data, np.memmap):
        # Pages of a map that were read count as memory of ours, more with each frame.
        raw = replace(raw, data=io.mapped(raw.data))
    stack = io.arrange(
        raw,
        angles=given.angles,
        phases=given.phases,
        order=given.order,
        pixel_size_nm=settings.pixel_size_nm,
        lazy=True,
        refuse_wrong_order=job.refuse_wrong_order and given.order is None,
        check=check_order,
        as_dask=False,
        warn=context.warn,
    )
    stack = settings.with_optics(stack)
    if job.patterns:
        stack = give_patterns(stack, job.patterns)
    steps = choose_steps(stack, settings.stages, settings.parameters)
    _check_named(job, steps)
    for stage in left_out(stack) if settings.stages is None else ():
        context.warn(
            f"'{stage.id}' is left out: it needs NA, emission wavelength and pixel size"
        )
    stack = as_given(stack, context, given.camera_offset)
    return Opened(stack, steps, _blocks(stack, steps), tuple(context.warnings))


def _blocks(stack: ImageStack, steps: tuple[Step, ...]) -> tuple[Span, ...]:
    """Cut time into blocks; where patterns are found anew each has all it needs."""
    frames = -(-BLOCK_UNITS // (stack.size("C") * stack.size("Z")))
    every = frames_between_patterns(steps)
    if every:
        frames = -(-frames // every) * every
    return tuple(spans(stack.size("T"), frames))


def _check_named(job: Job, steps: tuple[Step, ...]) -> None:
    """Refuse options of a stage that does not run: they would change nothing."""
    ids = [step.stage.id for step in steps]
    idle = job.named_stages - set(ids)
    if idle:
        raise InputError(
            f"options of '{min(idle)}' are given, but it is not among the stages",
            allowed=", ".join(ids),
        )
    if job.self_check and dps.STAGE.id not in ids:
        raise InputError(
            "the self-check is for the stage dps, which does not run",
            field="self_check",
        )

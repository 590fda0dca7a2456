"""What is asked of a batch: the same for every input."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from napari_dps import __version__, io
from napari_dps.core import InputError
from napari_dps.core.params import describe
from napari_dps.io import ResultFiles
from napari_dps.pipeline import Plan, Settings, open_input
from napari_dps.pipeline.units import Span, spans
from napari_dps.stages import STAGES

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
    joined : tuple of Path
        Files that are joined to one stack, which the path stands for; else empty.
    """

    path: Path
    files: ResultFiles
    joined: tuple[Path, ...] = ()

    @property
    def reads(self) -> tuple[Path, ...]:
        """The files that are read."""
        return self.joined or (self.path,)

    def content(self, check: Callable[[], None]) -> str:
        """Return the SHA-256 of what is read; `check` may raise to stop."""
        if self.joined:
            return io.content_of_all(self.joined, check)
        return io.content_hash(self.path, check)


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know beside the input.

    Attributes
    ----------
    settings : Settings
        Stages, parameters, optics, how to read and what to write.
    device : str
        As for `napari_dps.core.device.resolve_device`.
    threads : int
        For torch in each worker; 0 leaves it alone.
    tile_px : int or None
        As for `Context`.
    self_check : bool
        Report what the stages find that check themselves.
    resume : bool
        Go on from what an interrupted batch has left.
    refuse_wrong_order : bool
        Fail where the frames contradict the order that nobody has named: in a batch
        nobody reads warnings.
    must_run : frozenset of str
        Stages whose parameters were named one by one: each must run.
    owner : str
        The run: blocks on the disk that it works on are its own.
    """

    settings: Settings
    device: str = "auto"
    threads: int = 0
    tile_px: int | None = None
    self_check: bool = False
    resume: bool = False
    refuse_wrong_order: bool = False
    must_run: frozenset[str] = field(default_factory=frozenset)
    owner: str = ""

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
            "self_check": self.self_check,
            "tile_px": self.tile_px,
            "files": self._files(),
        }
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _files(self) -> list[str]:
        """Return what the files hold that parameters name: weights, patterns."""
        models = (self.settings.input, *self.settings.parameters.values())
        values = [
            getattr(model, info.name)
            for model in models
            for info in describe(type(model))
            if info.file
        ]
        paths = [Path(value) for value in values if isinstance(value, str)]
        # Weights have their description beside them, which decides as much.
        paths += [p.with_suffix(".json") for p in paths if p.suffix == ".safetensors"]
        return [io.content_hash(path) for path in paths if path.is_file()]


def open_source(job: Job, source: Source, *, check_order: bool = False) -> Plan:
    """Open an input and choose its steps; no pixels but a few are read.

    Parameters
    ----------
    job : Job
        Of the batch.
    source : Source
        The input.
    check_order : bool
        Whether the frames are asked if the order fits them.

    Raises
    ------
    InputError
        If it cannot be read, or does not fit what is asked.
    """
    plan = open_input(
        source.joined or source.path,
        job.settings,
        must_run=job.must_run,
        lazy=True,
        check_order=check_order,
        refuse_wrong_order=job.refuse_wrong_order,
    )
    if job.self_check and not any(step.stage.self_check for step in plan.steps):
        able = ", ".join(stage.id for stage in STAGES if stage.self_check)
        raise InputError(
            f"the self-check is for the stage {able}, which does not run",
            field="self_check",
        )
    return plan


def units(plan: Plan) -> int:
    """Return how many planes or raw sets an input is."""
    return math.prod(plan.leading_shape)


def blocks(plan: Plan) -> tuple[Span, ...]:
    """Cut time into blocks; where patterns are found anew each has all it needs."""
    frames = -(-BLOCK_UNITS // (plan.stack.size("C") * plan.stack.size("Z")))
    every = plan.patterns_every
    if every:
        frames = -(-frames // every) * every
    return tuple(spans(plan.stack.size("T"), frames))

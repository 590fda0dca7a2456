"""What a run will do: its stack, its steps, and the units that they work on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from napari_dps import io
from napari_dps.core import ImageStack, Pattern, RawFrames
from napari_dps.core.context import Context
from napari_dps.core.otf import MeasuredOtf
from napari_dps.core.planes import planes_of
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline.behind import RawBehind
from napari_dps.pipeline.camera import Camera
from napari_dps.pipeline.rolling import is_rolling, rolled
from napari_dps.pipeline.settings import OutputSettings
from napari_dps.pipeline.steps import Step
from napari_dps.pipeline.units import (
    Channel,
    Index,
    Span,
    Unit,
    channels,
    spans,
)
from napari_dps.pipeline.wave_vectors import with_files_of_steps


class Places(NamedTuple):
    """Where the results of a step lie along the leading axes of a stack.

    Attributes
    ----------
    shape : tuple of int
        Lengths along these axes.
    firsts : dict of tuple of int to int
        Number of each channel, by the place of the result that stands for all of it.
    """

    shape: Index
    firsts: dict[Index, int]


@dataclass(frozen=True, eq=False)
class Plan:
    """A run that can start; made by `open_input`, or by `Plan.of` of what is in hand.

    Attributes
    ----------
    stack : ImageStack
        The input, with optics and the patterns that are known; its history names the
        camera's offset, which is still in the data; these may be lazy.
    steps : tuple of Step
        In the order of the run.
    camera : Camera
        What is corrected of every unit before the first step.
    warnings : tuple of str
        What opening the input has led to.
    otfs : tuple of MeasuredOtf
        Measured OTFs, one for all channels or one each; empty: none.
    output : OutputSettings
        What of the results is corrected.
    behind : tuple of RawBehind
        The raw frames that the images of each channel were made of; empty: not at hand.
    """

    stack: ImageStack
    steps: tuple[Step, ...]
    camera: Camera = field(default_factory=Camera)
    warnings: tuple[str, ...] = ()
    otfs: tuple[MeasuredOtf, ...] = ()
    output: OutputSettings = field(default_factory=OutputSettings)
    behind: tuple[RawBehind, ...] = ()

    @classmethod
    def of(
        cls,
        stack: ImageStack,
        steps: Sequence[Step],
        *,
        camera: Camera | None = None,
        warnings: Iterable[str] = (),
    ) -> Plan:
        """Plan a run of steps on a stack that has its optics.

        What is corrected of the camera is noted in the history, patterns of files that
        parameters name are attached, and pixels too coarse for the optics are told.

        Parameters
        ----------
        stack : ImageStack
            Any leading axes of T, C, Z before what the first step takes.
        steps : sequence of Step
            As `choose_steps` returns them.
        camera : Camera, optional
            Its offset, and maps of its pixels.
        warnings : iterable of str
            Known so far.

        Raises
        ------
        InputError
            If a file of patterns cannot be used, or maps of the camera do not fit.
        """
        stack = rolled(with_files_of_steps(stack, steps), steps)
        notes = Context(warnings=[*warnings])
        _check_sampling(stack, notes)
        if stack.is_raw and stack.size("Z") > 1:
            _check_depth(stack, notes)
        camera = Camera() if camera is None else camera
        camera.require_shape(stack.shape[-2:])
        noise = None if stack.is_processed else camera.noise or stack.camera
        history = (*stack.history, *camera.noted())
        stack = replace(stack, camera=noise, history=history)
        return cls(stack, tuple(steps), camera, tuple(notes.warnings))

    def with_frames_of(
        self, raw: Plan, patterns: Mapping[Index, tuple[Pattern, ...]]
    ) -> Plan:
        """Return the plan with the raw frames that its images were made of.

        Parameters
        ----------
        raw : Plan
            Of those frames, opened as in the run that reconstructed them.
        patterns : mapping
            As of `RawBehind`, of all channels.

        Returns
        -------
        Plan
            This one itself where time points, channels and planes are not the same, or
            whole z-stacks are taken of one of both alone.
        """
        same = (raw.leading, raw.leading_shape) == (self.leading, self.leading_shape)
        behind = tuple(RawBehind(channel, patterns) for channel in raw.channels)
        plan = replace(self, behind=behind)
        if raw.has_volumes and patterns:
            # Whether a step takes volumes depends on the frames that are at hand.
            frames, first = RawFrames(raw.stack.data), next(iter(patterns.values()))
            stack = replace(self.stack, frames=frames, patterns=first)
            plan = replace(plan, stack=stack)
        return plan if same and raw.has_volumes == plan.has_volumes else self

    def corrected(self) -> ImageStack:
        """Return the stack, read and corrected for the camera, float32."""
        data = np.array(io.fetch(self.stack.data[...]), dtype=np.float32)
        return self.stack.derive(self.camera.correct(data))

    @property
    def leading(self) -> str:
        """Axes that lead those of a unit."""
        return self.stack.axes.removesuffix(self.takes)

    @property
    def takes(self) -> str:
        """Axes of the unit that the first step takes, a plane of volumes."""
        return self.steps[0].stage.unit_of(self.stack.axes)

    @property
    def leading_shape(self) -> Index:
        """Lengths along the leading axes."""
        return self.stack.shape[: len(self.leading)]

    @cached_property
    def has_volumes(self) -> bool:
        """Whether a unit is a whole z-stack, since a step takes all planes at once.

        The other steps get its planes one by one, and results are handed over plane by
        plane.
        """
        return any(step.takes_volume(self.stack) for step in self.steps)

    @cached_property
    def has_windows(self) -> bool:
        """Whether a step looks at several time points at once."""
        return any(any(step.window) for step in self.steps)

    def in_windows(self, units: Sequence[Unit]) -> list[list[Unit]]:
        """Return units in groups in whose order they are best run.

        Where steps look at several time points those of one plane come together, in the
        order of time, so that each time point is read and looked at once; else each
        unit is a group.
        """
        if not self.has_windows or "T" not in self.leading:
            return [[unit] for unit in units]
        groups: dict[Index, list[Unit]] = {}
        axis = self.leading.index("T")
        for unit in units:
            place = (*unit.index[:axis], *unit.index[axis + 1 :])
            groups.setdefault(place, []).append(unit)
        return list(groups.values())

    @property
    def span(self) -> Span:
        """All time points."""
        return (0, self.stack.size("T"))

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """The channels, each with its optics, its patterns and its units."""
        takes = "Z" * self.has_volumes + self.takes
        found = channels(self.stack, takes, self.camera, self.otfs)
        if not self.behind:
            return tuple(found)
        return tuple(
            replace(channel, complete=behind.attached_to)
            for channel, behind in zip(found, self.behind, strict=True)
        )

    @property
    def first(self) -> ImageStack:
        """First T and C, middle Z as the first step sees it: offset subtracted."""
        channel = self.channels[0]
        image = channel.image(channel.first)
        return dict(planes_of(image))[self._middle] if self.has_volumes else image

    def places(self, number: int) -> Places:
        """Return where the results of a step lie along the leading axes.

        Results come plane by plane, also where units are volumes.
        """
        finer = math.prod(s.finer_z(self.stack) for s in self.steps[: number + 1])
        shape = self.leading_shape
        if not self.has_volumes:
            return Places(shape, {c.first.index: c.number for c in self.channels})
        firsts = {
            (*c.first.index, finer * self._middle): c.number for c in self.channels
        }
        return Places((*shape[:-1], finer * shape[-1]), firsts)

    @property
    def _middle(self) -> int:
        """The plane of z-stacks that is shown and measured: likely in focus."""
        return self.stack.size("Z") // 2

    @property
    def patterns_every(self) -> int:
        """After how many time points patterns are found anew; 0: never.

        The least number that a step asks for counts, as ``reconstruct.patterns_every``.
        """
        wanted = (getattr(step.parameters, "patterns_every", 0) for step in self.steps)
        sets = min(filter(None, wanted), default=0)
        return sets * self.stack.size("A") if is_rolling(self.steps) else sets

    def pattern_spans(self, span: Span) -> list[Span]:
        """Return the ranges of time points that share their patterns."""
        parts = spans(span[1] - span[0], self.patterns_every)
        return [(span[0] + start, span[0] + stop) for start, stop in parts]

    def ticks(self, span: Span) -> int:
        """Return the progress that all steps on all units of some time points make."""
        units = (span[1] - span[0]) * self.stack.size("C")
        units *= 1 if self.has_volumes else self.stack.size("Z")
        return units * len(self.steps) * PART_TICKS


def _check_depth(stack: ImageStack, notes: Context) -> None:
    """Warn of raw z-stacks that are not reconstructed in 3-D for want of something."""
    from napari_dps.methods.sim.volume_finding import LEAST_PHASES, LEAST_PLANES

    planes = stack.size("Z")
    if stack.z_step_nm is None:
        notes.warn("the z step is not known: planes are reconstructed one by one")
    elif planes < LEAST_PLANES and stack.size("P") >= LEAST_PHASES:
        notes.warn(
            f"{planes} planes are reconstructed one by one; from {LEAST_PLANES} on a "
            "three-beam stack is reconstructed in 3-D"
        )


def _check_sampling(stack: ImageStack, notes: Context) -> None:
    """Warn of pixels too coarse for the optics."""
    for number, optics in enumerate(stack.channel_optics or (stack.optics,)):
        if optics is None:
            continue
        if stack.is_raw:
            # Raw frames are band-limited by the detection alone; the finer result
            # comes on a finer grid.
            optics = optics.model_copy(update={"modulation_factor": 1.0})
        if warning := optics.nyquist_warning():
            label = f"channel {number}: " if stack.channel_optics else ""
            notes.warn(label + warning)

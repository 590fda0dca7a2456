"""The steps on one unit after the other, so that memory does not grow with time."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from napari_dps.core import ImageStack, InputError, Optics, Progress, one_of, within
from napari_dps.core.context import Context
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.shared import Shared, find_shared, in_ticks, shared_ticks
from napari_dps.pipeline.steps import Step
from napari_dps.pipeline.units import (
    Channel,
    Index,
    Span,
    Unit,
    planes_of,
    volume_of,
)
from napari_dps.stages.base import in_range

Keep = Callable[[int, Index, ImageStack], None]
"""Takes the number of a step, the place of a unit, and the step's result for it."""
Ahead = dict[Index, "list[tuple[ImageStack, Tally]]"]
"""By the place of a unit, what its first steps have given and taken already."""


@dataclass
class Tally:
    """What one step of a run took, and what it had to say.

    Attributes
    ----------
    seconds : float
        Time spent in it, over all units.
    warnings : list of str
        Each once.
    """

    seconds: float
    warnings: list[str]

    def add(self, other: Tally) -> None:
        """Count what it did elsewhere."""
        self.seconds += other.seconds
        new = (text for text in other.warnings if text not in self.warnings)
        self.warnings.extend(new)


def stream(
    plan: Plan,
    context: Context,
    keep: Keep,
    *,
    span: Span | None = None,
    shared: Sequence[Shared] | None = None,
    ahead: Ahead | None = None,
) -> Generator[Progress, None, list[Tally]]:
    """Run all steps on each unit of a stack; nothing of a unit stays in memory.

    Parameters
    ----------
    plan : Plan
        Stack and steps.
    context : Context
        Shared with the stages.
    keep : callable
        Is given the result of each step for each unit.
    span : (int, int), optional
        The time points to run; all by default.
    shared : sequence of Shared, optional
        What was found for more time points than these, by `shared_by_blocks`; else it
        is found here, for each of the plan's `pattern_spans`.
    ahead : dict, optional
        From `shared_by_blocks` with ``shared``: these steps are not run again. Emptied
        of the units that are run.

    Yields
    ------
    Progress
        Over all units of all steps; the last is complete.

    Returns
    -------
    list of Tally
        One a step.

    Raises
    ------
    InputError
        If a stage refuses a unit; the message says which.
    """
    for step in plan.steps:
        for module in step.stage.imports:
            importlib.import_module(module)
    span = span or plan.span
    spans = plan.pattern_spans(span) if shared is None else [span]
    total, done = plan.ticks(span), 0
    if shared is None:
        total += sum(shared_ticks(plan, part) for part in spans)
    tallies = [Tally(0.0, []) for _ in plan.steps]
    yield Progress(0, total, plan.steps[0].stage.title)
    for part in spans:
        findings = shared
        if findings is None:
            findings = yield from within(find_shared(plan, context, part), done, total)
            done += shared_ticks(plan, part)
        for channel, found in zip(plan.channels, findings, strict=True):
            run = _ChannelRun.of(channel, found, plan.steps, context)
            _add(tallies, {n: Tally(0.0, w) for n, w in found.warnings.items()})
            for unit in channel.units_middle_first(part):
                begun = (ahead or {}).pop(unit.index, ())
                ran = yield from within(run.unit(unit, keep, begun), done, total)
                _add(tallies, dict(enumerate(ran)))
                done += len(plan.steps) * PART_TICKS
    yield Progress(total, total)
    return tallies


def shared_by_blocks(
    plan: Plan, context: Context
) -> Generator[Progress, None, tuple[tuple[Shared, ...], Ahead]]:
    """Find all that blocks of a stack share which are computed apart from each other.

    Beside the patterns that is what steps find out by inspecting an image that the
    steps before them have made; so those run on one unit of each channel.

    Parameters are those of `find_shared`.

    Returns
    -------
    tuple of Shared
        One a channel, for all time points.
    dict
        What those steps gave, so that the block of these units need not run them.
    """
    last = max(
        (n for n, step in enumerate(plan.steps) if step.stage.inspect), default=-1
    )
    done = shared_ticks(plan, plan.span)
    total = done + len(plan.channels) * (last + 1) * PART_TICKS
    findings = yield from within(find_shared(plan, context, plan.span), 0, total)
    complete = []
    ahead: Ahead = {}
    for channel, found in zip(plan.channels, findings, strict=True):
        run = _ChannelRun.of(channel, found, plan.steps[: last + 1], context.part())
        unit = channel.middle(plan.span)
        images: list[ImageStack] = []
        keep = partial(_append, images)
        ran = yield from within(run.unit(unit, keep), done, total)
        ahead[unit.index] = list(zip(images, ran, strict=True))
        done += (last + 1) * PART_TICKS
        warnings = {n: list(found.warnings.get(n, ())) for n in range(len(plan.steps))}
        for number, tally in enumerate(ran):
            warnings[number] += tally.warnings
        complete.append(replace(found, optics=run.optics, warnings=warnings))
    return tuple(complete), ahead


def _append(
    images: list[ImageStack], number: int, index: Index, image: ImageStack
) -> None:
    """Keep the result of a step after those of the steps before it."""
    images.append(image)


def _add(tallies: Sequence[Tally], more: Mapping[int, Tally]) -> None:
    """Count what steps did, by their number."""
    for number, tally in more.items():
        tallies[number].add(tally)


@dataclass(frozen=True, eq=False)
class _ChannelRun:
    """The steps on the units of one channel, one unit at a time.

    Attributes
    ----------
    channel : Channel
        With what its units share.
    steps : sequence of Step
        In order.
    context : Context
        Shared with the stages.
    optics : dict of int to Optics
        Of the images that a step gets, by its number; filled by the steps that inspect
        the first of their images.
    """

    channel: Channel
    steps: Sequence[Step]
    context: Context
    optics: dict[int, Optics]

    @classmethod
    def of(
        cls, channel: Channel, shared: Shared, steps: Sequence[Step], context: Context
    ) -> _ChannelRun:
        """Begin with what the units share."""
        return cls(shared.attached_to(channel), steps, context, dict(shared.optics))

    def unit(
        self, unit: Unit, keep: Keep, ahead: Sequence[tuple[ImageStack, Tally]] = ()
    ) -> Generator[Progress, None, list[Tally]]:
        """Run all steps on one unit, but the first of them where those ran ahead."""
        for number, (image, _) in enumerate(ahead):
            keep(number, unit.index, image)
        image = ahead[-1][0] if ahead else self.channel.image(unit)
        tallies = [tally for _, tally in ahead]
        total = len(self.steps) * PART_TICKS
        for number, step in list(enumerate(self.steps))[len(ahead) :]:
            started, part = time.perf_counter(), self.context.part()
            part.otf = self.channel.otf
            running = in_ticks(
                self._step(number, image, part), step.stage.title + unit.where
            )
            try:
                image = yield from within(running, number * PART_TICKS, total)
            except InputError as error:
                if unit.where:
                    raise error.at(unit.where) from error
                raise
            warnings = self.context.take_over(part, self.channel.label)
            tallies.append(Tally(time.perf_counter() - started, warnings))
            if image.axes == step.stage.gives:
                keep(number, unit.index, image)
            else:
                for z, plane in planes_of(image):
                    keep(number, (*unit.index, z), plane)
        return tallies

    def _step(
        self, number: int, image: ImageStack, context: Context
    ) -> Generator[Progress, None, ImageStack]:
        """Run a step; before, inspect the first of its images if it wants that."""
        step = self.steps[number]
        stage, parameters = step.stage, step.parameters
        if image.axes == "Z" + stage.takes and not step.takes_volume(image):
            return (yield from self._plane_by_plane(number, image, context))
        if stage.inspect is not None:
            if number not in self.optics:
                shown, _ = in_range(image)  # the optics are the same in any unit
                seen = yield from stage.inspect(shown, parameters, context)
                self.optics[number] = seen.require_optics(stage.id)
            image = replace(image, optics=self.optics[number])
        return (yield from stage.run(image, parameters, context))

    def _plane_by_plane(
        self, number: int, volume: ImageStack, context: Context
    ) -> Generator[Progress, None, ImageStack]:
        """Run a step that takes planes on those of a volume, the middle one first."""
        planes = dict(planes_of(volume))
        middle = len(planes) // 2
        results: dict[int, ImageStack] = {}
        for z in sorted(planes, key=lambda z: z != middle):
            running = one_of(
                self._step(number, planes[z], context), len(results), len(planes)
            )
            results[z] = yield from running
        return volume_of([results[z] for z in sorted(results)])

"""The steps of a run on the units of one channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from napari_dps.core import (
    ImageStack,
    InputError,
    Progress,
    one_of,
    relay,
    uncounted,
    within,
)
from napari_dps.core.context import Context, Neighbours, TimePoint
from napari_dps.core.planes import planes_of, volume_of
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline.psf_check import check_psf
from napari_dps.pipeline.shared import Seen, Shared, in_ticks
from napari_dps.pipeline.steps import Step
from napari_dps.pipeline.units import (
    Channel,
    Index,
    Span,
    Unit,
)
from napari_dps.stages.base import in_range

Keep = Callable[[int, Index, ImageStack], None]
"""Takes the number of a step, the place of a unit, and the step's result for it."""
KeepUnit = Callable[[int, Unit, ImageStack], None]
"""Takes the same of a unit, which may be a volume."""
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


@dataclass(eq=False)
class ChannelRun:
    """The steps on the units of one channel.

    A step asks for the result of the one before it, of its own unit and of those in its
    window; steps without a window simply follow one another. What a window may need
    again is kept until it cannot, so that memory does not grow with time.

    Attributes
    ----------
    channel : Channel
        With what its units share.
    steps : sequence of Step
        In order.
    context : Context
        Shared with the stages.
    reach : (int, int)
        Time points from which windows take their neighbours.
    seen : dict of int to Seen
        Of the images that a step gets, by its number; filled by the steps that inspect
        the first of their images.
    """

    channel: Channel
    steps: Sequence[Step]
    context: Context
    reach: Span
    seen: dict[int, Seen]

    @classmethod
    def of(
        cls,
        channel: Channel,
        shared: Shared,
        steps: Sequence[Step],
        context: Context,
        reach: Span,
    ) -> ChannelRun:
        """Begin with what the units share."""
        seen = dict(shared.seen)
        return cls(shared.attached_to(channel), steps, context, reach, seen)

    def units(
        self, units: Sequence[Unit], keep: KeepUnit, ahead: Ahead
    ) -> Generator[Progress, None, list[Tally]]:
        """Run all steps on some units of one plane, in the order of time.

        Parameters
        ----------
        units : sequence of Unit
            As from `in_windows`.
        keep : callable
            Is given the number of a step, each of these units, and the step's result.
        ahead : dict
            What the first steps have given of some units; emptied of these.

        Yields
        ------
        Progress
            Out of `PART_TICKS` for each step of each unit.

        Returns
        -------
        list of Tally
            One a step, for all units.
        """
        work = _Work(self, keep, len(units))
        for unit in units:
            work.take(unit, ahead.pop(unit.index, []))
        for unit in units if self.steps else ():
            yield from work.result(len(self.steps) - 1, unit)
            work.forget(self.channel.time_of(unit.index))
        return work.tallies

    def step(
        self, number: int, image: ImageStack, context: Context
    ) -> Generator[Progress, None, ImageStack]:
        """Run a step; before, inspect the first of its images if it wants that."""
        step = self.steps[number]
        stage, parameters = step.stage, step.parameters
        if image.axes.startswith("Z") and not step.takes_volume(image):
            return (yield from self._plane_by_plane(number, image, context))
        if stage.inspect is not None:
            if number not in self.seen:
                shown, _ = in_range(image)  # the optics are the same in any unit
                looking = stage.inspect(shown, parameters, context)
                first = yield from uncounted(looking)
                optics = first.require_optics(stage.id)
                self.seen[number] = Seen(optics, first.shows_sim)
            image = replace(image, **self.seen[number]._asdict())
        return (yield from stage.run(image, parameters, context))

    def _plane_by_plane(
        self, number: int, volume: ImageStack, context: Context
    ) -> Generator[Progress, None, ImageStack]:
        """Run a step that takes planes on those of a volume, the middle one first."""
        planes = dict(planes_of(volume))
        middle = len(planes) // 2
        results: dict[int, ImageStack] = {}
        for z in sorted(planes, key=lambda z: z != middle):
            of_plane = replace(context, neighbours=plane_of(context.neighbours, z))
            running = one_of(
                self.step(number, planes[z], of_plane), len(results), len(planes)
            )
            results[z] = yield from running
        result = volume_of([results[z] for z in sorted(results)])
        return replace(result, frames=volume.frames)


@dataclass(eq=False)
class _Work:
    """What is done, and kept for later windows, of some units of one plane."""

    run: ChannelRun
    keep: KeepUnit
    count: int
    done: int = 0
    inputs: dict[tuple[int, Index], TimePoint] = field(default_factory=dict)
    ready: dict[tuple[int, Index], ImageStack] = field(default_factory=dict)
    wanted: set[Index] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin with nothing done."""
        self.tallies = [Tally(0.0, []) for _ in self.run.steps]

    def take(self, unit: Unit, ahead: Sequence[tuple[ImageStack, Tally]]) -> None:
        """Note a unit that is to be run, and what its first steps have given."""
        self.wanted.add(unit.index)
        for number, (image, tally) in enumerate(ahead):
            self.ready[number, unit.index] = image
            self._finish(number, unit, image, tally)

    def result(self, number: int, unit: Unit) -> Generator[Progress, None, ImageStack]:
        """Return what a step gives of a unit, having run what is not done yet."""
        if (number, unit.index) in self.ready:
            return self.ready[number, unit.index]
        run, step = self.run, self.run.steps[number]
        here = yield from self._input(number, unit)
        part = run.context.part()
        part.otf = run.channel.otf
        part.units, part.where = run.channel.unit_count, unit.where
        sides = []
        for units in run.channel.around(unit, step.window, run.reach):
            points = []
            for other in units:
                points.append((yield from self._input(number, other)))
            sides.append(tuple(points))
        part.neighbours = Neighbours(here, *sides)
        started = time.perf_counter()
        running = in_ticks(
            run.step(number, here.image, part), step.stage.title + unit.where
        )
        try:
            image = yield from self._counted(running, unit)
        except InputError as error:
            if unit.where:
                raise error.at(unit.where) from error
            raise
        seconds = time.perf_counter() - started
        if unit == run.channel.first and part.examines:
            check_psf(run.steps, number, here.image, image, part)
        tally = Tally(seconds, run.context.take_over(part, run.channel.label))
        self._finish(number, unit, image, tally)
        return image

    def forget(self, time_point: int) -> None:
        """Drop what units after a time point cannot need."""
        steps, time_of = self.run.steps, self.run.channel.time_of
        for number, index in list(self.inputs):
            before = sum(step.window[0] for step in steps[number:])
            if time_of(index) <= time_point - before:
                del self.inputs[number, index]

    def _input(self, number: int, unit: Unit) -> Generator[Progress, None, TimePoint]:
        """Return what a step gets of a unit."""
        key = number, unit.index
        if key in self.inputs:
            return self.inputs[key]
        has_window = any(self.run.steps[number].window)
        found: dict[Any, Any] = {}
        if number == 0:
            image = self.run.channel.image(unit)
            if has_window and self.run.context.found is not None:
                place = self.run.channel.number, unit.index
                found = self.run.context.found.setdefault(place, found)
        else:
            image = yield from self.result(number - 1, unit)
        point = TimePoint(image, found, unit.where)
        if has_window:
            self.inputs[key] = point
        return point

    def _counted(
        self, running: Generator[Progress, None, ImageStack], unit: Unit
    ) -> Generator[Progress, None, ImageStack]:
        """Pass on progress; what neighbours beyond the units need counts nothing."""
        total = self.count * len(self.run.steps) * PART_TICKS
        if unit.index in self.wanted:
            return (yield from within(running, self.done, total))
        return (
            yield from relay(running, lambda r: Progress(self.done, total, r.message))
        )

    def _finish(self, number: int, unit: Unit, image: ImageStack, tally: Tally) -> None:
        """Count what a step did, and hand over its result."""
        self.tallies[number].add(tally)
        if unit.index in self.wanted:
            self.done += PART_TICKS
            self.keep(number, unit, image)


def plane_of(neighbours: Neighbours, z: int) -> Neighbours:
    """Return a plane of time points that are volumes."""

    def plane(point: TimePoint) -> TimePoint:
        kept = point.found
        if ("plane", z) not in kept:
            kept["plane", z] = TimePoint(dict(planes_of(point.image))[z])
        found: TimePoint = kept["plane", z]
        return found

    return Neighbours(
        neighbours.here and plane(neighbours.here),
        tuple(map(plane, neighbours.before)),
        tuple(map(plane, neighbours.after)),
    )


def by_planes(keep: Keep) -> KeepUnit:
    """Return what hands results over plane by plane where units are volumes."""

    def keep_unit(number: int, unit: Unit, image: ImageStack) -> None:
        if not image.axes.startswith("Z"):
            keep(number, unit.index, image)
            return
        for z, plane in planes_of(image):
            keep(number, (*unit.index, z), plane)

    return keep_unit

"""What the units of a time-lapse have in common, found before the first of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import (
    ImageStack,
    InputError,
    NoiseToSignal,
    Optics,
    Pattern,
    Progress,
    one_of,
    relay,
    within,
)
from napari_dps.core.context import Context
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.rolling import is_rolling
from napari_dps.pipeline.units import Channel, Span, Unit
from napari_dps.stages.base import Prepare, in_range

if TYPE_CHECKING:
    from napari_dps.physics.sim.focus import FocusWeights

FIRST_FRAMES = 10
"""Time points of a time-lapse whose average the patterns are found on."""
SERIES, SERIES_UNITS = 32, 320
"""So many time points, evenly spaced, tell of wave vectors that are known, and so many
of their planes in all; never fewer time points than `FIRST_FRAMES`."""
DIM = 0.1
"""Light of a unit over the usual from which down it does not stand for all."""
FOCUS_TIMES = 4
"""About so many of these time points tell which places of a plane are in focus."""


class Seen(NamedTuple):
    """What a step has seen in the first of its images, and takes all to have."""

    optics: Optics
    shows_sim: bool


@dataclass(frozen=True)
class Shared:
    """What all units of one channel have in common.

    Attributes
    ----------
    patterns : tuple of Pattern
        With their phases; empty when each unit finds its own.
    noise : NoiseToSignal or None
        Of the raw frames.
    seen : dict of int to Seen
        Of the images that a step gets, by its number, where that step has inspected
        one of them.
    warnings : dict of int to list of str
        What finding all this has led to, by the number of the step that found it.
    """

    patterns: tuple[Pattern, ...] = ()
    noise: NoiseToSignal | None = None
    seen: dict[int, Seen] = field(default_factory=dict)
    warnings: dict[int, list[str]] = field(default_factory=dict)

    def attached_to(self, channel: Channel) -> Channel:
        """Return the channel whose units carry these."""
        stack = replace(channel.stack, patterns=self.patterns, noise=self.noise)
        return replace(channel, stack=stack)


def shared_ticks(plan: Plan, span: Span) -> int:
    """Return the total of the progress of `find_shared`."""
    return len(_preparing(plan, span)) * len(plan.channels) * PART_TICKS


def find_shared(
    plan: Plan, context: Context, span: Span
) -> Generator[Progress, None, tuple[Shared, ...]]:
    """Find what the units of some time points share, channel by channel.

    The steps look at the average of the first time points and all z of what the
    *first* step will see: patterns are found on noisy frames, never on denoised ones.
    Where wave vectors are known, time points of the whole span tell of them.
    Where units are volumes, z is not averaged, and the step that takes them looks.

    Parameters
    ----------
    plan : Plan
        Stack and steps.
    context : Context
        Shared with the stages.
    span : (int, int)
        The time points.

    Yields
    ------
    Progress
        Out of `shared_ticks`.

    Returns
    -------
    tuple of Shared
        One a channel.
    """
    preparing = _preparing(plan, span)
    total, done = shared_ticks(plan, span), 0
    found = []
    for channel in plan.channels:
        shared = Shared(channel.stack.patterns, channel.stack.noise)
        if preparing:
            yield Progress(done, total, "Average of the first frames")
            planes = plan.stack.size("Z")
            # Neighbouring results of a rolling series share frames and their noise.
            apart = channel.stack.size("A") if is_rolling(plan.steps) else 1
            times = _times(channel, span, planes, apart)
            focus = _focus(channel, times) if planes > 1 else None
            average, sample = _average(channel, times, focus)
            series = None
            if _has_known_waves(channel) and len(times) > 1:
                series = partial(_series, channel, times, focus)
            part = replace(
                context,
                planes=planes,
                time_points=span[1] - span[0],
                units=channel.unit_count,
                series=series,
            )
            learning = learn(plan, channel, average, sample, part, preparing)
            shared = yield from within(learning, done, total)
            done += len(preparing) * PART_TICKS
        found.append(shared)
    return tuple(found)


def learn(
    plan: Plan,
    channel: Channel,
    average: ImageStack,
    sample: ImageStack,
    context: Context,
    preparing: Mapping[int, Prepare[Any]] | None = None,
) -> Generator[Progress, None, Shared]:
    """Let the steps look at the average of some units of a channel, and at one of them.

    Parameters
    ----------
    plan : Plan
        Of the steps.
    channel : Channel
        Whose warnings are labelled so.
    average, sample : ImageStack
        As the first step sees them.
    context : Context
        It tells of how many planes and time points the average is.
    preparing : mapping, optional
        The steps that look, by number; all that take what the first takes by default.

    Yields
    ------
    Progress

    Returns
    -------
    Shared
    """
    if preparing is None:
        preparing = _preparing_units(plan)
    warnings = {}
    total, done = max(len(preparing), 1) * PART_TICKS, 0
    for number, prepare in preparing.items():
        step, part = plan.steps[number], context.part()
        part.otf = channel.otf
        # What is found is the same in any unit.
        (average, _), (sample, _) = in_range(average), in_range(sample)
        looking = prepare(average, sample, step.parameters, part)
        average = yield from within(in_ticks(looking, step.stage.title), done, total)
        warnings[number] = context.take_over(part, channel.label)
        done += PART_TICKS
    return Shared(average.patterns, average.noise, warnings=warnings)


def _preparing(plan: Plan, span: Span) -> dict[int, Prepare[Any]]:
    """Return what is to look at the average of several units, by number of the step."""
    if plan.has_volumes:
        return {
            number: step.stage.prepare
            for number, step in enumerate(plan.steps)
            if step.stage.prepare is not None and step.takes_volume(plan.stack)
        }
    if (span[1] - span[0]) * plan.stack.size("Z") == 1:
        return {}
    return _preparing_units(plan)


def _preparing_units(plan: Plan) -> dict[int, Prepare[Any]]:
    """Return the steps that look at an average of the units of the first step."""
    takes = plan.takes
    return {
        number: step.stage.prepare
        for number, step in enumerate(plan.steps)
        if step.stage.prepare is not None and step.stage.takes == takes
    }


def _times(channel: Channel, span: Span, planes: int, apart: int) -> list[int]:
    """Return the time points that the units of a channel are looked at.

    Those whose noise is independent are ``apart``.
    """
    if not _has_known_waves(channel):
        return list(range(span[0], min(span[1], span[0] + FIRST_FRAMES)))
    some = range(span[0], span[1], apart)
    count = max(FIRST_FRAMES, min(SERIES, SERIES_UNITS // max(planes, 1)))
    places = np.linspace(0, len(some) - 1, min(count, len(some)))
    return [some[int(place)] for place in places.round()]


def _average(
    channel: Channel, times: Sequence[int], focus: FocusWeights | None = None
) -> tuple[ImageStack, ImageStack]:
    """Return the mean of some time points and all z, and one unit of them.

    Planes count by ``focus``, if it is there, else alike. The unit is that in the
    middle of the first time point, unless it is dark beside most others.
    """
    middle = channel.middle((times[0], times[0] + 1))
    sample = channel.image(middle)
    mean = np.zeros_like(sample.data)
    light: dict[Unit, float] = {}
    units = [u for t in times for u in channel.units((t, t + 1))]
    for unit in sorted(units, key=lambda unit: unit.index):
        pixels = sample.data if unit == middle else channel.image(unit).data
        if not np.isfinite(pixels).all():
            raise InputError(
                "the image holds values that are not finite (NaN or inf)" + unit.where
            )
        light[unit] = float(pixels.mean())
        if focus is not None:
            pixels = pixels * focus.of_plane(channel.plane_of(unit.index))
        mean += pixels
    mean /= len(units) if focus is None else len(times)
    usual = float(np.median(list(light.values())))
    if light[middle] < DIM * usual:
        sample = channel.image(min(light, key=lambda unit: abs(light[unit] - usual)))
    return sample.derive(mean), sample


def _focus(channel: Channel, times: Sequence[int]) -> FocusWeights | None:
    """Return how planes count where wave vectors are known: by what is in focus."""
    from napari_dps.physics.sim.focus import FocusWeights

    optics = channel.stack.optics
    if not _has_known_waves(channel) or optics is None:
        return None
    few = times[:: max(1, len(times) // FOCUS_TIMES)]
    units = [u for t in few for u in channel.units((t, t + 1))]
    planes: dict[int, list[Unit]] = {}
    for unit in units:
        planes.setdefault(channel.plane_of(unit.index), []).append(unit)

    def mean(some: Sequence[Unit]) -> NDArray[np.float32]:
        pixels = sum(channel.image(unit).data.mean(axis=(0, 1)) for unit in some)
        return np.asarray(pixels / np.float32(len(some)))

    return FocusWeights((mean(planes[z]) for z in sorted(planes)), optics)


def _has_known_waves(channel: Channel) -> bool:
    """Whether planes carry wave vectors whose phases are to be found."""
    return "Z" not in channel.takes and any(
        pattern.is_usable and not pattern.phases_deg
        for pattern in channel.stack.patterns
    )


def _series(
    channel: Channel, times: Sequence[int], focus: FocusWeights | None
) -> Iterator[tuple[int, ImageStack]]:
    """Read time points one by one: each with the mean of its planes."""
    for time_point in times:
        mean, _ = _average(channel, [time_point], focus)
        yield time_point, mean


def in_ticks(
    steps: Generator[Progress, None, ImageStack], where: str
) -> Generator[Progress, None, ImageStack]:
    """Bring the progress of a stage to `PART_TICKS`, and say where it is at work."""

    def name(report: Progress) -> Progress:
        message = f"{where}: {report.message}" if report.message else where
        return Progress(report.done, report.total, message)

    return one_of(relay(steps, name), 0, 1)

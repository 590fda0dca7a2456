"""What the units of a time-lapse have in common, found before the first of them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

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
from napari_dps.pipeline.units import Channel, Span
from napari_dps.stages.base import Prepare, in_range

FIRST_FRAMES = 10
"""Time points of a time-lapse whose average the patterns are found on."""


@dataclass(frozen=True)
class Shared:
    """What all units of one channel have in common.

    Attributes
    ----------
    patterns : tuple of Pattern
        With their phases; empty when each unit finds its own.
    noise : NoiseToSignal or None
        Of the raw frames.
    optics : dict of int to Optics
        Of the images that a step gets, by its number, where that step has inspected
        one of them.
    warnings : dict of int to list of str
        What finding all this has led to, by the number of the step that found it.
    """

    patterns: tuple[Pattern, ...] = ()
    noise: NoiseToSignal | None = None
    optics: dict[int, Optics] = field(default_factory=dict)
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
            average, sample = _average(channel, span)
            part = replace(
                context, planes=plan.stack.size("Z"), time_points=span[1] - span[0]
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


def _average(channel: Channel, span: Span) -> tuple[ImageStack, ImageStack]:
    """Return the mean of the first time points and all z, and one unit of them."""
    units = channel.units_middle_first((span[0], min(span[1], span[0] + FIRST_FRAMES)))
    sample = channel.image(units[0])
    mean = np.zeros_like(sample.data)
    for unit in sorted(units, key=lambda unit: unit.index):
        pixels = sample.data if unit == units[0] else channel.image(unit).data
        if not np.isfinite(pixels).all():
            raise InputError(
                "the image holds values that are not finite (NaN or inf)" + unit.where
            )
        mean += pixels
    mean /= len(units)
    return sample.derive(mean), sample


def in_ticks(
    steps: Generator[Progress, None, ImageStack], where: str
) -> Generator[Progress, None, ImageStack]:
    """Bring the progress of a stage to `PART_TICKS`, and say where it is at work."""

    def name(report: Progress) -> Progress:
        message = f"{where}: {report.message}" if report.message else where
        return Progress(report.done, report.total, message)

    return one_of(relay(steps, name), 0, 1)

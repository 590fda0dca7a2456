"""The steps on one unit after the other, so that memory does not grow with time."""

from __future__ import annotations

import importlib
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial

from napari_dps.core import ImageStack, Progress, within
from napari_dps.core.context import Context
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline.channel_run import Ahead, ChannelRun, Keep, Tally, by_planes
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.shared import Shared, find_shared, shared_ticks
from napari_dps.pipeline.units import Span, Unit


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
        # Patterns that are found anew are those of other time points no more.
        reach = part if shared is None else plan.span
        for channel, found in zip(plan.channels, findings, strict=True):
            run = ChannelRun.of(channel, found, plan.steps, context, reach)
            for number, warnings in found.warnings.items():
                tallies[number].add(Tally(0.0, warnings))
            for units in plan.in_windows(channel.units_middle_first(part)):
                steps = run.units(
                    units, by_planes(keep), {} if ahead is None else ahead
                )
                ran = yield from within(steps, done, total)
                for tally, more in zip(tallies, ran, strict=True):
                    tally.add(more)
                done += len(units) * len(plan.steps) * PART_TICKS
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
        steps = plan.steps[: last + 1]
        run = ChannelRun.of(channel, found, steps, context.part(), plan.span)
        unit = channel.middle(plan.span)
        images: list[ImageStack] = []
        keep = partial(_append, images)
        ran = yield from within(run.units([unit], keep, {}), done, total)
        ahead[unit.index] = list(zip(images, ran, strict=True))
        done += (last + 1) * PART_TICKS
        warnings = {n: list(found.warnings.get(n, ())) for n in range(len(plan.steps))}
        for number, tally in enumerate(ran):
            warnings[number] += tally.warnings
        complete.append(replace(found, seen=run.seen, warnings=warnings))
    return tuple(complete), ahead


def _append(
    images: list[ImageStack], number: int, unit: Unit, image: ImageStack
) -> None:
    """Keep the result of a step after those of the steps before it."""
    images.append(image)

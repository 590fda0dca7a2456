"""The stages on one unit after the other, so that memory does not grow with time."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from napari_dps.core import ImageStack, InputError, Optics, Progress, relay, within
from napari_dps.core.context import Context
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline.shared import Shared, in_ticks, shared_steps, shared_ticks
from napari_dps.pipeline.steps import Step
from napari_dps.pipeline.units import Channel, Index, Span, Unit, channels, spans

Keep = Callable[[int, Index, ImageStack], None]
"""Takes the number of a step, the place of a unit, and the step's result for it."""


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


def frames_between_patterns(steps: Sequence[Step]) -> int:
    """Return after how many time points patterns are found anew; 0: never.

    The least number that a step asks for counts, as ``reconstruct.patterns_every``.
    """
    wanted = (getattr(step.parameters, "patterns_every", 0) for step in steps)
    return min(filter(None, wanted), default=0)


def pattern_spans(steps: Sequence[Step], span: Span) -> list[Span]:
    """Return the ranges of time points that share their patterns."""
    parts = spans(span[1] - span[0], frames_between_patterns(steps))
    return [(span[0] + start, span[0] + stop) for start, stop in parts]


def stream_ticks(
    stack: ImageStack,
    steps: Sequence[Step],
    span: Span | None = None,
    shared: Sequence[Shared] | None = None,
) -> int:
    """Return the total of the progress of `stream`."""
    span = span or (0, stack.size("T"))
    units = (span[1] - span[0]) * stack.size("C") * stack.size("Z")
    ticks = units * len(steps) * PART_TICKS
    if shared is not None:
        return ticks
    parts = pattern_spans(steps, span)
    return ticks + sum(shared_ticks(stack, steps, part) for part in parts)


def stream(
    stack: ImageStack,
    steps: Sequence[Step],
    context: Context,
    keep: Keep,
    *,
    camera_offset: float = 0.0,
    span: Span | None = None,
    shared: Sequence[Shared] | None = None,
) -> Generator[Progress, None, list[Tally]]:
    """Run all steps on each unit of a stack; nothing of a unit stays in memory.

    Parameters
    ----------
    stack : ImageStack
        Axes: any of T, C, Z, then what the first step takes; the data may be lazy.
    steps : sequence of Step
        As `choose_steps` returns them.
    context : Context
        Shared with the stages.
    keep : callable
        Is given the result of each step for each unit.
    camera_offset : float
        Counts that are subtracted from every unit first.
    span : (int, int), optional
        The time points to run; all by default.
    shared : sequence of Shared, optional
        As `shared_steps` found them for more time points than these; else they are
        found here, for each of `pattern_spans`.

    Yields
    ------
    Progress
        Out of `stream_ticks`.

    Returns
    -------
    list of Tally
        One a step.

    Raises
    ------
    InputError
        If a stage refuses a unit; the message says which.
    """
    for step in steps:
        for module in step.stage.imports:
            importlib.import_module(module)
    span = span or (0, stack.size("T"))
    parts = pattern_spans(steps, span) if shared is None else [span]
    total, done = stream_ticks(stack, steps, span, shared), 0
    tallies = [Tally(0.0, []) for _ in steps]
    yield Progress(0, total, steps[0].stage.title)
    for part in parts:
        known = shared
        if known is None:
            finding = shared_steps(
                stack, steps, context, part, camera_offset=camera_offset
            )
            known = yield from within(finding, done, total)
            done += shared_ticks(stack, steps, part)
        for channel in channels(stack, steps[0].stage.takes):
            own = known[channel.number].attached_to(channel)
            optics = dict(known[channel.number].optics)
            for number, texts in known[channel.number].warnings.items():
                tallies[number].add(Tally(0.0, texts))
            middle = own.middle(part)
            for unit in (middle, *(u for u in own.units(part) if u != middle)):
                image = own.image(unit, camera_offset)
                running = _run_unit(own, unit, image, steps, context, keep, optics)
                told = yield from within(running, done, total)
                for tally, new in zip(tallies, told, strict=True):
                    tally.add(new)
                done += len(steps) * PART_TICKS
    return tallies


def shared_by_blocks(
    stack: ImageStack,
    steps: Sequence[Step],
    context: Context,
    *,
    camera_offset: float = 0.0,
) -> Generator[Progress, None, tuple[Shared, ...]]:
    """Find all that blocks of a stack share which are computed apart from each other.

    Beside the patterns that is what steps find out by inspecting an image that the
    steps before them have made; so those run on one unit of each channel.

    Parameters, progress and result are those of `shared_steps`, for all time points.
    """
    span = (0, stack.size("T"))
    finding = shared_steps(stack, steps, context, span, camera_offset=camera_offset)
    takes, found = steps[0].stage.takes, []
    inspecting = [n for n, step in enumerate(steps) if step.stage.inspect is not None]
    last = max(inspecting, default=-1)
    total = shared_ticks(stack, steps, span)
    total += (last + 1) * stack.size("C") * PART_TICKS
    shared = yield from relay(finding, lambda r: replace(r, total=total))
    done = shared_ticks(stack, steps, span)
    for channel, known in zip(channels(stack, takes), shared, strict=True):
        own, optics = known.attached_to(channel), dict(known.optics)
        unit = own.middle(span)
        running = _run_unit(
            own,
            unit,
            own.image(unit, camera_offset),
            steps[: last + 1],
            context.part(),
            _forget,
            optics,
        )
        told = yield from within(running, done, total)
        done += (last + 1) * PART_TICKS
        warnings = {n: list(known.warnings.get(n, ())) for n in range(len(steps))}
        for number, tally in enumerate(told):
            warnings[number] += tally.warnings
        found.append(replace(known, optics=optics, warnings=warnings))
    return tuple(found)


def _forget(number: int, index: Index, image: ImageStack) -> None:
    """Keep nothing."""


def _run_unit(
    channel: Channel,
    unit: Unit,
    image: ImageStack,
    steps: Sequence[Step],
    context: Context,
    keep: Keep,
    optics: dict[int, Optics],
) -> Generator[Progress, None, list[Tally]]:
    """Run all steps on one unit.

    What a step finds out of the optics by inspecting the first of its images goes into
    ``optics``.
    """
    total = len(steps) * PART_TICKS
    tallies = []
    for number, step in enumerate(steps):
        started = time.perf_counter()
        part = context.part()
        running = in_ticks(
            _run_step(number, step, image, part, optics),
            step.stage.title + unit.where,
        )
        try:
            image = yield from within(running, number * PART_TICKS, total)
        except InputError as error:
            if unit.where:
                raise error.at(unit.where) from error
            raise
        warnings = context.take_over(part, channel.label)
        tallies.append(Tally(time.perf_counter() - started, warnings))
        keep(number, unit.index, image)
    return tallies


def _run_step(
    number: int,
    step: Step,
    image: ImageStack,
    context: Context,
    optics: dict[int, Optics],
) -> Generator[Progress, None, ImageStack]:
    """Run a step; before, inspect the first of its images if it wants that."""
    stage = step.stage
    if stage.inspect is not None:
        if number not in optics:
            seen = yield from stage.inspect(image, step.parameters, context)
            optics[number] = seen.require_optics(stage.id)
        image = replace(image, optics=optics[number])
    return (yield from stage.run(image, step.parameters, context))


def described(
    stack: ImageStack,
    number: int,
    firsts: Sequence[ImageStack],
    tallies: Sequence[Tally],
) -> ImageStack:
    """Return a step's result for the first unit with what holds for the whole stack.

    Parameters
    ----------
    stack : ImageStack
        The input of the run.
    number : int
        Of the step.
    firsts : sequence of ImageStack
        Its result for the first unit of each channel.
    tallies : sequence of Tally
        Of all steps.

    Returns
    -------
    ImageStack
        Pixels of the first unit; patterns and optics of all channels; time and
        warnings of all units in the history.
    """
    first = firsts[0]
    entries = [
        replace(entry, seconds=tally.seconds, warnings=tuple(tally.warnings))
        for entry, tally in zip(first.history[-number - 1 :], tallies, strict=False)
    ]
    patterns = tuple(
        pattern.model_copy(update={"channel_index": channel})
        for channel, image in enumerate(firsts)
        for pattern in image.patterns
    )
    optics = tuple(image.optics for image in firsts if image.optics is not None)
    return replace(
        first,
        history=(*first.history[: -number - 1], *entries),
        patterns=patterns,
        channel_optics=optics if stack.channel_optics else (),
        channel_names=stack.channel_names,
    )

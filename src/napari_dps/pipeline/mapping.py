"""One stage, mapped over time, channels and z."""

from __future__ import annotations

import importlib
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np

from napari_dps.core import ImageStack, InputError, Progress, one_of, relay, within
from napari_dps.core.progress import PART_TICKS
from napari_dps.pipeline.steps import Step
from napari_dps.stages.base import Context

TICKS_PER_UNIT = PART_TICKS
"""Resolution of the progress inside one unit (a plane or a raw SIM set)."""


@dataclass(frozen=True)
class StageOutput:
    """What one stage gave.

    Attributes
    ----------
    step : Step
        The stage and its parameters.
    image : ImageStack
        float32; the leading axes of the input, then the axes that the stage gives.
    seconds : float
        Time spent in the stage, over all units.
    warnings : tuple of str
        What it had to say, each once.
    """

    step: Step
    image: ImageStack
    seconds: float
    warnings: tuple[str, ...]


def count_ticks(step: Step, image: ImageStack) -> int:
    """Return the total of the progress of `map_stage`.

    A preparation counts as one more unit. Only T, C and Z matter, so that the total
    of a later stage can be told from the input of the first.
    """
    channels = image.size("C")
    units = image.size("T") * channels * image.size("Z")
    preparations = channels if step.stage.prepare is not None else 0
    return (units + preparations) * TICKS_PER_UNIT


def map_stage(
    step: Step, image: ImageStack, context: Context
) -> Generator[Progress, None, StageOutput]:
    """Run one stage on every unit of a stack, channel by channel.

    Within a channel the stage first looks once at the whole of T and Z (its
    ``prepare``), so that for example patterns are found once for a time-lapse.

    Parameters
    ----------
    step : Step
        The stage and its parameters.
    image : ImageStack
        Axes: any of T, C, Z, then what the stage takes.
    context : Context
        Shared with the stage.

    Yields
    ------
    Progress
        Over all units, with the progress inside each.

    Returns
    -------
    StageOutput

    Raises
    ------
    InputError
        If the axes do not fit, or the stage refuses its input.
    """
    stage = step.stage
    if not image.axes.endswith(stage.takes):
        raise InputError(
            f"axes of the input of '{stage.id}'", got=image.axes, allowed=stage.takes
        )
    for module in stage.imports:
        importlib.import_module(module)
    started = time.perf_counter()
    first_warning = len(context.warnings)
    total, done = count_ticks(step, image), 0
    results: list[ImageStack] = []
    for channel, part in _channels(image):
        before = len(context.warnings)
        steps = _map_channel(step, part, context)
        results.append((yield from within(steps, done, total)))
        done += count_ticks(step, part)
        if image.size("C") > 1:
            context.warnings[before:] = [
                f"channel {channel}: {text}" for text in context.warnings[before:]
            ]
    warnings = tuple(context.warnings[first_warning:])
    seconds = time.perf_counter() - started
    entry = replace(results[0].history[-1], seconds=seconds, warnings=warnings)
    joined = replace(_joined(image, results), history=(*image.history, entry))
    return StageOutput(step, joined, seconds, warnings)


def _channels(image: ImageStack) -> Iterator[tuple[int, ImageStack]]:
    """Cut a stack into its channels, each with its own patterns."""
    if "C" not in image.axes:
        yield 0, image
        return
    for channel in range(image.size("C")):
        yield (
            channel,
            image.derive(
                image.data.take(channel, axis=image.axes.index("C")),
                axes=image.axes.replace("C", ""),
                patterns=tuple(p for p in image.patterns if p.channel_index == channel),
                channel_names=(),
            ),
        )


def _map_channel(
    step: Step, image: ImageStack, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Run a stage over T and Z; what is not pixels is taken from the first unit."""
    stage = step.stage
    leading = image.axes.removesuffix(stage.takes)
    shape = image.shape[: len(leading)]
    total = count_ticks(step, image)
    yield Progress(0, total, stage.title)
    done = 0
    if stage.prepare is not None:
        steps = _in_ticks(stage.prepare(image, step.parameters, context), stage.title)
        image = yield from within(steps, done, total)
        done += TICKS_PER_UNIT
    for number, index in enumerate(np.ndindex(shape)):
        unit = image.derive(image.data[index], axes=stage.takes)
        where = stage.title + _position(leading, index, shape)
        steps = _in_ticks(stage.run(unit, step.parameters, context), where)
        try:
            result = yield from within(steps, done + number * TICKS_PER_UNIT, total)
        except InputError as error:
            if position := _position(leading, index, shape):
                raise InputError(f"{error}{position}") from error
            raise
        if number == 0:
            first = result
            data = np.empty(shape + result.shape, np.float32)
            spread = np.empty_like(data) if result.uncertainty is not None else None
        data[index] = result.data
        if spread is not None:
            spread[index] = result.uncertainty
    return first.derive(data, axes=leading + first.axes, uncertainty=spread)


def _in_ticks(
    steps: Generator[Progress, None, ImageStack], where: str
) -> Generator[Progress, None, ImageStack]:
    """Bring the progress of a stage to the scale of a unit."""

    def name(report: Progress) -> Progress:
        message = f"{where}: {report.message}" if report.message else where
        return Progress(report.done, report.total, message)

    return one_of(relay(steps, name), 0, 1)


def _position(leading: str, index: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Say which unit of how many: " (T 3/10)"."""
    parts = [
        f"{axis} {position + 1}/{length}"
        for axis, position, length in zip(leading, index, shape, strict=True)
        if length > 1
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _joined(image: ImageStack, results: list[ImageStack]) -> ImageStack:
    """Put the channels together again, C where it was."""
    first = results[0]
    if "C" not in image.axes:
        return first
    axis = image.axes.index("C")
    spreads = [result.uncertainty for result in results]
    known = [spread for spread in spreads if spread is not None]
    return first.derive(
        np.stack([result.data for result in results], axis=axis),
        uncertainty=np.stack(known, axis=axis) if known else None,
        axes=first.axes[:axis] + "C" + first.axes[axis:],
        patterns=tuple(
            pattern.model_copy(update={"channel_index": channel})
            for channel, result in enumerate(results)
            for pattern in result.patterns
        ),
        channel_names=image.channel_names,
    )

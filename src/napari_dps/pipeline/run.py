"""The stages on a whole stack, with all results in memory."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps import io
from napari_dps.core import ImageStack, InputError, Pattern, Progress, relay
from napari_dps.core.context import Context
from napari_dps.pipeline.camera import Camera
from napari_dps.pipeline.channel_run import Tally
from napari_dps.pipeline.corrections import find_corrections
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.result import PipelineResult, StageOutput, assemble
from napari_dps.pipeline.shared import Shared
from napari_dps.pipeline.steps import Step
from napari_dps.pipeline.stream import stream
from napari_dps.pipeline.units import Index


def run(
    stack: ImageStack,
    steps: Sequence[Step],
    context: Context | None = None,
    *,
    camera_offset: float = 0.0,
) -> Generator[Progress, None, PipelineResult]:
    """Run stages in order on a whole stack.

    Close the generator to cancel. Every stage's output stays in memory as float32; for
    more than fits there see `napari_dps.batch`, which gives the same pixels.

    Parameters
    ----------
    stack : ImageStack
        Any leading axes of T, C, Z before what the first stage takes.
    steps : sequence of Step
        As `choose_steps` returns them.
    context : Context, optional
        Device, warnings, cache.
    camera_offset : float, optional
        Counts that the camera adds to every pixel; subtracted before the first stage.

    Yields
    ------
    Progress
        ``done`` of ``total`` over all units of all stages; the last is complete.

    Returns
    -------
    PipelineResult

    Raises
    ------
    InputError
        If pixels are not finite or a stage refuses its input.

    Examples
    --------
    >>> from napari_dps.core import finish
    >>> from napari_dps.pipeline import choose_steps
    >>> image = ImageStack(np.ones((2, 64, 64)), "TYX", pixel_size_nm=65)
    >>> result = finish(run(image, choose_steps(image, ["background"])))
    >>> result.images[0].shape
    (2, 64, 64)
    """
    plan = Plan.of(stack, steps, camera=Camera(camera_offset))
    return (yield from run_plan(plan, context))


def run_plan(
    plan: Plan,
    context: Context | None = None,
    *,
    shared: Sequence[Shared] | None = None,
    before: Sequence[NDArray[Any]] = (),
) -> Generator[Progress, None, PipelineResult]:
    """Run what `open_input` has planned; all else is as for `run`.

    ``shared``, of each channel, is what was found out before and need not be again.
    ``before`` are the pixels of the time points before that of a stack without T, for
    the windows of its steps.
    """
    context = Context() if context is None else context
    _check_finite(plan.stack)
    for warning in plan.warnings:
        context.warn(warning)
    places = [plan.places(number) for number in range(len(plan.steps))]
    gathered = [_Gathered(place.shape) for place in places]

    def keep(number: int, index: Index, image: ImageStack) -> None:
        place = index[1:] if before else index
        gathered[number].put(place, image, place in places[number].firsts)

    finding = find_corrections(plan)
    corrections = yield from relay(finding, lambda r: Progress(0, 1, r.message))
    for warning in corrections.warnings:
        context.warn(warning)
    span = (len(before), len(before) + 1) if before else None
    corrected, seen = corrections.keeping(plan, keep), _preceded(plan, before)
    tallies = yield from stream(seen, context, corrected, span=span, shared=shared)
    outputs = tuple(
        output.assembled(plan, number, tallies)
        for number, output in enumerate(gathered)
    )
    return PipelineResult(
        plan.stack, plan.first, outputs, tuple(context.warnings), corrections
    )


def _preceded(plan: Plan, before: Sequence[NDArray[Any]]) -> Plan:
    """Return the plan of a time point with those before it."""
    if not before:
        return plan
    stack = plan.stack
    frames = np.stack([*before, stack.data])
    return replace(plan, stack=stack.derive(frames, axes=f"T{stack.axes}"))


@dataclass
class _Gathered:
    """The result of one step, unit by unit."""

    shape: Index
    firsts: list[ImageStack] = field(default_factory=list)
    data: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    patterns: dict[Index, tuple[Pattern, ...]] = field(default_factory=dict)

    def put(self, index: Index, image: ImageStack, is_first: bool) -> None:
        """Take the result for a unit; the first of a channel is remembered."""
        if is_first:
            self.firsts.append(replace(image, frames=None))
        if not self.data.size:
            self.data = np.empty(self.shape + image.shape, np.float32)
            self.maps = {name: np.empty_like(self.data) for name in image.maps}
        self.data[index] = image.data
        self.patterns[index] = image.patterns
        for name, whole in self.maps.items():
            whole[index] = image.maps[name]

    def assembled(
        self, plan: Plan, number: int, tallies: Sequence[Tally]
    ) -> StageOutput:
        """Return what the step of this number gave."""
        output = assemble(
            plan,
            number,
            firsts=self.firsts,
            tallies=tallies,
            data=self.data,
            maps=self.maps,
        )
        return replace(output, patterns=self.patterns)


def _check_finite(stack: ImageStack) -> None:
    """Refuse NaN and inf before any time is spent."""
    if stack.data.dtype.kind != "f":
        return
    planes = (io.fetch(stack.data[i]) for i in np.ndindex(stack.shape[:-2]))
    bad = sum(plane.size - int(np.isfinite(plane).sum()) for plane in planes)
    if bad:
        raise InputError(
            f"the image holds {bad} values that are not finite (NaN or inf) "
            f"among {stack.data.size}"
        )

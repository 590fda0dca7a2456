"""The stages one after the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_dps import __version__
from napari_dps.core import (
    OFFSET_STEP,
    HistoryEntry,
    ImageStack,
    InputError,
    Pattern,
    Progress,
    within,
)
from napari_dps.pipeline.mapping import StageOutput, count_ticks, map_stage
from napari_dps.pipeline.steps import Step
from napari_dps.stages.base import Context


@dataclass(frozen=True)
class PipelineResult:
    """What a run gave.

    Attributes
    ----------
    input : ImageStack
        What the first stage saw: float32, camera offset subtracted.
    outputs : tuple of StageOutput
        One a stage, in the order of the run.
    warnings : tuple of str
        All warnings, each once.
    """

    input: ImageStack
    outputs: tuple[StageOutput, ...]
    warnings: tuple[str, ...]

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The illumination patterns that were used; empty without raw frames."""
        return self.outputs[-1].image.patterns


def run(
    stack: ImageStack,
    steps: Sequence[Step],
    context: Context | None = None,
    *,
    camera_offset: float = 0.0,
) -> Generator[Progress, None, PipelineResult]:
    """Run stages in order on a whole stack; the one entry of GUI and CLI.

    Close the generator to cancel. Every stage's output stays in memory as float32.

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
    >>> result.outputs[0].image.shape
    (2, 64, 64)
    """
    context = Context() if context is None else context
    _check_finite(stack)
    _check_sampling(stack, context)
    image = first = _without_offset(stack, camera_offset)
    total, done = sum(count_ticks(step, image) for step in steps), 0
    outputs: list[StageOutput] = []
    for step in steps:
        output = yield from within(map_stage(step, image, context), done, total)
        outputs.append(output)
        image = output.image
        done += count_ticks(step, image)
    yield Progress(total, total, "Done")
    return PipelineResult(first, tuple(outputs), tuple(context.warnings))


def _check_finite(stack: ImageStack) -> None:
    """Refuse NaN and inf before any time is spent."""
    bad = stack.data.size - int(np.isfinite(stack.data).sum())
    if bad:
        raise InputError(
            f"the image holds {bad} values that are not finite (NaN or inf) "
            f"among {stack.data.size}"
        )


def _check_sampling(stack: ImageStack, context: Context) -> None:
    """Warn of pixels too coarse for the optics."""
    if stack.optics is None:
        return
    optics = stack.optics
    if "P" in stack.axes:
        # Raw frames are band-limited by the detection alone; the finer result comes
        # on a finer grid.
        optics = optics.model_copy(update={"modulation_factor": 1.0})
    warning = optics.nyquist_warning()
    if warning is not None:
        context.warn(warning)


def _without_offset(stack: ImageStack, camera_offset: float) -> ImageStack:
    """Return the stack as float32, zero-based, with a note in its history."""
    data = stack.data.astype(np.float32)
    if camera_offset == 0:
        return stack.derive(data)
    data -= np.float32(camera_offset)
    entry = HistoryEntry(
        stage=OFFSET_STEP,
        parameters={"camera_offset": camera_offset},
        version=__version__,
        seconds=0.0,
    )
    return stack.derive(data, history=(*stack.history, entry))

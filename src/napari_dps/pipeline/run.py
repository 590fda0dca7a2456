"""The stages on a whole stack, with all results in memory."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps import __version__, io
from napari_dps.core import (
    OFFSET_STEP,
    HistoryEntry,
    ImageStack,
    InputError,
    Optics,
    Pattern,
    Progress,
)
from napari_dps.core.context import Context
from napari_dps.pipeline.steps import Step
from napari_dps.pipeline.stream import Tally, described, stream, stream_ticks
from napari_dps.pipeline.units import Index, channels


@dataclass(frozen=True)
class StageOutput:
    """What one stage gave.

    Attributes
    ----------
    step : Step
        The stage and its parameters.
    first : ImageStack
        Its result for the first T, C and Z; the attributes are those of the whole.
    axes, shape : str, tuple of int
        Of its result for the whole stack: the leading axes of the input, then the axes
        that the stage gives.
    image : ImageStack or None
        That result, float32; None where it was not kept.
    seconds : float
        Time spent in the stage, over all units.
    warnings : tuple of str
        What it had to say, each once.
    """

    step: Step
    first: ImageStack
    axes: str
    shape: tuple[int, ...]
    image: ImageStack | None
    seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class PipelineResult:
    """What a run gave.

    Attributes
    ----------
    input : ImageStack
        The stack as it was given; the history names the camera's offset.
    first : ImageStack
        Its first T, C and Z as the first stage saw it: float32, offset subtracted.
    outputs : tuple of StageOutput
        One a stage, in the order of the run.
    warnings : tuple of str
        All warnings, each once.
    """

    input: ImageStack
    first: ImageStack
    outputs: tuple[StageOutput, ...]
    warnings: tuple[str, ...]

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The illumination patterns that were used; empty without raw frames."""
        return self.outputs[-1].first.patterns

    @property
    def images(self) -> tuple[ImageStack, ...]:
        """The results that were kept, in the order of the run."""
        return tuple(o.image for o in self.outputs if o.image is not None)


@dataclass
class _Gathered:
    """The result of one step, unit by unit."""

    shape: Index
    firsts: list[ImageStack] = field(default_factory=list)
    data: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def put(self, index: Index, image: ImageStack, is_first: bool) -> None:
        """Take the result for a unit; the first of a channel is remembered."""
        if is_first:
            self.firsts.append(image)
        if not self.data.size:
            self.data = np.empty(self.shape + image.shape, np.float32)
            self.maps = {name: np.empty_like(self.data) for name in image.maps}
        self.data[index] = image.data
        for name, whole in self.maps.items():
            whole[index] = image.maps[name]


def run(
    stack: ImageStack,
    steps: Sequence[Step],
    context: Context | None = None,
    *,
    camera_offset: float = 0.0,
) -> Generator[Progress, None, PipelineResult]:
    """Run stages in order on a whole stack, as the GUI does.

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
    context = Context() if context is None else context
    check_finite(stack)
    stack = as_given(stack, context, camera_offset)
    takes = steps[0].stage.takes
    parts = list(channels(stack, takes))
    firsts = {part.first.index for part in parts}
    leading = stack.shape[: len(stack.axes) - len(takes)]
    gathered = [_Gathered(leading) for _ in steps]

    def keep(number: int, index: Index, image: ImageStack) -> None:
        gathered[number].put(index, image, index in firsts)

    tallies = yield from stream(
        stack, steps, context, keep, camera_offset=camera_offset
    )
    outputs = [
        stage_output(
            stack,
            steps,
            number,
            firsts=own.firsts,
            tallies=tallies,
            data=own.data,
            maps=own.maps,
        )
        for number, own in enumerate(gathered)
    ]
    total = stream_ticks(stack, steps)
    yield Progress(total, total, "Done")
    first = parts[0].image(parts[0].first, camera_offset)
    return PipelineResult(stack, first, tuple(outputs), tuple(context.warnings))


def stage_output(
    stack: ImageStack,
    steps: Sequence[Step],
    number: int,
    *,
    firsts: Sequence[ImageStack],
    tallies: Sequence[Tally],
    data: NDArray[Any] | None,
    maps: Mapping[str, NDArray[Any]],
) -> StageOutput:
    """Put together what a step gave.

    Parameters
    ----------
    stack : ImageStack
        The input of the run.
    steps : sequence of Step
        Of the run.
    number : int
        Of the step.
    firsts : sequence of ImageStack
        Its result for the first unit of each channel.
    tallies : sequence of Tally
        Of all steps.
    data : array or None
        Its result for the whole stack where it was kept; may be lazy.
    maps : mapping of str to array
        The maps of that result.
    """
    takes = steps[0].stage.takes
    leading = stack.axes.removesuffix(takes)
    first = described(stack, number, firsts, tallies)
    axes = leading + first.axes
    image = None
    if data is not None:
        image = first.derive(data, axes=axes, maps=maps)
    return StageOutput(
        step=steps[number],
        first=first,
        axes=axes,
        shape=stack.shape[: len(leading)] + first.shape,
        image=image,
        seconds=tallies[number].seconds,
        warnings=tuple(tallies[number].warnings),
    )


def check_finite(stack: ImageStack) -> None:
    """Refuse NaN and inf before any time is spent.

    Raises
    ------
    InputError
        Saying how many there are.
    """
    if stack.data.dtype.kind != "f":
        return
    planes = (io.fetch(stack.data[i]) for i in np.ndindex(stack.shape[:-2]))
    bad = sum(plane.size - int(np.isfinite(plane).sum()) for plane in planes)
    if bad:
        raise InputError(
            f"the image holds {bad} values that are not finite (NaN or inf) "
            f"among {stack.data.size}"
        )


def as_given(
    stack: ImageStack, context: Context, camera_offset: float = 0.0
) -> ImageStack:
    """Return a stack ready to run: offset noted in its history, sampling looked at.

    Parameters
    ----------
    stack : ImageStack
        The input of a run.
    context : Context
        Is warned of pixels too coarse for the optics.
    camera_offset : float
        Counts that will be subtracted.
    """
    for number, optics in enumerate(stack.channel_optics or (stack.optics,)):
        label = f"channel {number}: " if stack.channel_optics else ""
        _check_sampling(optics, stack.is_raw, context, label)
    if camera_offset == 0:
        return stack
    entry = HistoryEntry(
        stage=OFFSET_STEP,
        parameters={"camera_offset": camera_offset},
        version=__version__,
        seconds=0.0,
    )
    return replace(stack, history=(*stack.history, entry))


def _check_sampling(
    optics: Optics | None, is_raw: bool, context: Context, label: str
) -> None:
    """Warn of pixels too coarse for the optics."""
    if optics is None:
        return
    if is_raw:
        # Raw frames are band-limited by the detection alone; the finer result comes
        # on a finer grid.
        optics = optics.model_copy(update={"modulation_factor": 1.0})
    warning = optics.nyquist_warning()
    if warning is not None:
        context.warn(label + warning)

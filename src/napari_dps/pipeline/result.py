"""What a run gave, put together from what its units gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from napari_dps.core import ImageStack, Pattern
from napari_dps.pipeline.channel_run import Tally
from napari_dps.pipeline.corrections import Corrections, noted
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.steps import Step
from napari_dps.pipeline.units import Index
from napari_dps.stages.base import SelfCheck


@dataclass(frozen=True)
class StageOutput:
    """What one stage gave.

    Attributes
    ----------
    step : Step
        The stage and its parameters.
    first : ImageStack
        Its result for the first T and C and the middle Z; the attributes are those of
        the whole.
    axes, shape : str, tuple of int
        Of its result for the whole stack: the leading axes of the input, then the axes
        that the stage gives.
    image : ImageStack or None
        That result, float32; None where it was not kept.
    seconds : float
        Time spent in the stage, over all units.
    warnings : tuple of str
        What it had to say, each once.
    patterns : mapping of tuple of int to tuple of Pattern
        Those of each result, by its place along the leading axes; empty where it was
        not kept.
    """

    step: Step
    first: ImageStack
    axes: str
    shape: tuple[int, ...]
    image: ImageStack | None
    seconds: float
    warnings: tuple[str, ...]
    patterns: Mapping[Index, tuple[Pattern, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineResult:
    """What a run gave.

    Attributes
    ----------
    input : ImageStack
        The stack that was run; the history names the camera's offset.
    first : ImageStack
        Its first T and C and middle Z as the first stage saw it: float32, offset
        subtracted.
    outputs : tuple of StageOutput
        One a stage, in the order of the run.
    warnings : tuple of str
        All warnings, each once.
    corrections : Corrections
        Of drift and bleaching, in the images.
    """

    input: ImageStack
    first: ImageStack
    outputs: tuple[StageOutput, ...]
    warnings: tuple[str, ...]
    corrections: Corrections = field(default_factory=Corrections)

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The illumination patterns that were used; empty without raw frames."""
        return self.outputs[-1].first.patterns

    @property
    def checked(self) -> tuple[int, SelfCheck[Any]]:
        """Which output is of the last stage that can check itself, and its check.

        Raises
        ------
        IndexError
            If there is none.
        """
        stages = [output.step.stage for output in self.outputs]
        return [(n, s.self_check) for n, s in enumerate(stages) if s.self_check][-1]

    @property
    def images(self) -> tuple[ImageStack, ...]:
        """The results that were kept, in the order of the run."""
        return tuple(o.image for o in self.outputs if o.image is not None)


def assemble(
    plan: Plan,
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
    plan : Plan
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
    first = _with_all_channels(plan, number, firsts, tallies)
    axes = plan.leading + first.axes
    image = None
    if data is not None:
        image = first.derive(data, axes=axes, maps=maps)
    return StageOutput(
        step=plan.steps[number],
        first=first,
        axes=axes,
        shape=plan.places(number).shape + first.shape,
        image=image,
        seconds=tallies[number].seconds,
        warnings=tuple(tallies[number].warnings),
    )


def _with_all_channels(
    plan: Plan,
    number: int,
    firsts: Sequence[ImageStack],
    tallies: Sequence[Tally],
) -> ImageStack:
    """Return a step's result for the first unit with what holds for the whole stack.

    Patterns and optics are those of all channels; time and warnings in the history
    those of all units.
    """
    first = firsts[0]
    corrected = () if first.is_raw else noted(plan)
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
        history=(*first.history[: -number - 1], *entries, *corrected),
        patterns=patterns,
        channel_optics=optics if plan.stack.channel_optics else (),
        channel_names=plan.stack.channel_names,
        shows_sim=all(image.shows_sim for image in firsts),
    )

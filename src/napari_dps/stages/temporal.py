"""Stage ``temporal``: averages what neighbouring time points show alike."""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal

from pydantic import Field

from napari_dps.core import ImageStack, Progress, StageParameters
from napari_dps.core.context import Context
from napari_dps.methods.sim.patterns import (
    LongestWavevector,
    PatternLayout,
    PatternsEvery,
    ShortestWavevector,
    report_patterns,
)
from napari_dps.stages.base import Stage


class TemporalParameters(StageParameters):
    """Parameters of the stage ``temporal``."""

    window: int = Field(
        default=3,
        ge=0,
        le=20,
        title="Window",
        description="Time points before each, and as many after it, that are compared "
        "with it; 0: none, the frames stay as they are.",
        json_schema_extra={"unit": "time points"},
    )
    direction: Literal["centred", "past"] = Field(
        default="centred",
        title="Direction",
        description="centred: time points before and after. past: those before alone, "
        "as while recording.",
    )
    false_alarm: float = Field(
        default=0.001,
        ge=1e-6,
        le=0.1,
        title="False alarms",
        description="Share of a still object that is left out by chance. "
        "More is more careful: fewer changes are missed, less noise is averaged away.",
    )
    flow: bool = Field(
        default=True,
        title="Follow motion",
        description="Average what has moved along its way, where it can be followed.",
    )
    layout: PatternLayout = "auto"
    shortest_wavevector: ShortestWavevector = 0.2
    longest_wavevector: LongestWavevector = 1.15
    patterns_every: PatternsEvery = 0


def window(parameters: TemporalParameters) -> tuple[int, int]:
    """Return how many time points before and after each are compared with it."""
    after = parameters.window if parameters.direction == "centred" else 0
    return parameters.window, after


def note(parameters: TemporalParameters) -> str:
    """Say that time points are not by themselves any more."""
    before, after = window(parameters)
    if not before:
        return ""
    around = f"{before} before and {after} after it" if after else f"{before} before it"
    return (
        f"each time point is averaged with up to {around}, where they show the same; "
        "temporal.window 0 leaves that out"
    )


def prepare(
    average: ImageStack,
    sample: ImageStack,
    parameters: TemporalParameters,
    context: Context,
) -> Generator[Progress, None, ImageStack]:
    """Find the patterns and the noise that all units of a stack share."""
    from napari_dps.methods.sim.lapse import with_what_units_share

    if not average.is_raw:
        return average
    return (yield from with_what_units_share(average, sample, parameters, context))


def run(
    image: ImageStack, parameters: TemporalParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Average the frames of one time point with its neighbours', order by order.

    Parameters
    ----------
    image : ImageStack
        Axes "APYX", or "YX" of a plain image, with optics; counts above the camera's
        offset.
    parameters : TemporalParameters
        Which neighbours, and how they are compared.
    context : Context
        Holds the neighbours; told of doubtful patterns.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32 counts on the same grid, with the patterns that were found on the noisy
        frames, the noise of a single time point, and the map ``time_points``: the
        variance of that noise over what is left of it.

    Raises
    ------
    InputError
        If the image has no optics, or a frame holds no signal.
    """
    from napari_dps.methods.sim.raw import corrected_frames
    from napari_dps.methods.temporal.frames import averaged_steps, fits_memory
    from napari_dps.methods.temporal.match import FusionSettings
    from napari_dps.methods.temporal.tiles import tiled_average_steps

    image.require_optics("temporal")
    around = context.neighbours
    points = [p for p in (around.here, *around.before, *around.after) if p]
    if len(points) <= 1:
        # Alone a time point is what it is without this stage.
        yield Progress(1, 1, "Nothing to average")
        alone = corrected_frames(image, context) if image.is_raw else image
        return alone.derive(alone.data.astype("float32"))
    settings = FusionSettings(parameters.false_alarm, parameters.flow)
    is_whole = fits_memory(image, 1 + sum(window(parameters)), context)
    average = averaged_steps if is_whole else tiled_average_steps
    return (yield from average(image, around, parameters, settings, context))


STAGE = Stage(
    id="temporal",
    title="Averaging over time",
    short="Time",
    purpose="Averages each time point with its neighbours where nothing but noise sets "
    "them apart; for dim time-lapses.",
    takes="APYX",
    gives="APYX",
    also_takes="YX",
    parameters=TemporalParameters,
    function=run,
    prepare=prepare,
    window=window,
    report=report_patterns,
    note=note,
    needs_optics=True,
    by_default=False,
    by_default_of_lapses=True,
    imports=(
        "napari_dps.physics.sim.estimate",
        "scipy.stats",
        "torch",
    ),
    maps=("time_points",),
)

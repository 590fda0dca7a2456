"""Background removal: what a rolling ball touches from below is taken away."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from pydantic import Field

from napari_dps.core import ImageStack, Progress, StageParameters
from napari_dps.core.context import Context
from napari_dps.stages.base import Stage


class BackgroundParameters(StageParameters):
    """Parameters of the stage ``background``."""

    radius_px: float = Field(
        default=50.0,
        ge=1,
        le=500,
        title="Ball radius",
        description="Larger than the largest structure to keep.",
        json_schema_extra={"basic": True, "unit": "px"},
    )
    smoothing_px: float = Field(
        default=2.0,
        ge=0,
        le=20,
        title="Smoothing",
        description="Width (sigma) of the Gaussian that the image is smoothed by for "
        "the ball, so that this does not follow the lowest noise; 0: none.",
        json_schema_extra={"unit": "px"},
    )
    tolerance: float = Field(
        default=0.005,
        ge=0,
        le=0.1,
        title="Tolerance",
        description="How far the background may lie above the exact one, as a "
        "fraction of the image's range; 0 is exact and takes a few times longer.",
    )


def run(
    image: ImageStack, parameters: BackgroundParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Subtract the rolling-ball background.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", any unit.
    parameters : BackgroundParameters
        Radius, smoothing and tolerance.
    context : Context
        Not used.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32, in the unit of the input: the image less a background that is nowhere
        negative. Noise of dark places scatters about zero.
    """
    from napari_dps.physics.background import background_steps

    background = yield from background_steps(
        image.data,
        parameters.radius_px,
        smoothing_px=parameters.smoothing_px,
        tolerance=parameters.tolerance,
    )
    # Subtracted before rounding to float32, so that large offsets cost no precision.
    return image.derive((image.data - background).astype(np.float32))


STAGE = Stage(
    id="background",
    title="Background removal",
    short="Background",
    purpose="Takes out haze that is broader than the structures.",
    takes="YX",
    gives="YX",
    parameters=BackgroundParameters,
    function=run,
)

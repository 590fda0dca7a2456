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
        Radius and tolerance.
    context : Context
        Receives a warning when the image's range is so small against the radius that
        the ball follows structures of less than half the radius.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32, in the unit of the input, nowhere negative.
    """
    from napari_dps.physics.ball import ball_reach_px
    from napari_dps.physics.rolling_ball import rolling_ball_steps

    background = yield from rolling_ball_steps(
        image.data, parameters.radius_px, tolerance=parameters.tolerance
    )
    span = float(image.data.max()) - float(image.data.min())
    reach_px = ball_reach_px(parameters.radius_px, span)
    if 0 < reach_px < parameters.radius_px / 2:
        context.warn(
            f"the values span only {span:.3g}: a ball of {parameters.radius_px:g} px "
            f"reaches {reach_px:.1f} px far and takes wider structures for background; "
            "give the image in counts"
        )
    # Subtracted before rounding to float32, so that large offsets cost no precision.
    return image.derive((image.data - background).astype(np.float32, copy=False))


STAGE = Stage(
    id="background",
    title="Background removal",
    takes="YX",
    gives="YX",
    parameters=BackgroundParameters,
    function=run,
)

"""Stage ``artifacts``: takes honeycomb, stripes and noise out of SIM images."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from pydantic import Field

from napari_dps.core import ImageStack, Progress, StageParameters
from napari_dps.core.context import Context
from napari_dps.methods.artifacts.optics import is_plain, reconstruction_optics
from napari_dps.methods.dps.optics import shows_sim
from napari_dps.stages.base import Stage


class ArtifactsParameters(StageParameters):
    """Parameters of the stage ``artifacts``."""

    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        title="Strength",
        description="Share of the artefacts found that is taken away; 0: nothing.",
        json_schema_extra={"basic": True},
    )
    residual: bool = Field(
        default=False,
        title="What was taken out",
        description="Also keep what was taken out of the image, to see that no "
        "structure is in it.",
    )
    uncertainty: bool = Field(
        default=False,
        title="Uncertainty map",
        description="Also compute the standard deviation of the error of each pixel, "
        "by what was taken out, the detail that is left and the noise that is left.",
    )


def inspect(
    image: ImageStack, parameters: ArtifactsParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Measure how sharp an image without a history is.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics.
    parameters : ArtifactsParameters
        Not used.
    context : Context
        Told of a modulation factor that was measured.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        The image, with that modulation factor, and whether it is surely a SIM
        reconstruction.
    """
    yield Progress(0, 1, "Measuring the sharpness")
    optics = reconstruction_optics(image, context)
    is_sim = image.shows_sim or shows_sim(image)
    yield Progress(1, 1)
    # What patterns say is no property of the microscope: it is not written into it.
    return image if image.patterns else replace(image, optics=optics, shows_sim=is_sim)


def run(
    image: ImageStack, parameters: ArtifactsParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Remove artefacts of a SIM reconstruction.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics; any unit. The patterns that it was reconstructed with or
        a modulation factor say how sharp it is, else the edge of its spectrum does.
    parameters : ArtifactsParameters
        Strength, and which maps are wanted.
    context : Context
        Receives a warning when nothing says that the image is a SIM reconstruction:
        nothing but strong noise is then taken from it.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32, same grid and unit; with the maps ``"residual"``, what was taken out,
        and ``"uncertainty"``, if they are wanted.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    from napari_dps.methods.artifacts.removal import removal_steps
    from napari_dps.methods.artifacts.uncertainty import stated_uncertainty

    optics = reconstruction_optics(image, context)
    plain = is_plain(image, optics)
    found = yield from removal_steps(image.data, optics, context, plain=plain)
    removed = np.asarray(parameters.strength * found, dtype=np.float32)
    result = np.asarray(image.data - removed, np.float32)
    maps = {"residual": removed} if parameters.residual else {}
    if parameters.uncertainty:
        maps["uncertainty"] = stated_uncertainty(
            result, found, optics, parameters.strength
        )
    return image.derive(result, maps=maps)


STAGE = Stage(
    id="artifacts",
    title="Artifact removal",
    short="Artefacts",
    purpose="Takes out stripes and honeycomb that a SIM reconstruction has left.",
    takes="YX",
    gives="YX",
    parameters=ArtifactsParameters,
    function=run,
    inspect=inspect,
    needs_optics=True,
    only_after="reconstruct",
    imports=("torch",),
    maps=("residual", "uncertainty"),
)

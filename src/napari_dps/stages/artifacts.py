"""Stage ``artifacts``: takes honeycomb, stripes and noise out of SIM images."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from pydantic import Field

from napari_dps.core import ImageStack, Progress, StageParameters
from napari_dps.core.context import Context
from napari_dps.methods.dps.optics import effective_optics
from napari_dps.methods.networks import load_network
from napari_dps.stages.base import Stage

WEIGHTS = "artifacts"
"""Name of the shipped weights."""


class ArtifactsParameters(StageParameters):
    """Parameters of the stage ``artifacts``."""

    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        title="Strength",
        description="Share of the artefacts found that is taken away; 0: nothing.",
    )


def run(
    image: ImageStack, parameters: ArtifactsParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Remove artefacts of a SIM reconstruction.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics, and either the patterns that it was reconstructed with
        or a modulation factor above 1; any unit.
    parameters : ArtifactsParameters
        Strength.
    context : Context
        Receives a warning when nothing says that the image is a SIM reconstruction: it
        is then taken for one whose PSF is that of the lens.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32, same grid and unit.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    from napari_dps.core.device import resolve_device
    from napari_dps.methods.artifacts.network import artifacts_steps
    from napari_dps.nets.checkpoint import shipped_weights

    optics = effective_optics(image, "artifacts")
    if optics.modulation_factor == 1:
        context.warn(
            "neither patterns nor a modulation factor say that this is a SIM "
            "reconstruction: its PSF is taken for that of the lens"
        )
    device = resolve_device(context.device)
    path = shipped_weights(WEIGHTS)
    network, _ = load_network(context, path, device, "artifact_remover")
    found = yield from artifacts_steps(image.data, optics, network, context)
    data = image.data - parameters.strength * found
    return image.derive(np.asarray(data, dtype=np.float32))


STAGE = Stage(
    id="artifacts",
    title="Artifact removal",
    takes="YX",
    gives="YX",
    parameters=ArtifactsParameters,
    function=run,
    needs_optics=True,
    only_after="reconstruct",
    imports=("torch",),
)

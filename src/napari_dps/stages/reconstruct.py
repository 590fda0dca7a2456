"""Stage ``reconstruct``: from raw SIM frames to the image on a 2× grid."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_dps.core import (
    ImageStack,
    InputError,
    NoiseToSignal,
    Pattern,
    Progress,
    StageParameters,
    relay,
)
from napari_dps.core.context import Context
from napari_dps.methods.sim.patterns import (
    LongestWavevector,
    PatternLayout,
    PatternsEvery,
    ShortestWavevector,
    are_fitted,
    raw_frames,
    report_patterns,
    stripe_warnings,
)
from napari_dps.methods.sim.wiener_tiles import (
    widefield,
    wiener_solver,
    wiener_steps,
)
from napari_dps.stages.base import Stage

if TYPE_CHECKING:
    import torch


class ReconstructParameters(StageParameters):
    """Parameters of the reconstruction."""

    method: Literal["wiener", "network"] = Field(
        default="wiener",
        title="Method",
        description="wiener: generalised Wiener filter. network: the image that a "
        "network trained on simulated stacks finds, as an ideal lens of the new "
        "resolution would show it; of the parameters below only those of the patterns "
        "count.",
    )
    wiener_parameter: float = Field(
        default=0.03,
        ge=1e-6,
        le=10,
        title="Wiener parameter",
        description="Least noise over signal: larger is smoother, smaller is sharper "
        "but brings noise and honeycomb.",
    )
    adapt_to_noise: bool = Field(
        default=True,
        title="Adapt to noise",
        description="Let the Wiener parameter grow with frequency as the noise that "
        "is measured in the frames.",
    )
    apodisation: Literal["cosine", "triangle", "none"] = Field(
        default="cosine",
        title="Apodisation",
        description="How the spectrum fades towards the new cut-off; none rings.",
    )
    attenuation_strength: float = Field(
        default=0.9,
        ge=0,
        le=0.999,
        title="OTF attenuation",
        description="How much of the centre of every order is suppressed: removes "
        "out-of-focus light.",
    )
    attenuation_width: float = Field(
        default=0.35,
        ge=0.01,
        le=2,
        title="Attenuation width",
        description="Width (sigma) of the attenuation, over the detection cut-off.",
        json_schema_extra={"unit": "cut-offs"},
    )
    notch_strength: float = Field(
        default=0.0,
        ge=0,
        le=0.999,
        title="Notch",
        description="Suppresses what is left of the stripes at the wave vectors; 0: "
        "off.",
    )
    notch_width: float = Field(
        default=0.05,
        ge=0.001,
        le=1,
        title="Notch width",
        description="Width (sigma) of the notch, over the detection cut-off.",
        json_schema_extra={"unit": "cut-offs"},
    )
    layout: PatternLayout = "auto"
    shortest_wavevector: ShortestWavevector = 0.2
    longest_wavevector: LongestWavevector = 1.15
    patterns_every: PatternsEvery = 0


def prepare(
    average: ImageStack,
    sample: ImageStack,
    parameters: ReconstructParameters,
    context: Context,
) -> Generator[Progress, None, ImageStack]:
    """Find the patterns and the noise that all units of a stack share."""
    from napari_dps.methods.sim.lapse import shared_patterns
    from napari_dps.methods.sim.raw import with_hot_pixels_replaced

    if are_fitted(average):
        return average
    average = with_hot_pixels_replaced(average, context)
    sample = with_hot_pixels_replaced(sample, context)
    patterns = yield from shared_patterns(average, sample, parameters, context)
    noise = _noise(raw_frames(sample, context), sample, parameters)
    return average.derive(average.data, patterns=patterns, noise=noise)


def _noise(
    frames: torch.Tensor, image: ImageStack, parameters: ReconstructParameters
) -> NoiseToSignal:
    """Measure noise over signal of one raw stack, unless it is not wanted."""
    from napari_dps.physics.sim.noise import noise_to_signal

    if not parameters.adapt_to_noise:
        return NoiseToSignal(0.0, 1.0)
    return noise_to_signal(frames, image.require_optics("reconstruct"))


def reconstruct(
    image: ImageStack, parameters: ReconstructParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Reconstruct one raw stack on a grid of half its pixel size."""
    from napari_dps.methods.sim.lapse import unit_patterns
    from napari_dps.methods.sim.raw import corrected_frames

    image.require_optics("reconstruct")
    image = corrected_frames(image, context)
    frames = raw_frames(image, context)
    angles = image.size("A")
    if parameters.method == "network":
        _check_layout(image, parameters)
    steps = angles + 2
    patterns = yield from unit_patterns(image, parameters, context)
    yield Progress(steps - 1, steps, "Image")
    if parameters.method == "network" and any(p.is_usable for p in patterns):
        found = _by_network(frames, image, patterns, context)
        data = yield from relay(found, lambda r: Progress(steps - 1, steps, r.message))
    elif any(pattern.is_usable for pattern in patterns):
        noise = image.noise if parameters.adapt_to_noise else None
        noise = noise or _noise(frames, image, parameters)
        yield Progress(steps - 1, steps, "Wiener filter")
        solver_of = wiener_solver(
            image, patterns, noise, parameters.model_dump(), context
        )
        found = wiener_steps(frames, solver_of, context)
        data = yield from relay(found, lambda r: Progress(steps - 1, steps, r.message))
    else:
        data = widefield(image)
    pixel_nm = image.require_optics("reconstruct").pixel_size_nm / 2
    for warning in stripe_warnings(data, patterns, pixel_nm):
        context.warn(warning)
    yield Progress(steps, steps, "reconstructed")
    return image.refine(data, axes="YX", patterns=tuple(patterns), noise=None)


def _check_layout(image: ImageStack, parameters: ReconstructParameters) -> None:
    """Refuse layouts that the network was not trained on."""
    from napari_dps.methods.sim.network import HEXAGONAL_LAYOUT, TRAINED_LAYOUTS

    layout = image.size("A"), image.size("P")
    if layout == HEXAGONAL_LAYOUT and parameters.layout == "linear":
        raise InputError(
            "layout for 1 × 7 frames and method network",
            got="linear",
            allowed="hexagonal; or method wiener",
            field=("reconstruct.layout", "reconstruct.method"),
        )
    if layout not in TRAINED_LAYOUTS:
        trained = ", ".join(f"{a} × {p}" for a, p in TRAINED_LAYOUTS)
        raise InputError(
            "angles × phases for method network",
            got=f"{layout[0]} × {layout[1]}",
            allowed=f"{trained}; or method wiener",
            field="reconstruct.method",
        )


def _by_network(
    frames: torch.Tensor,
    image: ImageStack,
    patterns: tuple[Pattern, ...],
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return the SIM image that the shipped network finds."""
    from napari_dps.methods.sim.image import image_steps
    from napari_dps.methods.sim.network import shipped_imager

    network = shipped_imager(context, frames.device)
    return (yield from image_steps(frames, image, patterns, network, context))


STAGE = Stage(
    id="reconstruct",
    title="SIM reconstruction",
    takes="APYX",
    gives="YX",
    parameters=ReconstructParameters,
    function=reconstruct,
    prepare=prepare,
    report=report_patterns,
    needs_optics=True,
    imports=(
        "napari_dps.physics.sim.estimate",
        "napari_dps.physics.sim.wiener",
        "torch",
    ),
)

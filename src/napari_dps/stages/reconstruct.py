"""Stage ``reconstruct``: from raw SIM frames to the image on a 2× grid."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
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
from napari_dps.core.at_once import in_tasks
from napari_dps.core.context import Context
from napari_dps.core.planes import each_plane
from napari_dps.methods.sim.patterns import (
    LongestWavevector,
    PatternLayout,
    PatternsEvery,
    ShortestWavevector,
    are_fitted,
    raw_frames,
    report_reconstruction,
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
    dimension: Literal["auto", "2d", "3d"] = Field(
        default="auto",
        title="Dimension",
        description="2d: plane by plane. 3d: a z-stack as a volume, with the 3-D OTF; "
        "with three phases as one of two beams. auto: 3-D from five planes "
        "of five phases on, if the z step is known and the stripes are found in 3-D.",
    )
    wiener_parameter: float = Field(
        default=0.03,
        ge=1e-6,
        le=10,
        title="Wiener parameter",
        description="Least noise over signal: larger is smoother, smaller is sharper "
        "but brings noise and honeycomb.",
        json_schema_extra={"basic": True},
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
    volume_wiener_parameter: float = Field(
        default=0.001,
        ge=1e-6,
        le=10,
        title="Wiener parameter in 3-D",
        description="Least noise over signal where volumes are reconstructed.",
    )
    volume_attenuation_strength: float = Field(
        default=0.99,
        ge=0,
        le=0.999,
        title="OTF attenuation in 3-D",
        description="How much of the centre of every order is suppressed where volumes "
        "are reconstructed.",
    )
    volume_attenuation_width: float = Field(
        default=0.15,
        ge=0.01,
        le=2,
        title="Attenuation width in 3-D",
        description="Width (sigma) of that, over the detection cut-off.",
        json_schema_extra={"unit": "cut-offs"},
    )
    refine_z: bool = Field(
        default=False,
        title="Finer planes",
        description="Volumes: planes at half the z step as well, interpolated by the "
        "filter; a result of twice the size.",
    )
    average_turns: bool = Field(
        default=True,
        title="Average over turns",
        description="Method network: average over the frames flipped and turned by "
        "quarters, so that the image turns with them; eight times as long.",
    )
    patterns_every: PatternsEvery = 0
    rolling: bool = Field(
        default=False,
        title="Rolling",
        description="A result after every angle: frames are interpolated in time.",
    )


def prepare(
    average: ImageStack,
    sample: ImageStack,
    parameters: ReconstructParameters,
    context: Context,
) -> Generator[Progress, None, ImageStack]:
    """Find the patterns and the noise that all units of a stack share."""
    from napari_dps.methods.sim.lapse import with_what_units_share
    from napari_dps.methods.sim.volume_finding import (
        lacks_depth,
        with_volume_patterns,
    )

    in_3d = average.axes == "ZAPYX"
    demanded = in_3d and parameters.dimension == "3d"
    if are_fitted(average) and not (demanded and lacks_depth(average)):
        return average
    finding = (
        with_volume_patterns(average, parameters, context, demanded=demanded)
        if in_3d
        else with_what_units_share(average, sample, parameters, context)
    )
    return (yield from finding)


def takes_volumes(stack: ImageStack, parameters: ReconstructParameters) -> bool:
    """Whether the stage is to get all planes of a stack at once.

    So it is also where planes of three beams are reconstructed one by one: their
    patterns are found in three dimensions, since the first order of a plane alone does
    not look like the object.

    Raises
    ------
    InputError
        If that is demanded, and cannot be done with this stack.
    """
    from napari_dps.methods.sim.volume_finding import is_volume

    demanded = parameters.dimension == "3d" and not _is_flat(parameters)
    return is_volume(stack, demanded=demanded)


def _is_flat(parameters: ReconstructParameters) -> bool:
    """Whether planes are reconstructed one by one."""
    return parameters.dimension == "2d" or parameters.method == "network"


def finer_z(stack: ImageStack, parameters: ReconstructParameters) -> int:
    """How many planes a volume has for each plane of its stack."""
    return 2 if parameters.refine_z and not _is_flat(parameters) else 1


def _volume(
    image: ImageStack, parameters: ReconstructParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Reconstruct a z-stack; plane by plane where its stripes are not those of 3-D."""
    from napari_dps.methods.sim.volume_finding import (
        lacks_depth,
        with_volume_patterns,
    )

    demanded = parameters.dimension == "3d"
    # Another stage that found patterns of planes has not insisted on three dimensions.
    is_missing = demanded if lacks_depth(image) else image.noise is None
    if not are_fitted(image) or is_missing:
        image = yield from with_volume_patterns(
            image, parameters, context, demanded=demanded
        )
    if _is_flat(parameters) or lacks_depth(image):
        return (yield from _by_planes(image, parameters, context))
    return (yield from _in_depth(image, parameters, context))


def _in_depth(
    image: ImageStack, parameters: ReconstructParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Reconstruct a z-stack whose patterns are fitted in three dimensions."""
    from napari_dps.methods.sim.volume import volume_settings, volume_steps
    from napari_dps.methods.sim.volume_finding import (
        BYTES_PER_RESULT_VOXEL,
        has_two_beams,
        volume_frames,
        with_frames_kept,
    )

    two_beams = has_two_beams(image)
    noise = image.noise if parameters.adapt_to_noise else None
    values = parameters.model_dump()
    settings = volume_settings(values, noise, two_beams=two_beams)
    optics = image.require_optics("reconstruct")
    if not optics.excitation_nm and not two_beams:
        context.warn(
            "the excitation wavelength is not known: taken for "
            f"{optics.excitation_or_usual_nm:g} nm, 0.9 times the emission"
        )
    refines, finer = parameters.refine_z, finer_z(image, parameters)
    frames = volume_frames(
        image, context, bytes_per_voxel=finer * BYTES_PER_RESULT_VOXEL
    )
    image = with_frames_kept(image, frames)
    steps = volume_steps(frames, image, settings, context, refines_z=refines)
    data = yield from steps
    step_nm = (image.z_step_nm or 0.0) / finer
    result = image.refine(data, axes="ZYX", z_step_nm=step_nm, noise=None)
    for warning in stripe_warnings(result):
        context.warn(warning)
    return result


def _by_planes(
    image: ImageStack, parameters: ReconstructParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Reconstruct the planes of a z-stack one by one."""
    # The noise of raw frames over the object is another one in a plane.
    each = replace(image, noise=image.noise if image.is_processed else None)
    planes = yield from each_plane(each, lambda p: reconstruct(p, parameters, context))
    data = np.stack([plane.data for plane in planes])
    step_nm = image.z_step_nm
    if finer_z(image, parameters) > 1 and step_nm:
        context.warn("planes reconstructed one by one: those between are their means")
        after = np.concatenate([data[1:], data[-1:]])
        data = np.stack([data, (data + after) / 2], axis=1).reshape(-1, *data.shape[1:])
        step_nm /= 2
    patterns = tuple(pattern.without_depth() for pattern in planes[0].patterns)
    return image.refine(
        data, axes="ZYX", z_step_nm=step_nm, patterns=patterns, noise=None
    )


def reconstruct(
    image: ImageStack, parameters: ReconstructParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Reconstruct one raw stack, or a z-stack, on a grid of half its pixel size."""
    from napari_dps.methods.sim.detection import noise_of_frames
    from napari_dps.methods.sim.lapse import unit_patterns
    from napari_dps.methods.sim.raw import corrected_frames, without_stuck_angles

    if image.axes == "ZAPYX":
        return (yield from _volume(image, parameters, context))
    image.require_optics("reconstruct")
    image = corrected_frames(image, context)
    frames = raw_frames(image, context)
    angles = image.size("A")
    if parameters.method == "network":
        _check_layout(image, parameters)
    steps = angles + 2
    patterns = yield from unit_patterns(frames, image, parameters, context)
    yield Progress(steps - 1, steps, "Image")
    used = without_stuck_angles(frames, patterns)
    if parameters.method == "network" and any(p.is_usable for p in patterns):
        average = parameters.average_turns
        found = _by_network(used, image, patterns, context, average)
        data = yield from relay(found, lambda r: Progress(steps - 1, steps, r.message))
    elif any(pattern.is_usable for pattern in patterns):
        noise = NoiseToSignal(0.0, 1.0)
        if parameters.adapt_to_noise:
            noise = image.noise or noise_of_frames(frames, image, patterns)
        yield Progress(steps - 1, steps, "Wiener filter")
        solver_of = wiener_solver(
            image, patterns, noise, parameters.model_dump(), context
        )
        found = in_tasks(wiener_steps(used, solver_of, context), used.device)
        data = yield from relay(found, lambda r: Progress(steps - 1, steps, r.message))
    else:
        data = widefield(image)
    result = image.refine(data, axes="YX", patterns=tuple(patterns), noise=None)
    if context.examines:
        for warning in stripe_warnings(result):
            context.warn(warning)
    yield Progress(steps, steps, "reconstructed")
    return result


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
    average: bool,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return the SIM image that the shipped network finds; or an average of turns."""
    from napari_dps.methods.sim.image import image_steps
    from napari_dps.methods.sim.network import shipped_imager

    network = shipped_imager(context, frames.device)
    found = image_steps(
        frames, image, patterns, network, context, average_turns=average
    )
    return (yield from found)


STAGE = Stage(
    id="reconstruct",
    title="SIM reconstruction",
    short="SIM",
    purpose="Finds the stripes and joins the raw frames to one image of up to "
    "twice the resolution.",
    takes="APYX",
    gives="YX",
    parameters=ReconstructParameters,
    function=reconstruct,
    prepare=prepare,
    takes_volumes=takes_volumes,
    finer_z=finer_z,
    report=report_reconstruction,
    needs_optics=True,
    imports=(
        "napari_dps.physics.sim.estimate",
        "napari_dps.physics.sim.wiener",
        "torch",
    ),
)

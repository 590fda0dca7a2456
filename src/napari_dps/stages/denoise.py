"""Stage ``denoise``: takes the noise out of raw SIM frames and keeps their stripes."""

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
    PatternOrder,
    Progress,
    StageParameters,
    between,
)
from napari_dps.core.at_once import in_tasks
from napari_dps.core.context import Context
from napari_dps.core.planes import each_plane
from napari_dps.methods.denoise.steps import NOISE_LEFT, denoise_steps
from napari_dps.methods.denoise.weights import SHIPPED
from napari_dps.methods.networks import WEIGHTS_SUFFIX
from napari_dps.methods.sim.patterns import (
    LongestWavevector,
    PatternLayout,
    PatternsEvery,
    ShortestWavevector,
    are_fitted,
    raw_frames,
    report_patterns,
)
from napari_dps.stages.base import Stage

if TYPE_CHECKING:
    import torch

PATTERNS = 20
"""Share of the time, in percent, that finding the patterns takes."""


class DenoiseParameters(StageParameters):
    """Parameters of the stage ``denoise``."""

    patterns: str = Field(
        default="auto",
        title="Patterns",
        description="auto: found on the noisy frames, or as given with the stack. A "
        "file of patterns, for example the report of a brighter stack's run. none: "
        "only what all frames have in common is denoised.",
        json_schema_extra={"file": "*.json *.toml", "words": ["auto", "none"]},
    )
    dimension: Literal["auto", "2d"] = Field(
        default="auto",
        title="Dimension",
        description="2d: plane by plane. auto: three-beam z-stacks as a volume, from "
        "five planes of five phases on, if the z step is known and the stripes are "
        "found in 3-D.",
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        title="Strength",
        description="Share of what is taken for noise that is taken away; 0: nothing.",
        json_schema_extra={"basic": True},
    )
    weights: str = Field(
        default=SHIPPED,
        title="Weights",
        description="Of the network: those that come with the package, or a "
        ".safetensors file, for example of a training on your own frames.",
        json_schema_extra={"file": f"*{WEIGHTS_SUFFIX}", "words": [SHIPPED]},
    )
    layout: PatternLayout = "auto"
    shortest_wavevector: ShortestWavevector = 0.2
    longest_wavevector: LongestWavevector = 1.15
    patterns_every: PatternsEvery = 0


def prepare(
    average: ImageStack,
    sample: ImageStack,
    parameters: DenoiseParameters,
    context: Context,
) -> Generator[Progress, None, ImageStack]:
    """Find the patterns and the noise that all units of a stack share."""
    from napari_dps.methods.sim.lapse import with_what_units_share
    from napari_dps.methods.sim.volume_finding import with_volume_patterns

    _require_patterns(average, parameters)
    if average.axes == "ZAPYX":
        if are_fitted(average):
            return average
        return (yield from with_volume_patterns(average, parameters, context))
    seek = parameters.patterns != "none"
    finding = with_what_units_share(
        average, sample, parameters, context, seek_patterns=seek
    )
    return (yield from finding)


def takes_volumes(stack: ImageStack, parameters: DenoiseParameters) -> bool:
    """Whether a stack is denoised with what its planes know together."""
    from napari_dps.methods.sim.volume_finding import is_volume

    if parameters.dimension == "2d" or parameters.patterns == "none":
        return False
    return is_volume(stack, demanded=False)


def run(
    image: ImageStack, parameters: DenoiseParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Denoise the frames of one raw stack.

    Parameters
    ----------
    image : ImageStack
        Axes "APYX", with optics; counts above the camera's offset. "ZAPYX" where
        `takes_volumes`.
    parameters : DenoiseParameters
        Which patterns, and how much.
    context : Context
        Receives a warning when patterns are missing, and which, when hot pixels were
        replaced, and when motion of the sample was undone.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32 counts on the same grid, with the patterns that were found on the noisy
        frames: `reconstruct` uses these and looks for none in denoised frames.

    Raises
    ------
    InputError
        If the image has no optics, a frame holds no signal, a file of patterns is
        named and the image carries none, or the weights cannot be used.
    """
    from napari_dps.methods.denoise.weights import load_denoiser
    from napari_dps.methods.sim.detection import noise_of_frames
    from napari_dps.methods.sim.raw import corrected_frames

    image.require_optics("denoise")
    _require_patterns(image, parameters)
    if image.axes == "ZAPYX":
        return (yield from _volume(image, parameters, context))
    image = corrected_frames(image, context)
    frames = raw_frames(image, context)
    finding = _patterns(frames, image, parameters, context)
    patterns = yield from between(finding, 0, PATTERNS)
    network = load_denoiser(context, frames.device, parameters.weights)
    steps = denoise_steps(frames, image, patterns, network, context)
    steps = in_tasks(steps, frames.device)
    clean = yield from between(steps, PATTERNS, 100)
    share = parameters.strength
    if not any(pattern.is_usable for pattern in patterns):
        share = 0.0
    noise = _left(image.noise or noise_of_frames(frames, image, patterns), share)
    yield Progress(100, 100, "Frames")
    data = _blended(clean, frames, parameters.strength)
    kept = image.patterns if parameters.patterns == "none" else patterns
    return image.derive(data, patterns=kept, noise=noise)


def _volume(
    image: ImageStack, parameters: DenoiseParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Denoise a z-stack; plane by plane where its stripes are not those of a volume."""
    from napari_dps.methods.denoise.volume import BYTES_PER_VOXEL, denoise_volume_steps
    from napari_dps.methods.denoise.weights import load_denoiser
    from napari_dps.methods.sim.volume_finding import (
        lacks_depth,
        volume_frames,
        with_frames_kept,
        with_volume_patterns,
    )

    if not are_fitted(image) or image.noise is None:
        finding = with_volume_patterns(image, parameters, context)
        image = yield from between(finding, 0, PATTERNS)
    noise = image.noise
    if noise is None or lacks_depth(image):
        return (yield from _by_planes(image, parameters, context))
    frames = volume_frames(
        image, context, task="denoising", bytes_per_voxel=BYTES_PER_VOXEL
    )
    image = with_frames_kept(image, frames)
    network = load_denoiser(context, frames.device, parameters.weights)
    steps = denoise_volume_steps(frames, image, network, context)
    clean = yield from between(steps, PATTERNS, 100)
    data = _blended(clean, frames, parameters.strength)
    return image.derive(data, noise=_left(noise, parameters.strength))


def _by_planes(
    image: ImageStack, parameters: DenoiseParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Denoise the planes of a z-stack one by one."""
    each = replace(image, noise=None)
    planes = yield from each_plane(each, lambda p: run(p, parameters, context))
    data = np.stack([plane.data for plane in planes])
    return image.derive(data, noise=planes[len(planes) // 2].noise)


def _blended(
    clean: torch.Tensor, frames: torch.Tensor, share: float
) -> NDArray[np.float32]:
    """Return frames of which a share is replaced by clean ones, which are changed."""
    clean -= frames
    clean *= share
    return clean.add_(frames).cpu().numpy()


def _patterns(
    frames: torch.Tensor,
    image: ImageStack,
    parameters: DenoiseParameters,
    context: Context,
) -> Generator[Progress, None, tuple[Pattern, ...]]:
    """Return the patterns to denoise with."""
    from napari_dps.methods.sim.lapse import unit_patterns

    if parameters.patterns == "none":
        return _unknown(image.size("A"))
    patterns = yield from unit_patterns(frames, image, parameters, context)
    if not any(pattern.is_usable for pattern in patterns):
        context.warn(
            "no pattern is known: what the frames have in common is denoised; what "
            "they differ in, stripes and their noise, stays as it is"
        )
    return patterns


def _left(before: NoiseToSignal, share: float) -> NoiseToSignal:
    """Return the noise that `reconstruct` is to reckon with.

    ``share`` of what was taken for noise is taken out of the frames' stripes.
    """
    left = 1 - share * (1 - NOISE_LEFT)
    return replace(before, at_cutoff=left**2 * before.at_cutoff)


def _require_patterns(image: ImageStack, parameters: DenoiseParameters) -> None:
    """Refuse a file that nobody has read: a stage reads none itself."""
    if parameters.patterns not in ("auto", "none") and not image.patterns:
        raise InputError(
            f"denoise.patterns names {parameters.patterns}, but the frames come "
            "without its patterns: pipeline.open_input and pipeline.run attach them",
            field="denoise.patterns",
        )


def _unknown(angles: int) -> tuple[Pattern, ...]:
    missing = (PatternOrder(status="not found"),)
    return tuple(Pattern(angle_index=a, orders=missing) for a in range(angles))


STAGE = Stage(
    id="denoise",
    title="Denoising",
    short="Denoise",
    purpose="Takes noise out of the raw frames and keeps their stripes; for dim data.",
    takes="APYX",
    gives="APYX",
    parameters=DenoiseParameters,
    function=run,
    prepare=prepare,
    takes_volumes=takes_volumes,
    report=report_patterns,
    needs_optics=True,
    imports=("napari_dps.physics.sim.estimate", "torch"),
)

"""Stage ``reconstruct``: from raw SIM frames to the image on a 2× grid."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
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
)
from napari_dps.stages.base import Context, Stage

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.sim.wiener import WienerSolver

FIRST_FRAMES = 10
"""Time points of a time-lapse whose average the patterns are found on."""


class ReconstructParameters(StageParameters):
    """Parameters of the reconstruction."""

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
    layout: Literal["auto", "linear", "hexagonal"] = Field(
        default="auto",
        title="Pattern layout",
        description="linear: stripes of one direction an angle. hexagonal: three "
        "directions at once. auto: hexagonal for 7 phases at one angle.",
    )
    shortest_wavevector: float = Field(
        default=0.2,
        ge=0.05,
        le=1,
        title="Shortest wave vector",
        description="Coarsest stripes looked for, as frequency over the detection "
        "cut-off.",
        json_schema_extra={"unit": "cut-offs"},
    )
    longest_wavevector: float = Field(
        default=1.15,
        ge=0.1,
        le=1.3,
        title="Longest wave vector",
        description="Finest stripes looked for; TIRF-SIM reaches beyond the detection "
        "cut-off.",
        json_schema_extra={"unit": "cut-offs"},
    )
    patterns_from: Literal["stack", "frame"] = Field(
        default="stack",
        title="Patterns from",
        description="stack: found once, on the average of the first time points and "
        "all z, and used for all. frame: found in each time point anew.",
    )


def find_patterns(
    image: ImageStack, parameters: ReconstructParameters, context: Context
) -> Generator[Progress, None, tuple[Pattern, ...]]:
    """Find the patterns of one raw stack, or fit those it was given to it.

    Parameters
    ----------
    image : ImageStack
        Axes "APYX", with optics. Of patterns that it carries the wave vectors are
        taken; phases and modulation are fitted.
    parameters : ReconstructParameters
        Layout and search range.
    context : Context
        For the device and the warnings.

    Yields
    ------
    Progress
        Before each angle.

    Returns
    -------
    tuple of Pattern
    """
    from napari_dps.physics.sim.estimate import EstimationSettings, PatternEstimator

    settings = EstimationSettings(
        shortest=parameters.shortest_wavevector,
        longest=parameters.longest_wavevector,
        layout=parameters.layout,
    )
    optics = image.require_optics("finding the patterns")
    estimator = PatternEstimator(_frames(image, context), optics, settings)
    angles = image.size("A")
    given: dict[int, list[Pattern]] = {}
    for pattern in image.patterns:
        if pattern.is_usable:
            given.setdefault(pattern.angle_index, []).append(pattern)
    if given and max(given) >= angles:
        raise InputError(
            "angle_index of a given pattern",
            got=max(given),
            allowed=f"0 to {angles - 1}",
        )
    for angle in range(angles):
        yield Progress(angle, angles + 1, f"finding the stripes of angle {angle + 1}")
        if angle in given:
            estimator.use(angle, given[angle])
        else:
            estimator.search(angle)
    patterns = tuple(estimator.patterns())
    for warning in _pattern_warnings(patterns, angles, given):
        context.warn(warning)
    return patterns


def _pattern_warnings(
    patterns: Sequence[Pattern], angles: int, given: Collection[int]
) -> Iterator[str]:
    """Say which patterns are missing or uncertain, in the user's words."""
    if not any(pattern.is_usable for pattern in patterns):
        yield (
            "no illumination pattern was found with confidence: the result is the "
            "widefield image on the 2x grid (check frame order, camera offset and "
            "optics, or give the patterns of a brighter stack with --patterns)"
        )
        return
    for pattern in patterns:
        name = f"angle {pattern.angle_index + 1} of {angles}"
        if pattern.angle_index in given and pattern.status != "given":
            yield f"the frames do not show the stripes given for {name}: not used"
        if not pattern.is_usable:
            yield (
                f"pattern of {name} was not found with confidence: its frames serve as "
                "widefield only, and resolution along its direction is not improved"
            )
        elif pattern.status == "tentative":
            yield (
                f"pattern of {name} is tentative: too faint to be found alone, it was "
                "found with the support of the other angles"
            )


def _frames(image: ImageStack, context: Context) -> torch.Tensor:
    import torch

    from napari_dps.core.device import resolve_device

    frames = np.array(image.data, dtype=np.float32)
    return torch.from_numpy(frames).to(resolve_device(context.device))


def prepare(
    stack: ImageStack, parameters: ReconstructParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Find the patterns that all time points and z planes of a stack share."""
    leading = stack.axes.removesuffix("APYX")
    if not leading or parameters.patterns_from == "frame" or _are_fitted(stack):
        return stack
    data = stack.data
    if "T" in leading:
        data = data.take(range(min(FIRST_FRAMES, stack.size("T"))), leading.index("T"))
    mean = data.mean(axis=tuple(range(len(leading))), dtype=np.float32)
    average = stack.derive(mean, axes="APYX")
    patterns = yield from find_patterns(average, parameters, context)
    first = stack.derive(stack.data[(0,) * len(leading)], axes="APYX")
    noise = _noise(first, parameters, context)
    return stack.derive(stack.data, patterns=patterns, noise=noise)


def _noise(
    image: ImageStack, parameters: ReconstructParameters, context: Context
) -> NoiseToSignal:
    """Measure noise over signal of one raw stack, unless it is not wanted."""
    from napari_dps.physics.sim.noise import noise_to_signal

    if not parameters.adapt_to_noise:
        return NoiseToSignal(0.0, 1.0)
    optics = image.require_optics("reconstruct")
    return noise_to_signal(_frames(image, context), optics)


def _are_fitted(image: ImageStack) -> bool:
    """Whether the stack carries patterns with phases, or knows that it has none."""
    return bool(image.patterns) and not any(
        pattern.is_usable and not pattern.phases_deg for pattern in image.patterns
    )


def reconstruct(
    image: ImageStack, parameters: ReconstructParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Reconstruct one raw stack on a grid of half its pixel size."""
    optics = image.require_optics("reconstruct")
    steps = image.size("A") + 1
    patterns = image.patterns
    if not _are_fitted(image):
        patterns = yield from find_patterns(image, parameters, context)
    yield Progress(steps - 1, steps, "Wiener filter")
    if any(pattern.is_usable for pattern in patterns):
        data = _wiener(image, patterns, parameters, context)
    else:
        data = _widefield(image)
    yield Progress(steps, steps, "reconstructed")
    pixel_nm = optics.pixel_size_nm
    y, x = image.origin_nm
    return image.derive(
        data,
        axes="YX",
        patterns=tuple(patterns),
        noise=None,
        pixel_size_nm=pixel_nm / 2,
        # The first of 2 x 2 output pixels lies a quarter of an input pixel up and left.
        origin_nm=(y - pixel_nm / 4, x - pixel_nm / 4),
    )


def _wiener(
    image: ImageStack,
    patterns: tuple[Pattern, ...],
    parameters: ReconstructParameters,
    context: Context,
) -> NDArray[np.float32]:
    from napari_dps.physics.sim.equalise import equalisation
    from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver

    names = WienerSettings.__dataclass_fields__
    noise = image.noise or _noise(image, parameters, context)
    settings = WienerSettings(
        **parameters.model_dump(include=set(names)),
        noise_at_cutoff=noise.at_cutoff,
        noise_exponent=noise.exponent,
    )
    optics = image.require_optics("reconstruct")
    key = ("wiener", image.shape, patterns, optics, settings, context.device)
    frames = _frames(image, context)
    if key not in context.cache:
        context.cache[key] = WienerSolver(
            (image.size("Y"), image.size("X")),
            patterns,
            optics,
            settings,
            device=frames.device,
        )
    solver: WienerSolver = context.cache[key]
    result: NDArray[np.float32] = (
        solver.solve(frames, equalisation(frames)).cpu().numpy()
    )
    return result


def _widefield(image: ImageStack) -> NDArray[np.float32]:
    """Interpolate the mean of all frames on the 2× grid, pixel areas aligned."""
    from scipy.ndimage import zoom

    mean = image.data.mean(axis=(0, 1), dtype=np.float64)
    doubled = zoom(mean, 2, order=3, mode="grid-mirror", grid_mode=True)
    return np.asarray(doubled, dtype=np.float32)


STAGE = Stage(
    id="reconstruct",
    title="SIM reconstruction",
    takes="APYX",
    gives="YX",
    parameters=ReconstructParameters,
    function=reconstruct,
    prepare=prepare,
    needs_optics=True,
)

"""Stage ``dps``: a sharper image on a 2× finer grid, by the image-formation model."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import (
    ImageStack,
    InputError,
    Progress,
    one_of,
    relay,
)
from napari_dps.core.context import Context
from napari_dps.core.progress import PART_TICKS, between
from napari_dps.methods.dps.lapse import REACH
from napari_dps.methods.dps.maps import MAPS, sharpened_steps, unsupported
from napari_dps.methods.dps.optics import (
    as_it_shows,
    contradiction,
    effective_optics,
    measured_optics,
    shows_sim,
)
from napari_dps.methods.dps.parameters import (
    DpsParameters,
    uses_frames,
    wanted_maps,
)
from napari_dps.methods.dps.target import target_of
from napari_dps.methods.dps.volume import (
    check_volume,
    has_volume_behind,
    is_flat_reconstruction,
    volume_steps,
)
from napari_dps.stages.base import Stage

if TYPE_CHECKING:
    from napari_dps.methods.dps.recording import Recording
    from napari_dps.methods.dps.self_check import Resolved


_PLANES_END = 20
"""Where in the whole of a volume its planes are sharpened, in per cent."""


def takes_volumes(stack: ImageStack, parameters: DpsParameters) -> bool:
    """Whether a stack is to be deconvolved in three dimensions, all planes at once.

    Of raw frames that is seen once they are reconstructed.

    Raises
    ------
    InputError
        If that is demanded, and cannot be done with this stack.
    """
    if parameters.dimension == "2d" or stack.is_raw or not stack.axes.endswith("ZYX"):
        return False
    if (
        parameters.dimension == "auto"
        and parameters.method in ("network", "joint")
        and not (uses_frames(parameters) and has_volume_behind(stack))
    ):
        return False
    planes_alone = wanted_maps(parameters) or parameters.psf == "measured"
    try:
        check_volume(stack, parameters.method)
        if planes_alone or is_flat_reconstruction(stack):
            raise InputError(
                "maps, a measured PSF, and planes that were reconstructed one by one "
                "are for dimension 2d",
                field="dps.dimension",
            )
    except InputError:
        if parameters.dimension == "3d":
            raise
        return False
    return stack.optics is not None


def window(parameters: DpsParameters) -> tuple[int, int]:
    """Return how many time points before and after each are needed."""
    if parameters.method != "sparse" or parameters.time_continuity == 0:
        return 0, 0
    return REACH, REACH


def inspect(
    image: ImageStack, parameters: DpsParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Measure the PSF of an image, if it is to be used; know a SIM reconstruction.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics.
    parameters : DpsParameters
        Whose PSF is to be used.
    context : Context
        Told where the image contradicts the optics, or cannot tell.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        The image, with the modulation factor that was measured if it is to be used.
        What patterns say is no property of the microscope: it is not written into it.
    """
    yield Progress(0, 1, "Measuring the PSF")
    # The PSF of a volume is stated: there is no measure of its depth.
    if image.axes != "ZYX" and parameters.psf == "measured":
        optics = measured_optics(image, context)
        is_sim = image.shows_sim or shows_sim(image)
        image = replace(image, optics=optics, shows_sim=is_sim)
    elif image.axes != "ZYX" and parameters.psf == "auto":
        image = as_it_shows(image, context)
    yield Progress(1, 1)
    return image


def measures_psf(image: ImageStack, parameters: DpsParameters) -> bool:
    """Return whether the PSF is that of the image, not that of the optics."""
    if parameters.psf == "auto":
        return shows_sim(image)
    return parameters.psf == "measured"


def run(
    image: ImageStack, parameters: DpsParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Sharpen an image.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", or "ZYX" where `takes_volumes`, with optics; counts above the
        camera's offset.
    parameters : DpsParameters
        Method, strength, PSF.
    context : Context
        Receives a warning when the pixels are too coarse for the optics, or the image
        contradicts them.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32, in the brightness of the input and of the same mean, on a grid of half
        the pixel size; a volume in counts of emitters in focus.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    if image.axes == "ZYX":
        return (yield from _volume(image, parameters, context))
    warning = effective_optics(image).nyquist_warning()
    if warning is not None:
        context.warn(warning)
    yield Progress(0, PART_TICKS, "Noise")
    target = target_of(
        image,
        context,
        weights=parameters.weights,
        strength=parameters.strength,
        average_turns=parameters.average_turns,
        raw_frames=raw_frames_of(image, parameters),
        time_continuity=parameters.time_continuity,
    )
    working = sharpened_steps(parameters.method, target, wanted_maps(parameters))
    result, maps = yield from one_of(working, 0, 1)
    # What is never negative makes light of noise where there is none, and sparsity
    # takes light away, both evenly: so the total is restored evenly.
    result += target.image.mean(dtype=np.float64) - result.mean(dtype=np.float64)
    return image.refine(result, maps=maps, frames=None)


def _volume(
    image: ImageStack, parameters: DpsParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Sharpen a z-stack."""
    method, strength = parameters.method, parameters.strength
    planes = None
    if method == "network":
        by_planes = _planes(image, parameters, context)
        planes = yield from between(by_planes, 0, _PLANES_END)
    steps = volume_steps(
        image,
        planes,
        raw_frames_of(image, parameters),
        method=method,
        strength=strength,
        sectioning=parameters.sectioning,
        in_depth=parameters.dimension == "3d",
        context=context,
    )
    data = yield from between(steps, _PLANES_END if method == "network" else 0, 100)
    return image.refine(data, frames=None)


def _planes(
    image: ImageStack, parameters: DpsParameters, context: Context
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen the planes of a z-stack one by one."""
    found = []
    for z, data in enumerate(image.data):
        plane = image.derive(data, axes="YX", frames=None)
        steps = run(plane, parameters, context)
        found.append((yield from one_of(steps, z, len(image.data))).data)
    return np.stack(found).astype(np.float32, copy=False)


def raw_frames_of(image: ImageStack, parameters: DpsParameters) -> Recording | None:
    """Return the raw frames behind an image, if they are at hand and to be used."""
    from napari_dps.methods.dps.recording import recording_behind

    return recording_behind(image) if uses_frames(parameters) else None


def self_check(
    image: ImageStack,
    parameters: DpsParameters,
    context: Context,
    *,
    brightness: float = 1.0,
) -> Generator[Progress, None, tuple[Resolved, Resolved]]:
    """Plant pairs into an image and see which of them the stage tells apart.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics; counts above the camera's offset.
    parameters : DpsParameters
        As for the result in question.
    context : Context
        Device, warnings, cache.
    brightness : float
        Of the pairs, over the brightest structure of the image; 0.01 to 100.

    Yields
    ------
    Progress

    Returns
    -------
    tuple of Resolved
        For lines and for points.

    Raises
    ------
    InputError
        As for `napari_dps.methods.dps.self_check.resolved_pairs`.
    """
    from napari_dps.methods.dps.self_check import resolved_pairs

    if not measures_psf(image, parameters) and (warning := contradiction(image)):
        context.warn(f"{warning}; to take the image's: dps.psf measured")
    prepared = yield from relay(
        inspect(image, parameters, context), lambda r: Progress(0, 1, r.message)
    )
    bare = parameters.model_copy(update=dict.fromkeys(MAPS, False))
    pairs = resolved_pairs(
        prepared,
        lambda part: STAGE.run(part, bare, context),
        brightness=brightness,
    )
    return (yield from pairs)


def _self_check_json(
    image: ImageStack, parameters: DpsParameters, context: Context
) -> Generator[Progress, None, dict[str, Any]]:
    from napari_dps.methods.dps.self_check import resolved_json

    answers = yield from self_check(image, parameters, context)
    return resolved_json(answers)


STAGE = Stage(
    id="dps",
    title="Super-resolution (DPS)",
    short="DPS",
    purpose="Finds the finer image, on twice as many pixels, that explains this one.",
    takes="YX",
    gives="YX",
    parameters=DpsParameters,
    function=run,
    takes_volumes=takes_volumes,
    window=window,
    inspect=inspect,
    measures_psf=measures_psf,
    self_check=_self_check_json,
    resolves_more=True,
    uses_raw_frames=True,
    needs_optics=True,
    report=unsupported,
    maps=MAPS,
)

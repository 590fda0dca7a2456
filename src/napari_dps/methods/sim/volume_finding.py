"""Z-stacks of raw frames: which are volumes, and their patterns in three dimensions."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import (
    ImageStack,
    InputError,
    Pattern,
    Progress,
    RawFrames,
    StageParameters,
)
from napari_dps.core.context import Context
from napari_dps.core.device import available_bytes
from napari_dps.core.tiling import require_memory
from napari_dps.methods.sim.lapse import with_what_units_share
from napari_dps.methods.sim.raw import with_hot_pixels_replaced
from napari_dps.physics.sim.equalise import (
    NO_LIGHT,
    equalising,
    frame_means,
    refuse_darkness,
)

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.sim.volume_patterns import VolumeFindings

LEAST_PLANES = 5
"""Planes from which a volume gains over its planes one by one."""
LEAST_PHASES = 5
"""Phases that tell the two orders of three beams apart."""
TWO_BEAM_PHASES = 3
"""Phases that tell the order of two beams apart."""
BYTES_PER_FRAME_VOXEL, BYTES_PER_RESULT_VOXEL = 8, 20
"""Memory for each voxel of each frame, and of the result, of the stack."""
KEPT_SHARE = 0.2
"""Of the free memory, that raw frames of a volume may take from one stage to the next.
"""
SEARCHED_PX = 512
"""Edge of the part of larger fields in which the patterns are sought: it tells the wave
vectors to a few hundredths of its bins."""


def check_volume(image: ImageStack, *, least_phases: int = LEAST_PHASES) -> None:
    """Refuse stacks that cannot be reconstructed in three dimensions.

    Parameters
    ----------
    image : ImageStack
        Raw frames of any axes.
    least_phases : int
        `TWO_BEAM_PHASES` where stripes of two beams will do.

    Raises
    ------
    InputError
        If planes, phases or the z step are too few or missing.
    """
    needs = (("Z", "planes", LEAST_PLANES), ("P", "phases", least_phases))
    for axis, name, least in needs:
        if image.size(axis) < least:
            raise InputError(
                f"{name} for a reconstruction in 3-D",
                got=image.size(axis),
                allowed=f"{least} or more; or dimension 2d",
                field="reconstruct.dimension",
            )
    if image.z_step_nm is None:
        raise InputError(
            "a reconstruction in 3-D needs the z step, and the file does not tell it",
            field="input.z_step_nm",
        )


def is_volume(stack: ImageStack, *, demanded: bool) -> bool:
    """Whether a stack is one to reconstruct in three dimensions.

    Parameters
    ----------
    stack : ImageStack
        Raw frames.
    demanded : bool
        Whether the user insists; then stripes of two beams will do.

    Raises
    ------
    InputError
        If that is demanded, and cannot be done with this stack.
    """
    two_beams = demanded and stack.size("P") == TWO_BEAM_PHASES
    try:
        check_volume(stack, least_phases=TWO_BEAM_PHASES if two_beams else LEAST_PHASES)
    except InputError:
        if demanded:
            raise
        return False
    return stack.axes.endswith("ZAPYX")


def has_two_beams(image: ImageStack) -> bool:
    """Whether there are too few phases for the two orders of three beams."""
    return image.size("P") < LEAST_PHASES


def lacks_depth(image: ImageStack) -> bool:
    """Whether the patterns of a z-stack of three beams are those of planes."""
    if has_two_beams(image):
        return False
    return not any(pattern.is_three_dimensional for pattern in image.patterns)


def with_volume_patterns(
    average: ImageStack,
    parameters: StageParameters,
    context: Context,
    *,
    demanded: bool = False,
) -> Generator[Progress, None, ImageStack]:
    """Find the patterns and the noise of a volume; else those of its mean plane.

    Parameters
    ----------
    average : ImageStack
        Axes "ZAPYX", with optics and z step: the mean of several time points, or one.
    parameters : StageParameters
        Of a stage that finds patterns.
    context : Context
        Receives a warning where stripes are not those of a volume.
    demanded : bool
        Whether the user insists on three dimensions.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        The same with patterns and noise; the latter is None where the stripes are those
        of planes.
    """
    if has_two_beams(average):
        plane = average.derive(average.data.mean(axis=0), axes="APYX")
        middle = average.derive(average.data[average.size("Z") // 2], axes="APYX")
        part = replace(context, planes=average.size("Z"))
        plane = yield from with_what_units_share(plane, middle, parameters, part)
        patterns = plane.patterns
        return average.derive(average.data, patterns=patterns, noise=plane.noise)
    found = yield from find_volume(average, context)
    missing = [p for p in found.patterns if not p.is_usable]
    if not missing or demanded:
        patterns = found.patterns
        return average.derive(average.data, patterns=patterns, noise=found.noise)
    context.warn(
        f"stripes of three beams were not found in 3-D at {len(missing)} of "
        f"{len(found.patterns)} angles: reconstructed plane by plane"
    )
    plane = average.derive(average.data.mean(axis=0), axes="APYX")
    plane = yield from with_what_units_share(plane, plane, parameters, context)
    return average.derive(average.data, patterns=plane.patterns, noise=None)


def find_volume(
    image: ImageStack, context: Context
) -> Generator[Progress, None, VolumeFindings]:
    """Find the patterns and the noise of a three-beam stack.

    Parameters
    ----------
    image : ImageStack
        Axes "ZAPYX", with optics and z step. Of patterns that it carries the wave
        vectors of the first order are taken; all else is fitted.
    context : Context
        Warnings, measured OTF.

    Yields
    ------
    Progress

    Returns
    -------
    VolumeFindings
    """
    from napari_dps.physics.sim.volume_patterns import VolumeEstimator

    optics = image.require_optics("finding the patterns")
    frames = volume_frames(image, context)
    rows, columns = _busiest(frames)
    part = frames[..., rows, columns]
    known = {
        pattern.angle_index: (
            pattern.orders[0].wavevector_per_nm[0] * optics.pixel_size_nm,
            pattern.orders[0].wavevector_per_nm[1] * optics.pixel_size_nm,
        )
        for pattern in image.patterns
        if pattern.orders[0].is_usable
    }
    # In single precision: frames in double would take more than all else together.
    equal = (
        part.cpu().numpy()
        * equalised_volume(frames).astype(np.float32)[..., None, None]
    )
    shape = equal.shape[0], equal.shape[-2], equal.shape[-1]
    estimator = VolumeEstimator(shape, optics, image.z_step_nm or 0.0, context.otf)
    found = yield from estimator.find(equal, known)
    origin_nm = [s.start * optics.pixel_size_nm for s in (rows, columns)]
    patterns = [_at_origin(pattern, origin_nm) for pattern in found.patterns]
    return replace(found, patterns=tuple(patterns))


def _busiest(frames: torch.Tensor) -> tuple[slice, slice]:
    """Return the part of a field, of `SEARCHED_PX`, whose structure has most contrast.

    All of a field that is no larger.
    """
    mean = frames.mean(dim=(0, 1, 2)).cpu().numpy().astype(np.float64)
    if max(mean.shape) <= SEARCHED_PX:
        return slice(0, mean.shape[0]), slice(0, mean.shape[1])
    contrast = sum(d**2 for d in np.gradient(mean))
    total = np.pad(contrast, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sides = [min(n, SEARCHED_PX) for n in mean.shape]
    for axis, side in enumerate(sides):
        ends = [
            np.take(total, range(f, total.shape[axis] - side + f), axis)
            for f in (0, side)
        ]
        total = ends[1] - ends[0]
    row, column = np.unravel_index(int(total.argmax()), total.shape)
    return slice(int(row), int(row) + sides[0]), slice(
        int(column), int(column) + sides[1]
    )


def _at_origin(pattern: Pattern, origin_nm: Sequence[float]) -> Pattern:
    """Return a pattern found in a part of the field with its phases at the first pixel.

    The part begins at (y, x) in nm.
    """
    wave = pattern.orders[0].wavevector_per_nm
    turn = 360 * sum(k * o for k, o in zip(wave, origin_nm, strict=True))
    phases = tuple((phase - turn) % 360 for phase in pattern.phases_deg)
    return pattern.model_copy(update={"phases_deg": phases})


def volume_frames(
    image: ImageStack,
    context: Context,
    *,
    task: str = "3-D reconstruction",
    bytes_per_voxel: int = BYTES_PER_RESULT_VOXEL,
) -> torch.Tensor:
    """Return the frames of a stack, if there is memory for the work on them.

    Hot pixels are replaced.

    Parameters
    ----------
    image : ImageStack
        Axes "ZAPYX".
    context : Context
        Device; told of hot pixels.
    task : str
        To name in an error.
    bytes_per_voxel : int
        Memory that it takes for each voxel of the stack, beside that for the frames.

    Returns
    -------
    tensor (Z, A, P, Y, X), float32

    Raises
    ------
    InputError
        If there is not enough memory.
    """
    import torch

    from napari_dps.core.device import resolve_device

    planes = image.size("Z")
    frames = image.size("A") * image.size("P")
    device = resolve_device(context.device)
    require_memory(
        f"{task} of {planes} planes",
        (image.size("Y"), image.size("X")),
        planes * (bytes_per_voxel + BYTES_PER_FRAME_VOXEL * frames),
        torch.device(device),
    )
    data = np.asarray(image.data, dtype=np.float32)
    if not data.flags.writeable:
        data = data.copy()
    if context.units == 1:
        refuse_darkness(data.mean(axis=(0, -2, -1), dtype=np.float64))
    for z in range(planes):
        plane, where = image.derive(data[z], axes="APYX"), f" (Z {z + 1}/{planes})"
        part = replace(context, units=context.units * planes, where=where)
        clean = with_hot_pixels_replaced(plane, part)
        if clean is not plane:
            data = data.copy() if data is image.data else data
            data[z] = clean.data
    return torch.from_numpy(data).to(device)


def with_frames_kept(image: ImageStack, frames: torch.Tensor) -> ImageStack:
    """Return a stack whose raw frames go with it, for the stages that look at them.

    Parameters
    ----------
    image : ImageStack
        Axes "ZAPYX"; if a stage has processed its frames, those behind it stay.
    frames : tensor (Z, A, P, Y, X), float32
        As of `volume_frames`.
    """
    import torch

    free = available_bytes(torch.device("cpu"))
    if image.is_processed or KEPT_SHARE * free < frames.nbytes:
        return image
    return replace(image, frames=RawFrames(frames.cpu().numpy(), image.camera))


def equalised_volume(frames: torch.Tensor) -> NDArray[np.float64]:
    """Return the factors (Z, A, P) that make all frames of a plane equally bright.

    Planes without light have those of the others.
    """
    means = frame_means(frames)
    factors = np.stack([equalising(plane) for plane in means])
    is_dark = means.min(axis=(1, 2)) < NO_LIGHT * means.mean()
    if is_dark.any() and not is_dark.all():
        lit = means[~is_dark].mean(axis=0)
        factors[is_dark] = lit.mean() / lit
    return factors

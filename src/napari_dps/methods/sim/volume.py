"""Three-beam z-stacks: their patterns, and their reconstruction in three dimensions."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Progress
from napari_dps.core.context import Context
from napari_dps.core.tiling import require_memory
from napari_dps.methods.sim.patterns import pattern_warnings
from napari_dps.methods.sim.raw import with_hot_pixels_replaced
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.wiener_weights import WienerSettings

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.sim.volume_patterns import VolumeFindings

LEAST_PLANES = 5
"""Planes from which a volume gains over its planes one by one."""
LEAST_PHASES = 5
"""Phases that tell the two orders of three beams apart."""
TWO_BEAM_PHASES = 3
"""Phases that tell the order of two beams apart."""
TWO_BEAM_PADDING = 8
"""Planes by which each end is extended where no order is modulated along z: nothing
tells the depth of what is smooth, and the ends reach far into the stack."""
BYTES_PER_VOXEL, BYTES_PER_FRAME_VOXEL = 150, 8
"""Memory at the peak, for each voxel of the stack and for that of each frame."""


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
    frames = _frames(image, context)
    known = {
        pattern.angle_index: (
            pattern.orders[0].wavevector_per_nm[0] * optics.pixel_size_nm,
            pattern.orders[0].wavevector_per_nm[1] * optics.pixel_size_nm,
        )
        for pattern in image.patterns
        if pattern.orders[0].is_usable
    }
    equal = frames.cpu().numpy() * _equalised(frames)[..., None, None]
    shape = image.size("Z"), image.size("Y"), image.size("X")
    estimator = VolumeEstimator(shape, optics, image.z_step_nm or 0.0, context.otf)
    return (yield from estimator.find(equal.astype(np.float32), known))


def volume_steps(
    image: ImageStack,
    settings: WienerSettings,
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Reconstruct a stack whose patterns are fitted, of three beams or of two.

    Parameters
    ----------
    image : ImageStack
        Axes "ZAPYX", with optics, z step and patterns.
    settings : WienerSettings
        With the noise of the frames.
    context : Context
        Device, warnings, measured OTF.

    Yields
    ------
    Progress

    Returns
    -------
    array (Z, 2 Y, 2 X), float32
        Counts per plane.
    """
    from napari_dps.physics.sim.volume import PADDING_PLANES, VolumeSolver

    optics = image.require_optics("reconstruct")
    for warning in pattern_warnings(image.patterns, image.size("A")):
        context.warn(warning)
    frames = _frames(image, context)
    in_depth = any(pattern.is_three_dimensional for pattern in image.patterns)
    solver = VolumeSolver(
        (image.size("Z"), image.size("Y"), image.size("X")),
        image.patterns,
        optics,
        image.z_step_nm or 0.0,
        settings,
        context.otf,
        padding_planes=PADDING_PLANES if in_depth else TWO_BEAM_PADDING,
        device=frames.device,
    )
    found = yield from solver.solve_steps(frames, _equalised(frames))
    return np.asarray(found)


def _frames(image: ImageStack, context: Context) -> torch.Tensor:
    """Return the frames of a stack, if there is memory for the work on them.

    Hot pixels are replaced.
    """
    import torch

    from napari_dps.core.device import resolve_device

    planes = image.size("Z")
    frames = image.size("A") * image.size("P")
    bytes_per_px = planes * (BYTES_PER_VOXEL + BYTES_PER_FRAME_VOXEL * frames)
    device = resolve_device(context.device)
    require_memory(
        f"3-D reconstruction of {planes} planes",
        (image.size("Y"), image.size("X")),
        bytes_per_px,
        torch.device(device),
    )
    clean = [
        with_hot_pixels_replaced(image.derive(plane, axes="APYX"), context).data
        for plane in image.data
    ]
    return torch.from_numpy(np.stack(clean).astype(np.float32, copy=False)).to(device)


def _equalised(frames: torch.Tensor) -> NDArray[np.float64]:
    """Return the factors (Z, A, P) that make all frames of a plane equally bright."""
    return np.stack([equalisation(plane) for plane in frames])

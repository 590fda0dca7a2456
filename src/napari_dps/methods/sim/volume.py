"""Three-beam z-stacks: their patterns, and their reconstruction in three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Pattern, Progress, finish
from napari_dps.core.context import Context
from napari_dps.core.tiling import (
    Tile,
    TileNeeds,
    require_memory,
    tile_edge,
    tiled_steps,
)
from napari_dps.methods.sim.patterns import pattern_warnings
from napari_dps.methods.sim.raw import with_hot_pixels_replaced
from napari_dps.methods.sim.wiener_tiles import FadedTiles
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
BYTES_PER_VOXEL, BYTES_PER_FINER_VOXEL = 50, 30
"""Memory at the peak for each voxel of a tile, with the planes by which its ends are
extended, and what comes to it for each plane that the result has for one of the stack:
50 to 75 in all were measured, 75 to 100 with two."""
BYTES_PER_FRAME_VOXEL, BYTES_PER_RESULT_VOXEL = 8, 20
"""Memory for each voxel of each frame, and of the result, of the stack."""
TILES = TileNeeds(
    "3-D reconstruction", overlap_px=128, bytes_per_px=0, equal_reads=True
)
"""In pixels of the frames; the memory depends on the planes. Light of them reaches far:
tiles differ from the whole field by 2.6e-3 of the range and 2.1e-3 of the standard
deviation (8 planes of 640 × 64 px in tiles of 128 px)."""
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
    equal = part.cpu().numpy() * _equalised(frames).astype(np.float32)[..., None, None]
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


def volume_steps(
    image: ImageStack,
    settings: WienerSettings,
    context: Context,
    *,
    refines_z: bool = False,
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
    refines_z : bool
        Give planes at half the distance as well, 2 Z in all.

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
    finer = 2 if refines_z else 1
    frames = _frames(image, context, finer)
    in_depth = any(pattern.is_three_dimensional for pattern in image.patterns)
    padding = PADDING_PLANES if in_depth else TWO_BEAM_PADDING
    factors = _equalised(frames)

    def parts(tile: Tile) -> Generator[Progress, None, NDArray[np.float32]]:
        rows, columns = tile.read
        part = frames[..., rows, columns]
        solver = VolumeSolver(
            (part.shape[0], part.shape[-2], part.shape[-1]),
            image.patterns,
            optics,
            image.z_step_nm or 0.0,
            settings,
            context.otf,
            padding_planes=padding,
            refines_z=refines_z,
            device=frames.device,
        )
        found = solver.solve_steps(part, factors, (rows.start, columns.start))
        return np.asarray((yield from found))

    per_voxel = BYTES_PER_VOXEL + finer * BYTES_PER_FINER_VOXEL
    bytes_per_px = (len(frames) + 2 * padding) * per_voxel
    needs = replace(TILES, bytes_per_px=bytes_per_px)
    return (yield from _joined(frames, parts, context, needs, finer))


def _joined(
    frames: torch.Tensor,
    parts: Callable[[Tile], Generator[Progress, None, NDArray[np.float32]]],
    context: Context,
    needs: TileNeeds,
    finer: int,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return the volume that tiles, as large as memory allows, give together."""
    import torch

    planes, height, width = frames.shape[0], frames.shape[-2], frames.shape[-1]
    if tile_edge((height, width), needs, context, frames.device) >= max(height, width):
        whole = slice(0, height), slice(0, width)
        return (yield from parts(Tile(whole, whole, whole)))
    # The result is as large as two frames of each plane: it stays in main memory.
    joined = FadedTiles((height, width), torch.zeros(0), (finer * planes,))

    def work(tile: Tile) -> None:
        joined.add(tile, torch.from_numpy(finish(parts(tile))))

    yield from tiled_steps((height, width), needs, work, context, frames.device)
    return np.asarray(joined.image().numpy())


def _frames(image: ImageStack, context: Context, finer: int = 1) -> torch.Tensor:
    """Return the frames of a stack, if there is memory for the work on them.

    Hot pixels are replaced.
    """
    import torch

    from napari_dps.core.device import resolve_device

    planes = image.size("Z")
    frames = image.size("A") * image.size("P")
    result = finer * BYTES_PER_RESULT_VOXEL
    bytes_per_px = planes * (result + BYTES_PER_FRAME_VOXEL * frames)
    device = resolve_device(context.device)
    require_memory(
        f"3-D reconstruction of {planes} planes",
        (image.size("Y"), image.size("X")),
        bytes_per_px,
        torch.device(device),
    )
    data = np.asarray(image.data, dtype=np.float32)
    if not data.flags.writeable:
        data = data.copy()
    for z in range(planes):
        plane = image.derive(data[z], axes="APYX")
        clean = with_hot_pixels_replaced(plane, context)
        if clean is not plane:
            data = data.copy() if data is image.data else data
            data[z] = clean.data
    return torch.from_numpy(data).to(device)


def _equalised(frames: torch.Tensor) -> NDArray[np.float64]:
    """Return the factors (Z, A, P) that make all frames of a plane equally bright."""
    return np.stack([equalisation(plane) for plane in frames])

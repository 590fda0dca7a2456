"""Reconstruction of z-stacks in three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, NoiseToSignal, Progress, finish
from napari_dps.core.context import Context
from napari_dps.core.tiling import Tile, TileNeeds, tile_edge, tiled_steps
from napari_dps.methods.sim.patterns import pattern_warnings
from napari_dps.methods.sim.volume_finding import equalised_volume
from napari_dps.methods.sim.wiener_tiles import FadedTiles
from napari_dps.physics.sim.wiener_weights import WienerSettings

if TYPE_CHECKING:
    import torch

TWO_BEAM_PADDING = 8
"""Planes by which each end is extended where no order is modulated along z: nothing
tells the depth of what is smooth, and the ends reach far into the stack."""
BYTES_PER_VOXEL, BYTES_PER_FINER_VOXEL = 50, 30
"""Memory at the peak for each voxel of a tile, with the planes by which its ends are
extended, and what comes to it for each plane that the result has for one of the stack:
50 to 75 in all were measured, 75 to 100 with two."""
TILES = TileNeeds(
    "3-D reconstruction", overlap_px=128, bytes_per_px=0, equal_reads=True
)
"""In pixels of the frames; the memory depends on the planes. Light of them reaches far:
tiles differ from the whole field by 2.6e-3 of the range and 2.1e-3 of the standard
deviation (8 planes of 640 × 64 px in tiles of 128 px)."""


def volume_settings(
    parameters: Mapping[str, Any], noise: NoiseToSignal | None, *, two_beams: bool
) -> WienerSettings:
    """Return the settings of the Wiener filter of a volume.

    Parameters
    ----------
    parameters : mapping
        Of the stage ``reconstruct``, by name.
    noise : NoiseToSignal or None
        That the filter is to adapt to.
    two_beams : bool
        The hole that two beams leave along kz brings noise: as of planes.
    """
    noise = noise or NoiseToSignal(0.0, 1.0)
    same = "attenuation_strength", "attenuation_width"
    smallest = "wiener_parameter" if two_beams else "volume_wiener_parameter"
    return WienerSettings(
        wiener_parameter=parameters[smallest],
        apodisation=parameters["apodisation"],
        notch_strength=parameters["notch_strength"],
        notch_width=parameters["notch_width"],
        noise_at_cutoff=noise.at_cutoff,
        noise_exponent=noise.exponent,
        **{name: parameters[f"volume_{name}"] for name in same},
    )


def volume_steps(
    frames: torch.Tensor,
    image: ImageStack,
    settings: WienerSettings,
    context: Context,
    *,
    refines_z: bool = False,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Reconstruct a stack whose patterns are fitted, of three beams or of two.

    Parameters
    ----------
    frames : tensor (Z, A, P, Y, X), float32
        As of `volume_frames`.
    image : ImageStack
        The same, with optics, z step and patterns.
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
    in_depth = any(pattern.is_three_dimensional for pattern in image.patterns)
    padding = PADDING_PLANES if in_depth else TWO_BEAM_PADDING
    factors = equalised_volume(frames)

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

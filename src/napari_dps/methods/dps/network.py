"""The network of the stage ``dps`` on images of any size, and back to counts."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress, one_of
from napari_dps.core.context import Context
from napari_dps.core.progress import PART_TICKS
from napari_dps.core.tiling import Tile, TileNeeds, require_memory, tiled_steps
from napari_dps.methods.dps.consistency import consistency_steps
from napari_dps.methods.dps.input import (
    Models,
    NetworkInput,
    change_width,
    network_input_steps,
)
from napari_dps.methods.turns import Running, average_of_turns_steps
from napari_dps.physics.canonical import canonical_zoom, from_canonical, to_canonical

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.architectures.res_u_dbpn import ResUDBPN
    from napari_dps.nets.checkpoint import CheckpointMetadata

TILES = TileNeeds("DPS network", overlap_px=32, bytes_per_px=550, tile_px=576)
"""In canonical pixels. The network sees 31 px to each side (a test measures it); 490 to
540 bytes a pixel were measured at 256² to 1024²."""
BYTES_PER_PX = 320
"""Memory at the peak of the whole, for each canonical pixel: 310 to 340 were measured
at 1600² and 3200². Richardson–Lucy extrapolates by a number that all pixels decide,
so it is not done in tiles."""
_PARTS = 3
"""Parts of the progress: features, network, data consistency."""


@dataclass(frozen=True, slots=True, eq=False)
class Sharpener:
    """A network on its device, its weights' description, and what a run shares."""

    metadata: CheckpointMetadata
    network: ResUDBPN
    device: torch.device
    models: Models = field(default_factory=Models)
    context: Context = field(default_factory=Context)


def sharpen_steps(
    image: NDArray[Any],
    optics: Optics,
    sharpener: Sharpener,
    *,
    noise: float,
    iterations: int,
    width: float,
    average_turns: bool = False,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen an image with a trained network, through canonical sampling.

    Parameters
    ----------
    image : array (Y, X)
        Counts above the camera's offset; finite; any size.
    optics : Optics
        Optics with the image's pixel size and modulation factor.
    sharpener : Sharpener
        The network.
    noise : float
        Standard deviation of the image's noise in counts, as if it were white.
    iterations : int
        Iterations of `napari_dps.methods.dps.consistency.consistency_steps`.
    width : float
        Width of the PSF of the result over that of the image, below 1; not less than
        what the network was trained for.
    average_turns : bool
        Whether to average over turns of the image, where the network does not turn
        with it.

    Yields
    ------
    Progress

    Returns
    -------
    array (2 Y, 2 X), float32
        Counts in the brightness of the image (an even image keeps its value).
    """
    zoom = canonical_zoom(optics)
    require_memory("dps", image.shape, zoom**2 * BYTES_PER_PX, sharpener.device)
    yield Progress(0, _PARTS * PART_TICKS, "Canonical sampling")
    canonical = to_canonical(image, optics)
    depths = sharpener.metadata.rl_iterations
    # White noise of as much power at the frequencies of the image.
    level = noise * canonical_zoom(optics)
    preparing = network_input_steps(
        canonical, depths, sharpener.device, level, sharpener.models
    )
    inputs = yield from one_of(preparing, 0, _PARTS)
    network, context = sharpener.network, sharpener.context
    # One that turns with its input by itself gives all of them alike.
    average = average_turns and not network.settings["oriented"]

    def run(image: torch.Tensor, features: torch.Tensor) -> Running:
        part = replace(inputs, image=image, features=features)
        return dps_network_steps(network, part, context)

    maps = inputs.image, inputs.features
    running = average_of_turns_steps(run, *maps) if average else run(*maps)
    sharp = yield from one_of(running, 1, _PARTS)
    trained = sharpener.metadata.output_width
    yield Progress(2 * PART_TICKS, _PARTS * PART_TICKS, "Data consistency")
    refining = consistency_steps(sharp, inputs, trained, iterations, sharpener.models)
    sharp = yield from one_of(refining, 2, _PARTS)
    seen = change_width(sharp, trained, max(width, trained), sharpener.models)
    rows, columns = (2 * side for side in image.shape)
    return from_canonical(seen.cpu().numpy(), (rows, columns))


def dps_network_steps(
    network: ResUDBPN, inputs: NetworkInput, context: Context
) -> Generator[Progress, None, torch.Tensor]:
    """Run the network tile by tile, so that memory does not grow with the image.

    Parameters
    ----------
    network : ResUDBPN
        In evaluation mode.
    inputs : NetworkInput
        Inputs of one image.
    context : Context
        For the size of the tiles.

    Yields
    ------
    Progress
        After each tile.

    Returns
    -------
    tensor (2Y, 2X), float32
        Counts.
    """
    import torch

    from napari_dps.nets.architectures.res_u_dbpn import on_cells

    device = inputs.image.device
    # Cut into cells as a whole: a tile at the edge would be cut from its own middle.
    image, features, inside = on_cells(
        inputs.image[None, None],
        inputs.features[None] if len(inputs.features) else None,
    )
    noise = torch.tensor([inputs.noise], device=device)
    height, width = image.shape[-2:]
    result = torch.empty((2 * height, 2 * width), device=device)

    def work(tile: Tile) -> None:
        fine = tile.finer(2)
        with torch.inference_mode():
            out = network(
                image[..., *tile.read],
                None if features is None else features[..., *fine.read],
                noise if network.settings["noise_input"] else None,
            )
        result[fine.write] = out[0, 0][fine.keep]

    yield from tiled_steps((height, width), TILES, work, context, device)
    return result[inside].mul_(inputs.scale).add_(inputs.base)

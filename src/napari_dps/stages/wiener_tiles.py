"""The Wiener reconstruction of frames of any size, in tiles where memory is short."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.stages.base import Context
from napari_dps.stages.tiling import Tile, TileNeeds, tiled_steps

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.sim.wiener import WienerSolver

TILES = TileNeeds("Wiener filter", overlap_px=48, bytes_per_px=150, equal_reads=True)
"""In pixels of the frames. With 48 px or more the filter differs from that of the whole
plane by less than 5e-4 of the range, but for attenuation of 0.999 within 0.1 of the
cut-off, which no overlap of use is enough for (benchmarks/tiles.py). 100 bytes a pixel
are the solver's tables at their peak, 50 those of solving (3 × 3 frames at 2048²)."""


def wiener_steps(
    frames: torch.Tensor,
    solver_of: Callable[[tuple[int, int]], WienerSolver],
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Reconstruct the frames of one stack.

    Parameters
    ----------
    frames : tensor (A, P, Y, X)
        Counts above the camera's offset.
    solver_of : callable
        Returns the solver for a shape (Y, X), of patterns whose phases are those at the
        first pixel of ``frames``.
    context : Context
        For the size of the tiles; by default the whole plane is one.

    Yields
    ------
    Progress

    Returns
    -------
    array (2 Y, 2 X), float32
        Counts.
    """
    height, width = frames.shape[-2:]
    factors = equalisation(frames)
    image = frames.new_empty(2 * height, 2 * width)
    size = (0, 0)

    def work(tile: Tile) -> None:
        nonlocal size
        rows, columns = tile.read
        size = rows.stop - rows.start, columns.stop - columns.start
        solver = solver_of(size)
        part = frames[..., rows, columns]
        fine = tile.finer(2)
        found = solver.solve_part(part, (rows.start, columns.start), factors)
        image[fine.write] = found[fine.keep]

    yield from tiled_steps((height, width), TILES, work, context, frames.device)
    image += solver_of(size).mean(frames, factors) - image.mean()
    return np.asarray(image.cpu().numpy())

"""The Wiener reconstruction of frames of any size, in tiles where memory is short."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, NoiseToSignal, Pattern, Progress
from napari_dps.core.context import Context
from napari_dps.core.tiling import Tile, TileNeeds, tiled_steps
from napari_dps.physics.sim.equalise import equalisation

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.sim.wiener import WienerSolver

TILES = TileNeeds("Wiener filter", overlap_px=64, bytes_per_px=150, equal_reads=True)
"""In pixels of the frames. The filter reaches on and on, ever more faintly: with 64 px
tiles differ from the whole plane by 2e-4 of the range and 3.5e-5 in the root mean
square, with twice as many by half as much (benchmarks/tiles.py; attenuation of 0.999
within 0.1 of the cut-off: 1.4e-3). 100 bytes a pixel are the solver's tables at their
peak, 50 those of solving (3 × 3 frames at 2048²)."""
FADE_PX = 32
"""Width of the seam on each side of a tile, over which it and its neighbour fade."""


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
    shape = frames.shape[-2], frames.shape[-1]
    factors, joined = equalisation(frames), FadedTiles(shape, frames)
    size = (0, 0)

    def work(tile: Tile) -> None:
        nonlocal size
        rows, columns = tile.read
        size = rows.stop - rows.start, columns.stop - columns.start
        part = frames[..., rows, columns]
        origin = rows.start, columns.start
        joined.add(tile, solver_of(size).solve_part(part, origin, factors))

    yield from tiled_steps(shape, TILES, work, context, frames.device)
    image = joined.image()
    image += solver_of(size).mean(frames, factors) - image.mean()
    return np.asarray(image.cpu().numpy())


class FadedTiles:
    """Images on the 2× grid that are put together of tiles, which fade at their seams.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) of the frames.
    like : tensor
        On the device and of the type of the images.
    planes : tuple of int
        Axes before these.
    """

    def __init__(
        self, shape: tuple[int, int], like: torch.Tensor, planes: tuple[int, ...] = ()
    ) -> None:
        fine = 2 * shape[0], 2 * shape[1]
        self._sum = like.new_zeros(*planes, *fine)
        self._weights = like.new_zeros(fine)

    def add(self, tile: Tile, found: torch.Tensor) -> None:
        """Add what was found of all pixels (..., 2 Y, 2 X) that a tile reads."""
        fine = tile.finer(2)
        down, across = (
            _fade(read, keep, like=self._weights)
            for read, keep in zip(fine.read, fine.keep, strict=True)
        )
        share = down[:, None] * across
        self._sum[..., fine.read[0], fine.read[1]] += share * found
        self._weights[fine.read] += share

    def image(self) -> torch.Tensor:
        """Return the images (..., 2 Y, 2 X)."""
        self._sum /= self._weights
        return self._sum


def _fade(read: slice, keep: slice, like: torch.Tensor) -> torch.Tensor:
    """Return 1 where pixels that are read are kept, falling to 0 at `FADE_PX` away."""
    import torch

    place = torch.arange(read.stop - read.start, device=like.device, dtype=like.dtype)
    beyond = torch.maximum(keep.start - place, place - (keep.stop - 1))
    return (1 - beyond / (2 * FADE_PX)).clamp(0, 1)


def wiener_solver(
    image: ImageStack,
    patterns: tuple[Pattern, ...],
    noise: NoiseToSignal,
    options: Mapping[str, Any],
    context: Context,
) -> Callable[[tuple[int, int]], WienerSolver]:
    """Return what gives the solver of these patterns for frames of a size.

    The last one is kept from tile to tile and from plane to plane.

    Parameters
    ----------
    image : ImageStack
        Its optics are used.
    patterns : tuple of Pattern
        Fitted.
    noise : NoiseToSignal
        Noise over signal of the frames; power 0 where the solver is not to adapt to it.
    options : mapping of str to object
        Fields of `napari_dps.physics.sim.wiener.WienerSettings`, but the noise; other
        names are left alone.
    context : Context
        Device, cache, measured OTF.

    Returns
    -------
    callable
        From the size (Y, X) of the frames to the solver.
    """
    from napari_dps.core.device import resolve_device
    from napari_dps.methods.sim.detection import detection_otf
    from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver

    settings = WienerSettings(
        **{n: options[n] for n in WienerSettings.__dataclass_fields__ if n in options},
        noise_at_cutoff=noise.at_cutoff,
        noise_exponent=noise.exponent,
    )
    optics = image.require_optics("reconstruct")
    device = resolve_device(context.device)
    in_focus = detection_otf(patterns, optics, context)

    def solver_of(size: tuple[int, int]) -> WienerSolver:
        key = (size, patterns, optics, settings, device, context.otf)
        # One alone is kept: patterns of each frame would fill the memory with them.
        if context.cache.get("wiener", (None,))[0] != key:
            # Gone before the next one is made: there may be no room for both.
            context.cache.pop("wiener", None)
            solver = WienerSolver(
                size, patterns, optics, settings, device=device, in_focus=in_focus
            )
            context.cache["wiener"] = key, solver
        found: WienerSolver = context.cache["wiener"][1]
        return found

    return solver_of


def widefield(image: ImageStack) -> NDArray[np.float32]:
    """Return the mean of all frames on the 2× grid, pixel areas aligned.

    Spline interpolation of order 3; float32, counts.
    """
    from scipy.ndimage import zoom

    mean = image.data.mean(axis=(0, 1), dtype=np.float64)
    doubled = zoom(mean, 2, order=3, mode="grid-mirror", grid_mode=True)
    return np.asarray(doubled, dtype=np.float32)

"""From separated orders to the inputs of the networks, and from their output back."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dps.core import Progress, finish
from napari_dps.core.at_once import on_all_threads
from napari_dps.core.context import Context
from napari_dps.core.tiling import Tile, TileNeeds, tiled_steps
from napari_dps.methods.networks import load_network
from napari_dps.methods.sim.estimates import crop_fine, mixed_estimates, seen_steps
from napari_dps.methods.sim.frames import Rim, faded, fast_rim
from napari_dps.methods.sim.orders import kept_model
from napari_dps.methods.sim.worth import resized, share_left
from napari_dps.physics.sim.pattern_model import (
    Orders,
    PatternModel,
    demodulated_pad,
    mirrored,
)
from napari_dps.physics.windows import quantiles

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.res_unet import SimImager

IMAGE_WEIGHTS = "sim"
"""Name of the shipped weights of the network of SIM images."""
TRAINED_LAYOUTS = ((3, 3), (3, 5), (5, 3), (2, 3), (1, 3), (1, 7))
"""Angles and phases that the shipped networks were trained on."""
HEXAGONAL_LAYOUT = (1, 7)
"""The one of them with stripes of three directions at once."""
TILES = TileNeeds("denoising network", overlap_px=48, bytes_per_px=600, tile_px=512)
"""In canonical pixels. The network sees 40 px to each side (a test measures it); 550 to
580 bytes a pixel were measured at 256² to 1024²."""
_DARK, _BRIGHT = 0.02, 0.999
"""Quantiles of the smoothed mean that become 0 and 1."""
_NOISE_FLOOR = 6.0
"""Full scale is at least that many standard deviations of the mean frame's noise."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class DenoiserInput:
    """What a network takes, and what turns its output back into orders.

    Attributes
    ----------
    features : tensor (B, 4, 2Y, 2X)
        Smooth and sharp estimate from all orders, sharp ones from order 0 and from the
        others alone; base subtracted, over the scale.
    alone : tensor (B, 2Y, 2X)
        Smooth estimate from order 0 alone: its noise is not that of the other orders.
    levels : tensor (B, 2)
        Decimal logarithms of the noise of order 0, and of what the other orders weigh.
    local_levels : tensor (B, 2, 2Y, 2X) or None
        The same at each place, where the noise is not that of one time point.
    model : PatternModel
        Model of the padded frames.
    pads : Rim
        Pixels of the frames.
    base, scale : tensor (B,)
        Counts.
    """

    features: torch.Tensor
    alone: torch.Tensor
    levels: torch.Tensor
    model: PatternModel
    pads: Rim
    base: torch.Tensor
    scale: torch.Tensor
    local_levels: torch.Tensor | None = None

    def levels_of(self, tile: Tile) -> torch.Tensor:
        """Return the levels of a tile, in pixels of the frames."""
        if self.local_levels is None:
            return self.levels
        return self.local_levels[..., *tile.finer(2).read]


def shipped_imager(context: Context, device: torch.device) -> SimImager:
    """Return the shipped network of SIM images, kept from plane to plane."""
    from napari_dps.nets.checkpoint import shipped_weights

    path = shipped_weights(IMAGE_WEIGHTS)
    network: SimImager = load_network(context, path, device, "sim_imager")[0]
    return network


def denoiser_input(
    orders: Orders,
    *,
    wavevectors: torch.Tensor,
    modulation: torch.Tensor,
    weights: torch.Tensor,
    noise: torch.Tensor,
    origin_px: float = 0.0,
) -> DenoiserInput:
    """Compute the network's inputs.

    Parameters
    ----------
    orders : Orders
        Separated from equalised frames at canonical sampling, counts.
    wavevectors, modulation, weights : tensor (B, W, 2), (B, W), (B, W)
        As for `PatternModel`.
    noise : tensor (B,)
        Standard deviation of the noise of order 0, counts.
    origin_px : float
        Pixel (in y and x) from whose centre phases are counted.

    Returns
    -------
    DenoiserInput
    """
    steps = denoiser_input_steps(
        orders,
        wavevectors=wavevectors,
        modulation=modulation,
        weights=weights,
        noise=noise,
        origin_px=origin_px,
    )
    return finish(steps)


def denoiser_input_steps(
    orders: Orders,
    *,
    wavevectors: torch.Tensor,
    modulation: torch.Tensor,
    weights: torch.Tensor,
    noise: torch.Tensor,
    origin_px: float = 0.0,
    worth: torch.Tensor | None = None,
    cache: dict[Any, Any] | None = None,
) -> Generator[Progress, None, DenoiserInput]:
    """Do what `denoiser_input` does, step by step.

    Where ``worth`` (Y, X) says how many time points each place is worth the noise told
    is that of a single one; levels are then those of the noise on average. ``cache``
    keeps the model of the orders for stacks that have the same.
    """
    import torch

    single = noise
    if worth is not None:
        noise = noise * math.sqrt(share_left(worth))
    base, scale = _scale(orders.zero, noise)
    zero = (orders.zero - base[:, None, None]) / scale[:, None, None]
    scaled = Orders(zero, orders.others / scale[:, None, None, None])
    pads = fast_rim(orders.zero.shape[-2], orders.zero.shape[-1])
    wide = demodulated_pad(scaled, wavevectors, pads)
    padded = Orders(*(faded(part, pads) for part in wide))
    model = kept_model(
        {} if cache is None else cache,
        (padded.zero.shape[-2], padded.zero.shape[-1]),
        (wavevectors, modulation, weights),
        origin_px=(origin_px + pads.top, origin_px + pads.left),
    )
    level = noise / scale
    information = (weights * modulation**2).sum(dim=1)
    levels = torch.stack([level.clamp(min=1e-4), information + 1e-3], dim=1).log10()
    one = single / scale
    seen = yield from seen_steps(model, padded)
    estimates = yield from mixed_estimates(model, seen, one, pads, worth)
    local = None if worth is None else _local_levels(levels, one, worth)
    features, alone = estimates[:, :-1], estimates[:, -1]
    return DenoiserInput(features, alone, levels, model, pads, base, scale, local)


def _local_levels(
    levels: torch.Tensor, level: torch.Tensor, worth: torch.Tensor
) -> torch.Tensor:
    """Return the levels of each place on the fine grid."""
    fine = resized(worth, (2 * worth.shape[0], 2 * worth.shape[1]))
    local = levels[..., None, None].repeat(1, 1, *fine.shape)
    local[:, 0] = (level / fine.sqrt()).clamp(min=1e-4).log10()
    return local


def sim_network_steps(
    find: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]],
    inputs: DenoiserInput,
    context: Context,
) -> Generator[Progress, None, tuple[torch.Tensor, ...]]:
    """Run a network tile by tile, so that memory does not grow with the image.

    Parameters
    ----------
    find : callable
        From features (1, F, 2y, 2x) and levels to maps (1, 2y, 2x) or (1, y, x).
    inputs : DenoiserInput
        Inputs of one stack.
    context : Context
        For the size of the tiles.

    Yields
    ------
    Progress
        After each tile.

    Returns
    -------
    tuple of tensor (1, 2Y, 2X) or (1, Y, X)
    """
    import torch

    from napari_dps.nets.grid import centred
    from napari_dps.nets.res_unet import MULTIPLE

    device = inputs.features.device
    # Cut into cells as a whole: a tile at the edge would be cut from its own middle.
    filled, (rows, columns) = centred(inputs.features, MULTIPLE)
    height, width = (side // 2 for side in filled.shape[-2:])
    whole: list[torch.Tensor] = []

    def work(tile: Tile) -> None:
        features = filled[..., *tile.finer(2).read]
        with torch.inference_mode(), on_all_threads():
            maps = find(features, inputs.levels_of(tile))
        finer = [2 * one.shape[-1] // features.shape[-1] for one in maps]
        if not whole:
            whole.extend(
                torch.empty((1, n * height, n * width), device=device) for n in finer
            )
        for result, found, n in zip(whole, maps, finer, strict=True):
            place = tile.finer(n)
            result[:, *place.write] = found[:, *place.keep]

    yield from tiled_steps((height, width), TILES, work, context, device)
    # Frames at canonical sampling have even sides: the rim is whole pixels of theirs.
    coarse = [slice(side.start // 2, side.stop // 2) for side in (rows, columns)]
    return tuple(
        one[:, *coarse] if one.shape[-1] == width else one[:, rows, columns]
        for one in whole
    )


def render(fine: torch.Tensor, haze: torch.Tensor, inputs: DenoiserInput) -> Orders:
    """Return the orders that the network's object and haze show, in scaled counts.

    Parameters
    ----------
    fine, haze : tensor (B, 2Y, 2X), (B, Y, X)
        As `SimDenoiser` returns them.
    inputs : DenoiserInput
        As from `denoiser_input`.

    Returns
    -------
    Orders
        Base subtracted, over the scale.
    """
    return finish(render_steps(fine, haze, inputs))


def render_steps(
    fine: torch.Tensor, haze: torch.Tensor, inputs: DenoiserInput
) -> Generator[Progress, None, Orders]:
    """Do what `render` does, order by order."""
    left, right, top, bottom = inputs.pads
    wide = mirrored(mirrored(fine, -1, 2 * left, 2 * right), -2, 2 * top, 2 * bottom)
    seen = yield from inputs.model.forward_steps(wide)
    inside = (
        slice(top, top + haze.shape[-2]),
        slice(left, left + haze.shape[-1]),
    )
    return Orders(seen.zero[..., *inside] + haze, seen.others[..., *inside])


def sim_image(fine: torch.Tensor, inputs: DenoiserInput) -> torch.Tensor:
    """Return objects as far as the orders reach, in scaled counts.

    Parameters
    ----------
    fine : tensor (B, 2Y, 2X)
        On the fine grid.
    inputs : DenoiserInput
        As from `denoiser_input`.

    Returns
    -------
    tensor (B, 2Y, 2X)
        As `PatternModel.apodised` shows objects; differentiable.
    """
    left, right, top, bottom = (2 * pad for pad in inputs.pads)
    wide = mirrored(mirrored(fine, -1, left, right), -2, top, bottom)
    return crop_fine(inputs.model.apodised(wide), inputs.pads)


def _scale(
    zero: torch.Tensor, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the counts that become 0, and those between 0 and 1."""
    import torch
    import torch.nn.functional as F

    smooth = F.avg_pool2d(
        zero[:, None], 3, stride=1, padding=1, count_include_pad=False
    )
    few = smooth.flatten(1)[:, :: max(1, smooth[0].numel() // 2**20)]
    dark, bright = quantiles(few, (_DARK, _BRIGHT))
    scale = torch.maximum(bright - dark, _NOISE_FLOOR * noise).clamp(min=_TINY)
    return dark, scale

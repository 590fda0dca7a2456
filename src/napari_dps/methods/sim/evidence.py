"""What the frames of a stack show: their orders, and how sure each of them is."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from napari_dps.core import ImageStack, Pattern, Progress, relay
from napari_dps.core.context import Context
from napari_dps.core.tiling import require_memory
from napari_dps.methods.sim.frames import fast_even, frame_noise, resampled_steps
from napari_dps.methods.sim.network import (
    DenoiserInput,
    denoiser_input_steps,
    render_steps,
)
from napari_dps.methods.sim.orders import StackOrders, Zoom
from napari_dps.methods.sim.worth import noise_left_share, noise_of_one
from napari_dps.physics.canonical import canonical_zoom
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.pattern_model import Orders

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

LEAST_SIDE_PX = 4
BYTES_PER_PX, BYTES_PER_FRAME_PX = 280, 22
"""Memory at the peak, for each canonical pixel and for that of each frame: in all 480
for 9 frames and 590 to 620 for 15 were measured at 1024² and 2048². The power of what
the orders leave is that of the whole plane, so it is not done in tiles."""
REPORTS = 3
"""Steps between the resampling of the frames and the network's result."""
SEEN = 2.0
"""Standard deviations of the noise by which frames must show an order; else it is left
out of the model, wherever it came from."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenOrders:
    """What the frames of a stack show, and the inputs that a network takes.

    Attributes
    ----------
    frames : tensor (A, P, Y, X)
        Equally bright, at canonical sampling.
    factors : tensor (A, P, 1, 1)
        That made them so.
    orders, separated, noise
        How orders are made of frames; the orders; the noise of a frame, on average.
    inputs, evidence
        The network's input; how well the frames show each order.
    """

    frames: torch.Tensor
    factors: torch.Tensor
    orders: StackOrders
    separated: Orders
    noise: float
    inputs: DenoiserInput
    evidence: Evidence


def see_orders(
    frames: torch.Tensor,
    image: ImageStack,
    patterns: Sequence[Pattern],
    context: Context,
    total: int,
) -> Generator[Progress, None, SeenOrders]:
    """Resample, separate, and judge the orders."""
    import torch

    optics = image.require_optics("denoise")
    angles, phases, height, width = frames.shape
    ratio = canonical_zoom(optics)
    bytes_per_px = BYTES_PER_PX + BYTES_PER_FRAME_PX * angles * phases
    require_memory("denoising", (height, width), ratio**2 * bytes_per_px, frames.device)
    factors = torch.from_numpy(equalisation(frames)).to(frames)[..., None, None]
    level = frames * factors
    size = _canonical_size(height, width, ratio)
    zoom = Zoom(size[0] / height, size[1] / width)
    small = yield from resampled_steps(level, size, 0, total)
    orders = StackOrders(patterns, optics.pixel_size_nm, zoom, phases, frames.device)
    done = angles * phases + 1
    yield Progress(done, total, "Noise")
    single, worth = noise_of_one(image, zoom, small)
    if single is None:
        zeros = orders.mixing.zeros(small)
        single = frame_noise(level, zeros, optics, zoom, image.camera)
    share = 1.0 if worth is None else noise_left_share(worth, small.mean(dim=(0, 1)))
    noise = single * math.sqrt(share)
    del level
    yield Progress(done, total, "Orders")
    separated = orders.mixing.separate(small)
    report = Progress(done + 1, total)
    look = partial(_input_steps, separated, orders, single, worth, context.cache)
    inputs = yield from messages_at(look(), report)
    evidence = yield from messages_at(evidence_steps(inputs, separated), report)
    unseen = evidence.amplitude < SEEN * evidence.spread
    if unseen.any():
        context.warn(_told(unseen))
        orders.modulation = orders.modulation.masked_fill(unseen, 0.0)
        inputs = yield from messages_at(look(), report)
    return SeenOrders(small, factors, orders, separated, noise, inputs, evidence)


def _told(unseen: torch.Tensor) -> str:
    return (
        f"{int(unseen.sum())} of the {unseen.numel()} orders of the patterns do not "
        "rise above the noise of the frames: their stripes stay as they are"
    )


def _canonical_size(height: int, width: int, ratio: float) -> tuple[int, int]:
    """Return the size of frames at canonical sampling.

    A little larger, since transforms of a prime take ten times longer.
    """
    rows, columns = (
        fast_even(max(round(n * ratio), LEAST_SIDE_PX)) for n in (height, width)
    )
    return rows, columns


def messages_at(
    steps: Generator[Progress, None, T], report: Progress
) -> Generator[Progress, None, T]:
    """Pass on what steps say while the whole stands where the report says."""
    return relay(steps, lambda part: replace(report, message=part.message))


def _input_steps(
    separated: Orders,
    orders: StackOrders,
    noise: float,
    worth: torch.Tensor | None,
    cache: dict[Any, Any],
) -> Generator[Progress, None, DenoiserInput]:
    """Return the network's input."""
    import torch

    level = torch.tensor([noise * orders.zero_noise], device=separated.zero.device)
    return denoiser_input_steps(
        separated,
        wavevectors=orders.wavevectors,
        modulation=orders.modulation,
        weights=orders.weights,
        noise=level,
        worth=worth,
        cache=cache,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """How well the frames show the orders, judged by order 0 alone.

    Attributes
    ----------
    views : tensor (1, W, Y, X), complex
        The orders that the object shows as order 0 alone tells it: their noise is not
        that of the frames' own orders.
    amplitude, spread : tensor (1, W)
        Absolute correlation of the frames' orders with them, and the standard
        deviation that noise alone gives it.
    """

    views: torch.Tensor
    amplitude: torch.Tensor
    spread: torch.Tensor


def evidence_steps(
    inputs: DenoiserInput, separated: Orders
) -> Generator[Progress, None, Evidence]:
    """Compare the frames' orders with those that order 0 alone lets expect."""
    haze = inputs.alone[:, ::2, ::2] * 0
    views = (yield from render_steps(inputs.alone, haze, inputs)).others
    amplitude = (views.conj() * separated.others).sum(dim=(-2, -1)).abs()
    # Variance of a complex order: twice that of its real part. Photons are noisiest
    # where the object is bright, as the views are.
    level = inputs.scale * 10 ** inputs.levels[:, 0]
    light = separated.zero.clamp(min=0)
    light = light / light.mean(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
    power = (views.abs().square() * light[:, None]).sum(dim=(-2, -1))
    variance = 2 * level[:, None] ** 2 / inputs.model.weights
    return Evidence(views, amplitude, (variance * power).sqrt())

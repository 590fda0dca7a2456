"""From noisy frames to clean ones: orders, network, and what the model leaves over."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Pattern, Progress, relay
from napari_dps.physics.canonical import canonical_zoom
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.pattern_model import Orders
from napari_dps.stages.base import Context
from napari_dps.stages.denoise_frames import (
    StackOrders,
    Zoom,
    frame_noise,
    kept_rest,
    noise_in_rest,
    resampled_steps,
)
from napari_dps.stages.denoise_network import (
    DenoiserInput,
    network_steps,
    prepare_steps,
    render_steps,
    sim_image,
)
from napari_dps.stages.tiling import require_memory

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.res_unet import SimDenoiser, SimImager

T = TypeVar("T")

LEAST_SIDE_PX = 4
BYTES_PER_PX, BYTES_PER_FRAME_PX = 280, 22
"""Memory at the peak, for each canonical pixel and for that of each frame: in all 480
for 9 frames and 590 to 620 for 15 were measured at 1024² and 2048². The power of what
the orders leave is that of the whole plane, so it is not done in tiles."""
REPORTS = 3
"""Steps between the resampling of the frames and the network's result."""
LARGEST_GAIN = 1.5
"""Amplitude of an order in the frames over that of the model: more is a wrong fit."""
SEEN = 2.0
"""Standard deviations of the noise by which frames must show an order; else it is left
out of the model, however it came to be known."""


def denoise_steps(
    frames: torch.Tensor,
    image: ImageStack,
    patterns: Sequence[Pattern],
    network: SimDenoiser,
    context: Context,
) -> Generator[Progress, None, torch.Tensor]:
    """Denoise the frames of one stack.

    At canonical sampling the orders of all angles are separated, the network finds the
    one object that they show, and the object seen through the patterns gives the
    orders back, each with the amplitude and phase that the frames themselves show: a
    pattern that is not in them is not drawn. What the frames hold beyond this model
    and beyond noise is added.

    Parameters
    ----------
    frames : tensor (A, P, Y, X)
        Counts above the camera's offset.
    image : ImageStack
        Its optics are used.
    patterns : sequence of Pattern
        Fitted; one or more for every angle.
    network : SimDenoiser
        Trained, on the device of the frames.
    context : Context
        Receives a warning when the frames do not show a pattern that they are said to
        have.

    Yields
    ------
    Progress

    Returns
    -------
    tensor (A, P, Y, X)
        Counts.
    """
    angles, phases, height, width = frames.shape
    done = angles * phases + REPORTS
    total = done + angles * phases
    report = Progress(done, total)
    seen = yield from _see(frames, image, patterns, context, total)
    separated, orders, noise, given = (
        seen.separated,
        seen.orders,
        seen.noise,
        seen.given,
    )
    small, factors, levels = seen.frames, seen.factors, given.levels

    def find(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine, haze = network(features, levels)
        return fine, haze

    fine, haze = yield from _held(network_steps(find, given, context), report)
    model = yield from _held(render_steps(fine, haze, given), report)
    shown = as_seen(model, separated, seen.evidence, given)
    level = 10 ** float(levels[0, 0])
    # The largest of what is held; of large images there is no room for it any more.
    del seen, given, fine, haze, model
    own = noise * orders.zero_noise
    weights = orders.weights[0].tolist()
    full = yield from _held(with_rest(shown, separated, weights, own, level), report)
    clean = orders.mix(full)
    small -= orders.mix(separated)
    left = noise_left(noise, orders.modulation.numel(), angles, phases)
    for own, rest, known in zip(clean, small, orders.known, strict=True):
        own += rest_of_angle(rest, noise, left if known else None)
        yield replace(report, message="What the orders leave")
    result = yield from resampled_steps(clean, (height, width), done, total)
    result /= factors
    return result


def image_steps(
    frames: torch.Tensor,
    image: ImageStack,
    patterns: Sequence[Pattern],
    network: SimImager,
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return the SIM image of the frames of one stack, on a grid twice as fine.

    Parameters and warnings are those of `denoise_steps`, but for the network.

    Yields
    ------
    Progress

    Returns
    -------
    array (2 Y, 2 X), float32
        Counts, as a lens would show them that reaches to the finest frequency that the
        patterns bring into reach; frequencies that no order recorded are left out, and
        so is light without stripes.
    """
    angles, phases, height, width = frames.shape
    total = angles * phases + REPORTS + 1
    seen = yield from _see(frames, image, patterns, context, total)
    given = seen.given
    del seen

    def find(features: torch.Tensor) -> tuple[torch.Tensor]:
        return (network(features, given.levels),)

    report = Progress(total - 1, total)
    (fine,) = yield from _held(network_steps(find, given, context), report)
    yield replace(report, message="Image")
    counts = sim_image(fine, given)[0] * given.scale
    result = resample(counts.cpu().numpy(), (2 * height, 2 * width))
    yield Progress(total, total, "Image")
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What the frames of a stack show, as a network is given it.

    Attributes
    ----------
    frames : tensor (A, P, Y, X)
        Equally bright, at canonical sampling.
    factors : tensor (A, P, 1, 1)
        That made them so.
    orders, separated, noise
        How orders are made of frames; the orders; the noise of a frame.
    given, evidence
        The network's input; how well the frames show each order.
    """

    frames: torch.Tensor
    factors: torch.Tensor
    orders: StackOrders
    separated: Orders
    noise: float
    given: DenoiserInput
    evidence: Evidence


def _see(
    frames: torch.Tensor,
    image: ImageStack,
    patterns: Sequence[Pattern],
    context: Context,
    total: int,
) -> Generator[Progress, None, _Seen]:
    """Resample, separate, and judge the orders."""
    import torch

    optics = image.require_optics("denoise")
    angles, phases, height, width = frames.shape
    ratio = canonical_zoom(optics)
    bytes_per_px = BYTES_PER_PX + BYTES_PER_FRAME_PX * angles * phases
    require_memory("denoising", (height, width), ratio**2 * bytes_per_px, frames.device)
    factors = torch.from_numpy(equalisation(frames)).to(frames)[..., None, None]
    level = frames * factors
    # A little larger, since transforms of a prime take ten times longer.
    size = tuple(
        scipy.fft.next_fast_len(max(round(n * ratio), LEAST_SIDE_PX), real=True)
        for n in (height, width)
    )
    zoom = Zoom(size[0] / height, size[1] / width)
    small = yield from resampled_steps(level, size, 0, total)
    orders = StackOrders(patterns, optics.pixel_size_nm, zoom, phases, frames.device)
    done = angles * phases + 1
    yield Progress(done, total, "Noise")
    noise = frame_noise(level, orders.zeros(small), optics, zoom)
    del level
    yield Progress(done, total, "Orders")
    separated = orders.separate(small)
    report = Progress(done + 1, total)
    given = yield from _held(_input_steps(separated, orders, noise), report)
    evidence = yield from _held(evidence_steps(given, separated), report)
    unseen = evidence.amplitude < SEEN * evidence.spread
    if unseen.any():
        context.warn(
            f"{int(unseen.sum())} of the {unseen.numel()} orders of the patterns do "
            "not rise above the noise of the frames: their stripes stay as they are"
        )
        orders.modulation = orders.modulation.masked_fill(unseen, 0.0)
        given = yield from _held(_input_steps(separated, orders, noise), report)
    return _Seen(small, factors, orders, separated, noise, given, evidence)


def _held(
    steps: Generator[Progress, None, T], report: Progress
) -> Generator[Progress, None, T]:
    """Pass on what steps say while the whole stands where the report says."""
    return relay(steps, lambda part: replace(report, message=part.message))


def _input_steps(
    separated: Orders, orders: StackOrders, noise: float
) -> Generator[Progress, None, DenoiserInput]:
    """Return the network's input."""
    import torch

    level = torch.tensor([noise * orders.zero_noise], device=separated.zero.device)
    return prepare_steps(
        separated,
        wavevectors=orders.wavevectors,
        modulation=orders.modulation,
        weights=orders.weights,
        noise=level,
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
    given: DenoiserInput, separated: Orders
) -> Generator[Progress, None, Evidence]:
    """Compare the frames' orders with those that order 0 alone lets expect."""
    haze = given.alone[:, ::2, ::2] * 0
    views = (yield from render_steps(given.alone, haze, given)).others
    amplitude = (views.conj() * separated.others).sum(dim=(-2, -1)).abs()
    # Variance of a complex order: twice that of its real part. Photons are noisiest
    # where the object is bright, as the views are.
    level = given.scale * 10 ** given.levels[:, 0]
    light = separated.zero.clamp(min=0)
    light = light / light.mean(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
    power = (views.abs().square() * light[:, None]).sum(dim=(-2, -1))
    variance = 2 * level[:, None] ** 2 / given.model.weights
    return Evidence(views, amplitude, (variance * power).sqrt())


def noise_left(noise: float, orders: int, angles: int, phases: int) -> float:
    """Return the noise of what the orders leave of frames, spread over them evenly."""
    return noise * math.sqrt(max(1 - (1 + 2 * orders) / (angles * phases), 0))


def rest_of_angle(rest: torch.Tensor, noise: float, left: float | None) -> torch.Tensor:
    """Return what to keep of what the orders leave of the frames of an angle.

    Parameters
    ----------
    rest : tensor (P, Y, X)
        Frames less those of the orders.
    noise : float
        Of a frame.
    left : float or None
        Of ``rest``; None where no order but 0 is known: what the frames differ in is
        their stripes then.
    """
    if left is not None:
        return kept_rest(rest, left)
    common = rest.mean(dim=0)
    return rest - common + kept_rest(common[None], noise / math.sqrt(len(rest)))


def with_rest(
    shown: Orders,
    separated: Orders,
    weights: Sequence[float],
    noise: float,
    level: float,
) -> Generator[Progress, None, Orders]:
    """Add to a model's orders what of the frames' own orders cannot be noise.

    ``weights`` are those of `PatternModel`, ``noise`` is that of order 0 in counts and
    ``level`` on the network's scale. Of one stack.
    """
    beyond = noise_in_rest(level)
    yield Progress(0, 1 + len(weights), "Rest of order 0")
    zero = shown.zero + kept_rest(separated.zero - shown.zero, noise, beyond)
    others = shown.others.clone()
    for index, weight in enumerate(weights):
        yield Progress(1 + index, 1 + len(weights), f"Rest of order {index + 1}")
        rest = separated.others[:, index] - others[:, index]
        others[:, index] += kept_rest(rest, noise * math.sqrt(2 / weight), beyond)
    return Orders(zero, others)


def as_seen(
    orders: Orders, separated: Orders, evidence: Evidence, given: DenoiserInput
) -> Orders:
    """Return a model's orders in counts, with the amplitudes that the frames show.

    The amplitudes are measured with the views of order 0 as instrument (Reiersøl 1945):
    noise of the frames' orders that the model has taken over does not count for them.
    """
    base, scale = given.base[:, None, None], given.scale[:, None, None]
    others = orders.others * scale[:, None]
    views = evidence.views.conj()
    wanted = (views * separated.others).sum(dim=(-2, -1))
    shown = (views * others).sum(dim=(-2, -1))
    # Its phase is left: the patterns' own phases are known better than this.
    gain = (wanted / shown).real.nan_to_num().clamp(min=0, max=LARGEST_GAIN)
    return Orders(orders.zero * scale + base, others * gain[..., None, None])

"""From noisy frames to clean ones: orders, network, and what the model leaves over."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from napari_dps.core import ImageStack, Pattern, Progress
from napari_dps.core.at_once import at_once
from napari_dps.core.context import Context
from napari_dps.methods.sim.evidence import REPORTS, Evidence, messages_at, see_orders
from napari_dps.methods.sim.frames import kept_rest, noise_in_rest, resampled_steps
from napari_dps.methods.sim.network import (
    DenoiserInput,
    render_steps,
    sim_network_steps,
)
from napari_dps.methods.sim.orders import StackOrders
from napari_dps.methods.sim.worth import level_at
from napari_dps.physics.sim.pattern_model import Orders

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.res_unet import SimDenoiser

NOISE_LEFT = 0.3
"""Amplitude of the noise after denoising over that before, as `reconstruct` has it: in
simulations any less changes nothing, and on real frames it keeps off honeycomb."""
LARGEST_GAIN = 1.5
"""Amplitude of an order in the frames over that of the model: more is a wrong fit."""
CLEAN_LEVEL = 0.0025
"""Noise of order 0, full scale 1, at which half of what is taken for noise is removed:
with less noise what the network gets wrong counts for more than what it takes away.
Chosen on simulated microtubules, ER and clathrin pits at 300 to 50 000 photons."""


def denoise_steps(
    frames: torch.Tensor,
    image: ImageStack,
    patterns: Sequence[Pattern],
    network: SimDenoiser,
    context: Context,
    *,
    recorded: torch.Tensor | None = None,
) -> Generator[Progress, None, torch.Tensor]:
    """Denoise the frames of one stack.

    At canonical sampling the orders of all angles are separated, the network finds the
    one object that they show, and the object seen through the patterns gives the
    orders back, each with the amplitude and phase that the frames themselves show: a
    pattern that is not in them is not drawn. What the frames hold beyond this model
    and beyond noise is added. The cleaner the frames are, the more they stay as they
    are.

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
    recorded : tensor (A, P, Y, X), optional
        What clean frames stay near to, where that is not ``frames``.

    Yields
    ------
    Progress

    Returns
    -------
    tensor (A, P, Y, X)
        Counts.
    """
    angles, phases, height, width = frames.shape
    recorded = frames if recorded is None else recorded
    done = angles * phases + REPORTS
    report = Progress(done, done + angles * phases)
    seen = yield from see_orders(frames, image, patterns, context, report.total)
    separated, orders, noise = seen.separated, seen.orders, seen.noise
    small, factors, inputs = seen.frames, seen.factors, seen.inputs

    def find(
        features: torch.Tensor, levels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        fine, haze = network(features, levels)
        return fine, haze

    fine, haze = yield from messages_at(
        sim_network_steps(find, inputs, context), report
    )
    model = yield from messages_at(render_steps(fine, haze, inputs), report)
    shown = as_seen(model, separated, seen.evidence, inputs)
    level = 10 ** float(inputs.levels[0, 0])
    # The largest arrays: large images leave no room for them any more.
    del seen, inputs, fine, haze, model
    zero_noise, weights = noise * orders.zero_noise, orders.weights[0].tolist()
    full = yield from messages_at(
        with_rest(shown, separated, weights, zero_noise, level), report
    )
    clean = orders.mixing.forward(full)
    small -= orders.mixing.forward(separated)
    yield from messages_at(with_rest_of_frames(clean, small, orders, noise), report)
    result = yield from resampled_steps(clean, (height, width), done, report.total)
    return faded(result / factors, recorded, level_at(level, image, frames.device))


def faded(
    clean: torch.Tensor, frames: torch.Tensor, level: float | torch.Tensor
) -> torch.Tensor:
    """Return denoised frames that stay the closer to the frames the cleaner these are.

    Parameters
    ----------
    clean, frames : tensor (A, P, Y, X)
        Counts.
    level : float or tensor (Y, X)
        Standard deviation of the noise of order 0, full scale 1; see `CLEAN_LEVEL`.
    """
    return frames + (clean - frames) * (level**4 / (level**4 + CLEAN_LEVEL**4))


def noise_left(noise: float, orders: int, angles: int, phases: int) -> float:
    """Return the noise of what the orders leave of frames, spread over them evenly."""
    return noise * math.sqrt(max(1 - (1 + 2 * orders) / (angles * phases), 0))


def with_rest_of_frames(
    clean: torch.Tensor, rest: torch.Tensor, orders: StackOrders, noise: float
) -> Generator[Progress, None, None]:
    """Add to frames (A, P, Y, X) what is to be kept of what the orders leave of them.

    ``noise`` is that of a frame.
    """
    left = noise_left(noise, orders.modulation.numel(), *rest.shape[:2])
    keeping = at_once(
        partial(rest_of_angle, one, noise, left if has_stripes else None)
        for one, has_stripes in zip(rest, orders.has_stripes, strict=True)
    )
    for angle, (frames, kept) in enumerate(zip(clean, keeping, strict=True)):
        frames += kept
        yield Progress(angle, len(clean), "What the orders leave")


def rest_of_angle(rest: torch.Tensor, noise: float, left: float | None) -> torch.Tensor:
    """Return what to keep of what the orders leave of the frames of an angle.

    Parameters
    ----------
    rest : tensor (P, Y, X)
        Frames less those of the orders.
    noise : float
        Noise of a frame.
    left : float or None
        Noise of ``rest``; None where the angle has order 0 alone: its frames then
        differ by their stripes.
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
    """Add to a model's orders what of the frames' orders cannot be noise.

    ``weights`` are those of `PatternModel`, ``noise`` is that of order 0 in counts and
    ``level`` on the network's scale. Of one stack.
    """
    beyond = noise_in_rest(level)
    count = 1 + len(weights)
    yield Progress(0, count, "Rest of the orders")

    def kept(index: int) -> torch.Tensor:
        if not index:
            return kept_rest(separated.zero - shown.zero, noise, beyond)
        rest = separated.others[:, index - 1] - shown.others[:, index - 1]
        return kept_rest(rest, noise * math.sqrt(2 / weights[index - 1]), beyond)

    zero, others = shown.zero, shown.others.clone()
    keeping = at_once(partial(kept, index) for index in range(count))
    for index, rest in enumerate(keeping):
        if index:
            others[:, index - 1] += rest
        else:
            zero = zero + rest
        yield Progress(index + 1, count, "Rest of the orders")
    return Orders(zero, others)


def as_seen(
    orders: Orders, separated: Orders, evidence: Evidence, inputs: DenoiserInput
) -> Orders:
    """Return a model's orders in counts, with the amplitudes that the frames show."""
    base, scale = inputs.base[:, None, None], inputs.scale[:, None, None]
    others = orders.others * scale[:, None]
    gains = gains_of_orders(others, separated, evidence)
    return Orders(orders.zero * scale + base, others * gains[..., None, None])


def gains_of_orders(
    others: torch.Tensor, separated: Orders, evidence: Evidence
) -> torch.Tensor:
    """Return the amplitudes (1, W) that the frames show, over those of a model.

    They are measured with the views of order 0 as instrument (Reiersøl 1945): noise of
    the frames' orders that the model has taken over does not count for them.

    Parameters
    ----------
    others : tensor (1, W, Y, X), complex
        The model's orders in counts.
    separated : Orders
        Those of the frames.
    evidence : Evidence
        Holds the views.
    """
    views = evidence.views.conj()
    wanted = (views * separated.others).sum(dim=(-2, -1))
    shown = (views * others).sum(dim=(-2, -1))
    # Its phase is left: those of the patterns are more precise.
    return (wanted / shown).real.nan_to_num().clamp(min=0, max=LARGEST_GAIN)

"""From noisy frames to clean ones: orders, network, and what the model leaves over."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from napari_dps.core import ImageStack, Pattern, Progress
from napari_dps.physics.canonical import canonical_zoom
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.pattern_model import Orders
from napari_dps.stages.denoise_frames import (
    StackOrders,
    Zoom,
    frame_noise,
    kept_rest,
    resampled_steps,
)
from napari_dps.stages.denoise_network import (
    DenoiserInput,
    network_steps,
    prepare,
    render,
)

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.res_unet import SimDenoiser

LARGEST_GAIN = 1.5
"""Amplitude of an order in the frames over that of the model: more is a wrong fit."""


def denoise_steps(
    frames: torch.Tensor,
    image: ImageStack,
    patterns: Sequence[Pattern],
    network: SimDenoiser,
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

    Yields
    ------
    Progress

    Returns
    -------
    tensor (A, P, Y, X)
        Counts.
    """
    import torch

    optics = image.require_optics("denoise")
    angles, phases, height, width = frames.shape
    total = 2 * angles * phases + 2
    factors = torch.from_numpy(equalisation(frames)).to(frames)[..., None, None]
    level = frames * factors
    ratio = canonical_zoom(optics)
    size = max(round(height * ratio), 4), max(round(width * ratio), 4)
    zoom = Zoom(size[0] / height, size[1] / width)
    small = yield from resampled_steps(level, size, 0, total)
    orders = StackOrders(patterns, optics.pixel_size_nm, zoom, phases, frames.device)
    noise = frame_noise(level, orders.zeros(small), optics, zoom)
    separated = orders.separate(small)
    given = prepare(
        separated,
        wavevectors=orders.wavevectors,
        modulation=orders.modulation,
        weights=orders.weights,
        noise=torch.tensor([noise * orders.zero_noise], device=frames.device),
    )
    done = angles * phases + 1
    fine, haze = yield from network_steps(network, given, done, total)
    shown = _as_seen(render(fine, haze, given), separated, given)
    model = orders.mix(shown)
    for own, seen in zip(model, small, strict=True):
        own += kept_rest(seen - own, noise)
    yield Progress(done, total, "Frames")
    result = yield from resampled_steps(model, (height, width), done + 1, total)
    return result / factors


def _as_seen(orders: Orders, separated: Orders, given: DenoiserInput) -> Orders:
    """Return a model's orders in counts, with the amplitudes that the frames show."""
    base, scale = given.base[:, None, None], given.scale[:, None, None]
    others = orders.others * scale[:, None]
    product = (others.conj() * separated.others).sum(dim=(-2, -1))
    power = others.abs().square().sum(dim=(-2, -1)).clamp(min=1e-12)
    gain = product / power
    gain = gain * (LARGEST_GAIN / gain.abs().clamp(min=LARGEST_GAIN))
    return Orders(orders.zero * scale + base, others * gain[..., None, None])

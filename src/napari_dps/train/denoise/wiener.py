"""Wiener images of simulated stacks with the patterns that are assumed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_dps.physics.sim.pattern_model import Orders, PatternModel
from napari_dps.train.denoise.simulation import Stacks

ATTENUATION = 0.9, 0.35
"""Strength and width of the attenuation of the stage `reconstruct`."""


def wiener_images(frames: Tensor, stacks: Stacks, parameter: Tensor) -> Tensor:
    """Return Wiener images (N, B, 2Y, 2X) of N batches of frames (N, B, A, P, Y, X)."""
    separated = [stacks.separate(some) for some in frames]
    side = frames.shape[-2], frames.shape[-1]
    model = PatternModel(
        side,
        stacks.wavevectors,
        stacks.modulation,
        separated[0][1],
        origin_px=(side[-1] - 1) / 2,
    )
    zero_power, others_power = model.attenuated_power(*ATTENUATION)
    power = zero_power + others_power
    gain = _apodisation(model) / (power + parameter[:, None, None])
    images = []
    for orders, _, _ in separated:
        seen = model.adjoint(_attenuated(model, orders))
        spectrum = torch.fft.rfft2(seen) * gain
        images.append(torch.fft.irfft2(spectrum, s=seen.shape[-2:]))
    return torch.stack(images)


def _attenuated(model: PatternModel, orders: Orders) -> Orders:
    """Dim the centre of every order, as `attenuated_power` counts on."""
    strength, width = ATTENUATION
    device = orders.zero.device
    y, x = (torch.fft.fftfreq(n, device=device) for n in orders.zero.shape[-2:])
    radius = torch.hypot(y[:, None], x) / model.cutoff
    dip = 1 - strength * torch.exp(-((radius / width) ** 2) / 2)
    zero = torch.fft.ifft2(torch.fft.fft2(orders.zero) * dip).real
    if not orders.others.shape[1]:
        return Orders(zero, orders.others)
    return Orders(zero, torch.fft.ifft2(torch.fft.fft2(orders.others) * dip))


def _apodisation(model: PatternModel) -> Tensor:
    """Return a cosine that ends at twice the cut-off."""
    return torch.cos(math.pi / 2 * (model.radius / 2).clamp(max=1))

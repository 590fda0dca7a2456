"""Simulated stacks and what the denoiser is given of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_dps.methods.sim.network import DenoiserInput, denoiser_input
from napari_dps.train.denoise.simulation import Stacks


@dataclass(frozen=True, slots=True, eq=False)
class DenoiseBatch:
    """Simulated stacks, and what the network is given of them."""

    stacks: Stacks
    given: DenoiserInput
    wiener_parameter: Tensor


def make_batch(
    stacks: Stacks, wiener_parameter: Tensor, device: torch.device
) -> DenoiseBatch:
    """Separate the orders of stacks and compute the network's inputs."""
    moved = stacks.to(device)
    return DenoiseBatch(moved, network_input(moved), wiener_parameter.to(device))


def network_input(stacks: Stacks) -> DenoiserInput:
    """Separate the orders of stacks and compute what the stages give to a network."""
    orders, weights, gain = stacks.separate(stacks.frames)
    return denoiser_input(
        orders,
        wavevectors=stacks.wavevectors,
        modulation=stacks.modulation,
        weights=weights,
        noise=stacks.noise * gain,
        origin_px=(stacks.frames.shape[-1] - 1) / 2,
    )


def scaled_frames(frames: Tensor, given: DenoiserInput) -> Tensor:
    """Return frames (B, A, P, Y, X) less the base, over the scale."""
    base, scale = (v[:, None, None, None, None] for v in (given.base, given.scale))
    return (frames - base) / scale

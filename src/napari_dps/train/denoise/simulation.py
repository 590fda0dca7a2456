"""Raw SIM stacks at canonical sampling, by the batch, and what a network takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_dps.methods.sim.network import DenoiserInput, denoiser_input
from napari_dps.physics.sim import mixing as order_mixing
from napari_dps.physics.sim.pattern_model import Orders, PatternModel
from napari_dps.train.denoise.objects import draw_objects
from napari_dps.train.denoise.patterns import (
    Acquisition,
    Waves,
    draw_acquisition,
    draw_waves,
    misjudged,
)
from napari_dps.train.denoise.settings import DenoiseData

MARGIN_PX = 8
"""Light comes from that far outside a patch."""


@dataclass(frozen=True, slots=True, eq=False)
class Stacks:
    """A batch of simulated stacks and what is known of them, in photons.

    Attributes
    ----------
    frames, clean : tensor (B, A, P, Y, X)
        Recorded and expected, equally bright.
    mixing : tensor (B, A, P, 1 + 2 N)
        Matrix from order 0 and the real and imaginary parts of the others to frames,
        by the phases that are assumed.
    wavevectors, modulation : tensor (B, W, 2), (B, W)
        As assumed.
    noise : tensor (B,)
        Standard deviation of the noise of a frame, as assumed.
    ideal : tensor (B, 2Y, 2X)
        The object without haze, as `PatternModel.apodised` shows it.
    """

    frames: Tensor
    clean: Tensor
    mixing: Tensor
    wavevectors: Tensor
    modulation: Tensor
    noise: Tensor
    ideal: Tensor

    def separate(self, frames: Tensor) -> tuple[Orders, Tensor, Tensor]:
        """Separate frames by the phases that are assumed.

        Parameters
        ----------
        frames : tensor (B, A, P, Y, X)
            Those of the stacks, or others with their patterns.

        Returns
        -------
        orders, weights, gain
            See `physics.sim.mixing.separate` and ``order_noise``.
        """
        rows = torch.linalg.pinv(self.mixing)
        return order_mixing.separate(frames, rows), *order_mixing.order_noise(rows)

    def mix(self, orders: Orders) -> Tensor:
        """Return the frames (B, A, P, Y, X) of orders, by the phases assumed."""
        return order_mixing.mix(orders, self.mixing)

    def to(self, device: torch.device) -> Stacks:
        """Return the stacks on a device."""
        return Stacks(*(getattr(self, name).to(device) for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class DenoiseBatch:
    """Simulated stacks, and what the network takes of them."""

    stacks: Stacks
    inputs: DenoiserInput
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


def scaled_frames(frames: Tensor, inputs: DenoiserInput) -> Tensor:
    """Return frames (B, A, P, Y, X) less the base, over the scale."""
    base, scale = (v[:, None, None, None, None] for v in (inputs.base, inputs.scale))
    return (frames - base) / scale


def draw_stacks(
    bank: NDArray[np.float16],
    data: DenoiseData,
    rng: np.random.Generator,
    *,
    size: int,
    patch_px: int,
) -> Stacks:
    """Record objects of the bank with one acquisition, ``size`` stacks of patch_px²."""
    acquisition = draw_acquisition(rng)
    side = 2 * (patch_px + 2 * MARGIN_PX)
    drawn = draw_objects(bank, rng, size=size, side=side)
    return simulate_stacks(drawn, acquisition, data, rng)


def simulate_stacks(
    objects: Tensor,
    acquisition: Acquisition,
    data: DenoiseData,
    rng: np.random.Generator,
    *,
    photons: NDArray[np.float64] | None = None,
    exact: bool = False,
    haze: bool = True,
) -> Stacks:
    """Record objects through random patterns.

    Parameters
    ----------
    objects : tensor (B, 2Y, 2X)
        On the fine grid, with the margin.
    acquisition : Acquisition
        Of all the stacks.
    data : DenoiseData
        Ranges.
    rng : numpy.random.Generator
        Draws everything.
    photons : array (B,), optional
        In place of random ones.
    exact : bool
        Whether the patterns assumed are the true ones.
    haze : bool
        Whether some have haze.

    Returns
    -------
    Stacks
        Without the margin.
    """
    size = len(objects)
    low, high = np.log(data.photons)
    light = np.exp(rng.uniform(low, high, size)) if photons is None else photons
    true = draw_waves(size, acquisition, data, rng)
    fall = 0.1 if exact else float(rng.uniform(*data.otf_fall))
    model = _microscope(true, objects, fall)
    orders = model.forward(objects)
    bright = torch.quantile(orders.zero.flatten(1), 0.999, dim=1)
    scale = _tensor(light) / bright.clamp(min=1e-6)
    unlit = _tensor(rng.uniform(*data.background, (size, 1, 1)))
    if haze:
        unlit = unlit + _haze(objects, data, rng)
    lit = Orders(orders.zero + unlit * bright[:, None, None], orders.others)
    clean = order_mixing.mix(lit, _tensor(true.mixing))
    clean = (clean * scale[:, None, None, None, None]).clamp(min=0)
    frames, noise = _recorded(clean, data, rng)
    assumed = true
    if not exact:
        noise = noise * _tensor(rng.lognormal(0, 0.05, size))
        assumed = misjudged(true, data, rng)
    inside, wide = (slice(m, -m) for m in (MARGIN_PX, 2 * MARGIN_PX))
    return Stacks(
        frames[..., inside, inside],
        clean[..., inside, inside],
        _tensor(assumed.mixing),
        _tensor(assumed.vectors.reshape(size, -1, 2)),
        _tensor(assumed.modulation.reshape(size, -1)),
        noise,
        (model.apodised(objects) * scale[:, None, None])[..., wide, wide],
    )


def _microscope(waves: Waves, objects: Tensor, fall: float) -> PatternModel:
    """Return the model of a microscope with these patterns."""
    size, shape = len(objects), (objects.shape[-2] // 2, objects.shape[-1] // 2)
    modulation = _tensor(waves.modulation.reshape(size, -1))
    return PatternModel(
        shape,
        _tensor(waves.vectors.reshape(size, -1, 2)),
        modulation,
        torch.ones(modulation.shape),
        origin_px=(shape[0] - 1) / 2,
        fall=fall,
    )


def _recorded(
    clean: Tensor, data: DenoiseData, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return frames of uneven light, equalised, and the noise (B,) of the stacks."""
    gain = 1 + data.intensity_jitter * rng.standard_normal(clean.shape[:3])
    light = _tensor(np.clip(gain, 0.5, 1.5))[..., None, None]
    lit = clean * light
    read = _tensor(rng.uniform(*data.read_noise_e, (len(clean), 1, 1, 1, 1)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    frames = torch.poisson(lit, generator) + read * torch.randn(
        lit.shape, generator=generator
    )
    noise = (clean.mean(dim=(1, 2, 3, 4)) + read.flatten() ** 2).sqrt()
    return frames / light, noise


def _haze(objects: Tensor, data: DenoiseData, rng: np.random.Generator) -> Tensor:
    """Return light out of focus (B, Y, X), for some stacks, maximum 1 at most.

    Of the object itself, as from above and below, or of another one, as from a place
    where nothing is in focus.
    """
    size, height, width = objects.shape
    is_same = _tensor(rng.random((size, 1, 1))) < 0.5
    source = torch.where(is_same, objects, objects.roll(1, dims=0))
    y = torch.fft.fftfreq(height, d=0.5)[:, None]
    x = torch.fft.rfftfreq(width, d=0.5)
    sigma = _tensor(np.exp(rng.uniform(np.log(1.5), np.log(12), (size, 1, 1))))
    blur = torch.exp(-2 * (math.pi * sigma * torch.hypot(y, x)) ** 2)
    image = torch.fft.irfft2(torch.fft.rfft2(source) * blur, s=(height, width))
    haze = F.avg_pool2d(image[:, None], 2)[:, 0].clamp(min=0)
    strength = rng.uniform(0.05, 1, (size, 1, 1))
    strength *= rng.random((size, 1, 1)) < data.haze
    return (
        haze / haze.amax(dim=(1, 2), keepdim=True).clamp(min=1e-6) * _tensor(strength)
    )


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

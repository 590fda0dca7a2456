"""The denoiser of raw SIM frames as a task for the trainer."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from napari_dps.core import Progress
from napari_dps.methods.sim.network import DenoiserInput, denoiser_input, render
from napari_dps.nets.res_unet import SimDenoiser
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.sim.pattern_model import Orders, PatternModel
from napari_dps.train.denoise_simulation import (
    MARGIN_PX,
    DenoiseData,
    Layout,
    Stacks,
    build_objects_steps,
    draw_stacks,
    mix,
    separate,
    simulate_stacks,
    validation_objects,
)
from napari_dps.train.losses import ssim_loss
from napari_dps.train.recipe import Recipe, load_recipe
from napari_dps.train.task import Sources

VALIDATION_PHOTONS = (10.0, 50.0, 200.0, 1000.0)
VALIDATION_PX = 96
WIENER_PARAMETERS = (0.1, 0.03, 0.01, 0.003)
"""The best of them counts, for each stack alone."""
REFERENCE_PARAMETER = 0.01
"""Of the Wiener image of the clean frames that all are compared with."""
PEAK = 0.999
"""Quantile of the reference that is full scale."""
ATTENUATION = 0.9, 0.35
"""Strength and width of the attenuation of the stage `reconstruct`."""


class DenoiseNetwork(BaseModel):
    """Arguments of `SimDenoiser`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(default=48, ge=1, le=512)
    blocks: int = Field(default=2, ge=1, le=16)


class DenoiseLoss(BaseModel):
    """Weight of each term; errors are over the noise level of the stack.

    Attributes
    ----------
    frame, frame_ssim, frame_fourier
        Of the frames: mean error, 1 − SSIM, mean error of the Fourier transforms (the
        slides' β, α and ε).
    sim, sim_square, sim_ssim
        Of the image after a Wiener filter of random parameter: mean error, root of the
        mean squared error, 1 − SSIM.
    contrast
        Of the share of the stripes' amplitude that is lost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    frame: float = Field(default=1.0, ge=0)
    frame_ssim: float = Field(default=0.1, ge=0)
    frame_fourier: float = Field(default=0.2, ge=0)
    sim: float = Field(default=1.0, ge=0)
    sim_square: float = Field(default=1.0, ge=0)
    sim_ssim: float = Field(default=0.2, ge=0)
    contrast: float = Field(default=0.1, ge=0)


class DenoiseRecipe(Recipe):
    """A training of the denoiser."""

    model: ClassVar[str] = "denoise"

    wiener_parameter: tuple[float, float] = (0.001, 0.3)
    network: DenoiseNetwork
    loss: DenoiseLoss
    data: DenoiseData


@dataclass(frozen=True, slots=True, eq=False)
class DenoiseBatch:
    """Simulated stacks, and what the network is given of them."""

    stacks: Stacks
    given: DenoiserInput
    wiener_parameter: Tensor


@dataclass(frozen=True, eq=False)
class DenoiseTask:
    """Res-UNet from the linear estimates of simulated stacks.

    Parameters
    ----------
    recipe : DenoiseRecipe
        What to train.
    objects : array (N, S, S), float16
        Bank of objects on the fine grid.
    """

    recipe: DenoiseRecipe
    objects: NDArray[np.float16]

    @property
    def curves(self) -> tuple[str, ...]:
        """PSNR of the Wiener image at each level of light."""
        return tuple(f"wiener_{photons:g}" for photons in VALIDATION_PHOTONS)

    def build_network(self) -> nn.Module:
        """Return a new network."""
        return SimDenoiser(**self.recipe.network.model_dump())

    def draw(self, step: int, device: torch.device) -> DenoiseBatch:
        """Simulate the stacks of a step."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step])
        stacks = draw_stacks(
            self.objects, recipe.data, rng, size=recipe.batch, patch_px=recipe.patch_px
        )
        low, high = np.log(recipe.wiener_parameter)
        drawn_w = np.exp(rng.uniform(low, high, recipe.batch)).astype(np.float32)
        return make_batch(stacks, torch.from_numpy(drawn_w), device)

    def objective(self, network: nn.Module, batch: DenoiseBatch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, and their sum."""
        w, given, stacks = self.recipe.loss, batch.given, batch.stacks
        fine, haze = network(given.features, given.levels)
        orders = render(fine, haze, given)
        frames, clean = mix(orders, stacks.mixing), scaled_frames(stacks.clean, given)
        size = 1 / (10 ** given.levels[:, 0] + 0.01)
        error = frames - clean
        terms = {"frame": w.frame * _mean(error.abs(), size)}
        spectrum = torch.fft.rfft2(error, norm="ortho").abs()
        terms["frame_fourier"] = w.frame_fourier * _mean(spectrum, size)
        some = (
            frames[:, :, 0].flatten(0, 1)[:, None],
            clean[:, :, 0].flatten(0, 1)[:, None],
        )
        terms["frame_ssim"] = w.frame_ssim * ssim_loss(*some)
        image, wanted = wiener_images(
            torch.stack([frames, clean]), stacks, batch.wiener_parameter
        )
        difference = image - wanted
        terms["sim"] = w.sim * _mean(difference.abs(), size)
        root = (difference.square().mean(dim=(1, 2)) + 1e-8).sqrt()
        terms["sim_square"] = w.sim_square * (root * size).mean()
        terms["sim_ssim"] = w.sim_ssim * ssim_loss(image[:, None], wanted[:, None])
        if stacks.wavevectors.shape[1] and w.contrast:
            terms["contrast"] = w.contrast * _contrast_lost(frames, clean)
        return {**terms, "loss": torch.stack(list(terms.values())).sum()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return scores on the classes that are never trained on.

        ``wiener_10`` and so on: PSNR (dB) of the Wiener image with exact patterns, at
        the best of `WIENER_PARAMETERS`, against that of the clean frames; ``ssim_10``
        its SSIM; ``frames_10``: PSNR of the frames.
        """
        with torch.inference_mode():
            scores = score(
                self._validation, lambda b: network(b.given.features, b.given.levels)
            )
        means = [scores[name] for name in self.curves]
        return {**scores, "score": round(float(np.mean(means)), 4)}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        recipe = self.recipe
        return {
            "architecture": "sim_denoiser",
            "network": recipe.network.model_dump(),
            "optics": {"cutoff_per_pixel": CANONICAL_CUTOFF_PER_PIXEL},
            "recipe": recipe.model_dump(mode="json", exclude={"data", "network"}),
            "data": recipe.data.model_dump(mode="json"),
            "metrics": {"none": self._unprocessed},
        }

    @cached_property
    def _validation(self) -> dict[float, DenoiseBatch]:
        return validation_batches(self.recipe.data)

    @cached_property
    def _unprocessed(self) -> dict[str, float]:
        return score(self._validation, None)


def make_batch(
    stacks: Stacks, wiener_parameter: Tensor, device: torch.device
) -> DenoiseBatch:
    """Separate the orders of stacks and compute the network's inputs."""
    moved = Stacks(*(getattr(stacks, n).to(device) for n in stacks.__slots__))
    return DenoiseBatch(moved, network_input(moved), wiener_parameter.to(device))


def network_input(stacks: Stacks) -> DenoiserInput:
    """Separate the orders of stacks and compute what the stages give to a network."""
    orders, weights, gain = separate(stacks.frames, stacks.mixing)
    return denoiser_input(
        orders,
        wavevectors=stacks.wavevectors,
        modulation=stacks.modulation,
        weights=weights,
        noise=stacks.noise * gain,
        origin_px=(stacks.frames.shape[-1] - 1) / 2,
    )


def validation_batches(
    data: DenoiseData, *, haze: bool = False
) -> dict[float, DenoiseBatch]:
    """Return stacks (3 × 3, exact patterns) of the held-out classes, by photons."""
    objects = validation_objects(2 * (VALIDATION_PX + 2 * MARGIN_PX))
    batches = {}
    for photons in VALIDATION_PHOTONS:
        rng = np.random.default_rng([90210, int(photons)])
        fixed = data.model_copy(
            update={
                "modulation": (0.7, 0.9),
                "wavevector": (0.7, 1.0),
                "read_noise_e": (1.6, 1.6),
                "background": (0.02, 0.05),
                "haze": 1.0,
            }
        )
        levels = np.full(len(objects), photons)
        stacks = simulate_stacks(
            objects,
            Layout(3, 3),
            fixed,
            rng,
            photons=levels,
            exact=True,
            haze=haze,
        )
        batches[photons] = make_batch(
            stacks, torch.ones(len(objects)), torch.device("cpu")
        )
    return batches


def score(batches: dict[float, DenoiseBatch], network: Any | None) -> dict[str, float]:
    """Return PSNR and SSIM by photons, of a network or of the stacks as they are."""
    scores: dict[str, float] = {}
    for photons, batch in batches.items():
        given, stacks = batch.given, batch.stacks
        clean = scaled_frames(stacks.clean, given)
        if network is None:
            frames = scaled_frames(stacks.frames, given)
        else:
            fine, haze = network(batch)
            frames = mix(render(fine, haze, given), stacks.mixing)
        count = len(clean)
        (wanted,) = wiener_images(
            clean[None], stacks, torch.full((count,), REFERENCE_PARAMETER)
        )
        tries = [
            wiener_images(frames[None], stacks, torch.full((count,), parameter))[0]
            for parameter in WIENER_PARAMETERS
        ]
        rows = [
            (
                max(psnr(t[n], wanted[n]) for t in tries),
                max(similarity(t[n], wanted[n]) for t in tries),
                psnr(frames[n], clean[n]),
            )
            for n in range(count)
        ]
        for name, value in zip(
            ("wiener", "ssim", "frames"), np.mean(rows, axis=0), strict=True
        ):
            scores[f"{name}_{photons:g}"] = round(float(value), 4)
    return scores


def wiener_images(frames: Tensor, stacks: Stacks, parameter: Tensor) -> Tensor:
    """Return Wiener images (N, B, 2Y, 2X) of N batches of frames (N, B, A, P, Y, X)."""
    parts = [separate(some, stacks.mixing) for some in frames]
    side = frames.shape[-2], frames.shape[-1]
    model = PatternModel(
        side,
        stacks.wavevectors,
        stacks.modulation,
        parts[0][1],
        origin_px=(side[-1] - 1) / 2,
    )
    zero_power, others_power = model.attenuated_power(*ATTENUATION)
    power = zero_power + others_power
    gain = _apodisation(model) / (power + parameter[:, None, None])
    images = []
    for orders, _, _ in parts:
        seen = model.adjoint(_attenuated(model, orders))
        spectrum = torch.fft.rfft2(seen) * gain
        images.append(torch.fft.irfft2(spectrum, s=seen.shape[-2:]))
    return torch.stack(images)


def scaled_frames(frames: Tensor, given: DenoiserInput) -> Tensor:
    """Return frames (B, A, P, Y, X) less the base, over the scale."""
    base, scale = (v[:, None, None, None, None] for v in (given.base, given.scale))
    return (frames - base) / scale


def _span(wanted: Tensor) -> Tensor:
    values = wanted.flatten()
    return torch.quantile(values, PEAK) - torch.quantile(values, 1 - PEAK)


def psnr(image: Tensor, wanted: Tensor) -> float:
    """Return the PSNR in dB; full scale are the quantiles of what is wanted."""
    error = (image - wanted).square().mean()
    return float(10 * torch.log10(_span(wanted) ** 2 / error))


def similarity(image: Tensor, wanted: Tensor) -> float:
    """Return the SSIM on the same scale."""
    span = _span(wanted)
    return 1 - float(ssim_loss((image / span)[None, None], (wanted / span)[None, None]))


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


def _mean(error: Tensor, size: Tensor) -> Tensor:
    """Return the mean error, each stack's over its noise level."""
    return (error.flatten(1).mean(dim=1) * size).mean()


def _contrast_lost(frames: Tensor, clean: Tensor) -> Tensor:
    """Return the lost share of what differs between the frames of an angle."""
    stripes, true = (f - f.mean(dim=2, keepdim=True) for f in (frames, clean))
    product = (stripes * true).flatten(2).sum(dim=-1)
    power = true.square().flatten(2).sum(dim=-1)
    return (1 - product / power.clamp(min=1e-6)).clamp(min=0, max=1).mean()


def prepare_task(name: str, sources: Sources) -> Generator[Progress, None, DenoiseTask]:
    """Read the recipe and draw the objects."""
    recipe = load_recipe(DenoiseRecipe, name)
    objects = yield from build_objects_steps(
        sources.bank, recipe.data, sources.objects, workers=sources.workers
    )
    return DenoiseTask(recipe, objects)

"""The denoiser of raw SIM frames as a task for the trainer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from napari_dps.core.params import FrozenModel
from napari_dps.methods.sim.network import render
from napari_dps.nets.res_unet import SimDenoiser
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.train.denoise.settings import DenoiseData
from napari_dps.train.denoise.simulation import (
    DenoiseBatch,
    draw_stacks,
    make_batch,
    scaled_frames,
)
from napari_dps.train.denoise.validation import (
    VALIDATION_PHOTONS,
    score,
    validation_batches,
)
from napari_dps.train.denoise.wiener import wiener_images
from napari_dps.train.losses import ssim_loss
from napari_dps.train.recipe import PatchRecipe, training_record


class DenoiseNetwork(FrozenModel):
    """Arguments of `SimDenoiser`."""

    channels: int = Field(default=48, ge=1, le=512)
    blocks: int = Field(default=2, ge=1, le=16)
    oriented: bool = False


class DenoiseLoss(FrozenModel):
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

    frame: float = Field(default=1.0, ge=0)
    frame_ssim: float = Field(default=0.1, ge=0)
    frame_fourier: float = Field(default=0.2, ge=0)
    sim: float = Field(default=1.0, ge=0)
    sim_square: float = Field(default=1.0, ge=0)
    sim_ssim: float = Field(default=0.2, ge=0)
    contrast: float = Field(default=0.1, ge=0)


class DenoiseRecipe(PatchRecipe):
    """A training of the denoiser."""

    model: ClassVar[str] = "denoise"

    wiener_parameter: tuple[float, float] = (0.001, 0.3)
    network: DenoiseNetwork
    loss: DenoiseLoss
    data: DenoiseData


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
        w, inputs, stacks = self.recipe.loss, batch.inputs, batch.stacks
        fine, haze = network(inputs.features, inputs.levels)
        orders = render(fine, haze, inputs)
        frames, clean = stacks.mix(orders), scaled_frames(stacks.clean, inputs)
        size = 1 / (10 ** inputs.levels[:, 0] + 0.01)
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
                self._validation, lambda b: network(b.inputs.features, b.inputs.levels)
            )
        means = [scores[name] for name in self.curves]
        return {**scores, "score": round(float(np.mean(means)), 4)}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        recipe = self.recipe
        return {
            "architecture": "sim_denoiser",
            **training_record(recipe, network=recipe.network, data=recipe.data),
            "optics": {"cutoff_per_pixel": CANONICAL_CUTOFF_PER_PIXEL},
            "metrics": {"none": self._unprocessed},
        }

    @cached_property
    def _validation(self) -> dict[float, DenoiseBatch]:
        return validation_batches(self.recipe.data)

    @cached_property
    def _unprocessed(self) -> dict[str, float]:
        return score(self._validation, None)


def _mean(error: Tensor, size: Tensor) -> Tensor:
    """Return the mean error, each stack's over its noise level."""
    return (error.flatten(1).mean(dim=1) * size).mean()


def _contrast_lost(frames: Tensor, clean: Tensor) -> Tensor:
    """Return the lost share of what differs between the frames of an angle."""
    stripes, true = (f - f.mean(dim=2, keepdim=True) for f in (frames, clean))
    product = (stripes * true).flatten(2).sum(dim=-1)
    power = true.square().flatten(2).sum(dim=-1)
    return (1 - product / power.clamp(min=1e-6)).clamp(min=0, max=1).mean()

"""The noise remover as a task for the trainer."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from napari_dps.core import Progress
from napari_dps.core.params import FrozenModel
from napari_dps.methods.artifacts.low_light import (
    NUMBERS,
    SMOOTHINGS,
)
from napari_dps.methods.reconstruction_noise import CANONICAL_EDGE_PER_PX
from napari_dps.nets.architectures.noise_remover import NoiseRemover
from napari_dps.nets.vgg import VGG16
from napari_dps.train.artifacts.held_out import (
    HeldOut,
    held_out_pairs,
    restored,
    score,
)
from napari_dps.train.artifacts.restoration_bank import (
    RestorationBank,
    RestorationBatch,
    build_restorations_steps,
    draw_restorations_batch,
    whole_batch,
)
from napari_dps.train.artifacts.restorations import RestorationSettings
from napari_dps.train.artifacts.task import PerceptualLoss, load_extractor
from napari_dps.train.losses import ssim_loss
from napari_dps.train.recipe import (
    PatchRecipe,
    load_recipe,
    training_record,
)
from napari_dps.train.task import Sources

_LEAST_ERROR = 0.005
"""Error over full scale that the pixel term divides by at least."""
_BLOCK_PX = 8
"""Edge of the blocks whose counts are to stay."""
_CALIBRATION = 64
"""Pairs on which the sizes of the features are measured."""
WANTED_CLEAN_DB = 46.0
"""PSNR of a clean image against itself that a network must keep."""
_PENALTY_PER_DB = 0.005


class NoiseRemoverSettings(FrozenModel):
    """Size of the `NoiseRemover`."""

    channels: int = Field(default=48, ge=8, le=1024)
    blocks: int = Field(default=2, ge=1, le=64)


class LowLightLoss(FrozenModel):
    """Weights of the terms.

    Attributes
    ----------
    perceptual : float
        Of Σ_j λ_j ‖Φ_j(ŷ) − Φ_j(y)‖² / (C_j H_j W_j) over nine layers of VGG16-D; λ_j
        makes the mean square of each layer's features 1/9 on right reconstructions.
        Not of use with noisy targets, whose features are not those of the mean.
    pixel : float
        Of ln(1 + the squared error of each image over that of the best of its bases).
    absolute : float
        Of ln(1 + the absolute error of each image over that of the best of its bases):
        weak noise in the dark counts more than in the squared one.
    ssim : float
        Of 1 − SSIM.
    counts : float
        Of the mean error of blocks of 8 × 8 pixels, over full scale.
    """

    perceptual: float = Field(default=1.0, ge=0)
    pixel: float = Field(default=1.0, ge=0)
    absolute: float = Field(default=0.0, ge=0)
    ssim: float = Field(default=0.0, ge=0)
    counts: float = Field(default=1.0, ge=0)


class LowLightRecipe(PatchRecipe):
    """A training of the noise remover.

    Attributes
    ----------
    features : str
        Weights of the extractor: a name of shipped ones, a ``.safetensors`` file of
        ``napari-dps train features``, or torchvision's ``vgg16`` (``.pth``, or a file
        named ``vgg16*.safetensors``).
    network, loss, data
        Of the network, the objective and the pairs.
    """

    model: ClassVar[str] = "artifacts-low-light"

    features: str = "features"
    network: NoiseRemoverSettings
    loss: LowLightLoss
    data: RestorationSettings


@dataclass(frozen=True, eq=False)
class LowLightTask:
    """Artefact removal on pairs of reconstructions.

    Parameters
    ----------
    recipe : LowLightRecipe
        What to train.
    training : RestorationBank
        Pairs.
    held_out : HeldOut
        Pairs of structures that are never trained on.
    extractor : VGG16
        For the perceptual term.
    """

    recipe: LowLightRecipe
    training: RestorationBank
    held_out: HeldOut
    extractor: VGG16
    curves: ClassVar[tuple[str, ...]] = ("ssim_low_light", "ssim_faults")

    @property
    def network(self) -> dict[str, int]:
        """Arguments of the `NoiseRemover`."""
        size = self.recipe.network.model_dump()
        return {"bases": 1 + len(SMOOTHINGS), "numbers": NUMBERS, **size}

    def build_network(self) -> nn.Module:
        """Return a new network."""
        return NoiseRemover(**self.network)

    def draw(self, step: int, device: torch.device) -> RestorationBatch:
        """Return the pairs of a step."""
        batch = draw_restorations_batch(self.training, step=step, **self.recipe.patches)
        return batch.to(device)

    def objective(
        self, network: nn.Module, batch: RestorationBatch
    ) -> dict[str, Tensor]:
        """Return the terms of the loss, and their weighted sum."""
        result, _ = network(batch.bases, batch.local, batch.numbers)
        pictures = batch.picture(result), batch.picture(batch.target)
        terms = {
            "pixel": relative_error(result, batch),
            "absolute": absolute_error(result, batch),
            "ssim": ssim_loss(*pictures),
            "counts": block_error(result, batch),
        }
        if self.recipe.loss.perceptual:
            terms["perceptual"] = self._perceptual.to(result.device)(*pictures)
        weights = self.recipe.loss.model_dump()
        loss = sum(
            (weights[name] * term for name, term in terms.items()),
            result.new_zeros(()),
        )
        return {**terms, "loss": loss}

    @cached_property
    def _perceptual(self) -> PerceptualLoss:
        first = whole_batch(self.training, slice(_CALIBRATION))
        return PerceptualLoss(self.extractor, first.picture(first.target))

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return SSIM and PSNR on classes that are never trained on."""
        scores = score(restored(network, self.held_out.bank), self.held_out)
        lack = max(WANTED_CLEAN_DB - scores["psnr_clean"], 0.0)
        mean = (scores["ssim_low_light"] + scores["ssim_faults"]) / 2
        return {**scores, "score": mean - _PENALTY_PER_DB * lack}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        recipe = self.recipe
        inputs = [bases[0].astype(np.float32) for bases in self.held_out.bank.bases]
        return {
            "architecture": "noise_remover",
            **training_record(recipe, network=recipe.network, data=recipe.data),
            "network": self.network,
            "optics": {"edge_per_pixel": CANONICAL_EDGE_PER_PX},
            "metrics": {"input": score(inputs, self.held_out)},
        }


def relative_error(result: Tensor, batch: RestorationBatch) -> Tensor:
    """Return ln(1 + the squared error over that of the best of the bases).

    Clean images count as much as noisy ones, and none counts for all at first. A
    hundredth of the noise of the image itself may be more than all structure.
    """
    return _over_best_base(torch.square, result, batch)


def absolute_error(result: Tensor, batch: RestorationBatch) -> Tensor:
    """Return ln(1 + the absolute error over that of the best of the bases)."""
    return _over_best_base(torch.abs, result, batch)


def _over_best_base(
    size: Callable[[Tensor], Tensor], result: Tensor, batch: RestorationBatch
) -> Tensor:
    """Return ln(1 + the mean size of the errors over the least of the bases')."""

    def error(images: Tensor) -> Tensor:
        return size(images - batch.target).mean(dim=(2, 3))

    least = size(_LEAST_ERROR * batch.scale.flatten())
    best = torch.maximum(error(batch.bases).amin(dim=1), least)
    return (error(result)[:, 0] / best).log1p().mean()


def block_error(result: Tensor, batch: RestorationBatch) -> Tensor:
    """Return the mean error of the counts in blocks, over full scale."""
    blocks = F.avg_pool2d((result - batch.target) / batch.scale, _BLOCK_PX)
    return blocks.abs().mean()


def prepare_task(
    name: str, sources: Sources
) -> Generator[Progress, None, LowLightTask]:
    """Read the recipe, simulate the pairs, load the feature extractor."""
    recipe = load_recipe(LowLightRecipe, name)
    extractor = load_extractor(recipe.features)
    training = yield from build_restorations_steps(sources, recipe.data)
    held_out = held_out_pairs(recipe.data)
    return LowLightTask(recipe, training, held_out, extractor)

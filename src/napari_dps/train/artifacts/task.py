"""The artefact remover as a task for the trainer."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from napari_dps.core import Progress
from napari_dps.core.params import FrozenModel
from napari_dps.metrics.reference import psnr_db, ssim
from napari_dps.nets.architectures.artifact_remover import ArtifactRemover
from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights
from napari_dps.nets.vgg import VGG16, Classifier, load_torchvision_vgg16
from napari_dps.train.artifacts.data import (
    PairBank,
    PairBatch,
    as_bank,
    build_pairs_steps,
    draw_pairs_batch,
    held_out_cases,
    held_out_pairs,
    whole_batch,
)
from napari_dps.train.artifacts.scenes import PairSettings
from napari_dps.train.recipe import (
    CANONICAL_RECORD,
    PatchRecipe,
    load_recipe,
    training_record,
)
from napari_dps.train.task import Sources

_LEAST_ERROR = 0.01
"""Error over full scale that the pixel term divides by at least."""
_CALIBRATION = 64
"""Pairs on which the sizes of the features are measured."""
WANTED_CLEAN_DB = 40.0
"""PSNR of a clean image against itself that a network must keep."""
_PENALTY_PER_DB = 0.005


class RemoverSettings(FrozenModel):
    """Arguments of `ArtifactRemover`."""

    channels: int = Field(default=32, ge=1, le=1024)
    blocks: int = Field(default=2, ge=1, le=64)
    oriented: bool = False


class RemoverLoss(FrozenModel):
    """Weights of the terms.

    Attributes
    ----------
    perceptual : float
        Of Σ_j λ_j ‖Φ_j(ŷ) − Φ_j(y)‖² / (C_j H_j W_j) over nine layers of VGG16-D; λ_j
        makes the mean square of each layer's features 1/9 on right reconstructions.
    pixel : float
        Of the mean |ŷ − y| of each image over that of its input, |x − y|.
    """

    perceptual: float = Field(default=1.0, ge=0)
    pixel: float = Field(default=0.2, ge=0)


class ArtifactsRecipe(PatchRecipe):
    """A training of the artefact remover.

    Attributes
    ----------
    features : str
        Weights of the extractor: a name of shipped ones, a ``.safetensors`` file of
        ``napari-dps train features``, or torchvision's ``vgg16`` (``.pth``, or a file
        named ``vgg16*.safetensors``).
    network, loss, data
        Of the network, the objective and the pairs.
    """

    model: ClassVar[str] = "artifacts"

    features: str = "features"
    network: RemoverSettings
    loss: RemoverLoss
    data: PairSettings


class PerceptualLoss(nn.Module):
    """Σ_j λ_j ‖Φ_j(ŷ) − Φ_j(y)‖² / (C_j H_j W_j) over nine layers.

    Johnson et al. 2016, doi:10.1007/978-3-319-46475-6_43, equation 2.

    Parameters
    ----------
    extractor : VGG16
        Without gradients.
    examples : tensor (N, 1, Y, X)
        Right reconstructions; λ_j is one over the mean square of their features and
        over the number of layers.
    """

    def __init__(self, extractor: VGG16, examples: Tensor) -> None:
        super().__init__()
        self.extractor = extractor
        with torch.no_grad():
            found = extractor(examples)
        sizes = [float(f.square().mean()) for f in found]
        self.weights = [1 / (len(sizes) * max(size, 1e-12)) for size in sizes]

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        """Compare two batches (N, 1, Y, X)."""
        with torch.no_grad():
            wanted = self.extractor(target)
        total = result.new_zeros(())
        for weight, ours, theirs in zip(
            self.weights, self.extractor(result), wanted, strict=True
        ):
            total = total + weight * (ours - theirs).square().mean()
        return total


@dataclass(frozen=True, eq=False)
class ArtifactsTask:
    """Artefact removal on pairs of reconstructions.

    Parameters
    ----------
    recipe : ArtifactsRecipe
        What to train.
    training, validation : PairBank
        Validation in the order of `data.held_out_pairs`.
    extractor : VGG16
        For the perceptual term.
    """

    recipe: ArtifactsRecipe
    training: PairBank
    validation: PairBank
    extractor: VGG16
    curves: ClassVar[tuple[str, ...]] = ("ssim", "ssim_held_out_kinds")

    def build_network(self) -> nn.Module:
        """Return a new network."""
        return ArtifactRemover(**self.recipe.network.model_dump())

    def draw(self, step: int, device: torch.device) -> PairBatch:
        """Return the pairs of a step."""
        batch = draw_pairs_batch(self.training, step=step, **self.recipe.patches)
        return batch.to(device)

    def objective(self, network: nn.Module, batch: PairBatch) -> dict[str, Tensor]:
        """Return the terms of the loss, and their weighted sum."""
        result, gate = network(batch.image, batch.noise)
        weights = self.recipe.loss
        terms = {"pixel": relative_error(result, batch)}
        loss = weights.pixel * terms["pixel"]
        if weights.perceptual:
            terms["perceptual"] = self._perceptual.to(result.device)(
                result, batch.target
            )
            loss = loss + weights.perceptual * terms["perceptual"]
        return {**terms, "gate": gate.mean(), "loss": loss}

    @cached_property
    def _perceptual(self) -> PerceptualLoss:
        first = whole_batch(self.training.part(slice(_CALIBRATION)))
        return PerceptualLoss(self.extractor, first.target)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return SSIM and PSNR on classes that are never trained on."""
        with torch.inference_mode():
            results = [
                network(
                    torch.from_numpy(image.astype(np.float32))[None, None],
                    torch.tensor([noise]),
                )[0][0, 0].numpy()
                for image, noise in zip(
                    self.validation.image, self.validation.noise, strict=True
                )
            ]
        scores = score(results, self.validation)
        lack = max(WANTED_CLEAN_DB - scores["clean_psnr"], 0.0)
        return {**scores, "score": scores["ssim"] - _PENALTY_PER_DB * lack}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        recipe = self.recipe
        inputs = [image.astype(np.float32) for image in self.validation.image]
        return {
            "architecture": "artifact_remover",
            **training_record(recipe, network=recipe.network, data=recipe.data),
            "optics": CANONICAL_RECORD,
            "metrics": {"input": score(inputs, self.validation)},
        }


def relative_error(result: Tensor, batch: PairBatch) -> Tensor:
    """Return the mean error over that of the input: clean images count as much."""

    def mean_error(image: Tensor) -> Tensor:
        return (image - batch.target).abs().mean(dim=(1, 2, 3))

    before = mean_error(batch.image).clamp(min=_LEAST_ERROR)
    return (mean_error(result) / before).mean()


def score(results: list[NDArray[np.float32]], bank: PairBank) -> dict[str, float]:
    """Return SSIM and PSNR against the right reconstructions.

    Parameters
    ----------
    results : list of array (Y, X)
        One for each pair.
    bank : PairBank
        In the order of `data.held_out_pairs`.

    Returns
    -------
    dict
        ``ssim``, ``psnr`` (dB) over the artefacts that are trained on, the same with
        ``_held_out_kinds`` over those that are not, and ``clean_psnr`` over images
        without any.
    """
    rows = []
    for result, target in zip(results, bank.target, strict=True):
        truth = target.astype(np.float64)
        rows.append((ssim(result, truth), psnr_db(result, truth)))
    trained = 1 + bank.kinds.shape[1]
    cases = np.minimum(np.array(rows), 99.0).reshape(-1, len(held_out_cases()), 2)
    groups = {
        "": cases[:, 1:trained],
        "_held_out_kinds": cases[:, trained:],
    }
    scores = {}
    for name, group in groups.items():
        scores[f"ssim{name}"] = round(float(group[..., 0].mean()), 4)
        scores[f"psnr{name}"] = round(float(group[..., 1].mean()), 3)
    return {**scores, "clean_psnr": round(float(cases[:, 0, 1].mean()), 3)}


def load_extractor(name: str) -> VGG16:
    """Read the feature extractor that a recipe names; see `ArtifactsRecipe`."""
    path = Path(name)
    if path.suffix == ".pth" or path.name.startswith("vgg16"):
        return load_torchvision_vgg16(path)
    file = path if path.suffix == ".safetensors" else shipped_weights(name)
    classifier: Classifier = load_checkpoint(file).network(torch.device("cpu"))
    return classifier.vgg


def prepare_task(
    name: str, sources: Sources
) -> Generator[Progress, None, ArtifactsTask]:
    """Read the recipe, simulate the pairs, load the feature extractor."""
    recipe = load_recipe(ArtifactsRecipe, name)
    extractor = load_extractor(recipe.features)
    training = yield from build_pairs_steps(sources, recipe.data)
    validation = as_bank(held_out_pairs(recipe.data, seeds=1))
    return ArtifactsTask(recipe, training, validation, extractor)

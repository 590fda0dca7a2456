"""The feature extractor: VGG16-D taught to tell structures, artefacts and noise."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from napari_dps.core import Progress
from napari_dps.core.params import FrozenModel
from napari_dps.nets.vgg import Classifier
from napari_dps.train.artifacts.data import (
    KIND_NAMES,
    NOISE_EDGES,
    STRUCTURE_NAMES,
    PairBank,
    PairBatch,
    build_pairs_steps,
    draw_pairs_batch,
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

HEADS = {
    "structure": len(STRUCTURE_NAMES),
    "kinds": len(KIND_NAMES),
    "noise": len(NOISE_EDGES) + 1,
}
"""Classes of each head; kinds of artefacts may come together, the others exclude."""
SCORES = ("structure_accuracy", "kinds_area", "noise_accuracy")
"""What validation measures."""
_AT_ONCE = 32


class ClassifierSettings(FrozenModel):
    """Size of the network."""

    width: float = Field(default=0.25, gt=0, le=1)


class FeaturesRecipe(PatchRecipe):
    """A training of the feature extractor.

    Attributes
    ----------
    held_out : float
        Share of the objects, the last ones, that accuracy is measured on.
    network, data
        Of the network and of the pairs.
    """

    model: ClassVar[str] = "features"

    held_out: float = Field(default=0.1, gt=0, lt=1)
    network: ClassifierSettings
    data: PairSettings


@dataclass(frozen=True, eq=False)
class FeaturesTask:
    """Classification of reconstructions.

    Parameters
    ----------
    recipe : FeaturesRecipe
        What to train.
    training, validation : PairBank
        Of other objects.
    """

    recipe: FeaturesRecipe
    training: PairBank
    validation: PairBank
    curves: ClassVar[tuple[str, ...]] = SCORES

    def build_network(self) -> nn.Module:
        """Return a new network."""
        return Classifier(**self.recipe.network.model_dump(), heads=HEADS)

    def draw(self, step: int, device: torch.device) -> PairBatch:
        """Return the images of a step."""
        batch = draw_pairs_batch(self.training, step=step, **self.recipe.patches)
        return batch.to(device)

    def objective(self, network: nn.Module, batch: PairBatch) -> dict[str, Tensor]:
        """Return the cross-entropy of each head, and their sum."""
        logits = network(batch.image)
        terms = {
            "structure": F.cross_entropy(logits["structure"], batch.structure),
            "kinds": F.binary_cross_entropy_with_logits(logits["kinds"], batch.kinds),
            "noise": F.cross_entropy(logits["noise"], batch.noise_class),
        }
        # A mean over kinds counts each for less than a head of one answer.
        loss = terms["structure"] + 3 * terms["kinds"] + terms["noise"]
        return {**terms, "loss": loss}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return how well each head does on held-out objects.

        Of kinds, which come together and are rare, it is the mean area under the
        receiver operating characteristic: 0.5 is chance.
        """
        batch = whole_batch(self.validation)
        found: dict[str, list[Tensor]] = {name: [] for name in HEADS}
        with torch.inference_mode():
            for images in torch.split(batch.image, _AT_ONCE):
                for name, logits in network(images).items():
                    found[name].append(logits)
        logits = {name: torch.cat(batches) for name, batches in found.items()}
        right = {
            "structure_accuracy": _share(logits["structure"], batch.structure),
            "kinds_area": _mean_area(logits["kinds"], batch.kinds > 0),
            "noise_accuracy": _share(logits["noise"], batch.noise_class),
        }
        scores = {name: round(value, 4) for name, value in right.items()}
        return {**scores, "score": sum(right.values()) / len(right)}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        recipe = self.recipe
        batch = whole_batch(self.validation)
        shares = {
            "structure_accuracy": _commonest(batch.structure),
            "kinds_area": 0.5,
            "noise_accuracy": _commonest(batch.noise_class),
        }
        return {
            "architecture": "vgg16_classifier",
            **training_record(recipe, network=recipe.network, data=recipe.data),
            "network": {**recipe.network.model_dump(), "heads": HEADS},
            "optics": CANONICAL_RECORD,
            "metrics": {
                "commonest_answer": {n: round(v, 4) for n, v in shares.items()}
            },
        }


def prepare_task(
    name: str, sources: Sources
) -> Generator[Progress, None, FeaturesTask]:
    """Read the recipe and simulate the data."""
    recipe = load_recipe(FeaturesRecipe, name)
    bank = yield from build_pairs_steps(sources, recipe.data)
    trained = round(recipe.data.fields * (1 - recipe.held_out)) * recipe.data.variants
    return FeaturesTask(
        recipe, bank.part(slice(trained)), bank.part(slice(trained, None))
    )


def _mean_area(logits: Tensor, true: Tensor) -> float:
    """Return the chance that an image with a kind gets more than one without it."""
    areas = []
    for scores, is_there in zip(logits.T, true.T, strict=True):
        with_it, without = scores[is_there], scores[~is_there]
        if len(with_it) and len(without):
            above = with_it[:, None] > without[None, :]
            areas.append(float(above.float().mean()))
    return sum(areas) / max(len(areas), 1)


def _commonest(answers: Tensor) -> float:
    return float(answers.bincount().max()) / len(answers)


def _share(logits: Tensor, answers: Tensor) -> float:
    return float((logits.argmax(dim=1) == answers).float().mean())

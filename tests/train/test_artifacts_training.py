"""Tasks of the artefact remover and its feature extractor: losses, scores, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_dps.core import InputError
from napari_dps.core.progress import finish
from napari_dps.nets.architectures.artifact_remover import ArtifactRemover
from napari_dps.nets.checkpoint import load_checkpoint
from napari_dps.nets.vgg import VGG16, Classifier
from napari_dps.train.artifacts.data import (
    PairBank,
    as_bank,
    held_out_pairs,
    whole_batch,
)
from napari_dps.train.artifacts.pairs import draw_pairs
from napari_dps.train.artifacts.scenes import PairSettings
from napari_dps.train.artifacts.task import (
    ArtifactsRecipe,
    ArtifactsTask,
    PerceptualLoss,
    load_extractor,
    relative_error,
    score,
)
from napari_dps.train.features.task import (
    SCORES,
    FeaturesRecipe,
    FeaturesTask,
    _mean_area,
)
from napari_dps.train.recipe import load_recipe
from napari_dps.train.trainer import train_steps

SMALL = PairSettings(fields=4, variants=2, field_px=32)
SHORT = {
    "steps": 2,
    "batch": 2,
    "patch_px": 32,
    "validate_every": 2,
    "data": SMALL.model_dump(),
}


@pytest.fixture(scope="module")
def training() -> PairBank:
    return as_bank([pair for index in range(4) for pair in draw_pairs(SMALL, index)])


@pytest.fixture(scope="module")
def validation() -> PairBank:
    return as_bank(held_out_pairs(SMALL, seeds=1))


def recipe(**changes: object) -> ArtifactsRecipe:
    values = load_recipe(ArtifactsRecipe, "oriented").model_dump()
    network = {"channels": 4, "blocks": 1}
    return ArtifactsRecipe.model_validate(
        {**values, **SHORT, "network": network, **changes}
    )


def extractor() -> VGG16:
    torch.manual_seed(0)
    return VGG16(width=1 / 32).eval().requires_grad_(False)


def test_perceptual_loss_is_the_formula() -> None:
    network = extractor()
    torch.manual_seed(1)
    examples, ours, theirs = torch.rand(3, 2, 1, 32, 32)
    expected = 0.0
    for known, a, b in zip(
        network(examples), network(ours), network(theirs), strict=True
    ):
        count = a[0].numel()
        distance = float((a - b).square().sum()) / len(a) / count
        expected += distance / (9 * float(known.square().mean()))
    loss = PerceptualLoss(network, examples)
    assert float(loss(ours, theirs)) == pytest.approx(expected, rel=1e-4)
    assert float(loss(ours, ours)) == 0


def test_perceptual_loss_reaches_the_result_alone() -> None:
    result = torch.rand(1, 1, 32, 32, requires_grad=True)
    network = extractor()
    PerceptualLoss(network, torch.rand(1, 1, 32, 32))(
        result, torch.rand(1, 1, 32, 32)
    ).backward()
    assert result.grad is not None
    assert bool(result.grad.any())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.slow
def test_relative_error_is_one_for_the_input(training: PairBank) -> None:
    spoilt = training.part(np.flatnonzero(training.kinds[:, 0])[:1])
    batch = whole_batch(spoilt if len(spoilt) else training.part(slice(1)))
    assert float(relative_error(batch.target, batch)) == 0
    assert float(relative_error(batch.image, batch)) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_right_reconstructions_score_best(validation: PairBank) -> None:
    perfect = score([t.astype(np.float32) for t in validation.target], validation)
    inputs = score([i.astype(np.float32) for i in validation.image], validation)
    assert perfect["ssim"] == perfect["ssim_held_out_kinds"] == 1
    assert inputs["ssim"] < 0.999
    assert inputs["clean_psnr"] == 99  # in place of infinity


@pytest.mark.slow
def test_training_writes_weights_that_load(
    tmp_path: Path, training: PairBank, validation: PairBank
) -> None:
    task = ArtifactsTask(recipe(), training, validation, extractor())
    scores = finish(train_steps(task, tmp_path, accelerator="cpu"))
    checkpoint = load_checkpoint(tmp_path / "oriented.safetensors")
    assert checkpoint.metadata.architecture == "artifact_remover"
    assert checkpoint.metadata.metrics["held_out"] == scores
    assert set(checkpoint.metadata.metrics["input"]) < set(scores)
    assert isinstance(checkpoint.network(torch.device("cpu")), ArtifactRemover)


@pytest.mark.slow
def test_extractor_is_trained_and_found_by_its_file(
    tmp_path: Path, training: PairBank
) -> None:
    values = load_recipe(FeaturesRecipe, "features").model_dump()
    short = FeaturesRecipe.model_validate(
        {**values, **SHORT, "network": {"width": 1 / 32}}
    )
    task = FeaturesTask(short, training, training)
    scores = finish(train_steps(task, tmp_path, accelerator="cpu"))
    assert set(scores) == {*SCORES, "score"}
    found = load_extractor(str(tmp_path / "features.safetensors"))
    checkpoint = load_checkpoint(tmp_path / "features.safetensors")
    whole: Classifier = checkpoint.network(torch.device("cpu"))
    for name, value in found.state_dict().items():
        assert torch.equal(value, whole.vgg.state_dict()[name])


def test_area_is_one_for_a_sure_answer_and_half_for_none() -> None:
    true = torch.tensor([[True], [False], [True], [False]])
    sure = torch.where(true, 2.0, -2.0)
    assert _mean_area(sure, true) == 1
    assert _mean_area(-sure, true) == 0
    mixed = torch.tensor([[3.0], [2.0], [0.0], [1.0]])
    assert _mean_area(mixed, true) == 0.5


def test_unknown_extractor_is_refused() -> None:
    with pytest.raises(InputError, match="weights"):
        load_extractor("no-such-features")


@pytest.mark.slow
def test_torchvision_file_in_the_recipe_is_read_as_such(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "vgg16.pth")
    with pytest.raises(InputError, match="vgg16 of torchvision"):
        load_extractor(str(tmp_path / "vgg16.pth"))

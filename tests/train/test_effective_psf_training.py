"""The estimator of the effective PSF: images, networks, inference, training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from napari_dps.core.progress import finish
from napari_dps.methods.effective_psf import estimate
from napari_dps.methods.effective_psf.features import psf_features
from napari_dps.nets.checkpoint import load_checkpoint
from napari_dps.train.effective_psf.images import (
    NEVER_SEEN,
    TRAINING_STRUCTURES,
    draw,
)
from napari_dps.train.effective_psf.task import (
    EffectivePsfRecipe,
    EffectivePsfTask,
    PsfData,
    images_bank,
    prepare_task,
    student_t,
)
from napari_dps.train.recipe import load_recipe
from napari_dps.train.task import Sources
from napari_dps.train.trainer import train_steps

CPU = torch.device("cpu")
DATA = PsfData(images=6, held_out=4)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> EffectivePsfTask:
    values = load_recipe(EffectivePsfRecipe, "effective-psf").model_dump()
    short = {"steps": 4, "batch": 3, "warmup": 1, "validate_every": 2, "data": DATA}
    recipe = EffectivePsfRecipe.model_validate({**values, **short})
    path = tmp_path_factory.mktemp("recipe") / "short.toml"
    tomli_w = pytest.importorskip("tomli_w")
    path.write_text(tomli_w.dumps(recipe.model_dump(mode="json")))
    made: EffectivePsfTask = finish(prepare_task(str(path), Sources(path.parent)))
    return made


def test_structures_that_are_held_out_are_never_drawn() -> None:
    assert not set(NEVER_SEEN) & set(TRAINING_STRUCTURES)
    assert {sample.structure for sample in draw(8, 0, views=1)} <= {
        *TRAINING_STRUCTURES
    }


def test_longer_drawing_begins_with_the_shorter(task: EffectivePsfTask) -> None:
    fewer = images_bank(DATA).draw(range(4))
    np.testing.assert_array_equal(fewer["channels"], task.training["channels"][:4])
    assert len(task.training["cutoff"]) == DATA.images


def test_inference_without_torch_is_the_network_with_the_shipped_weights() -> None:
    checkpoint = load_checkpoint(estimate.WEIGHTS)
    network = checkpoint.network(CPU)
    (sample,) = draw(1, 5)
    features = psf_features(sample.image)
    channels = torch.from_numpy(estimate.log_channels(features))
    count = checkpoint.metadata.network["networks"]
    found = network(channels.expand(count, 1, -1, -1))[:, 0].double().numpy()
    log_cutoff, relative_sd = estimate._estimate(features)
    assert log_cutoff == pytest.approx(found[:, 0].mean(), abs=1e-5)
    variance = np.exp(2 * found[:, 1]).mean() + found[:, 0].var()
    assert relative_sd == pytest.approx(1.4 * np.sqrt(variance), rel=1e-4)


def test_networks_learn_apart_from_one_another(task: EffectivePsfTask) -> None:
    network = task.build_network()
    batch = task.draw(0, CPU)
    loss = student_t(network(batch.channels), batch.log_cutoff)[0].sum()
    loss.backward()
    for name, values in network.named_parameters():
        assert bool(values.grad[0].any()), name
        assert not bool(values.grad[1:].any()), name


def test_likelihood_is_best_at_the_truth_and_its_scale() -> None:
    truth = torch.tensor(-1.0)
    nll = [
        float(student_t(torch.tensor([k, sd]), truth))
        for k, sd in ((-1.0, -3.0), (-0.5, -3.0), (-0.5, -0.7))
    ]
    assert nll[0] < nll[2] < nll[1]


@pytest.mark.slow
def test_resumed_training_ends_with_identical_weights_that_inference_reads(
    task: EffectivePsfTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(folder: Path, **options: int) -> dict[str, float]:
        return finish(train_steps(task, folder, accelerator="cpu", **options))

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    best = train(whole)
    train(parts, stop_at=3)
    train(parts)
    files = [folder / "effective-psf.safetensors" for folder in (whole, parts)]
    one, two = (safetensors.numpy.load(file.read_bytes()) for file in files)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert {name: value.shape for name, value in one.items()} == {
        name: value.shape
        for name, value in safetensors.numpy.load(estimate.WEIGHTS.read_bytes()).items()
    }
    metadata = load_checkpoint(files[0]).metadata
    assert metadata.metrics["held_out"] == best
    assert metadata.metrics["constant"].keys() < best.keys()
    monkeypatch.setattr(estimate, "WEIGHTS", files[0])
    estimate._weights.cache_clear()
    try:
        (sample,) = draw(1, 5)
        assert estimate.effective_psf(sample.image).cutoff_per_pixel is not None
    finally:
        estimate._weights.cache_clear()

"""The task of the noise remover: pairs, losses, scores, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_dps.core.progress import finish
from napari_dps.nets.architectures.noise_remover import NoiseRemover
from napari_dps.nets.checkpoint import load_checkpoint
from napari_dps.nets.vgg import VGG16
from napari_dps.train.artifacts.held_out import (
    HeldOut,
    held_out_cases,
    held_out_pairs,
    score,
)
from napari_dps.train.artifacts.low_light import (
    LowLightRecipe,
    LowLightTask,
    block_error,
    relative_error,
)
from napari_dps.train.artifacts.restoration_bank import (
    RestorationBank,
    bank_of,
    draw_restorations_batch,
    whole_batch,
)
from napari_dps.train.artifacts.restorations import (
    RestorationSettings,
    draw_faults,
    draw_restorations,
)
from napari_dps.train.objects import HELD_OUT_CLASSES
from napari_dps.train.recipe import load_recipe
from napari_dps.train.trainer import train_steps

FIELDS = RestorationSettings(fields=3, variants=2, field_px=48)
SHORT = {"steps": 2, "batch": 2, "patch_px": 32, "validate_every": 2}


@pytest.fixture(scope="module")
def training() -> RestorationBank:
    return bank_of([pair for n in range(3) for pair in draw_restorations(FIELDS, n)])


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    return held_out_pairs(FIELDS)


def recipe(name: str = "artifacts-low-light", **changes: object) -> LowLightRecipe:
    values = load_recipe(LowLightRecipe, name).model_dump()
    rest = {"network": {"channels": 8, "blocks": 1}, "data": FIELDS.model_dump()}
    return LowLightRecipe.model_validate({**values, **SHORT, **rest, **changes})


def extractor() -> VGG16:
    torch.manual_seed(0)
    return VGG16(width=1 / 32).eval().requires_grad_(False)


def test_pixel_term_is_the_error_over_that_of_the_input(
    training: RestorationBank,
) -> None:
    batch = whole_batch(training, slice(None))
    assert float(relative_error(batch.target, batch)) == 0
    noisy = [n for n, e in enumerate(batch.bases[:, 0] - batch.target[:, 0]) if e.any()]
    one = whole_batch(training, slice(noisy[0], noisy[0] + 1))
    half = (one.bases[:, :1] + one.target) / 2
    assert float(relative_error(half, one)) == pytest.approx(np.log(1.25), rel=1e-3)


def test_counts_term_sees_light_that_is_lost_not_where_it_lies(
    training: RestorationBank,
) -> None:
    batch = whole_batch(training, slice(None))
    darker = batch.target - 0.1 * batch.scale
    assert float(block_error(darker, batch)) == pytest.approx(0.1, rel=1e-3)
    fine = torch.ones_like(batch.target)
    fine[..., ::2] = -1
    assert float(block_error(batch.target + fine, batch)) < 1e-5


def test_same_step_gives_the_same_batch_and_another_others(
    training: RestorationBank,
) -> None:
    first, again, later = (
        draw_restorations_batch(training, step=step, seed=1, size=3, patch_px=24)
        for step in (7, 7, 8)
    )
    assert first.bases.shape == (3, 4, 24, 24)
    assert first.local.shape == first.target.shape == (3, 1, 24, 24)
    assert torch.equal(first.bases, again.bases)
    assert not torch.equal(first.bases, later.bases)


def test_faults_that_are_held_out_together_are_not_drawn_together() -> None:
    settings = RestorationSettings(clean=0.0, faulty=0.2, also_faulty=1.0)
    rng = np.random.default_rng(3)
    seen = [draw_faults(settings, rng, haze=haze) for haze in (0.0, 0.5) * 300]
    assert any(faults.photons < 300 and faults.motion for faults in seen)
    assert any(faults.phase_deg for faults in seen)
    for faults in seen:
        assert not (faults.phase_deg and faults.photons < 300)
        assert not (faults.haze and faults.motion)
        assert not (faults.jitter and faults.wiener_ratio < 0.3)


def test_clean_reconstructions_are_their_own_target() -> None:
    settings = FIELDS.model_copy(update={"clean": 1.0, "variants": 1})
    (pair,) = draw_restorations(settings, 5)
    np.testing.assert_allclose(pair.bases[0], pair.target, atol=1e-3 * pair.scale)


def test_noisy_targets_have_the_noise_of_another_exposure() -> None:
    changes = {"clean": 0.0, "faulty": 0.0, "also_faulty": 0.0, "variants": 1}
    changes |= {"photons": (20.0, 21.0), "wiener_ratio": (0.9, 1.0)}
    clean, noisy = (
        draw_restorations(FIELDS.model_copy(update={**changes, "target": one}), 5)[0]
        for one in ("clean", "noisy")
    )
    np.testing.assert_allclose(noisy.bases, clean.bases, rtol=1e-5, atol=1e-4)
    first = noisy.bases[0] - clean.target
    second = noisy.target - clean.target
    assert second.std() > 0.3 * first.std()
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.3


@pytest.mark.slow
def test_right_reconstructions_score_best(held_out: HeldOut) -> None:
    cases = held_out_cases(np.random.default_rng(0))
    assert len(held_out.groups) == len(cases) * len(HELD_OUT_CLASSES)
    perfect = [target.astype(np.float32) for target in held_out.bank.target]
    inputs = [bases[0].astype(np.float32) for bases in held_out.bank.bases]
    best, before = score(perfect, held_out), score(inputs, held_out)
    assert best["ssim_low_light"] == best["ssim_held_out_kinds"] == 1
    assert before["ssim_low_light"] < 0.7
    assert before["psnr_clean"] > 60


@pytest.mark.slow
@pytest.mark.parametrize("name", ["artifacts-low-light", "noise-to-noise"])
def test_training_writes_weights_that_load(
    tmp_path: Path, training: RestorationBank, held_out: HeldOut, name: str
) -> None:
    task = LowLightTask(recipe(name), training, held_out, extractor())
    scores = finish(train_steps(task, tmp_path, accelerator="cpu"))
    checkpoint = load_checkpoint(tmp_path / f"{task.recipe.name}.safetensors")
    assert checkpoint.metadata.architecture == "noise_remover"
    assert checkpoint.metadata.metrics["held_out"] == scores
    assert set(checkpoint.metadata.metrics["input"]) < set(scores)
    assert isinstance(checkpoint.network(torch.device("cpu")), NoiseRemover)

"""Fields from the likelihood of raw frames: aligned, repeatable, and trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_dps.core import InputError
from napari_dps.core.params import parse
from napari_dps.core.progress import finish
from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights
from napari_dps.train.dps import prepare
from napari_dps.train.dps.evaluate import baselines
from napari_dps.train.dps.frames import build_frames_steps, validation_frames
from napari_dps.train.dps.simulation import DataSettings
from napari_dps.train.dps.task import DpsRecipe
from napari_dps.train.recipe import load_recipe
from napari_dps.train.task import Sources
from napari_dps.train.trainer import train_steps

DATA = DataSettings(fields=2, field_px=32, background=(0.005, 0.06))


def recipe(**changes: object) -> DpsRecipe:
    values = load_recipe(DpsRecipe, "frames").model_dump()
    small = {"steps": 2, "batch": 2, "patch_px": 16, "validate_every": 1}
    return parse(DpsRecipe, {**values, **small, "data": DATA, **changes}, "recipe")


def test_features_lie_on_the_target_and_carry_what_the_light_does() -> None:
    fields = validation_frames(DATA, field_px=64)
    scores = baselines(fields)
    for photons in (40, 200, 2000):
        names = ("input", "richardson_lucy_0", "richardson_lucy_1")
        psnr = [scores[name][f"psnr_{photons}"] for name in names]
        assert psnr == sorted(psnr)
    gain = [
        scores["richardson_lucy_1"][f"psnr_{n}"] - scores["input"][f"psnr_{n}"]
        for n in (40, 2000)
    ]
    assert gain[0] > 0.5
    assert gain[1] > gain[0] + 2
    # The signal over the noise of a frame, which the network is told.
    levels = fields.noise.reshape(3, -1).mean(axis=1)
    assert levels == pytest.approx([40**-0.5, 200**-0.5, 2000**-0.5], rel=0.3)


def test_bank_is_repeatable_and_finite(tmp_path: Path) -> None:
    sources = Sources(bank=tmp_path / "a")
    first = finish(build_frames_steps(sources, DATA))
    again = finish(build_frames_steps(Sources(bank=tmp_path / "b"), DATA))
    assert np.array_equal(first.features, again.features)
    assert np.isfinite(first.features).all()
    assert first.features.shape == (2, 2, 64, 64)
    assert np.isnan(first.partner).all()


def test_training_begins_with_the_weights_that_the_recipe_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "load_recipe", lambda *_: recipe())
    task = finish(prepare.prepare_task("frames", Sources(bank=tmp_path)))
    start = load_checkpoint(shipped_weights("dps-oriented"))
    begun = task.build_network().state_dict()
    assert all(torch.equal(begun[name], start.weights[name]) for name in begun)
    finish(train_steps(task, tmp_path / "out", accelerator="cpu"))
    metadata = load_checkpoint(tmp_path / "out" / "frames.safetensors").metadata
    assert metadata.recipe["start_sha256"] == start.metadata.sha256
    assert metadata.recipe["raw_frames"]


def test_recipe_must_have_a_feature_for_each_object() -> None:
    network = {**recipe().network.model_dump(), "features": 3}
    with pytest.raises(InputError, match=r"features must be 2 with raw_frames"):
        recipe(network=network)

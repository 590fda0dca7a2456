"""``napari-dps train``: a tiny training from a recipe file, and mistakes."""

from __future__ import annotations

import pytest
import tomli_w

from napari_dps.nets.checkpoint import load_checkpoint
from napari_dps.train.dps import DpsRecipe
from napari_dps.train.recipe import load_recipe


@pytest.fixture
def recipe(tmp_path):
    values = load_recipe(DpsRecipe, "hybrid").model_dump(mode="json")
    values |= {"name": "tiny", "steps": 2, "batch": 2, "patch_px": 16}
    values |= {"rl_iterations": [1], "validate_every": 2}
    values["network"] |= {"features": 1, "channels": 8, "head_channels": 4}
    values["loss"] |= {"margin_px": 2}
    values["data"] |= {"fields": 2, "field_px": 16}
    path = tmp_path / "tiny.toml"
    path.write_text(tomli_w.dumps(values))
    return path


def test_train_writes_weights_that_load_and_resumes_to_the_end(
    napari_dps, recipe, tmp_path
):
    options = ["train", "dps", "--recipe", str(recipe), "--out", "run"]
    options += ["--accelerator", "cpu", "--threads", "1"]
    first = napari_dps(*options, "--stop-at", "1")
    assert first.code == 0, first.err
    done = napari_dps(*options)
    assert done.code == 0, done.err
    assert "psnr_200" in done.out
    metadata = load_checkpoint(tmp_path / "run" / "tiny.safetensors").metadata
    assert metadata.recipe["steps"] == 2
    assert metadata.rl_iterations == (1,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "none-such"], "hybrid, paper, physics"),
        (["--threads", "-1"], "--threads: got -1"),
        (["--devices", "0"], "--devices: got 0"),
        (["--accelerator", "tpu"], "--accelerator"),
    ],
)
def test_mistakes_are_told_on_one_line(napari_dps, options, message):
    done = napari_dps("train", "dps", "--out", "run", *options)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1

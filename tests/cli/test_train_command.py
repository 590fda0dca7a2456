"""``napari-dps train``: a tiny training from a recipe file, and mistakes."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
import tifffile
import tomli_w

from napari_dps.nets.checkpoint import load_checkpoint
from napari_dps.train.dps.task import DpsRecipe
from napari_dps.train.recipe import load_recipe

CPU = ["--accelerator", "cpu", "--threads", "1"]
OPTICS = ["--na", "1.4", "--emission-nm", "525", "--pixel-size-nm", "65"]


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


@pytest.mark.slow
def test_train_writes_weights_that_load_and_resumes_to_the_end(
    napari_dps, recipe, tmp_path
):
    options = ["train", "dps", "--recipe", str(recipe), "--out", "run"]
    options += CPU
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
        (["--recipe", "none-such"], "hybrid, oriented, paper, physics"),
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


@pytest.mark.slow
def test_training_goes_on_from_weights_with_images_of_the_user(
    napari_dps, recipe, tmp_path
):
    done = napari_dps("train", "dps", "--recipe", str(recipe), "--out", "run", *CPU)
    assert done.code == 0, done.err
    values = tomllib.loads(recipe.read_text())
    values |= {"name": "mine", "loss": {"poisson": 1.0, "noise2noise": True}}
    values["loss"]["margin_px"] = 2
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(values))
    frames = np.random.default_rng(0).poisson(30, (2, 48, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "cell.tif", frames, metadata={"axes": "TYX"})
    options = ["--init", "run/tiny.safetensors", "--images", "cell.tif"]
    mine = ["--recipe", "mine.toml", "--out", "mine"]
    done = napari_dps("train", "dps", *mine, *options, *OPTICS, *CPU)
    assert done.code == 0, done.err
    assert "held_out_loss" in done.out
    before = load_checkpoint(tmp_path / "run" / "tiny.safetensors")
    after = load_checkpoint(tmp_path / "mine" / "mine.safetensors").metadata
    assert after.metrics["started_from_sha256"] == before.metadata.sha256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["dps", "--init", "shipped"], "--init needs --images"),
        (["sim", "--images", "cell.tif"], "denoise or dps, which needs no truth"),
        (["dps", "--images", "none.tif"], "none.tif"),
        (["dps", "--images", "cell.tif"], "--na"),
        (["dps", "--recipe", "hybrid", "--images", "cell.tif", *OPTICS], "truth"),
        (["dps", "--images", "cell.tif", *OPTICS], "at least 64 px"),
        (["dps", "--init", "magic", "--images", "cell.tif", *OPTICS], "magic"),
    ],
)
def test_images_that_cannot_be_trained_on_are_refused(
    napari_dps, tmp_path, options, message
):
    frame = np.random.default_rng(0).poisson(30, (40, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "cell.tif", frame)
    done = napari_dps("train", *options, "--out", "run")
    assert done.code == 2
    assert message in done.err

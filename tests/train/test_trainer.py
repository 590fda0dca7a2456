"""The loop: resuming changes nothing, the bank is repeatable, recipes are checked."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from napari_dps.core import InputError
from napari_dps.core.progress import finish
from napari_dps.nets.checkpoint import load_checkpoint
from napari_dps.train.denoise.task import DenoiseRecipe
from napari_dps.train.dps.data import (
    Fields,
    build_fields_steps,
    draw_batch,
    prepare_field,
    stack_fields,
)
from napari_dps.train.dps.simulation import DataSettings, draw_field
from napari_dps.train.dps.task import DpsRecipe, DpsTask
from napari_dps.train.recipe import load_recipe
from napari_dps.train.sim.task import SimRecipe
from napari_dps.train.task import Sources
from napari_dps.train.trainer import _moving_average, train_steps

DATA = DataSettings(fields=6, field_px=32)


def _fields(count: int, first: int = 0) -> Fields:
    drawn = [prepare_field(draw_field(DATA, first + i), (1, 2)) for i in range(count)]
    return Fields(**{n: np.stack([one[n] for one in drawn]) for n in drawn[0]})


@pytest.fixture(scope="module")
def training() -> Fields:
    return _fields(6)


@pytest.fixture(scope="module")
def validation() -> Fields:
    return _fields(3, first=50)


def _recipe(**changes: object) -> DpsRecipe:
    values = load_recipe(DpsRecipe, "hybrid").model_dump()
    network = {"channels": 8, "head_channels": 4, "blocks": 1}
    values["network"].update(network)
    return DpsRecipe.model_validate(
        {
            **values,
            "steps": 4,
            "batch": 2,
            "patch_px": 16,
            "warmup": 1,
            "validate_every": 2,
            "rl_iterations": [1, 2],
            "data": DATA,
            "loss": {"truth": 1.0, "poisson": 0.2, "margin_px": 2},
            **changes,
        }
    )


def _weights(folder):
    state = torch.load(folder / "state.pt", weights_only=True)
    return {**state["network"], **{f"a.{k}": v for k, v in state["average"].items()}}


@pytest.mark.slow
def test_resumed_training_ends_with_identical_weights(tmp_path, training, validation):
    recipe = _recipe()
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    def train(folder, **options):
        task = DpsTask(recipe, training, validation, None)
        return finish(train_steps(task, folder, accelerator="cpu", **options))

    best = train(whole)
    train(parts, stop_at=1)
    train(parts, stop_at=3)
    assert train(parts)["psnr"] >= best["psnr"]
    first, second = _weights(whole), _weights(parts)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)

    names = {p.name for p in whole.iterdir()}
    assert {"curves.png", "hybrid.json", "hybrid.safetensors", "state.pt"} <= names
    with (whole / "validation.csv").open() as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["2", "4"]
    metadata = load_checkpoint(whole / "hybrid.safetensors").metadata
    assert metadata.metrics["held_out"] == best
    assert metadata.metrics.keys() >= {"input", "richardson_lucy_1"}


@pytest.mark.slow
def test_state_of_another_recipe_is_refused(tmp_path, training, validation):
    def start(recipe):
        options = {"accelerator": "cpu", "stop_at": 1}
        task = DpsTask(recipe, training, validation, None)
        return finish(train_steps(task, tmp_path, **options))

    start(_recipe())
    with pytest.raises(InputError, match="another recipe"):
        start(_recipe(seed=2))
    (tmp_path / "state.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"state\.pt is not the state"):
        start(_recipe())


def test_batches_depend_on_seed_and_step_alone(training):
    def draw(step, seed):
        return draw_batch(training, step=step, seed=seed, size=3, patch_px=16)

    first, again = draw(5, 1), draw(5, 1)
    assert torch.equal(first.image, again.image)
    assert first.features is not None
    assert first.features.shape == (3, 2, 32, 32)
    assert not torch.equal(first.image, draw(6, 1).image)
    assert not torch.equal(first.image, draw(5, 2).image)


def test_patches_of_a_batch_cover_the_same_place(training):
    # 2 × 2 means of the target and the image correlate only if crop and turn agree
    batch = draw_batch(training, step=0, seed=0, size=32, patch_px=16)
    coarse = torch.nn.functional.avg_pool2d(batch.target, 2)
    both = torch.stack([coarse.flatten(), batch.image.flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.7


def test_time_points_of_an_object_are_cut_alike():
    settings = DataSettings(fields=6, field_px=32, time_points=3, motion_px=(0, 0))
    drawn = [prepare_field(draw_field(settings, n), (1,)) for n in range(6)]
    fields = stack_fields(drawn)
    batch = draw_batch(fields, step=1, seed=0, size=9, patch_px=16, time_points=3)
    for first in (0, 3, 6):
        # Full scale and base are each image's own.
        lapse = batch.target[first : first + 3].flatten(1)
        assert float(torch.corrcoef(lapse).min()) > 0.999


def test_recipe_over_time_is_physics_with_continuity_in_time():
    recipe, single = (load_recipe(DpsRecipe, n) for n in ("physics-time", "physics"))
    assert (recipe.data.time_points, recipe.loss.hessian_time) == (3, 1.0)
    assert not recipe.is_supervised
    assert recipe.loss.model_copy(update={"hessian_time": 0.0}) == single.loss
    assert recipe.network == single.network
    lapses = {"fields": 6, "field_px": 32, "time_points": 3}
    with pytest.raises(ValueError, match="multiples of time_points"):
        _recipe(batch=4, data=lapses)
    with pytest.raises(ValueError, match="single time points"):
        _recipe(batch=3, data={**lapses, "chain": 0.5})


@pytest.mark.slow
def test_bank_is_read_again_and_can_be_shortened(tmp_path):
    data = DataSettings(fields=3, field_px=16)
    first = finish(build_fields_steps(Sources(tmp_path), data, (1,)))
    assert first.image.shape == (3, 16, 16)
    files = sorted(tmp_path.rglob("*.npz"))
    before = [file.stat().st_mtime_ns for file in files]
    fewer = data.model_copy(update={"fields": 2})
    second = finish(build_fields_steps(Sources(tmp_path), fewer, (1,)))
    assert np.array_equal(first.image[:2], second.image)
    assert [file.stat().st_mtime_ns for file in files] == before


@pytest.mark.parametrize("name", ["paper", "physics", "hybrid"])
def test_shipped_recipes_share_their_data_and_say_what_supervises(name):
    recipe, hybrid = load_recipe(DpsRecipe, name), load_recipe(DpsRecipe, "hybrid")
    drawn = hybrid.data.model_copy(update={"fields": recipe.data.fields})
    assert (recipe.batch, recipe.data) == (hybrid.batch, drawn)
    supervised = bool(recipe.loss.truth or recipe.loss.truth_ssim)
    assert supervised == (name == "hybrid")


@pytest.mark.parametrize("name", ["denoise", "dps", "sim"])
def test_oriented_recipe_differs_by_a_network_that_turns_with_the_image(name):
    kind = {"denoise": DenoiseRecipe, "dps": DpsRecipe, "sim": SimRecipe}[name]
    usual = load_recipe(kind, "hybrid" if name == "dps" else name).network
    assert not usual.oriented
    turning = load_recipe(kind, "oriented").network
    assert turning == usual.model_copy(update={"oriented": True})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = ", "no valid TOML"),
        ("name = 'x'", "missing"),
        (None, "cannot read"),
    ],
)
def test_bad_recipe_files_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_recipe(DpsRecipe, str(path))


def test_recipe_whose_parts_do_not_fit_is_refused():
    with pytest.raises(ValueError, match="number of rl_iterations"):
        _recipe(rl_iterations=[1])
    with pytest.raises(ValueError, match="patch_px"):
        _recipe(patch_px=64)
    with pytest.raises(InputError, match="paper, physics"):
        load_recipe(DpsRecipe, "unknown")


def test_first_weights_are_soon_forgotten_by_the_moving_average():
    average = torch.zeros(())
    for count in range(1, 101):
        average = _moving_average(0.998, average, torch.ones(()), count)
    assert float(average) > 0.999
    # later it is the exponential average of the recipe
    assert float(_moving_average(0.9, torch.zeros(()), torch.ones(()), 10**6)) == (
        pytest.approx(0.1)
    )

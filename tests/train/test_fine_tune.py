"""Training on for a little while: kept where it is better by what was left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from napari_dps.core import ImageStack, InputError, Optics, finish
from napari_dps.core.context import Context
from napari_dps.nets.checkpoint import load_checkpoint, save_checkpoint, shipped_weights
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import InputSettings, Settings, open_input
from napari_dps.pipeline.halves import raw_halves, reconstructed_halves
from napari_dps.train import fine_tune as module
from napari_dps.train.denoise.adapt import (
    DenoiseAdaptRecipe,
    DenoiseAdaptTask,
    HalfField,
    prepare_adaptation,
)
from napari_dps.train.dps.adapt import AdaptTask
from napari_dps.train.dps.task import DpsRecipe
from napari_dps.train.fine_tune import FineTuned, Look, fine_tune
from napari_dps.train.judgement import judge
from napari_dps.train.left_out import NOWHERE, corners, number_blocks, split_blocks
from napari_dps.train.models import MODELS, Model
from napari_dps.train.recipe import load_recipe
from napari_dps.train.task import Sources

OPTICS = Optics(na=1.4, emission_nm=525.0, pixel_size_nm=65.0)


@pytest.fixture(scope="module")
def image() -> ImageStack:
    """A camera image of microtubules, (160, 160)."""
    settings = SimulationSettings(height_px=160, width_px=160, photons=100)
    raw = simulate(settings).raw
    frame = raw.data[0, 0].astype(np.float32) - 100
    return ImageStack(frame, "YX", pixel_size_nm=65.0, optics=OPTICS)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of a tiny network, and untrained weights for it: the file of these."""
    values = load_recipe(DpsRecipe, "adapt").model_dump(mode="json")
    values |= {"batch": 2, "patch_px": 32, "rl_iterations": [1]}
    values |= {"learning_rate": 2e-3, "ema": 0.5}
    values["network"] |= {"features": 1, "channels": 8, "head_channels": 4}
    recipe = tmp_path / "tiny.toml"
    _use(recipe, values, monkeypatch)
    return _untrained(recipe, tmp_path / "start.safetensors")


def _use(recipe: Path, values: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe.write_text(tomli_w.dumps(values))
    entry = Model("napari_dps.train.dps.prepare", "hybrid", str(recipe))
    monkeypatch.setattr(module, "MODELS", {"dps": entry})


def _untrained(recipe: Path, path: Path) -> Path:
    """Write the weights of a new network."""
    import torch

    from napari_dps.train.dps.data import validation_fields
    from napari_dps.train.dps.task import DpsTask

    loaded = load_recipe(DpsRecipe, str(recipe))
    fields = validation_fields([1], field_px=16)
    task = DpsTask(loaded, fields, fields, None)
    torch.manual_seed(0)
    weights = dict(task.build_network().state_dict())
    description = {**task.describe(), "metrics": {}, "version": "0"}
    save_checkpoint(path, weights, description)
    return path


def _tuned(image: ImageStack, start: Path, target: Path, **more: object) -> FineTuned:
    sources = Sources(target.parent, images=(image,), init=str(start))
    found: FineTuned = finish(
        fine_tune("dps", sources, target, seconds=8, steps=64, **more)  # type: ignore[arg-type]
    )
    return found


def test_better_weights_are_kept_and_load(
    image: ImageStack, small: Path, tmp_path: Path
) -> None:
    looks: list[Look] = []
    target = tmp_path / "out" / "mine.safetensors"
    found = _tuned(image, small, target, tell=looks.append)
    assert found.judgement.is_better
    assert found.judgement.after < found.judgement.before
    assert found.weights == target
    assert {path.name for path in target.parent.iterdir()} == {
        "mine.safetensors",
        "mine.json",
    }
    assert load_checkpoint(target).metadata.recipe["steps"] == found.steps == 64
    assert len(looks) >= 2
    assert min(look.loss for look in looks) < looks[0].loss


def test_weights_that_are_no_better_are_not_kept(
    image: ImageStack, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "tiny.toml"
    values = load_recipe(DpsRecipe, str(recipe)).model_dump(mode="json")
    _use(recipe, values | {"learning_rate": 1e-12}, monkeypatch)
    target = tmp_path / "out" / "mine.safetensors"
    found = _tuned(image, small, target)
    assert not found.judgement.is_better
    assert found.weights is None
    assert not any(target.parent.iterdir())


def test_training_that_is_enough_is_judged_and_one_that_is_closed_keeps_nothing(
    image: ImageStack, small: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "mine.safetensors"
    found = _tuned(image, small, target, is_enough=lambda: True)
    assert 0 < found.steps < 64
    for path in target.parent.iterdir():
        path.unlink()
    sources = Sources(tmp_path, images=(image,), init=str(small))
    steps = fine_tune("dps", sources, target, seconds=60, steps=64)
    for report in steps:
        if report.message.startswith("step"):
            break
    steps.close()
    assert not any(target.parent.iterdir())


@pytest.fixture(scope="module")
def halves() -> tuple[ImageStack, ImageStack]:
    """Two halves of the photons of dim raw frames of microtubules."""
    size = {"height_px": 192, "width_px": 192}
    raw = simulate(SimulationSettings(**size, photons=60, seed=5)).raw
    settings = Settings(("denoise",), input=InputSettings(camera_offset=100))
    return finish(raw_halves(open_input(raw, settings), Context()))


@pytest.fixture
def small_denoiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A quick recipe, and poor weights of a tiny denoiser: the file of these."""
    import torch

    from napari_dps.nets.res_unet import SimDenoiser

    values = load_recipe(DenoiseAdaptRecipe, "adapt").model_dump(mode="json")
    values |= {"batch": 2, "patch_px": 32, "learning_rate": 5e-3, "ema": 0.5}
    (tmp_path / "quick.toml").write_text(tomli_w.dumps(values))
    entry = MODELS["denoise"]._replace(recipe_for_images=str(tmp_path / "quick.toml"))
    monkeypatch.setattr(module, "MODELS", {"denoise": entry})
    torch.manual_seed(0)
    network = SimDenoiser(channels=8, blocks=1)
    network.trunk.leave.bias.data[:16] = 0.1  # sees light where there is none
    described = load_checkpoint(shipped_weights("denoise")).metadata.model_dump()
    described |= {"network": {"channels": 8, "blocks": 1}}
    path = tmp_path / "poor.safetensors"
    save_checkpoint(path, dict(network.state_dict()), described)
    return path


def _tuned_denoiser(
    halves: tuple[ImageStack, ImageStack], start: Path, target: Path, **more: object
) -> FineTuned:
    one, other = halves
    sources = Sources(target.parent, images=(one,), partners=(other,), init=str(start))
    return finish(fine_tune("denoise", sources, target, **more))  # type: ignore[arg-type]


def test_denoiser_that_explains_the_other_half_better_is_kept_and_used(
    halves: tuple[ImageStack, ImageStack], small_denoiser: Path, tmp_path: Path
) -> None:
    from napari_dps.stages.denoise import STAGE

    target = tmp_path / "out" / "mine.safetensors"
    found = _tuned_denoiser(halves, small_denoiser, target, seconds=60, steps=24)
    assert found.judgement.is_better
    assert found.weights == target
    frames = halves[0].derive(halves[0].data[..., :64, :64])
    results = [
        finish(STAGE.run(frames, STAGE.parameters(weights=str(path)), Context()))
        for path in (small_denoiser, target)
    ]
    used = results[1].history[-1].weights_sha256
    assert used == load_checkpoint(target).metadata.sha256
    assert not np.array_equal(results[0].data, results[1].data)


def test_denoiser_that_learns_nothing_is_not_kept(
    halves: tuple[ImageStack, ImageStack], small_denoiser: Path, tmp_path: Path
) -> None:
    recipe = Path(module.MODELS["denoise"].recipe_for_images or "")
    recipe.write_text(recipe.read_text().replace("0.005", "1e-12"))
    target = tmp_path / "out" / "mine.safetensors"
    found = _tuned_denoiser(halves, small_denoiser, target, seconds=60, steps=2)
    assert not found.judgement.is_better
    assert found.weights is None
    assert not any(target.parent.iterdir())


def test_patches_are_seen_as_the_whole_image_is(
    halves: tuple[ImageStack, ImageStack],
) -> None:
    """What the network finds shows the same orders in a patch, where it has light."""
    sources = Sources(Path(), images=halves[:1], partners=halves[1:])
    task = finish(prepare_adaptation("adapt", sources))
    network = task.build_network()
    alone = [_loss(task, network, field) for field in task.training]
    # Of white noise it would be 1; what the network gets wrong comes on top.
    assert 0.5 < min(alone) <= max(alone) < 2
    moved = replace(task.training[0], origin_px=(0.0, 3.0))
    assert _loss(task, network, moved) > 1.02 * alone[0]


def _loss(task: DenoiseAdaptTask, network: Any, field: HalfField) -> float:
    shown = replace(field, blocks=np.where(_inside(task, field), 0, NOWHERE))
    return float(task.objective(network, [shown])["loss"].detach())


def _inside(task: DenoiseAdaptTask, field: HalfField) -> Any:
    """All but the rim of a patch: few pixels would tell little."""
    inside = np.zeros(field.blocks.shape, bool)
    rim = task.recipe.margin_px
    inside[rim:-rim, rim:-rim] = True
    return inside


def test_time_is_kept_with_looks_and_judgement(
    image: ImageStack, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock()
    monkeypatch.setattr(module, "time", clock)
    task = AdaptTask
    for name, seconds in (("objective", 0.2), ("validate", 0.5), ("misfit", 2.0)):
        monkeypatch.setattr(task, name, clock.slowed(getattr(task, name), seconds))
    sources = Sources(tmp_path, images=(image,), init=str(small))
    target = tmp_path / "out" / "mine.safetensors"
    found = finish(fine_tune("dps", sources, target, seconds=40))
    assert 20 < found.seconds <= 40
    assert found.steps > 10


@pytest.mark.parametrize("slower", [1, 400])
def test_a_least_number_of_steps_is_done_or_the_time_is_refused(
    image: ImageStack,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slower: int,
) -> None:
    clock = _Clock()
    monkeypatch.setattr(module, "time", clock)
    objective = AdaptTask.objective
    calls = 0

    def slows_down(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        clock.now += 0.5 * (slower if calls > 4 else 1)
        return objective(*arguments)

    monkeypatch.setattr(AdaptTask, "objective", slows_down)
    sources = Sources(tmp_path, images=(image,), init=str(small))
    target = tmp_path / "mine.safetensors"
    with pytest.raises(InputError, match=r"got 0.05 min.*0.2 min or more"):
        finish(fine_tune("dps", sources, target, seconds=3))
    calls = 0
    found = finish(fine_tune("dps", sources, target, seconds=14))
    assert found.steps == module.LEAST_STEPS if slower > 1 else found.steps > 10


class _Clock:
    """Time that goes on by what is said to be done."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def slowed(self, function: Callable[..., Any], seconds: float) -> Any:
        def work(*arguments: Any) -> Any:
            self.now += seconds
            return function(*arguments)

        return work


def test_images_of_too_few_blocks_are_refused(
    image: ImageStack, small: Path, tmp_path: Path
) -> None:
    part = image.derive(image.data[:42, :42])
    with pytest.raises(InputError, match="blocks of the images: got"):
        _tuned(part, small, tmp_path / "mine.safetensors")


@pytest.mark.parametrize("count", [12, 40, 400])
def test_blocks_train_choose_or_judge_but_never_two_of_these(count: int) -> None:
    parts = split_blocks(count)
    together = sorted(np.concatenate(parts).tolist())
    assert together == list(range(count))
    assert min(map(len, parts)) >= 3
    assert len(parts.training) >= count // 2


def test_blocks_are_apart_and_inside_the_margin() -> None:
    blocks = number_blocks((80, 120), margin_px=8, first=3)
    rows, columns = np.nonzero(blocks != NOWHERE)
    assert (rows.min(), columns.min()) == (8, 8)
    assert rows.max() < 72
    assert columns.max() < 112
    numbers = np.unique(blocks[blocks != NOWHERE])
    assert numbers.tolist() == list(range(3, 3 + len(numbers)))
    assert len(numbers) >= 48
    for axis in (0, 1):
        near, far = (np.roll(blocks, n, axis) for n in (1, 2))
        for other in (near, far):
            both = (blocks != NOWHERE) & (other != NOWHERE)
            assert (blocks[both] == other[both]).all()


@pytest.mark.parametrize("shape", [(64, 64), (70, 200), (500, 300)])
def test_patches_cover_an_image(shape: tuple[int, int]) -> None:
    seen = np.zeros(shape, bool)
    for y, x in corners(shape, 64, "the image"):
        assert seen[y : y + 64, x : x + 64].shape == (64, 64)
        seen[y : y + 64, x : x + 64] = True
    assert seen.all()


def test_what_judges_neither_trains_nor_chooses(image: ImageStack) -> None:
    from napari_dps.train.dps.adapt import prepare_adaptation as prepare

    task = finish(prepare("adapt", Sources(Path(), images=(image,))))
    for partner_of in (task.training, task.validation):
        for number, shown in enumerate(task.judged.image):
            inside = task.judged_blocks[number] != NOWHERE
            assert inside.any()
            for other, partner in zip(
                partner_of.image, partner_of.partner, strict=True
            ):
                if np.array_equal(other, shown):
                    assert np.isnan(partner[inside]).all()
                    assert not np.isnan(partner).all()


def test_judgement_asks_for_more_than_chance() -> None:
    rng = np.random.default_rng(1)
    better = 0
    for _ in range(400):
        before = rng.normal(1, 0.1, 6)
        better += judge(before, before + rng.normal(0, 0.01, 6)).is_better
    assert better <= 20  # 2.5 % of 400 are 10


def test_halves_of_raw_frames_differ_in_their_noise_alone() -> None:
    simulated = simulate(SimulationSettings(height_px=96, width_px=96, photons=300))
    settings = Settings(("reconstruct",), input=InputSettings(camera_offset=100))
    raw = replace(simulated.raw, patterns=())
    plan = open_input(raw, settings)
    one, other = finish(reconstructed_halves(plan, Context()))
    assert one.shape == other.shape == (192, 192)
    assert one.patterns == other.patterns
    errors = [half.data - (one.data + other.data) / 2 for half in (one, other)]
    assert np.allclose(errors[0], -errors[1], atol=1e-2)
    assert abs(float(one.data.mean() / other.data.mean()) - 1) < 0.02


@pytest.mark.parametrize("axes", ["APYX", "TAPYX"])
def test_few_raw_frames_are_dealt_out_anew_as_further_time_points(axes: str) -> None:
    raw = simulate(SimulationSettings(height_px=64, width_px=64, photons=300)).raw
    points = 2 if axes.startswith("T") else 1
    data = np.concatenate([raw.data[None]] * points)
    stack = replace(raw, data=data if points > 1 else raw.data, axes=axes)
    settings = Settings(("denoise",), input=InputSettings(camera_offset=100))
    plan = open_input(stack, settings)
    one, other = finish(raw_halves(plan, Context(), most_deals=3))
    assert one.axes == other.axes == "TAPYX"
    assert one.shape == (3 * points, 3, 3, 64, 64)
    assert one.patterns
    whole = np.asarray(stack.data, np.float32).reshape(points, 3, 3, 64, 64) - 100
    for deal in range(3):
        at = slice(deal * points, (deal + 1) * points)
        assert np.allclose((one.data[at] + other.data[at]) / 2, whole, atol=1e-2)
    assert np.abs(one.data[0] - one.data[points]).mean() > 1

"""Simulated stacks for the denoiser, its objective, and a training of a few steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dps.core import InputError, Pattern, PatternOrder, finish
from napari_dps.methods.sim.orders import StackOrders, Zoom
from napari_dps.nets.checkpoint import load_checkpoint
from napari_dps.physics.sim.separate import mixing_matrix
from napari_dps.train.denoise import task as training
from napari_dps.train.denoise import validation
from napari_dps.train.denoise.objects import (
    OBJECT_SETTINGS,
    draw_object,
    draw_objects,
    objects_bank,
)
from napari_dps.train.denoise.patterns import (
    ACQUISITIONS,
    Acquisition,
    Waves,
    draw_acquisition,
)
from napari_dps.train.denoise.settings import DenoiseData
from napari_dps.train.denoise.simulation import MARGIN_PX, make_batch, simulate_stacks
from napari_dps.train.denoise.task import DenoiseRecipe, DenoiseTask
from napari_dps.train.denoise.validation import score, validation_batches
from napari_dps.train.objects import HELD_OUT_CLASSES, TRAINING_CLASSES
from napari_dps.train.recipe import load_recipe
from napari_dps.train.trainer import train_steps

DATA = DenoiseData(objects=4, object_px=112)
USUAL = Acquisition(3, 3)
SIDE = 2 * (32 + 2 * MARGIN_PX)


@pytest.fixture(scope="module")
def objects() -> np.ndarray:
    return np.stack([draw_object(DATA, index) for index in range(4)])


def stacks_of(objects, acquisition=USUAL, **options):
    rng = np.random.default_rng(3)
    drawn = draw_objects(objects, rng, size=3, side=SIDE)
    return simulate_stacks(drawn, acquisition, DATA, rng, **options)


def test_held_out_classes_are_never_drawn():
    assert not set(HELD_OUT_CLASSES) & set(TRAINING_CLASSES)


def test_objects_are_a_function_of_settings_and_index(objects):
    assert np.array_equal(draw_object(DATA, 2), objects[2])
    assert not np.array_equal(objects[1], objects[2])
    assert objects.min() >= 0
    assert float(objects.max()) == 1


@pytest.mark.parametrize("acquisition", list(ACQUISITIONS), ids=str)
def test_frames_have_photon_noise_about_their_expectation(objects, acquisition):
    photons = np.full(3, 500.0)
    stacks = stacks_of(objects, acquisition, photons=photons, exact=True)
    assert stacks.frames.shape == (3, acquisition.angles, acquisition.phases, 32, 32)
    assert stacks.wavevectors.shape == (3, acquisition.angles * acquisition.waves, 2)
    error = stacks.frames - stacks.clean
    sigma = error.flatten(1).std(dim=1)
    # The noise told is that of the field with its margin.
    torch.testing.assert_close(sigma, stacks.noise, rtol=0.25, atol=0)
    assert float(error.mean().abs()) < 0.1 * float(sigma.mean())


@pytest.mark.parametrize("acquisition", [k for k in ACQUISITIONS if k.waves], ids=str)
def test_orders_of_expected_frames_mix_to_them_with_exact_patterns(
    objects, acquisition
):
    stacks = stacks_of(objects, acquisition, exact=True)
    orders, weights, gain = stacks.separate(stacks.clean)
    again = stacks.mix(orders)
    peak = float(stacks.clean.max())
    torch.testing.assert_close(again, stacks.clean, atol=2e-3 * peak, rtol=0)
    assert weights.shape == stacks.modulation.shape
    assert bool((gain < 1).all())


@pytest.mark.parametrize("phases", [3, 5])
def test_orders_of_a_batch_are_those_of_each_stack_alone(objects, phases):
    acquisition = Acquisition(3, phases, phases // 2)
    stacks = stacks_of(objects, acquisition)
    patterns, told = [], []
    rng = np.random.default_rng(0)
    for angle in range(3):
        first = rng.uniform(0, 360)
        orders = [
            PatternOrder(
                order=n,
                period_nm=400 / n,
                angle_deg=100 + 30 * angle,
                modulation=0.5,
            )
            for n in range(1, acquisition.waves + 1)
        ]
        degrees = tuple((first + 360 / phases * np.arange(phases)).tolist())
        patterns.append(Pattern(angle_index=angle, phases_deg=degrees, orders=orders))
        told.append([n * np.radians(degrees) for n in range(1, acquisition.waves + 1)])
    waves = Waves(np.empty(0), np.array([told]), np.empty(0))
    for angle, matrix in enumerate(waves.mixing[0]):
        np.testing.assert_array_equal(matrix, mixing_matrix(told[angle]))
    alone = StackOrders(patterns, 65.0, Zoom(1, 1), phases, torch.device("cpu"))
    mixing = torch.from_numpy(waves.mixing.astype(np.float32)).expand(3, -1, -1, -1)
    batch = replace(stacks, mixing=mixing)
    orders, weights, gain = batch.separate(stacks.frames)
    mixed = batch.mix(orders)
    peak = float(stacks.frames.max())
    for n, frames in enumerate(stacks.frames):
        one = alone.mixing.separate(frames)
        torch.testing.assert_close(
            orders.zero[n], one.zero[0], atol=1e-5 * peak, rtol=0
        )
        torch.testing.assert_close(
            orders.others[n], one.others[0], atol=1e-5 * peak, rtol=0
        )
        torch.testing.assert_close(
            mixed[n], alone.mixing.forward(one), atol=1e-5 * peak, rtol=0
        )
        torch.testing.assert_close(weights[n], alone.weights[0], rtol=1e-5, atol=0)
        assert float(gain[n]) == pytest.approx(alone.zero_noise, rel=1e-5)


def test_noise_of_order_zero_is_told_rightly(objects):
    stacks = stacks_of(objects, photons=np.full(3, 200.0), exact=True)
    noisy, _, gain = stacks.separate(stacks.frames)
    clean, _, _ = stacks.separate(stacks.clean)
    sigma = (noisy.zero - clean.zero).flatten(1).std(dim=1)
    torch.testing.assert_close(sigma, stacks.noise * gain, rtol=0.25, atol=0)


def test_estimates_of_the_network_are_over_full_scale(objects):
    batch = make_batch(
        stacks_of(objects, photons=np.full(3, 2000.0)),
        torch.full((3,), 0.01),
        torch.device("cpu"),
    )
    assert batch.inputs.features.shape == (3, 4, 64, 64)
    assert bool(torch.isfinite(batch.inputs.features).all())
    smooth = batch.inputs.features[:, 0]
    # Sharper than the frames, so above their full scale.
    assert 0.5 < float(smooth.quantile(0.999)) < 5


def test_layouts_are_drawn_as_often_as_they_weigh():
    rng = np.random.default_rng(0)
    drawn = [draw_acquisition(rng) for _ in range(2000)]
    share = drawn.count(Acquisition(3, 3)) / 2000
    assert share == pytest.approx(ACQUISITIONS[Acquisition(3, 3)], abs=0.04)


def _recipe(**changes: object) -> DenoiseRecipe:
    values = load_recipe(DenoiseRecipe, "denoise").model_dump()
    values |= {"steps": 4, "batch": 2, "patch_px": 32, "warmup": 1}
    values |= {"validate_every": 2, "data": DATA}
    values["network"] = {"channels": 8, "blocks": 1}
    return DenoiseRecipe.model_validate({**values, **changes})


@pytest.fixture
def small_validation(monkeypatch):
    monkeypatch.setattr(validation, "VALIDATION_PX", 32)
    for module in (training, validation):
        monkeypatch.setattr(module, "VALIDATION_PHOTONS", (50.0, 1000.0))


def _weights(folder):
    state = torch.load(folder / "state.pt", weights_only=True)
    return {**state["network"], **{f"a.{k}": v for k, v in state["average"].items()}}


@pytest.mark.slow
@pytest.mark.usefixtures("small_validation")
def test_resumed_training_ends_with_identical_weights(tmp_path, objects):
    task = DenoiseTask(_recipe(), objects)

    def train(folder, **options):
        return finish(train_steps(task, folder, accelerator="cpu", **options))

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    best = train(whole)
    train(parts, stop_at=3)
    train(parts)
    first, second = _weights(whole), _weights(parts)
    assert all(torch.equal(first[name], second[name]) for name in first)
    checkpoint = load_checkpoint(whole / "denoise.safetensors")
    assert checkpoint.metadata.architecture == "sim_denoiser"
    assert checkpoint.metadata.metrics["held_out"] == best
    assert checkpoint.metadata.metrics["none"].keys() >= {"wiener_50", "frames_50"}


@pytest.mark.slow
@pytest.mark.usefixtures("small_validation")
def test_expected_frames_score_better_than_noisy_ones(objects):
    batches = validation_batches(DATA)
    noisy = score(batches, None)
    assert noisy["wiener_1000"] > noisy["wiener_50"] + 3
    assert noisy["frames_1000"] > noisy["frames_50"] + 3

    def smooth(batch):
        fine = batch.inputs.features[:, 0]
        return fine, 0 * fine[:, ::2, ::2]

    linear = score(batches, smooth)
    assert linear["frames_50"] > noisy["frames_50"] + 5


def test_loss_falls_with_the_error_and_names_its_terms(objects):
    task = DenoiseTask(_recipe(), objects)
    batch = task.draw(0, torch.device("cpu"))

    class Fixed(torch.nn.Module):
        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

        def forward(self, features, levels):
            fine = self.share * features[:, 0]
            return fine, 0 * fine[:, ::2, ::2]

    good, bad = (task.objective(Fixed(share), batch) for share in (1.0, 0.3))
    assert float(good["loss"]) < float(bad["loss"])
    assert set(good) >= {"frame", "frame_ssim", "frame_fourier", "sim", "sim_ssim"}
    parts = sum(float(value) for name, value in good.items() if name != "loss")
    assert float(good["loss"]) == pytest.approx(parts, rel=1e-5)


def _changed(value):
    """Return another allowed value of a setting."""
    if isinstance(value, tuple):
        return tuple(0.7 * v + 0.02 for v in value)
    return value + 16 if isinstance(value, int) else 0.7 * value + 0.02


@pytest.mark.parametrize("name", list(DenoiseData.model_fields))
def test_key_of_the_bank_changes_with_what_changes_the_objects(name):
    data = DATA.model_copy(update={"object_px": 64, "mixed": 0.5})
    other = data.model_copy(update={name: _changed(getattr(data, name))})
    drawn = [[draw_object(d, index) for index in range(6)] for d in (data, other)]
    same = all(np.array_equal(a, b) for a, b in zip(*drawn, strict=True))
    keys_agree = objects_bank(data).key == objects_bank(other).key
    assert keys_agree == (name not in OBJECT_SETTINGS)
    assert same or not keys_agree


def test_unknown_recipe_is_refused():
    with pytest.raises(InputError, match="denoise"):
        load_recipe(DenoiseRecipe, "none-such")

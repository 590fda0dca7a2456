"""The network of SIM images: its data, its objective, and a training of two steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dps.core import (
    ImageStack,
    InputError,
    Optics,
    Pattern,
    PatternOrder,
    finish,
)
from napari_dps.core.context import Context
from napari_dps.nets.checkpoint import load_checkpoint, save_checkpoint, shipped_weights
from napari_dps.nets.res_unet import SimDenoiser
from napari_dps.stages import denoise
from napari_dps.stages.denoise import DenoiseParameters
from napari_dps.train.denoise import validation
from napari_dps.train.denoise.objects import draw_object, draw_objects
from napari_dps.train.denoise.patterns import ACQUISITIONS, Acquisition
from napari_dps.train.denoise.settings import DenoiseData
from napari_dps.train.denoise.simulation import (
    MARGIN_PX,
    network_input,
    simulate_stacks,
)
from napari_dps.train.recipe import load_recipe
from napari_dps.train.sim import task as training
from napari_dps.train.sim.task import (
    SimRecipe,
    SimTask,
    denoised,
    make_batch,
    prepare_task,
)
from napari_dps.train.task import Sources
from napari_dps.train.trainer import train_steps

DATA = DenoiseData(objects=4, object_px=128, background=(0, 0))
SETTINGS = {"channels": 8, "blocks": 1}
CPU = torch.device("cpu")
USUAL = Acquisition(3, 3)


@pytest.fixture(scope="module")
def objects() -> np.ndarray:
    return np.stack([draw_object(DATA, index) for index in range(4)])


@pytest.fixture(scope="module")
def shipped():
    return load_checkpoint(shipped_weights("denoise"))


def stacks_of(objects, acquisition=USUAL, photons=50.0, patch_px=32):
    rng = np.random.default_rng(3)
    drawn = draw_objects(objects, rng, size=3, side=2 * (patch_px + 2 * MARGIN_PX))
    levels = np.full(3, photons)
    return simulate_stacks(
        drawn, acquisition, DATA, rng, photons=levels, exact=True, haze=False
    )


def small_task(objects, folder, **changes) -> SimTask:
    network = SimDenoiser(**SETTINGS)
    description = {
        "architecture": "sim_denoiser",
        "network": SETTINGS,
        "optics": {},
        "recipe": {},
        "data": {},
        "metrics": {},
        "version": "0",
    }
    file = folder / "start.safetensors"
    save_checkpoint(file, network.state_dict(), description)
    values = load_recipe(SimRecipe, "sim").model_dump()
    values |= {"steps": 2, "batch": 2, "patch_px": 32, "warmup": 1}
    values |= {"validate_every": 2, "data": DATA, "network": SETTINGS, **changes}
    return SimTask(SimRecipe.model_validate(values), objects, load_checkpoint(file))


def test_ideal_image_has_the_brightness_of_the_expected_frames(objects):
    stacks = stacks_of(objects)
    assert stacks.ideal.shape == (3, 64, 64)
    mean = stacks.clean.mean(dim=(1, 2, 3, 4))
    torch.testing.assert_close(stacks.ideal.mean(dim=(1, 2)), mean, rtol=0.05, atol=0)


def test_ideal_image_is_sharper_than_the_expected_frames(objects):
    stacks = stacks_of(objects)
    wide = stacks.clean.mean(dim=(1, 2))
    fine = stacks.ideal[:, ::2, ::2]
    assert bool((fine.std(dim=(1, 2)) > 1.1 * wide.std(dim=(1, 2))).all())


@pytest.mark.slow
@pytest.mark.parametrize("acquisition", list(ACQUISITIONS), ids=str)
def test_denoised_stacks_are_nearer_their_expectation(objects, shipped, acquisition):
    stacks = stacks_of(objects, acquisition)
    with torch.no_grad():
        given = network_input(stacks)
        clean = denoised(stacks, given, shipped.network(CPU))
    before, after = (
        (some - stacks.clean).square().mean() for some in (stacks.frames, clean.frames)
    )
    # Without waves only the mean of the frames can be denoised.
    assert float(after) < (0.3 if acquisition.waves else 1.0) * float(before)
    assert bool((clean.noise < 0.5 * stacks.noise).all()) or not acquisition.waves


def as_told(stacks, pixel_nm: float) -> tuple[Pattern, ...]:
    """Return the patterns of the first of stacks of 3 × 3 frames."""
    patterns = []
    centre = (stacks.frames.shape[-1] - 1) / 2
    for angle, (k, m) in enumerate(
        zip(stacks.wavevectors[0], stacks.modulation[0], strict=True)
    ):
        _, cosine, sine = stacks.mixing[0, angle].T
        phases = torch.atan2(-sine, cosine) - 2 * torch.pi * centre * k.sum()
        order = PatternOrder(
            period_nm=pixel_nm / float(k.norm()),
            angle_deg=float(torch.rad2deg(torch.atan2(k[0], k[1]))),
            modulation=float(m),
        )
        told = torch.rad2deg(phases).tolist()
        patterns.append(Pattern(angle_index=angle, phases_deg=told, orders=[order]))
    return tuple(patterns)


@pytest.mark.slow
def test_denoised_stacks_are_as_the_stage_leaves_them(objects, shipped):
    stacks = stacks_of(objects, photons=200.0, patch_px=48)
    with torch.no_grad():
        ours = denoised(stacks, network_input(stacks), shipped.network(CPU)).frames[0]
    raw, clean = stacks.frames[0], stacks.clean[0]
    # At this pixel size the frames are sampled as the network has it.
    optics = Optics(na=1.5, emission_nm=488, pixel_size_nm=65)
    stack = ImageStack(
        raw.numpy(),
        "APYX",
        pixel_size_nm=65,
        optics=optics,
        patterns=as_told(stacks, 65),
    )
    weights = str(shipped_weights("denoise"))
    parameters = DenoiseParameters(weights=weights)
    steps = denoise.STAGE.run(stack, parameters, Context("cpu"))
    theirs = torch.from_numpy(finish(steps).data)
    error = (theirs - clean).square().mean()
    assert float(error) < 0.1 * float((raw - clean).square().mean())
    assert float((ours - theirs).square().mean()) < 0.1 * float(error)


def test_noise_of_the_raw_stack_weighs_the_error_of_denoised_ones(objects, shipped):
    stacks = stacks_of(objects)
    with torch.no_grad():
        raw, clean = (make_batch(stacks, d) for d in (None, shipped.network(CPU)))
    torch.testing.assert_close(raw.noise, clean.noise)
    assert bool((clean.inputs.levels[:, 0] < raw.inputs.levels[:, 0] - 0.5).all())


def test_loss_falls_with_the_error_and_names_its_terms(objects, tmp_path):
    task = small_task(objects, tmp_path, denoised=0.0)
    batch = task.draw(0, CPU)

    def objective(share):
        return task.objective(lambda features, _: share * features[:, 0], batch)

    good, bad = objective(1.0), objective(0.1)
    assert float(good["loss"]) < float(bad["loss"])
    assert set(good) == {"error", "ssim", "loss"}
    parts = float(good["error"]) + float(good["ssim"])
    assert float(good["loss"]) == pytest.approx(parts, rel=1e-5)


@pytest.mark.slow
def test_short_training_leaves_weights_that_load(objects, tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "VALIDATION_PX", 32)
    for module in (validation, training):
        monkeypatch.setattr(module, "VALIDATION_PHOTONS", (50.0, 1000.0))
    task = small_task(objects, tmp_path)
    best = finish(train_steps(task, tmp_path / "out", accelerator="cpu"))
    checkpoint = load_checkpoint(tmp_path / "out" / "sim.safetensors")
    assert checkpoint.metadata.architecture == "sim_imager"
    assert checkpoint.metadata.metrics["held_out"] == best
    assert best.keys() >= {"raw_50", "denoised_1000", "raw_ssim_50", "score"}
    known = checkpoint.metadata.metrics
    assert known["linear"].keys() == known["denoiser"].keys()
    assert checkpoint.metadata.recipe["start_sha256"] == task.start.metadata.sha256
    fine = checkpoint.network(CPU)(torch.rand(1, 4, 16, 16), torch.zeros(1, 2))
    assert fine.shape == (1, 16, 16)


def test_unknown_start_is_refused(tmp_path):
    recipe = tmp_path / "mine.toml"
    values = load_recipe(SimRecipe, "sim")
    text = f"""
name = "mine"
purpose = "test"
start = "none-such"
steps = 1
batch = 1
patch_px = 32
learning_rate = {values.learning_rate}
weight_decay = 0.0
warmup = 1
ema = 0.9
validate_every = 1
[network]
[loss]
[data]
objects = 1
"""
    recipe.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="none-such"):
        finish(prepare_task(str(recipe), Sources(tmp_path / "bank")))

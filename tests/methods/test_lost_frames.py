"""Frames without light are computed or told; lost ones spoil no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dps.core import ImageStack, InputError, Optics, finish
from napari_dps.core.context import Context
from napari_dps.methods.sim.lost_frames import with_lost_frames
from napari_dps.methods.sim.volume_finding import equalised_volume
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import simulate, simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import PipelineResult, choose_steps, run

OPTICS = Optics(na=1.3, emission_nm=525, pixel_size_nm=65)
SETTINGS = SimulationSettings(height_px=64, width_px=64, photons=200, seed=3)


def striped(phases: int = 3) -> ImageStack:
    """Return frames of even stripes on a ramp; angles differ in brightness."""
    y, x = np.mgrid[:48, :40] / 6
    light = 50 + y[..., np.newaxis, np.newaxis] * 10
    turns = np.stack([x, y, x + y], axis=-1)[..., np.newaxis]
    steps = np.arange(phases) / phases
    frames = light * (1 + 0.7 * np.cos(2 * np.pi * (turns + steps)))
    frames *= np.array([[1.0], [0.5], [2.0]])
    data = np.moveaxis(frames, (2, 3), (0, 1)).astype(np.float32)
    return ImageStack(data, "APYX", optics=OPTICS, pixel_size_nm=65)


@pytest.mark.parametrize("phases", [3, 5])
def test_a_lost_frame_is_what_its_angle_lacks(phases: int) -> None:
    stack, context = striped(phases), Context("cpu")
    data = stack.data.copy()
    data[1, 2] = -0.3
    result = with_lost_frames(stack.derive(data), context)
    # Stripes that do not end where the frame does make frames unequal by 2 %.
    np.testing.assert_allclose(result.data, stack.data, atol=0.05 * data[1].max())
    assert context.warnings == [
        "what the dark frame of angle 2, phase 3 held was computed from the others"
    ]


def test_an_angle_that_lost_more_keeps_the_light_without_stripes() -> None:
    stack = striped()
    data = stack.data.copy()
    data[2, 1:] = 0
    result = with_lost_frames(stack.derive(data), Context("cpu")).data
    np.testing.assert_array_equal(result[:2], data[:2])
    assert np.ptp(result[2], axis=0).max() == 0
    light = data[:2].mean(axis=(0, 1))
    assert np.corrcoef(result[2, 0].ravel(), light.ravel())[0, 1] > 0.99


def test_frames_with_light_stay_as_they_are() -> None:
    stack = striped()
    data = stack.data * np.array([1, 0.02, 1], np.float32)[:, None, None, None]
    dim = stack.derive(data)
    assert with_lost_frames(stack, Context("cpu")) is stack
    assert with_lost_frames(dim, Context("cpu")) is dim


def test_darkness_is_refused_of_an_only_stack_and_told_of_one_of_several() -> None:
    dark = striped()
    dark = dark.derive(dark.data * 0 - 0.2)
    with pytest.raises(InputError, match="has no signal"):
        with_lost_frames(dark, Context("cpu"))
    context = Context("cpu", units=9)
    for number in range(9):
        context.where = f" (T {number + 1}/9)"
        assert with_lost_frames(dark, context) is dark
    assert context.warnings == [
        "raw frames hold no light above the camera's offset (T 1/9)",
        "raw frames hold no light above the camera's offset (T 2/9)",
        "raw frames hold no light above the camera's offset (T 3/9)",
        "raw frames hold no light at more places",
    ]


def lapse(*shares: float) -> tuple[ImageStack, list[ImageStack]]:
    """Simulate time points of some share of the light; return each by itself too."""
    stacks = []
    for number, share in enumerate(shares):
        seed = SETTINGS.model_copy(update={"seed": 3, "photons": 200 * share or 1e-6})
        made = simulate(seed).raw if share else simulate(SETTINGS).raw
        noise = np.random.default_rng(number).normal(99.5, 3, made.shape)
        stacks.append(made if share else made.derive(noise.astype(np.float32)))
    return stacks[-1].derive(np.stack([s.data for s in stacks]), axes="TAPYX"), stacks


@pytest.mark.parametrize("stages", [["reconstruct"], ["temporal", "reconstruct"]])
def test_a_dark_time_point_leaves_the_others_their_light(stages: list[str]) -> None:
    stack, alone = lapse(0, 1, 1)
    steps = choose_steps(stack, stages)
    result = finish(run(stack, steps, camera_offset=100))
    levels = result.images[-1].data.mean(axis=(1, 2))
    light = alone[1].data.mean() - 100
    np.testing.assert_allclose(levels, [-0.5, light, light], atol=0.01 * light)
    assert "raw frames hold no light above the camera's offset (T 1/3)" in (
        result.warnings
    )
    assert all(pattern.is_usable for pattern in result.images[-1].patterns)


def test_a_time_point_of_one_value_gains_nothing_and_spoils_nothing() -> None:
    stack, _ = lapse(1, 1, 1)
    data = stack.data.astype(np.float32)
    data[1] = 65535
    steps = choose_steps(stack, ["temporal"])
    result = finish(run(stack.derive(data), steps, camera_offset=100)).images[-1].data
    np.testing.assert_allclose(result[1], 65435, rtol=1e-6)
    assert result[0].mean() == pytest.approx(data[0].mean() - 100, rel=0.01)


def test_dark_planes_of_a_volume_are_evened_as_the_others() -> None:
    frames = torch.ones(3, 1, 3, 4, 4) * torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    frames[0] = -0.1
    frames[1] *= 2
    factors = equalised_volume(frames)[:, 0]
    np.testing.assert_allclose(factors, [[0.8, 1, 0.8 / 0.6]] * 3, rtol=1e-6)


def usable(result: PipelineResult, time_point: int) -> int:
    """Return how many angles of a time point have stripes that are used."""
    return sum(p.is_usable for p in result.outputs[-1].patterns[time_point,])


@pytest.mark.parametrize("photons", [20, 200])
def test_stripes_are_not_used_from_a_lost_frame_on(photons: float) -> None:
    settings = SETTINGS.model_copy(
        update={"photons": photons, "height_px": 96, "width_px": 96}
    )
    seen = [
        simulate_object(
            phantom("er", (96 * 4 + 64, 96 * 4 + 64), pixel_size_nm=65 / 4, seed=2),
            settings.model_copy(update={"seed": seed}),
            margin_px=(8, 8),
        ).raw
        for seed in (1, 2, 3)
    ]
    whole = np.stack([stack.data for stack in seen])
    frames = whole.reshape(-1, 96, 96)
    short = np.concatenate([frames[:13], frames[14:], frames[-1:]]).reshape(whole.shape)
    stack = seen[0].derive(whole, axes="TAPYX")
    steps = choose_steps(stack, ["reconstruct"])
    result = finish(run(stack, steps, camera_offset=100))
    assert [usable(result, t) for t in range(3)] == [3, 3, 3]
    result = finish(run(stack.derive(short), steps, camera_offset=100))
    assert usable(result, 0) == 3
    assert max(usable(result, t) for t in (1, 2)) <= 1
    assert any("a frame was lost or doubled" in text for text in result.warnings)

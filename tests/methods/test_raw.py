"""Raw frames before anything else: hot pixels of the camera, motion of the sample."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.methods.sim.raw import (
    frame_shifts,
    motion_between_angles,
    with_hot_pixels_replaced,
    with_motion_undone,
)
from napari_dps.physics.simulate import blur_truth, simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import choose_steps, run
from napari_dps.stages.reconstruct import STAGE


def raw(**changes) -> ImageStack:
    values = {"height_px": 128, "width_px": 128, "seed": 5, "photons": 200, **changes}
    settings = SimulationSettings(**values)
    stack = simulate(settings).raw
    return stack.derive(stack.data.astype(np.float32) - settings.offset_counts)


def with_hot(stack: ImageStack, count: int, seed: int = 0) -> ImageStack:
    """Raise pixels of all frames by 4 times the brightest."""
    places = np.random.default_rng(seed).integers(3, 125, (2, count))
    data = stack.data.copy()
    data[..., places[0], places[1]] += 4 * stack.data.max()
    return stack.derive(data)


def reconstructed(stack: ImageStack, context: Context | None = None) -> ImageStack:
    return finish(STAGE.run(stack, STAGE.parameters(), context or Context("cpu")))


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_hot_pixels_of_the_sensor_are_replaced_and_told() -> None:
    clean = raw()
    context = Context("cpu")
    result = with_hot_pixels_replaced(with_hot(clean, 12), context)
    assert context.warnings[0].startswith("12 hot pixels of the camera (0.07% of all)")
    assert np.abs(result.data - clean.data).max() < 0.5 * clean.data.max()


@pytest.mark.parametrize(("count", "height"), [(1, 300), (20, 100), (150, 30)])
def test_hot_pixels_do_not_hide_behind_their_own_noise(count: int, height: int) -> None:
    clean = raw()
    rng = np.random.default_rng(1)
    # None beside another.
    y, x = 4 * np.stack(np.unravel_index(rng.permutation(900)[:count], (30, 30))) + 4
    places = 128 * y + x
    data = clean.data.reshape(3, 3, -1).copy()
    data[..., places] += rng.uniform(0.1, 1, count) * height * clean.data.max()
    stack = clean.derive(data.reshape(clean.shape))
    result = with_hot_pixels_replaced(stack, Context("cpu"))
    assert np.abs(result.data - clean.data).max() < clean.data.max()


@pytest.mark.parametrize("value", [0.0, -100.0])
def test_dead_lines_are_filled_and_told(value: float) -> None:
    clean, context = raw(), Context("cpu")
    data = clean.data.copy()
    data[..., 60:62, :], data[..., :5] = value, value
    result = with_hot_pixels_replaced(clean.derive(data), context)
    assert "a border that was filled; 7 in all" in context.warnings[0]
    wanted = clean.data[..., [59, 62], 5:].mean(axis=(0, 1))
    found = result.data[..., 60:62, 5:].mean(axis=(0, 1))
    np.testing.assert_allclose(found.mean(axis=0), wanted.mean(axis=0), rtol=1e-4)
    others = np.r_[:60, 62:128]
    np.testing.assert_array_equal(
        result.data[..., others, 5:], clean.data[..., others, 5:]
    )


def test_frames_of_one_value_have_no_dead_lines() -> None:
    stack, context = raw(), Context("cpu")
    even = stack.derive(np.full(stack.shape, 400, np.float32))
    np.testing.assert_array_equal(with_hot_pixels_replaced(even, context).data, 400)
    assert context.warnings == []


def test_number_of_hot_pixels_is_told_once_for_a_time_lapse() -> None:
    context = Context("cpu")
    for seed, count in ((1, 12), (2, 11)):
        with_hot_pixels_replaced(with_hot(raw(), count, seed=seed), context)
    assert len(context.warnings) == 1


def test_hot_pixels_in_bright_structures_are_told() -> None:
    stack = raw()
    mean = stack.data.mean(axis=(0, 1))
    inside = mean[4:-4, 4:-4]
    y, x = np.array(np.unravel_index(inside.argmax(), inside.shape)) + 4
    data = stack.data.copy()
    data[..., y, x] += 10 * data.max()
    context = Context("cpu")
    with_hot_pixels_replaced(stack.derive(data), context)
    assert "; 1 of them in bright structures" in context.warnings[0]


def test_event_in_a_single_frame_is_replaced() -> None:
    stack = raw()
    data = stack.data.copy()
    data[1, 2, 60, 70] += 5 * data.max()
    context = Context("cpu")
    result = with_hot_pixels_replaced(stack.derive(data), context)
    assert "hot pixels" in context.warnings[0]
    others = np.ones(data.shape, bool)
    others[1, 2, 60, 70] = False
    np.testing.assert_array_equal(result.data[others], stack.data[others])


@pytest.mark.parametrize("photons", [5, 50, 500])
def test_frames_without_hot_pixels_are_the_same_object(photons: float) -> None:
    stack = raw(photons=photons, structure="beads")
    context = Context("cpu")
    assert with_hot_pixels_replaced(stack, context) is stack
    assert context.warnings == []


def test_hot_pixels_leave_the_chain_of_stages_as_it_is() -> None:
    clean = raw()
    wanted, found = (
        finish(run(s, choose_steps(s))).images[-1].data
        for s in (clean, with_hot(clean, 6))
    )
    assert likeness(found, wanted) > 0.97


@pytest.mark.parametrize("photons", [5, 50])
@pytest.mark.parametrize("structure", ["microtubules", "clathrin"])
def test_sample_at_rest_is_left_alone(structure: str, photons: float) -> None:
    stack = raw(structure=structure, photons=photons, haze_fraction=0.3)
    context = Context("cpu")
    assert with_motion_undone(stack, context) is stack
    assert context.warnings == []


def test_motion_between_angles_is_measured() -> None:
    # 20 nm a frame: 0.92 px from angle to angle.
    stack = raw(motion_nm=20)
    assert stack.optics is not None
    found = motion_between_angles(np.asarray(stack.data), stack.optics)
    assert [motion.angle for motion in found] == [0, 2]
    for motion in found:
        assert motion.length_px == pytest.approx(3 * 20 / 65, abs=0.07)


@pytest.mark.parametrize("structure", ["microtubules", "nuclear_pores"])
@pytest.mark.parametrize("phases", [3, 5])
def test_even_drift_is_measured_frame_by_frame(structure: str, phases: int) -> None:
    stack = raw(motion_nm=25, structure=structure, phases=phases)
    frames = np.asarray(stack.data)
    motions = motion_between_angles(frames, stack.optics)
    shifts = frame_shifts(frames, motions, stack.optics).reshape(-1, 2)
    steps = np.hypot(*np.diff(shifts, axis=0).T)
    assert steps == pytest.approx(25 / 65, abs=0.1)
    np.testing.assert_allclose(shifts[len(shifts) // 2], 0, atol=0.05)


def test_sample_that_moves_between_angles_alone_is_at_rest_within() -> None:
    stack = raw()
    frames = np.stack(
        [np.roll(f, (a - 1, 1 - a), (-2, -1)) for a, f in enumerate(stack.data)]
    )
    motions = motion_between_angles(frames, stack.optics)
    shifts = frame_shifts(frames, motions, stack.optics)
    wanted = np.array([[-1, 1], [0, 0], [1, -1]])[:, None].repeat(3, axis=1)
    np.testing.assert_allclose(shifts, wanted, atol=0.05)


def test_patterns_follow_frames_that_are_moved_back_by_themselves() -> None:
    simulation = simulate(
        SimulationSettings(height_px=128, width_px=128, seed=5, motion_nm=30)
    )
    stack = simulation.raw.derive(
        simulation.raw.data.astype(np.float32) - 100, patterns=simulation.patterns
    )
    context = Context("cpu")
    result = with_motion_undone(stack, context)
    assert "drifts evenly" in context.warnings[0]
    found = finish(
        STAGE.run(result.derive(result.data, patterns=()), STAGE.parameters(), context)
    )
    for known, fitted in zip(result.patterns, found.patterns, strict=True):
        turn = np.exp(1j * np.radians(np.subtract(known.phases_deg, fitted.phases_deg)))
        conjugate = np.exp(1j * np.radians(np.add(known.phases_deg, fitted.phases_deg)))
        assert max(abs(turn.mean()), abs(conjugate.mean())) > 0.99


def test_motion_between_angles_is_undone_and_told() -> None:
    simulation = simulate(
        SimulationSettings(height_px=128, width_px=128, seed=5, motion_nm=15)
    )
    stack = simulation.raw.derive(simulation.raw.data.astype(np.float32) - 100)
    context = Context("cpu")
    result = reconstructed(stack, context).data
    assert any("displaced" in text for text in context.warnings)
    truth = blur_truth(simulation.truth, modulation_factor=1.9).data
    # Frames that no longer look recorded are not corrected: that is the comparison.
    left = stack.derive(stack.data, history=reconstructed(stack).history[-1:])
    assert 1 - likeness(result, truth) < 0.7 * (
        1 - likeness(reconstructed(left).data, truth)
    )


def test_patterns_that_are_known_move_with_their_frames() -> None:
    """Phases of the lamp are those of all sets of frames, wherever the sample is."""
    still, moving = raw(photons=500), raw(photons=500, motion_nm=20)
    patterns = reconstructed(still).patterns
    context = Context("cpu")
    moved = with_motion_undone(
        moving.derive(moving.data, patterns=patterns), context
    ).patterns
    own = reconstructed(moving).patterns
    # The frame in the middle of the recording stays where it is.
    assert moved[1].phases_deg[1] == patterns[1].phases_deg[1]
    for known, found in zip(moved, own, strict=True):
        error = np.subtract(known.phases_deg, found.phases_deg)
        assert np.abs((error + 180) % 360 - 180).max() < 30

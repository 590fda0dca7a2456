"""A result after every angle: still cells stay still, moving ones move evenly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import shift

from napari_dps import io, pipeline
from napari_dps.batch import Job, find_sources, run_batch
from napari_dps.core import ImageStack, InputError, finish
from napari_dps.core.context import Context
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import Settings, open_input
from napari_dps.pipeline.rolling import RollingFrames, motion_warnings, rolled

SIDE = 96
ROLLING = Settings.from_tables(
    {"pipeline": {"stages": ["reconstruct"]}, "reconstruct": {"rolling": True}}
)


@pytest.fixture(scope="module")
def cell() -> ImageStack:
    """Return one set without noise, in photons."""
    made = simulate(SimulationSettings(height_px=SIDE, width_px=SIDE, photons=500))
    return made.raw.derive(made.clean, patterns=made.patterns)


def lapse(cell: ImageStack, brightness: np.ndarray) -> ImageStack:
    """Return sets of a still cell; brightness (T, A) of every moment."""
    frames = cell.data * brightness[..., None, None, None]
    return cell.derive(frames.astype(np.float32), axes="TAPYX", frame_interval_s=0.6)


def test_time_has_a_point_after_every_angle_and_the_interval_of_one(cell):
    stack = lapse(cell, np.ones((4, 3)))
    steps = pipeline.choose_steps(stack, ["reconstruct"], ROLLING.parameters)
    result = finish(pipeline.run(stack, steps))
    image = result.images[0]
    assert image.shape == (10, 2 * SIDE, 2 * SIDE)
    assert image.frame_interval_s == pytest.approx(0.2)
    assert image.history[-1].parameters["rolling"] is True


def test_nothing_is_lost_where_nothing_moves(cell):
    stack = lapse(cell, np.ones((3, 3)))
    steps = pipeline.choose_steps(stack, ["reconstruct"], ROLLING.parameters)
    rolling = finish(pipeline.run(stack, steps)).images[0].data
    alone = finish(pipeline.run(cell, pipeline.choose_steps(cell, ["reconstruct"])))
    expected = alone.images[0].data
    assert np.abs(rolling - expected).max() < 2e-3 * expected.max()


def test_bleaching_leaves_no_flicker_of_the_period_of_the_angles(cell):
    times = np.arange(8)[:, None] + np.arange(3) / 3
    stack = lapse(cell, np.exp(-0.05 * times))
    steps = pipeline.choose_steps(stack, ["reconstruct"], ROLLING.parameters)
    data = finish(pipeline.run(stack, steps)).images[0].data.astype(np.float64)
    data = data[:21]
    trend = np.exp(-0.05 * np.arange(21) / 3)[:, None, None]
    turning = np.exp(-2j * np.pi * np.arange(21) / 3)[:, None, None]
    amplitude = 2 * np.abs((data / trend * turning).mean(axis=0))
    bright = data.mean(axis=0) > np.percentile(data.mean(axis=0), 80)
    assert amplitude[bright].mean() < 0.02 * data.mean(axis=0)[bright].mean()


def test_frames_that_change_evenly_are_those_of_one_moment():
    times = np.arange(5)[:, None] + (np.arange(3) - 1) / 3
    frames = np.broadcast_to(times[..., None, None, None], (5, 3, 2, 4, 6))
    rolling = RollingFrames(frames, "TAPYX")
    assert rolling.shape == (13, 3, 2, 4, 6)
    for number in range(1, 12):
        np.testing.assert_allclose(rolling[number], number / 3, atol=1e-6)
    np.testing.assert_allclose(rolling[0][:, 0, 0, 0], [0, 0, 1 / 3], atol=1e-6)


def test_frames_whose_change_grows_are_those_of_one_moment_but_at_the_ends():
    times = np.arange(6)[:, None] + (np.arange(3) - 1) / 3
    frames = np.broadcast_to(times[..., None, None, None] ** 2, (6, 3, 2, 4, 6))
    rolling = RollingFrames(frames, "TAPYX")
    for number in range(4, 12):
        np.testing.assert_allclose(rolling[number], (number / 3) ** 2, atol=1e-5)


def test_parts_are_read_as_of_an_array():
    rng = np.random.default_rng(0)
    frames = rng.random((4, 2, 3, 3, 5, 6)).astype(np.float32)
    rolling = RollingFrames(frames, "TCAPYX")
    whole = np.asarray(rolling)
    assert whole.shape == rolling.shape == (10, 2, 3, 3, 5, 6)
    for key in (
        (3, 1),
        (-1, 0, 2, 1),
        (slice(2, 7, 2), 1),
        (4, slice(None), 1, slice(None), slice(1, 3)),
        (slice(None), 0, 0, 0),
    ):
        np.testing.assert_array_equal(rolling[key], whole[key])


def test_blocks_on_the_disk_hold_the_same_pixels(cell, tmp_path):
    stack = lapse(cell, np.linspace(1, 0.8, 12).reshape(4, 3))
    path = io.save(stack, tmp_path / "lapse.ome.tif")
    sources = find_sources([path], tmp_path / "o", ROLLING)
    finish(run_batch(Job(ROLLING), sources))
    written = io.load(tmp_path / "o" / "lapse.reconstruct.ome.tif")
    result = finish(pipeline.run_plan(open_input(path, ROLLING)))
    np.testing.assert_array_equal(written.data, result.images[0].data)
    assert written.frame_interval_s == pytest.approx(0.2)


def test_motion_within_a_set_is_warned_of_and_still_cells_are_not(cell):
    def warned(step_px: float) -> list[str]:
        frames = [
            shift(cell.data, (0, 0, t * step_px, 0), order=3, mode="reflect")
            for t in range(4)
        ]
        rng = np.random.default_rng(0)
        noisy = rng.poisson(np.maximum(frames, 0)).astype(np.float32)
        stack = cell.derive(noisy, axes="TAPYX")
        steps = pipeline.choose_steps(stack, ["reconstruct"], ROLLING.parameters)
        notes = Context()
        motion_warnings(rolled(stack, steps), notes)
        return notes.warnings

    assert warned(0.0) == []
    (text,) = warned(0.6)
    assert "moves by up to 0.6 px from set to set" in text


def test_time_points_that_share_frames_are_not_averaged(cell):
    stack = lapse(cell, np.ones((3, 3)))
    tables = {"reconstruct": {"rolling": True}}
    plan = open_input(stack, Settings.from_tables(tables))
    assert "temporal" not in [step.stage.id for step in plan.steps]
    named = {**tables, "pipeline": {"stages": ["temporal", "reconstruct"]}}
    with pytest.raises(InputError, match="share frames"):
        open_input(stack, Settings.from_tables(named))


@pytest.mark.parametrize("axes", ["APYX", "TAPYX"])
def test_a_single_set_is_refused(cell, axes):
    data = cell.data if axes == "APYX" else cell.data[None]
    with pytest.raises(InputError, match="two or more time points") as caught:
        open_input(cell.derive(data, axes=axes), ROLLING)
    assert caught.value.fields == ("reconstruct.rolling",)

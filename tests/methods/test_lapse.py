"""Drift and bleaching of simulated lapses, against what was put in."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from napari_dps.core import InputError, Optics
from napari_dps.methods.lapse.bleaching import bleaching_factors
from napari_dps.methods.lapse.drift import DriftTracker, undone
from napari_dps.physics.phantoms import phantom

OPTICS = Optics(na=1.3, emission_nm=525, pixel_size_nm=65)
FRAMES, STEP_PX = 100, 0.3


@pytest.fixture(scope="module")
def widefield() -> np.ndarray:
    """Return a blurred cell that is larger than the field, peak 1."""
    emitters = phantom("microtubules", (224, 224), pixel_size_nm=65, seed=4)
    image = scipy.ndimage.gaussian_filter(emitters.astype(np.float64), 1.3)
    return image / np.percentile(image, 99.9)


@pytest.mark.slow
@pytest.mark.parametrize("photons", [30, 1000])
@pytest.mark.parametrize("direction_deg", [20, 90])
def test_a_slow_drift_is_found_to_a_twentieth_of_a_pixel(
    widefield, photons, direction_deg
):
    rng = np.random.default_rng(photons)
    angle = np.deg2rad(direction_deg)
    tracker = DriftTracker(OPTICS)
    errors = []
    for number in range(FRAMES):
        true = STEP_PX * number * np.array([np.sin(angle), np.cos(angle)])
        moved = scipy.ndimage.shift(widefield, true, order=3, mode="reflect")
        field = moved[48:176, 48:176].clip(0) * photons + 0.03 * photons
        # The widefield image is the mean of nine frames.
        found = tracker.add(rng.poisson(9 * field) / 9)
        errors.append(np.subtract(found, true))
    assert np.sqrt(np.mean(np.square(errors))) < 0.05
    assert np.abs(errors).max() < (0.05 if photons > 100 else 0.1)


def test_memory_of_the_tracker_is_one_image(widefield):
    tracker = DriftTracker(OPTICS)
    for number in range(5):
        tracker.add(np.roll(widefield, 20 * number, axis=0))
    held = [v for v in vars(tracker).values() if isinstance(v, np.ndarray)]
    assert [one.shape for one in held] == [widefield.shape]


def test_an_even_field_keeps_the_place_of_the_one_before(widefield):
    tracker = DriftTracker(OPTICS)
    tracker.add(widefield)
    before = tracker.add(np.roll(widefield, 2, axis=1))
    assert tracker.add(np.ones_like(widefield)) == before
    assert before[1] == pytest.approx(2, abs=0.02)


def test_a_drift_is_undone_and_what_was_not_recorded_is_dark(widefield):
    image = widefield.astype(np.float32)
    moved = scipy.ndimage.shift(image, (3.4, -2.2), order=3)
    back = undone(moved, (3.4, -2.2))
    np.testing.assert_allclose(back[8:-8, 8:-8], image[8:-8, 8:-8], atol=0.02)
    assert (back[-3:] == 0).all()
    assert undone(image, (0.0, 0.0)) is image


@pytest.mark.parametrize(("tau", "floor"), [(5, 0), (12, 30), (60, 10), (1e6, 0)])
def test_factors_undo_an_exponential_decay(tau, floor):
    times = np.arange(30)
    levels = 100 * np.exp(-times / tau) + floor
    factors, misfit = bleaching_factors(levels)
    np.testing.assert_allclose(factors * levels, levels[0], rtol=2e-3)
    assert misfit < 1e-3


def test_what_comes_and_goes_is_not_evened_out():
    times = np.arange(40)
    decay = 100 * np.exp(-times / 20)
    cell = np.where(times == 17, 1.3, 1.0)
    factors, misfit = bleaching_factors(decay * cell)
    corrected = decay * cell * factors
    assert corrected[17] / corrected[16] == pytest.approx(1.3, rel=0.02)
    assert 0.01 < misfit < 0.05


def test_few_time_points_are_brought_to_the_first():
    factors, misfit = bleaching_factors([100.0, 90.0, 95.0])
    np.testing.assert_allclose(factors, [1, 100 / 90, 100 / 95])
    assert misfit == 0


def test_no_light_cannot_be_corrected():
    with pytest.raises(InputError, match="above 0") as caught:
        bleaching_factors([100.0, -3.0])
    assert "input.camera_offset" in caught.value.fields

"""The camera against photon transfer."""

import numpy as np
import pytest

from napari_dps.core import InputError
from napari_dps.physics.camera import Camera

CAMERA = Camera(
    read_noise_e=3.0, gain_counts_per_e=2.2, offset_counts=100.0, row_noise_e=0.0
)


@pytest.mark.parametrize("photons", [20.0, 500.0])
def test_mean_and_variance_follow_photon_transfer(photons):
    frame = np.full((400, 500), photons)
    counts = CAMERA.record(frame, np.random.default_rng(0)).astype(float)
    assert counts.mean() == pytest.approx(100 + 2.2 * photons, rel=2e-3)
    # Rounding to integers adds 1/12.
    expected = 2.2**2 * (photons + 9) + 1 / 12
    assert counts.var() == pytest.approx(expected, rel=0.02)


def test_row_noise_is_shared_by_rows_and_differs_between_frames():
    camera = CAMERA.model_copy(update={"row_noise_e": 4.0, "read_noise_e": 0.0})
    counts = camera.record(np.zeros((2, 2000, 3)), np.random.default_rng(1)).astype(
        float
    )
    assert np.all(counts == counts[..., :1])
    assert counts[0, :, 0].std() == pytest.approx(2.2 * 4.0, rel=0.06)
    assert abs(np.corrcoef(counts[:, :, 0])[0, 1]) < 0.1


def test_same_generator_state_gives_same_counts():
    frame = np.full((16, 17), 30.0, np.float32)
    first, again, other = (
        CAMERA.record(frame, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_counts_clip_to_16_bit():
    frame = np.array([[0.0, 1e30]])
    camera = Camera(read_noise_e=50.0, offset_counts=0.0)
    counts = camera.record(np.repeat(frame, 200, axis=0), np.random.default_rng(0))
    assert counts.dtype == np.uint16
    assert counts[:, 0].min() == 0
    assert np.all(counts[:, 1] == 65535)


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf])
def test_impossible_photons_are_refused(bad):
    frame = np.ones((4, 4))
    frame[2, 1] = bad
    with pytest.raises(InputError, match="expected photons"):
        CAMERA.record(frame, np.random.default_rng(0))

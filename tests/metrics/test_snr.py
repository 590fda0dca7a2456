from __future__ import annotations

import numpy as np
import pytest
from scenes import filaments

from napari_dps.core import InputError
from napari_dps.metrics.snr import (
    noise_is_white,
    noise_std,
    peak_to_noise,
    snr_db,
    snr_reference_db,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("cutoff", [None, 0.25])
def test_noise_std_of_structure_in_gaussian_noise(cutoff):
    image = filaments((200, 231), 1, 0.25, 400) + RNG.normal(0, 20, (200, 231))
    assert noise_std(image, cutoff) == pytest.approx(20, rel=0.08)


def test_noise_std_beyond_cutoff_is_the_mean_shot_noise():
    truth = filaments((256, 256), 2, 0.25, 400)
    found = noise_std(RNG.poisson(truth), 0.25)
    assert found == pytest.approx(np.sqrt(truth.mean()), rel=0.03)


def test_noise_std_falls_back_when_nothing_lies_beyond_the_cutoff():
    image = RNG.normal(size=(64, 64))
    assert noise_std(image, 0.9) == noise_std(image)


def test_noise_std_of_few_counts_is_not_zero():
    found = noise_std(RNG.poisson(0.02, (256, 256)))
    assert found == pytest.approx(np.sqrt(0.02), rel=0.5)


@pytest.mark.parametrize("photons", [30, 300, 5000])
def test_snr_without_reference_equals_snr_with_it(photons):
    truth = filaments((256, 240), 4, 0.25, photons)
    image = RNG.poisson(truth)
    blind = snr_db(image, noise_std(image, 0.25))
    assert blind == pytest.approx(snr_reference_db(image, truth), abs=0.5)


def test_snr_reference_of_known_error():
    truth = np.tile([0.0, 2.0], (8, 4))
    error = np.where(np.indices(truth.shape)[0] % 2, 0.01, -0.01)
    assert snr_reference_db(truth + error, truth) == pytest.approx(40)
    assert snr_reference_db(truth, truth) == np.inf


@pytest.mark.parametrize("shape", [(37, 31), (128, 128)])
def test_snr_of_noise_alone_is_none(shape):
    found = [RNG.normal(5, 2, shape) for _ in range(20)]
    assert sum(snr_db(image, noise_std(image)) is not None for image in found) <= 1


def test_peak_to_noise_of_spots():
    image = RNG.normal(100, 2, (100, 100))
    image[::10, ::10] += 80
    assert peak_to_noise(image, 2.0) == pytest.approx(40, rel=0.1)
    assert peak_to_noise(image, 0.0) is None


def test_noise_is_white_tells_raw_from_resampled(data_dir):
    import tifffile

    raw = tifffile.imread(data_dir / "sim9_er_timelapse" / "raw.tif")
    frame = raw.reshape(-1, *raw.shape[-2:])[0]
    upsampled = tifffile.imread(data_dir / "sim15_microtubules_pair" / "le_frames.tif")
    sim = tifffile.imread(data_dir / "sim15_microtubules_pair" / "he_sim.tif")
    assert noise_is_white(frame)
    assert not noise_is_white(upsampled[0])
    assert not noise_is_white(sim)


def test_too_small_image_is_refused():
    with pytest.raises(InputError, match="4×4"):
        noise_std(np.eye(3))

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import InputError
from napari_dps.metrics.pattern import modulation_contrast, raw_checks

RNG = np.random.default_rng(0)


def stripes(phases, contrast, counts=400.0, shape=(160, 150)):
    """Return expected counts of an even field, lit by stripes, one angle."""
    y, x = np.indices(shape)
    steps = 2 * np.pi * np.arange(phases)[:, None, None] / phases
    wave = np.cos(2 * np.pi * (0.21 * x + 0.08 * y) + steps)
    return counts * (1 + contrast * wave)[None]


@pytest.mark.parametrize("phases", [3, 5, 7])
def test_mcnr_of_a_known_sinusoid(phases):
    # 2√(λ(1 + c·cos)) has the amplitude √λ·c for small c, and the noise 1
    found = modulation_contrast(RNG.poisson(stripes(phases, 0.4)))
    unit = np.sqrt((1 - np.pi / 4) * phases)
    signal = phases * np.sqrt(400) * 0.4 / 2
    noise_power = phases * (phases - 1) / 2  # P for each of the (P−1)/2 harmonics
    expected = np.sqrt(signal**2 + noise_power) / unit
    assert found.mean == pytest.approx(expected, rel=0.04)
    assert found.noise_std == pytest.approx(1, rel=0.03)
    assert found.mcnr_map.shape == (1, 160, 150)


@pytest.mark.parametrize(("phases", "baseline"), [(3, 1.91), (5, 2.87)])
def test_mcnr_of_no_stripes_is_the_baseline(phases, baseline):
    found = modulation_contrast(RNG.poisson(stripes(phases, 0)))
    assert found.mean == pytest.approx(baseline, rel=0.03)


def test_camera_gain_does_not_matter():
    frames = RNG.poisson(stripes(3, 0.5))
    first, second = modulation_contrast(frames), modulation_contrast(frames * 3.7)
    assert first.mean == pytest.approx(second.mean, rel=0.01)


def test_angles_are_told_apart_and_bleaching_is_no_contrast():
    frames = np.concatenate([stripes(3, 0.6), stripes(3, 0.0)])
    frames *= np.array([1, 0.8, 0.6])[None, :, None, None]
    found = modulation_contrast(RNG.poisson(frames))
    assert found.per_angle[0] > 10
    assert found.per_angle[1] == pytest.approx(1.91, rel=0.05)


def test_features_are_measured_and_not_the_background():
    frames = stripes(3, 0.5, counts=1000)
    frames[..., :100] *= 0.01
    found = modulation_contrast(RNG.poisson(frames))
    assert found.mean == pytest.approx(float(found.mcnr_map[..., 105:].mean()), rel=0.1)


def test_slightly_negative_counts_are_allowed():
    frames = RNG.poisson(stripes(3, 0.5, counts=3)) - 1.0
    assert np.isfinite(modulation_contrast(frames).mean)


@pytest.mark.parametrize("shape", [(3, 2, 8, 8), (3, 8, 8), (0, 3, 8, 8)])
def test_wrong_shape_is_refused(shape):
    with pytest.raises(InputError, match="phases"):
        modulation_contrast(np.ones(shape))


def test_constant_frames_are_refused():
    with pytest.raises(InputError, match="no noise"):
        modulation_contrast(np.ones((3, 3, 16, 16)))


def test_raw_checks_of_known_intensities():
    frames = np.full((3, 3, 10, 10), 1000, np.uint16)
    frames[1] = 700
    frames[2, 2] = 950
    frames[0, 0, 0, :9] = 4095
    frames[0, 0, 5:] -= np.uint16(9 * 3095 // 50)  # keep the mean
    found = raw_checks(frames)
    assert found.angle_variation_percent == pytest.approx(30, abs=0.1)
    assert found.phase_variation_percent == pytest.approx(5, abs=0.1)
    assert found.saturated_percent == pytest.approx(1)


def test_saturation_of_integers_below_full_scale_is_none():
    frames = np.full((3, 3, 8, 8), 1000, np.uint16)
    assert raw_checks(frames).saturated_percent == 0
    assert raw_checks(frames.astype(float)).saturated_percent is None
    assert raw_checks(frames.astype(float), 1000).saturated_percent == 100


def test_dark_frames_have_no_variation():
    found = raw_checks(np.zeros((3, 3, 8, 8)))
    assert found.angle_variation_percent is None
    assert found.phase_variation_percent is None


def test_real_stripes_stand_out_of_the_noise(data_dir):
    import tifffile

    raw = tifffile.imread(data_dir / "sim9_er_timelapse" / "raw.tif")
    frames = raw.reshape(-1, 3, 3, *raw.shape[-2:])[0]
    found = modulation_contrast(frames)
    assert min(found.per_angle) > 3
    assert raw_checks(frames).angle_variation_percent < 5

from __future__ import annotations

import numpy as np
import pytest
from scenes import filaments, filtered

from napari_dps.core import InputError
from napari_dps.metrics.frc import ring_correlation, single_image_ring_correlation

RNG = np.random.default_rng(0)


def test_independent_noise_has_mean_zero_and_the_stated_spread():
    curves, levels = [], []
    for _ in range(60):
        a, b = RNG.normal(size=(2, 96, 110))
        found = ring_correlation(a, b, "3-sigma")
        curves.append(found.correlation[4:-4])
        levels.append(found.threshold[4:-4])
    curves, levels = np.array(curves), np.array(levels)
    assert abs(curves.mean()) < 0.005
    np.testing.assert_allclose(3 * curves.std(axis=0).mean(), levels.mean(), rtol=0.1)


def test_correlation_is_snr_over_one_plus_snr():
    # amplitude 2·exp(−k/0.1) against white noise of 1: SNR = 4·exp(−k/0.05)
    shape = (300, 320)
    errors, cutoffs = [], []
    for _ in range(8):
        signal = filtered(RNG.normal(size=shape), lambda k: 2 * np.exp(-k / 0.1))
        a, b = signal + RNG.normal(size=(2, *shape))
        found = ring_correlation(a, b)
        snr = 4 * np.exp(-found.frequency_per_pixel / 0.05)
        errors.append(found.correlation - snr / (1 + snr))
        cutoffs.append(found.cutoff_per_pixel)
    assert np.abs(np.mean(errors, axis=0)[8:]).max() < 0.1
    assert abs(np.mean(errors)) < 0.01
    # 1/7 is an SNR of 1/6
    assert np.mean(cutoffs) == pytest.approx(0.05 * np.log(24), rel=0.03)
    assert np.std(cutoffs) < 0.1 * np.mean(cutoffs)


def test_half_bit_criterion_is_that_of_van_heel_and_schatz():
    a = RNG.normal(size=(2000, 40))
    found = ring_correlation(a, a, "half-bit")
    # n → ∞ leaves 0.2071/1.2071; few pixels ask for more
    assert found.threshold[-1] == pytest.approx(0.1716, abs=0.03)
    assert np.all(np.diff(found.threshold) <= 1e-12)
    assert found.threshold[0] > found.threshold[-1]


@pytest.mark.parametrize("threshold", ["1/7", "half-bit", "3-sigma"])
def test_noise_alone_has_no_resolution(threshold):
    for _ in range(5):
        a, b = RNG.normal(size=(2, 128, 128))
        found = ring_correlation(a, b, threshold)
        assert found.cutoff_per_pixel is None
        assert found.note == "no structure in common above the noise"
        alone = single_image_ring_correlation(a, threshold)
        assert alone.cutoff_per_pixel is None


@pytest.mark.parametrize("photons", [30, 300, 3000])
@pytest.mark.parametrize("cutoff", [0.12, 0.2])
def test_one_image_gives_the_resolution_of_two(cutoff, photons):
    truth = filaments((300, 341), 8, cutoff, photons)
    first, second = RNG.poisson(truth), RNG.poisson(truth)
    two = ring_correlation(first, second)
    one = single_image_ring_correlation(first)
    assert one.cutoff_per_pixel == pytest.approx(two.cutoff_per_pixel, rel=0.08)
    assert one.resolution_nm(50) == pytest.approx(50 / one.cutoff_per_pixel)


def test_one_image_undoes_the_shift_of_its_halves():
    smooth = filaments((256, 256), 9, 0.2, 1e6)  # hardly any noise: correlation 1
    found = single_image_ring_correlation(RNG.poisson(smooth))
    low = found.frequency_per_pixel < 0.12
    assert found.correlation[low][2:].min() > 0.98


def test_one_image_that_is_sampled_too_coarsely_says_so():
    found = single_image_ring_correlation(
        RNG.poisson(filaments((256, 256), 10, 0.45, 5e4))
    )
    assert found.resolution_px is None
    assert "4 px" in found.note


def test_anticorrelated_images_have_no_resolution():
    image = RNG.normal(size=(64, 64))
    found = ring_correlation(image, -image)
    np.testing.assert_allclose(found.correlation, -1, atol=1e-9)
    assert found.cutoff_per_pixel is None


def test_wrong_input_is_refused():
    image = RNG.normal(size=(64, 64))
    with pytest.raises(InputError, match="threshold"):
        ring_correlation(image, image, "1/2")
    with pytest.raises(InputError, match="32×32"):
        ring_correlation(image[:31], image[:31])
    with pytest.raises(InputError, match="64×64"):
        single_image_ring_correlation(image[:62])
    with pytest.raises(InputError, match="constant"):
        ring_correlation(image, np.ones_like(image))
    with pytest.raises(InputError, match="constant"):
        single_image_ring_correlation(np.ones_like(image))

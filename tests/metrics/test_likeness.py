from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_dps.core import InputError
from napari_dps.metrics import reference as likeness

RNG = np.random.default_rng(0)
TRUTH = gaussian_filter(RNG.normal(size=(61, 84)), 2) * 1000 + 5000


def test_psnr_of_known_error_is_exact():
    sign = np.where(np.indices(TRUTH.shape).sum(0) % 2, 1, -1)
    expected = 20 * np.log10(np.ptp(TRUTH) / 7)
    assert likeness.psnr_db(TRUTH + 7 * sign, TRUTH) == pytest.approx(expected)
    assert likeness.psnr_db(TRUTH + 7 * sign, TRUTH, 70) == pytest.approx(20)


def test_psnr_of_integer_counts_does_not_wrap():
    dark, bright = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    bright[0] = 0
    expected = -10 * np.log10(12 / 16)
    assert likeness.psnr_db(dark, bright) == pytest.approx(expected)


def test_identical_images_score_best():
    assert likeness.psnr_db(TRUTH, TRUTH) == np.inf
    assert likeness.ssim(TRUTH, TRUTH) == pytest.approx(1)
    assert likeness.nrmse(TRUTH, TRUTH) == 0
    assert likeness.pearson(TRUTH, TRUTH) == pytest.approx(1)


def test_ssim_of_constant_shift_follows_the_luminance_term():
    # equal structure, means a and b: SSIM = (2ab + c₁)/(a² + b² + c₁)
    flat = np.full((20, 20), 100.0)
    expected = (2 * 100 * 130 + 1) / (100**2 + 130**2 + 1)
    assert likeness.ssim(flat + 30, flat, 100) == pytest.approx(expected)
    assert likeness.ssim(flat + 30, flat, 100, k1=1) == pytest.approx(
        (2 * 100 * 130 + 1e4) / (100**2 + 130**2 + 1e4)
    )


def test_ssim_does_not_depend_on_units():
    noisy = TRUTH + RNG.normal(0, 50, TRUTH.shape)
    assert likeness.ssim(noisy * 300, TRUTH * 300) == pytest.approx(
        likeness.ssim(noisy, TRUTH)
    )


def test_fit_intensity_undoes_scale_and_offset():
    fitted = likeness.fit_intensity(TRUTH * -0.3 + 12, TRUTH)
    np.testing.assert_allclose(fitted, TRUTH, rtol=1e-10)


def test_fit_intensity_of_constant_image_is_the_mean():
    fitted = likeness.fit_intensity(np.ones_like(TRUTH), TRUTH)
    np.testing.assert_allclose(fitted, TRUTH.mean())


def test_fit_radial_gain_undoes_a_blur_and_keeps_an_artefact():
    blurred = gaussian_filter(TRUTH, 1.2) * 2 + 3
    left = likeness.fit_radial_gain(blurred, TRUTH) - TRUTH
    plain = likeness.fit_intensity(blurred, TRUTH) - TRUTH
    assert left.std() < 0.15 * plain.std()
    broken = blurred.copy()
    broken[20:30, 30:40] += 200
    worse = likeness.fit_radial_gain(broken, TRUTH) - TRUTH
    assert worse.std() > 3 * left.std()


def test_fit_radial_gain_keeps_mean_and_single_precision():
    image = TRUTH.astype(np.float32)
    fitted = likeness.fit_radial_gain(gaussian_filter(image, 2), image)
    assert fitted.dtype == np.float32
    assert fitted.mean(dtype=float) == pytest.approx(TRUTH.mean(), rel=1e-6)


@pytest.mark.parametrize("function", [likeness.psnr_db, likeness.ssim, likeness.nrmse])
def test_shapes_that_differ_are_refused(function):
    with pytest.raises(InputError, match="shape of the image"):
        function(TRUTH, TRUTH[:-1])


def test_not_a_number_is_refused():
    broken = TRUTH.copy()
    broken[3, 4] = np.nan
    with pytest.raises(InputError, match="not finite"):
        likeness.pearson(broken, TRUTH)


@pytest.mark.parametrize("data_range", [0, -1, np.nan, np.inf])
def test_impossible_data_range_is_refused(data_range):
    with pytest.raises(InputError, match="data range"):
        likeness.psnr_db(TRUTH, TRUTH + 1, data_range)


def test_undefined_scores_are_refused():
    flat = np.zeros_like(TRUTH)
    with pytest.raises(InputError, match="constant"):
        likeness.psnr_db(TRUTH, flat)
    with pytest.raises(InputError, match="constant"):
        likeness.pearson(flat, TRUTH)
    with pytest.raises(InputError, match="zero everywhere"):
        likeness.nrmse(TRUTH, flat)
    with pytest.raises(InputError, match="11×11"):
        likeness.ssim(TRUTH[:10], TRUTH[:10])

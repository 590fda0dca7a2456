from __future__ import annotations

import numpy as np
import pytest
from scenes import filaments
from scipy.ndimage import gaussian_filter

from napari_dps.core import ImageStack, InputError
from napari_dps.metrics.error_map import error_map

FINE = filaments((180, 220), 1, 0.4, 100)


def blurred(image, sigma, scale=3.0, offset=50.0):
    return scale * gaussian_filter(image, sigma, mode="reflect", truncate=8) + offset


@pytest.mark.parametrize("sigma", [1.5, 3.0, 6.0])
def test_consistent_pair_is_recovered(sigma):
    wide = ImageStack(blurred(FINE, sigma), "YX", pixel_size_nm=30)
    found = error_map(ImageStack(FINE, "YX", pixel_size_nm=30), wide)
    assert found.rsp == pytest.approx(1, abs=1e-6)
    assert found.rsf_sigma_px == pytest.approx(sigma, rel=0.01)
    assert found.rsf_sigma_nm == pytest.approx(30 * sigma, rel=0.01)
    assert found.scale == pytest.approx(3, rel=1e-3)
    assert found.offset == pytest.approx(50, abs=0.1)
    assert found.rse < 1e-2
    assert found.error.shape == FINE.shape


def test_finer_grid_is_compared_where_it_lies():
    wide = blurred(FINE, 6).reshape(90, 2, 110, 2).mean(axis=(1, 3))
    image = ImageStack(FINE, "YX", 30, origin_nm=(-15, -15))
    reference = ImageStack(wide, "YX", 60)
    found = error_map(image, reference)
    assert found.rsp > 0.99999
    assert found.rsf_sigma_nm == pytest.approx(180, rel=0.01)
    assert found.error.shape == (90, 110)
    assert found.error.pixel_size_nm == 60
    wrong = error_map(image.derive(FINE, origin_nm=(0.0, 0.0)), reference)
    assert wrong.rse > 10 * found.rse  # a quarter pixel is seen


def test_equal_images_need_no_blur():
    stack = ImageStack(FINE, "YX")
    found = error_map(stack, stack)
    assert found.rsf_sigma_px < 0.02
    assert found.rsf_sigma_nm is None
    assert found.rsp == pytest.approx(1)


def test_invented_structure_is_where_the_map_is_brightest():
    wide = ImageStack(blurred(FINE, 3), "YX")
    invented = FINE.copy()
    invented[88:93, 140:145] += 500
    found = error_map(ImageStack(invented, "YX"), wide)
    y, x = np.unravel_index(np.argmax(found.error.data), FINE.shape)
    assert abs(y - 90) <= 2
    assert abs(x - 142) <= 2
    assert found.rsp < 0.99


def test_rse_is_the_rms_of_noise_added_to_the_widefield():
    noise = np.random.default_rng(0).normal(0, 4, FINE.shape)
    wide = ImageStack(blurred(FINE, 3) + noise, "YX")
    found = error_map(ImageStack(FINE, "YX"), wide)
    assert found.rse == pytest.approx(4, rel=0.02)
    assert found.rse == pytest.approx(np.sqrt(np.mean(found.error.data**2)))
    assert found.rsf_sigma_px == pytest.approx(3, rel=0.02)


def test_rsp_and_rse_are_those_of_the_stated_fit():
    wide = blurred(FINE, 2) + np.random.default_rng(1).normal(0, 30, FINE.shape)
    found = error_map(ImageStack(FINE, "YX"), ImageStack(wide, "YX"))
    fit = blurred(FINE, found.rsf_sigma_px, found.scale, found.offset)
    assert found.rsp == pytest.approx(np.corrcoef(fit.ravel(), wide.ravel())[0, 1])
    np.testing.assert_allclose(found.error.data, np.abs(wide - fit), atol=1e-2)


def test_real_sim_agrees_with_its_widefield_image(data_dir):
    import tifffile

    folder = data_dir / "wf_sim_er"
    sim = ImageStack(tifffile.imread(folder / "sim_gt_level_05.tif"), "YX")
    wide = ImageStack(tifffile.imread(folder / "wf_level_05.tif"), "YX")
    found = error_map(sim, wide)
    assert 0.97 < found.rsp < 1
    assert 1 < found.rsf_sigma_px < 2.5


def test_constant_image_is_refused():
    stack = ImageStack(FINE, "YX")
    with pytest.raises(InputError, match="constant"):
        error_map(ImageStack(np.ones_like(FINE), "YX"), stack)

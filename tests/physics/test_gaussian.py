"""A wide Gaussian by cosine series is that of a sum over neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_dps.core.at_once import threads_at_hand
from napari_dps.physics.gaussian import smoothed_widely


@pytest.mark.parametrize("sigma_px", [0.7, 2.0, 16.0])
@pytest.mark.parametrize("shape", [(37, 31), (64, 200), (1, 5)])
def test_wide_gaussian_is_that_of_scipy(shape, sigma_px):
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    expected = gaussian_filter(image, sigma_px)
    np.testing.assert_allclose(smoothed_widely(image, sigma_px), expected, atol=2e-6)


def test_wide_gaussian_takes_planes_one_by_one_and_leaves_them():
    planes = np.random.default_rng(2).random((3, 20, 30))
    before = planes.copy()
    smooth = smoothed_widely(planes, 5.0)
    assert smooth.dtype == np.float32
    np.testing.assert_allclose(smooth[1], smoothed_widely(planes[1], 5.0), atol=1e-6)
    np.testing.assert_array_equal(planes, before)


def test_number_of_threads_changes_no_pixel():
    image = np.random.default_rng(3).random((200, 300), dtype=np.float32)
    found, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert threads_at_hand() == count
            found.append(smoothed_widely(image, 4.0))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*found)

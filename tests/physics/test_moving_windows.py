"""Means over windows, against plain ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_dps.physics.windows import blurred, dilated, eroded, pooled, window_means

SHAPE = (37, 71)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE, dtype=np.float32)


def _over_what_there_is(filtered, image):
    return filtered(image) / filtered(np.ones_like(image))


@pytest.mark.parametrize("sigma_px", [0.3, 1.0, 4.2])
def test_gaussian_means_are_those_of_what_there_is_of_the_window(image, sigma_px):
    def gaussian(plane):
        edge = max(1, int(np.ceil(3 * sigma_px)))
        return ndimage.gaussian_filter(plane, sigma_px, mode="constant", radius=edge)

    expected = _over_what_there_is(gaussian, image)
    found = blurred(torch.from_numpy(image), sigma_px).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_square_means_are_those_of_what_there_is_of_the_square(image):
    expected = _over_what_there_is(
        lambda plane: ndimage.uniform_filter(plane, 7, mode="constant"), image
    )
    found = window_means(torch.from_numpy(image)[None], 3)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_pooled_edges_are_means_of_what_there_is(image):
    found = pooled(torch.from_numpy(image)).numpy()
    assert found.shape == (19, 36)
    assert found[3, 5] == pytest.approx(image[6:8, 10:12].mean())
    assert found[-1, 5] == pytest.approx(image[-1:, 10:12].mean())
    assert found[3, -1] == pytest.approx(image[6:8, -1:].mean())


def test_largest_and_least_of_a_pixel_and_those_around(image):
    found = dilated(torch.from_numpy(image)), eroded(torch.from_numpy(image))
    for one, filtered in zip(
        found, (ndimage.maximum_filter, ndimage.minimum_filter), strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), filtered(image, 3, mode="nearest"))

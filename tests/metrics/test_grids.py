from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, InputError
from napari_dps.metrics.grids import common_grid


def scene(shape, pixel_nm, origin_nm):
    """Sample a smooth object, given in nm, on a grid."""
    y = origin_nm[0] + pixel_nm * np.arange(shape[0])[:, None]
    x = origin_nm[1] + pixel_nm * np.arange(shape[1])
    spots = [(2000, 1700, 1.0), (2600, 2900, 0.6), (1100, 2400, 0.8)]
    data = sum(
        h * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 180.0**2))
        for cy, cx, h in spots
    )
    return ImageStack(data, "YX", pixel_size_nm=pixel_nm, origin_nm=origin_nm)


@pytest.mark.parametrize("factor", [2, 3])
def test_fine_image_onto_coarse_grid_lands_where_the_object_is(factor):
    coarse = scene((64, 71), 65.0, (0.0, 0.0))
    first = 65 * (1 / factor - 1) / 2
    fine = scene((64 * factor, 71 * factor), 65 / factor, (first, first))
    moved, kept = common_grid(fine, coarse)
    assert moved.shape == kept.shape == coarse.shape
    assert moved.origin_nm == coarse.origin_nm
    np.testing.assert_allclose(moved.data, coarse.data, atol=1e-4)


def test_coarse_image_onto_fine_grid_lands_where_the_object_is():
    fine = scene((128, 142), 32.5, (-16.25, -16.25))
    moved, _ = common_grid(scene((64, 71), 65.0, (0.0, 0.0)), fine)
    np.testing.assert_allclose(moved.data, fine.data, atol=1e-4)
    assert moved.pixel_size_nm == 32.5


def test_forgotten_quarter_pixel_would_be_seen():
    fine = scene((128, 142), 32.5, (0.0, 0.0))
    wrong = fine.derive(fine.data, origin_nm=(-16.25, -16.25))
    moved, kept = common_grid(scene((64, 71), 65.0, (0.0, 0.0)), wrong)
    assert np.abs(moved.data - kept.data).max() > 0.05


def test_odd_ratio_and_partial_overlap_keep_to_the_object():
    image = scene((70, 66), 65.0, (300.0, -200.0))
    reference = scene((90, 97), 48.0, (0.0, 0.0))
    moved, kept = common_grid(image, reference)
    assert kept.origin_nm == (288.0, 0.0)
    expected = scene(kept.shape, 48.0, kept.origin_nm)
    np.testing.assert_allclose(moved.data, expected.data, atol=2e-3)
    np.testing.assert_array_equal(kept.data, expected.data)


def test_grids_that_coincide_are_copied_exactly():
    noise = np.random.default_rng(0).normal(size=(40, 50))
    image = ImageStack(noise, "YX", 65, origin_nm=(130.0, 0.0))
    reference = ImageStack(noise, "YX", 65)
    moved, kept = common_grid(image, reference)
    np.testing.assert_array_equal(moved.data, noise[:38])
    np.testing.assert_array_equal(kept.data, noise[2:])


def test_without_pixel_size_both_show_the_same_field():
    fine = scene((128, 142), 32.5, (-16.25, -16.25))
    coarse = scene((64, 71), 65.0, (0.0, 0.0))
    bare = ImageStack(fine.data, "YX")
    moved, _ = common_grid(bare, ImageStack(coarse.data, "YX"))
    np.testing.assert_allclose(moved.data, coarse.data, atol=1e-4)
    assert moved.pixel_size_nm is None
    learned, _ = common_grid(fine, ImageStack(coarse.data, "YX"))
    assert learned.pixel_size_nm == pytest.approx(65)
    assert learned.origin_nm == pytest.approx((0, 0))


def test_single_precision_stays():
    fine = scene((128, 142), 32.5, (-16.25, -16.25))
    single = fine.derive(fine.data.astype(np.float32))
    moved, _ = common_grid(single, scene((64, 71), 65.0, (0.0, 0.0)))
    assert moved.data.dtype == np.float32


def test_fields_that_do_not_overlap_are_refused():
    with pytest.raises(InputError, match="overlap"):
        common_grid(scene((8, 8), 65.0, (0.0, 0.0)), scene((8, 8), 65.0, (9e3, 0.0)))


def test_shapes_out_of_proportion_are_refused_without_pixel_size():
    with pytest.raises(InputError, match="proportion"):
        common_grid(
            ImageStack(np.ones((8, 8)), "YX"), ImageStack(np.ones((8, 9)), "YX")
        )


def test_stacks_are_refused():
    stack = ImageStack(np.ones((2, 8, 8)), "TYX")
    with pytest.raises(InputError, match="axes"):
        common_grid(stack, stack)

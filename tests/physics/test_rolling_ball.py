"""The rolling ball against scikit-image, and against what a ball must do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import rolling_ball as skimage_rolling_ball

from napari_dps.core import InputError
from napari_dps.physics import rolling_ball as module
from napari_dps.physics.ball import ball_reach_px
from napari_dps.physics.rolling_ball import rolling_ball, rolling_ball_steps

Array = NDArray[np.floating]


def cells(shape: tuple[int, int], *, peak: float = 4000.0, noise: bool = True) -> Array:
    """Blobs on a slope, in counts, with or without Poisson noise."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[: shape[0], : shape[1]]
    spots = np.zeros(shape)
    spots[rng.random(shape) < 0.003] = 1
    image = 40 * ndimage.gaussian_filter(spots, 3) + 0.002 * x + 0.001 * y + 0.02
    image *= peak / image.max()
    return rng.poisson(image).astype(np.float32) if noise else image.astype(np.float32)


@pytest.mark.parametrize("radius", [1, 1.5, 2, 7.3, 14, 20, 33, 50, 120])
def test_values_equal_skimage_to_the_bit_for_every_radius(radius: float) -> None:
    image = cells((70, 91))
    ours = rolling_ball(image, radius, tolerance=0)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, skimage_rolling_ball(image, radius=radius))


@pytest.mark.slow
def test_values_equal_skimage_for_a_ball_much_larger_than_the_image() -> None:
    image = cells((24, 31))
    ours = rolling_ball(image, 500, tolerance=0)
    np.testing.assert_array_equal(ours, skimage_rolling_ball(image, radius=500))


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 40), (40, 1), (2, 3), (37, 31), (64, 64), (130, 45)]
)
def test_values_equal_skimage_for_every_shape(shape: tuple[int, int]) -> None:
    image = cells(shape)
    for radius in (3, 25, 50):
        np.testing.assert_array_equal(
            rolling_ball(image, radius, tolerance=0),
            skimage_rolling_ball(image, radius=radius),
        )


@pytest.mark.parametrize("strip_blocks", [1, 100])
def test_values_do_not_depend_on_the_strips(
    strip_blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = cells((170, 75))
    image[:100] = 7  # some strips see nothing but a constant
    whole = [rolling_ball(image, radius, tolerance=0) for radius in (6, 30)]
    monkeypatch.setattr(module, "STRIP_BLOCKS", strip_blocks)
    strips = [rolling_ball(image, radius, tolerance=0) for radius in (6, 30)]
    np.testing.assert_array_equal(strips, whole)


@pytest.mark.parametrize(
    "image",
    [
        cells((96, 80)) / np.float32(4000),
        cells((96, 80), peak=100),
        cells((96, 80), noise=False),
        cells((96, 80)) - np.float32(2500),
        np.mgrid[:96, :80].sum(axis=0).astype(np.float32) * 5,
        np.where(np.mgrid[:96, :80][0] < 40, 7, cells((96, 80))).astype(np.float32),
    ],
    ids=["unit range", "range 100", "smooth", "negative", "plane", "half flat"],
)
def test_error_stays_within_tolerance_and_below_the_image(image: Array) -> None:
    exact = skimage_rolling_ball(image, radius=30)
    for tolerance in (0.0, 0.001, 0.005, 0.05, 1.0):
        ours = rolling_ball(image, 30, tolerance=tolerance)
        assert (ours >= exact).all()
        assert (ours <= image).all()
        assert (ours - exact).max() <= tolerance * np.ptp(image)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float64])
def test_type_holds_the_values_and_is_not_cast_back(dtype: type) -> None:
    image = (cells((48, 40)) * 0.05).astype(dtype)
    exact = skimage_rolling_ball(image.astype(np.float64), radius=20)
    ours = rolling_ball(image, 20, tolerance=0)
    small = np.dtype(dtype).itemsize <= 2
    assert ours.dtype == (np.float32 if small else np.float64)
    np.testing.assert_allclose(ours, exact, rtol=1e-6 if small else 0)
    if np.dtype(dtype).kind in "iu":
        cast = skimage_rolling_ball(image, radius=20)
        np.testing.assert_array_equal(exact.astype(dtype), cast)
        assert (exact != cast).any()


def test_tolerance_holds_where_rounding_is_as_large() -> None:
    image = cells((64, 64), peak=4) + np.float32(1e6)
    exact = skimage_rolling_ball(image.astype(np.float64), radius=30)
    ours = rolling_ball(image, 30, tolerance=0.1)
    ulp = float(np.spacing(np.float32(1e6)))
    assert (ours - exact).max() <= 0.1 * np.ptp(image) + ulp


def test_constant_image_is_all_background() -> None:
    image = np.full((40, 50), 123, np.uint16)
    np.testing.assert_array_equal(rolling_ball(image), image)


def test_tilted_plane_is_lowered_by_what_the_ball_needs() -> None:
    # A ball under a slope a touches at R·a/√(1+a²) downhill and hangs R(√(1+a²) − 1)
    # below the plane.
    slope, radius = 0.75, 40.0
    image = np.tile(slope * np.arange(200.0), (120, 1))
    background = rolling_ball(image, radius, tolerance=0)
    sag = (image - background)[60, 60:140]
    np.testing.assert_allclose(sag, radius * (np.hypot(1, slope) - 1), atol=0.02)


def test_single_bright_spot_is_removed_from_the_background() -> None:
    image = np.full((81, 81), 100.0)
    image[40, 40] = 5000.0
    background = rolling_ball(image, 50, tolerance=0)
    assert background[40, 40] == pytest.approx(100 + 50 - np.sqrt(50**2 - 1))
    image[40, 40] = 100.0
    np.testing.assert_array_equal(np.delete(background, 40, 0), np.delete(image, 40, 0))


def test_single_dark_pixel_prints_the_ball() -> None:
    image = np.full((61, 61), 1000.0)
    image[30, 30] = 0.0
    y, x = np.mgrid[-30:31, -30:31]
    distance = np.hypot(y, x)
    ball = np.where(distance <= 20, 20 - np.sqrt(np.maximum(400 - distance**2, 0)), 1e3)
    background = rolling_ball(image, 20, tolerance=0)
    np.testing.assert_allclose(background, ball, atol=1e-12)


@pytest.mark.slow
@given(
    image=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=24),
        elements=st.floats(-1e4, 1e4, width=32),
    ),
    radius=st.floats(1, 60),
    tolerance=st.sampled_from([0.0, 0.01]),
)
def test_any_image_matches_skimage(
    image: Array, radius: float, tolerance: float
) -> None:
    exact = skimage_rolling_ball(image, radius=radius)
    ours = rolling_ball(image, radius, tolerance=tolerance)
    if tolerance == 0:
        np.testing.assert_array_equal(ours, exact)
    assert (ours >= exact).all()
    assert (ours - exact <= tolerance * np.ptp(image.astype(float))).all()


def test_input_is_unchanged_and_may_be_any_view() -> None:
    image = cells((60, 60))
    view = image[::-2, 5:50].T
    before = image.copy()
    ours = rolling_ball(view, 20, tolerance=0)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(ours, rolling_ball(view.copy(), 20, tolerance=0))


def test_steps_report_progress_to_the_end_and_can_be_stopped() -> None:
    image = cells((200, 150))
    reports = list(rolling_ball_steps(image, 50, tolerance=0))
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == reports[-1].total
    assert len(set(done)) > 3
    steps = rolling_ball_steps(image, 50)
    next(steps)
    steps.close()


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((3, 4, 4)), {}, "2-D"),
        (np.zeros((0, 4)), {}, "not empty"),
        (np.zeros((4, 4), complex), {}, "floating point"),
        (np.full((4, 4), np.nan), {}, "not finite"),
        (np.array([[0.0, np.inf]]), {}, "not finite"),
        (np.zeros((4, 4)), {"radius_px": 0.5}, "1 to 500"),
        (np.zeros((4, 4)), {"radius_px": 501}, "1 to 500"),
        (np.zeros((4, 4)), {"radius_px": float("nan")}, "1 to 500"),
        (np.zeros((4, 4)), {"tolerance": -0.1}, "0 to 1"),
    ],
)
def test_bad_input_is_refused(image: Array, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rolling_ball(image, **options)


def test_reach_ends_where_the_ball_has_risen_by_the_range() -> None:
    assert ball_reach_px(50, span=50) == 50
    reach = ball_reach_px(50, span=10)
    assert 50 - np.sqrt(50**2 - reach**2) == pytest.approx(10)

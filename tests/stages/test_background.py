"""The stage ``background``: what it keeps, what it takes away, when it warns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage.restoration import rolling_ball as skimage_rolling_ball

from napari_dps.core import ImageStack, InputError, Optics, Pattern, finish
from napari_dps.core.context import Context
from napari_dps.core.params import parse
from napari_dps.stages.background import STAGE, BackgroundParameters

EXACT = BackgroundParameters(radius_px=30, smoothing_px=0, tolerance=0)


def skimage_background(image: np.ndarray, radius_px: float) -> np.ndarray:
    """Background by scikit-image, the image's range being 255 px high."""
    dark, bright = np.percentile(image.astype(float), [1, 99.9])
    level = (bright - dark) / 255
    found = skimage_rolling_ball(
        ((image - dark) / level).astype(np.float32), radius=radius_px
    )
    return np.maximum(found.astype(float) * level + dark, 0)


def filaments(dtype: type = np.float32) -> ImageStack:
    """Bright lines of 1000 counts on a haze of up to 300."""
    y, x = np.mgrid[:90, :120]
    haze = 300 * np.exp(-((y - 45) ** 2 + (x - 60) ** 2) / (2 * 40**2))
    lines = 1000 * ndimage.gaussian_filter((x % 24 == 12).astype(float), 1.5)
    optics = Optics(na=1.3, emission_nm=660, pixel_size_nm=32.5)
    return ImageStack(
        (haze + lines).astype(dtype),
        "YX",
        pixel_size_nm=32.5,
        origin_nm=(-16.25, -16.25),
        optics=optics,
        patterns=(Pattern(angle_deg=30, period_nm=350),),
    )


def test_result_is_image_minus_skimage_background() -> None:
    stack = filaments()
    result = finish(STAGE.run(stack, EXACT))
    expected = stack.data - skimage_background(stack.data, 30)
    np.testing.assert_allclose(result.data, expected, rtol=0, atol=1e-4)


def test_haze_is_removed_and_counts_of_lines_are_kept() -> None:
    x = np.arange(240)
    line = 1000 * ndimage.gaussian_filter1d((x % 24 == 12).astype(float), 1.5)
    haze = 300 * np.exp(-((np.mgrid[:120, :240] - 90) ** 2).sum(axis=0) / (2 * 300**2))
    result = finish(STAGE.run(ImageStack(haze + line, "YX"), EXACT)).data
    # The ball stays below the haze by no more than its slope times the radius.
    left = 30 * np.hypot(*np.gradient(haze)).max()
    assert left < 20
    assert haze.min() > 200
    np.testing.assert_allclose(result, np.tile(line, (120, 1)), atol=left)


def test_default_tolerance_is_off_by_no_more() -> None:
    stack = filaments()
    exact = finish(STAGE.run(stack, BackgroundParameters(tolerance=0))).data
    default = finish(STAGE.run(stack, BackgroundParameters())).data
    assert (default <= exact + 1e-3).all()
    assert (exact - default).max() <= 0.005 * np.ptp(stack.data)


@pytest.mark.parametrize("smoothing_px", [0, 2])
def test_undershoot_beside_bright_spots_gets_no_light(smoothing_px: float) -> None:
    y, x = np.mgrid[:128, :128] - 64.0
    radius = np.hypot(y, x)
    image = 500 * np.exp(-(radius**2) / 8) - 60 * np.exp(-((radius - 8) ** 2) / 8)
    image += np.random.default_rng(0).normal(0, 1, image.shape)
    parameters = BackgroundParameters(smoothing_px=smoothing_px)
    result = finish(STAGE.run(ImageStack(image, "YX"), parameters)).data
    assert (result <= image + 1e-3).all()
    assert abs(float(np.median(result))) < 3


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_unit_of_the_image_does_not_matter(factor: float) -> None:
    stack = filaments()
    plain = finish(STAGE.run(stack, BackgroundParameters())).data
    scaled = finish(
        STAGE.run(stack.derive(stack.data * factor), BackgroundParameters())
    ).data
    atol = 1e-4 * float(np.ptp(plain))
    np.testing.assert_allclose(scaled / factor, plain, rtol=0, atol=atol)


def test_ball_follows_the_light_of_a_dim_noisy_image() -> None:
    """Photon noise: without smoothing the ball lies under its lowest values."""
    rng = np.random.default_rng(1)
    even = ImageStack(rng.poisson(10, (128, 128)).astype(np.float32), "YX")
    smoothed = finish(STAGE.run(even, BackgroundParameters())).data
    rough = finish(STAGE.run(even, BackgroundParameters(smoothing_px=0))).data
    assert float(smoothed.mean()) < 2
    assert float(rough.mean()) > 5


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float64])
def test_result_is_float32_counts_for_every_type(dtype: type) -> None:
    stack = filaments(dtype)
    result = finish(STAGE.run(stack, EXACT))
    expected = stack.data - skimage_background(stack.data, 30)
    assert result.data.dtype == np.float32
    np.testing.assert_allclose(result.data, expected, atol=1e-3)


def test_large_offset_costs_no_precision_in_float64() -> None:
    stack = filaments(np.float64)
    high = stack.derive(stack.data + 1e9)
    plain = finish(STAGE.run(stack, EXACT)).data
    np.testing.assert_allclose(finish(STAGE.run(high, EXACT)).data, plain, atol=1e-3)


def test_geometry_optics_and_patterns_are_kept() -> None:
    stack = filaments()
    result = finish(STAGE.run(stack, EXACT))
    for name in ("axes", "pixel_size_nm", "origin_nm", "optics", "patterns"):
        assert getattr(result, name) == getattr(stack, name)


def test_history_records_the_parameters() -> None:
    entry = finish(STAGE.run(filaments(), EXACT)).history[-1]
    assert entry.stage == "background"
    assert entry.parameters == {
        "radius_px": 30.0,
        "smoothing_px": 0.0,
        "tolerance": 0.0,
    }


@pytest.mark.parametrize("level", [0.0, 100.0])
def test_constant_image_is_all_background(level: float) -> None:
    context = Context()
    flat = filaments().derive(np.full((20, 20), level, np.float32))
    finish(STAGE.run(filaments(), EXACT, context))
    result = finish(STAGE.run(flat, EXACT, context))
    assert context.warnings == []
    assert not result.data.any()


@pytest.mark.parametrize(
    "values",
    [{"radius_px": 0}, {"radius_px": 501}, {"tolerance": 0.2}, {"radius": 5}],
)
def test_parameters_out_of_limits_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="background"):
        parse(BackgroundParameters, values, "background")


@pytest.mark.slow
def test_real_confocal_image_matches_skimage(data_dir: Path) -> None:
    image = tifffile.imread(data_dir / "confocal_microtubules" / "cell5.tif")
    image = image[200:400, 100:350]
    parameters = BackgroundParameters(smoothing_px=0, tolerance=0)
    result = finish(STAGE.run(ImageStack(image, "YX"), parameters)).data
    expected = image - skimage_background(image, 50)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-2)

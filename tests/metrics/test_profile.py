"""Line profiles against analytic truth."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, InputError
from napari_dps.metrics.grids import crop
from napari_dps.metrics.profile import depth_profile, line_profile


def _ridge(sigma_px: float, angle_deg: float = 0.0, size: int = 121) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    angle = np.radians(angle_deg)
    across = x * np.cos(angle) + y * np.sin(angle)
    return 3 + 7 * np.exp(-0.5 * (across / sigma_px) ** 2)


@pytest.mark.parametrize("angle_deg", [0, 30, 90])
@pytest.mark.parametrize("width_px", [1, 7])
def test_fwhm_of_a_gaussian_ridge_in_nm(angle_deg: float, width_px: float) -> None:
    image = ImageStack(_ridge(4, angle_deg), "YX", pixel_size_nm=32.5)
    angle = np.radians(angle_deg)
    reach = 40 * np.array([np.sin(angle), np.cos(angle)])
    found = line_profile(image, tuple(60 - reach), tuple(60 + reach), width_px=width_px)
    assert found.unit == "nm"
    assert found.fwhm == pytest.approx(4 * 2.354820 * 32.5, rel=2e-3)
    assert found.distance[-1] == pytest.approx(80 * 32.5)
    assert found.values.max() == pytest.approx(10, rel=1e-3)


def test_profile_of_a_plane_is_the_plane_even_across_a_large_image() -> None:
    y, x = np.mgrid[:900, :1100].astype(np.float32)
    image = ImageStack(2 * y + x, "YX")
    found = line_profile(image, (800, 100), (850, 160))
    assert found.values[0] == pytest.approx(1700, abs=1e-3)
    assert found.values[-1] == pytest.approx(1860, abs=1e-3)
    assert found.unit == "px"


def test_peak_at_the_end_has_no_width() -> None:
    assert line_profile(ImageStack(_ridge(5), "YX"), (60, 60), (60, 110)).fwhm is None


def test_line_outside_the_image_takes_the_nearest_pixels() -> None:
    found = line_profile(ImageStack(np.full((8, 8), 5.0), "YX"), (-30, -30), (50, 50))
    assert np.allclose(found.values, 5)


@pytest.mark.parametrize("end", [(1.0, 1.0), (np.nan, 2.0), (1e9, 0.0)])
def test_line_without_a_usable_length_is_refused(end: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="length of the line"):
        line_profile(ImageStack(np.ones((4, 4)), "YX"), (1.0, 1.0), end)


def test_crop_outside_the_image_is_refused() -> None:
    with pytest.raises(InputError, match="outside"):
        crop(ImageStack(np.ones((4, 4)), "YX"), slice(6, 9), slice(0, 2))


@pytest.mark.parametrize(("distance_px", "merged"), [(8, False), (14, True)])
def test_two_peaks_that_half_does_not_part_are_told(
    distance_px: int, merged: bool
) -> None:
    x = np.arange(121.0)
    one, other = (np.exp(-0.5 * ((x - at) / 5) ** 2) for at in (60, 60 + distance_px))
    found = line_profile(
        ImageStack((one + other) * np.ones((9, 1)), "YX"), (4, 2), (4, 118)
    )
    assert found.is_merged == merged
    apart = np.exp(-0.5 * ((x - 30) / 5) ** 2) + np.exp(-0.5 * ((x - 90) / 5) ** 2)
    single = line_profile(ImageStack(apart * np.ones((9, 1)), "YX"), (4, 2), (4, 118))
    assert not single.is_merged


def test_the_profile_in_z_has_the_width_of_a_gaussian_in_nm() -> None:
    z, y, x = np.mgrid[:24, :40, :50]
    spot = np.exp(
        -0.5 * (((z - 11) / 2.5) ** 2 + ((y - 20) / 3) ** 2 + ((x - 30) / 3) ** 2)
    )
    volume = ImageStack(2 + 5 * spot, "ZYX", pixel_size_nm=40, z_step_nm=125)
    found = depth_profile(volume, (20.4, 29.7))
    assert found.unit == "nm"
    assert found.fwhm == pytest.approx(2.5 * 2.354820 * 125, rel=5e-3)
    assert found.summit == pytest.approx(11 / 23, abs=1e-2)
    assert found.distance[-1] == pytest.approx(23 * 125)
    cut = depth_profile(volume.derive(volume.data[10:]), (20, 30))
    assert cut.fwhm is None
    far = depth_profile(volume, (-3, 900))
    np.testing.assert_allclose(far.values[::4], volume.data[:, 0, 49], atol=1e-9)


def test_a_profile_in_z_needs_planes() -> None:
    with pytest.raises(InputError, match="profile in z"):
        depth_profile(ImageStack(np.ones((8, 8)), "YX"), (1, 1))

"""Real and known-answer stacks of the shared data folder."""

import numpy as np
import pytest
import tifffile
from scipy.ndimage import zoom

import napari_dps
from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.metrics.registration import find_shift, shift_onto
from napari_dps.stages.reconstruct import STAGE, ReconstructParameters


def reconstruct(frames, *, na, emission_nm, pixel_size_nm):
    optics = Optics(na=na, emission_nm=emission_nm, pixel_size_nm=pixel_size_nm)
    stack = ImageStack(
        frames.astype(np.float32), "APYX", pixel_size_nm=pixel_size_nm, optics=optics
    )
    context = Context("cpu")
    return finish(STAGE.run(stack, ReconstructParameters(), context)), context.warnings


def correlation(image, reference) -> float:
    # The authors' grid is shifted by half a pixel against one of equal field.
    moved, shared = shift_onto(image, reference, find_shift(image, reference))
    inner = (slice(8, -8), slice(8, -8))
    return float(np.corrcoef(moved[inner].ravel(), shared[inner].ravel())[0, 1])


def test_hela_frames_in_the_wrong_order_show_no_pattern(data_dir):
    result = napari_dps.run(
        data_dir / "sim9_hela_mito" / "raw.tif",
        ["reconstruct"],
        angles=3,
        phases=3,
        order="payx",
        na=1.3,
        emission_nm=660,
        pixel_size_nm=65,
        camera_offset=100,
    )
    assert {pattern.status for pattern in result.patterns} == {"doubtful"}
    assert any("order apyx" in text for text in result.warnings)


def test_hela_patterns_agree_with_those_of_the_authors(data_dir):
    frames = tifffile.imread(data_dir / "sim9_hela_mito" / "raw.tif")
    frames = frames.reshape(3, 3, 120, 120).astype(np.float32) - 100
    result, warnings = reconstruct(frames, na=1.3, emission_nm=660, pixel_size_nm=65)
    assert warnings == []
    # Measured on the authors' pattern images (README of the data).
    expected = [(356.7, 121.0), (358.1, 58.1), (331.6, 2.4)]
    for pattern, (period_nm, angle_deg) in zip(result.patterns, expected, strict=True):
        assert pattern.status == "found"
        assert pattern.period_nm == pytest.approx(period_nm, rel=0.01)
        assert abs(pattern.angle_deg - angle_deg) < 1


@pytest.mark.slow
@pytest.mark.parametrize("time", [0, 1, 2])
def test_er_time_points_agree_with_the_sim_image_of_the_authors(data_dir, time):
    folder = data_dir / "sim9_er_timelapse"
    frames = tifffile.imread(folder / "raw.tif").reshape(3, 3, 3, 112, 512)[time]
    theirs = tifffile.imread(folder / "sim_gt.tif").astype(np.float64)
    result, warnings = reconstruct(frames, na=1.41, emission_nm=525, pixel_size_nm=65)
    assert warnings == []
    expected = [(175.0, 2.1), (175.6, 122.4), (175.2, 62.3)]
    for pattern, (period_nm, angle_deg) in zip(result.patterns, expected, strict=True):
        assert pattern.status == "found"
        assert pattern.period_nm == pytest.approx(period_nm, rel=0.01)
        assert abs(pattern.angle_deg - angle_deg) < 1
    mean = frames.mean(axis=(0, 1))
    widefield = zoom(mean, 2, order=3, mode="grid-mirror", grid_mode=True)
    assert correlation(result.data, theirs) > 0.89
    assert correlation(result.data, theirs) > correlation(widefield, theirs) + 0.07


@pytest.mark.parametrize("exposure", ["he", "le"])
def test_microtubules_show_the_orders_that_their_exposure_allows(data_dir, exposure):
    folder = data_dir / "sim15_microtubules_pair"
    frames = tifffile.imread(folder / f"{exposure}_frames.tif")
    # NA and wavelength are not stated by the source: these are usual ones.
    result, _ = reconstruct(
        frames.reshape(3, 5, 256, 256), na=1.4, emission_nm=525, pixel_size_nm=30
    )
    first = [pattern.orders[0] for pattern in result.patterns]
    second = [pattern.orders[1] for pattern in result.patterns]
    expected = [(499, 13), (494, 135), (495, 75)]
    for order, (period_nm, angle_deg) in zip(first, expected, strict=True):
        assert order.is_usable
        assert order.period_nm == pytest.approx(period_nm, rel=0.02)
        assert abs(order.angle_deg - angle_deg) < 1.5
    if exposure == "he":
        for order, half in zip(second, first, strict=True):
            assert order.status == "found"
            assert order.period_nm == pytest.approx(half.period_nm / 2, rel=0.01)
    else:
        assert [order.status for order in second] == ["not found"] * 3


def test_known_patterns_of_microtubules_are_found(data_dir):
    folder = data_dir / "sim9_microtubules_known_patterns"
    frames = tifffile.imread(folder / "raw.tif").reshape(5, 3, 3, 120, 120)
    for image in frames:
        result, _ = reconstruct(image, na=1.3, emission_nm=520, pixel_size_nm=65)
        for pattern, angle_deg in zip(result.patterns, (0, 60, 120), strict=True):
            assert pattern.status == "found"
            assert pattern.period_nm == pytest.approx(195, rel=2e-3)
            assert abs(pattern.angle_deg - angle_deg) < 0.1


@pytest.mark.parametrize(("na", "emission_nm"), [(0.8, 700), (1.4, 525), (1.4, 900)])
def test_orders_of_three_beams_are_right_or_doubted(data_dir, na, emission_nm):
    frames = tifffile.imread(data_dir / "sim15_microtubules_pair" / "he_frames.tif")
    frames = frames.reshape(3, 5, 256, 256).astype(np.float32) - 98
    result, warnings = reconstruct(
        frames, na=na, emission_nm=emission_nm, pixel_size_nm=30
    )
    expected = [(499, 13), (494, 135), (495, 75)]
    for pattern, (period_nm, angle_deg) in zip(result.patterns, expected, strict=True):
        assert pattern.is_usable
        for order in pattern.orders:
            if order.is_usable:
                assert order.period_nm in (
                    pytest.approx(period_nm, rel=0.02),
                    pytest.approx(period_nm / 2, rel=0.02),
                )
                assert abs(order.angle_deg - angle_deg) < 2
    doubted = any(o.status == "doubtful" for p in result.patterns for o in p.orders)
    assert doubted == any("check " in text for text in warnings)
    assert doubted == (emission_nm != 525)

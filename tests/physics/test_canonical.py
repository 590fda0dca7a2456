"""Canonical sampling: by physics, and the resampling that it rests on."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import InputError, Optics
from napari_dps.physics.canonical import (
    CANONICAL_CUTOFF_PER_PIXEL,
    CANONICAL_OPTICS,
    canonical_zoom,
    from_canonical,
    to_canonical,
)
from napari_dps.physics.image_formation import Microscope
from napari_dps.physics.resampling import resample

PIXEL_NM = 65.0
FINE = 4


def optics(emission_nm: float, na: float = 1.2, pixel_nm: float = PIXEL_NM) -> Optics:
    return Optics(na=na, emission_nm=emission_nm, pixel_size_nm=pixel_nm)


def imaged(seen_with: Optics, side_px: int, *, unit_nm: float) -> np.ndarray:
    """The same points, at places in units of ``unit_nm``, through some optics."""
    side = side_px * FINE
    fine_nm = seen_with.pixel_size_nm / FINE
    emitters = np.zeros((side, side), np.float32)
    rng = np.random.default_rng(2)
    middle = side_px * seen_with.pixel_size_nm / 2
    y, x = np.mgrid[:side, :side] * fine_nm + fine_nm / 2 - middle
    for place in rng.uniform(-8, 8, (30, 2)) * unit_nm:
        # Points a quarter of a PSF wide, so that no grid matters.
        distance = (y - place[0]) ** 2 + (x - place[1]) ** 2
        emitters += np.exp(-distance / (2 * (0.3 * unit_nm) ** 2))
    microscope = Microscope(seen_with, emitters.shape, FINE, (0, 0))
    image = microscope.image(microscope.order(emitters, (0.0, 0.0)))
    return image / image.max()


def test_canonical_optics_need_no_zoom() -> None:
    assert canonical_zoom(CANONICAL_OPTICS) == 1
    assert pytest.approx(0.39959, abs=1e-5) == CANONICAL_CUTOFF_PER_PIXEL
    image = np.random.default_rng(0).random((17, 20), np.float32)
    np.testing.assert_allclose(to_canonical(image, CANONICAL_OPTICS), image, atol=1e-6)


def test_zoom_falls_with_the_wavelength_and_rises_with_na_and_pixel() -> None:
    base = canonical_zoom(optics(500))
    assert canonical_zoom(optics(1000)) == pytest.approx(base / 2)
    assert canonical_zoom(optics(500, na=0.6)) == pytest.approx(base / 2)
    assert canonical_zoom(optics(500, pixel_nm=130)) == pytest.approx(2 * base)
    sim = optics(500).model_copy(update={"modulation_factor": 2.0})
    assert canonical_zoom(sim) == pytest.approx(2 * base)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first_nm", "second_nm", "na"), [(488, 640, 1.2), (520, 700, 0.9)]
)
def test_same_object_at_two_wavelengths_gives_the_same_network_input(
    first_nm: float, second_nm: float, na: float
) -> None:
    # Lengths scale with the wavelength: an object drawn in wavelengths, and a field as
    # many wavelengths wide, must reach the network as one and the same picture.
    side_px = 132
    first = optics(first_nm, na)
    second = optics(second_nm, na, pixel_nm=PIXEL_NM * second_nm / first_nm)
    coarser = optics(second_nm, na)  # the same camera at both wavelengths
    inputs = [
        to_canonical(imaged(first, side_px, unit_nm=first_nm / 2), first),
        to_canonical(imaged(second, side_px, unit_nm=second_nm / 2), second),
    ]
    assert inputs[0].shape == inputs[1].shape
    np.testing.assert_allclose(inputs[0], inputs[1], atol=1e-4)
    side_px = round(side_px * second_nm / first_nm)
    same_camera = to_canonical(imaged(coarser, side_px, unit_nm=second_nm / 2), coarser)
    n = min(len(same_camera), len(inputs[0]))
    assert abs(len(same_camera) - len(inputs[0])) <= 1
    correlation = np.corrcoef(same_camera[:n, :n].ravel(), inputs[0][:n, :n].ravel())
    assert correlation[0, 1] > 0.97


@pytest.mark.parametrize("emission_nm", [450, 488, 561, 640, 750])
def test_point_has_one_width_for_every_wavelength(emission_nm: float) -> None:
    seen = optics(emission_nm)
    image = np.zeros((128 * FINE, 128 * FINE), np.float32)
    image[64 * FINE - 1 : 64 * FINE + 1, 64 * FINE - 1 : 64 * FINE + 1] = 1
    microscope = Microscope(seen, image.shape, FINE, (0, 0))
    point = to_canonical(microscope.image(microscope.order(image, (0.0, 0.0))), seen)
    power = np.abs(np.fft.rfft(point.sum(axis=0)))
    # The OTF falls to 0.391 at half the cut-off (times that of the pixels and point).
    frequency = np.fft.rfftfreq(point.shape[1])
    half = np.interp(CANONICAL_CUTOFF_PER_PIXEL / 2, frequency, power / power[0])
    pixel = np.sinc(seen.cutoff_per_pixel / 2)
    point_width = np.sinc(seen.cutoff_per_pixel / 4)
    assert half / pixel / point_width == pytest.approx(0.391, abs=0.012)


@pytest.mark.parametrize("shape", [(37, 31), (64, 50)])
def test_there_and_back_restores_a_band_limited_image(shape: tuple[int, int]) -> None:
    coarse = np.random.default_rng(1).random((shape[0] // 3, shape[1] // 3))
    image = resample(coarse, shape)
    seen = optics(488)
    back = from_canonical(to_canonical(image, seen), shape)
    np.testing.assert_allclose(back, image, atol=1e-4)


def test_resampling_is_exact_for_cosines() -> None:
    def wave(count: int) -> np.ndarray:
        place = (np.arange(count) + 0.5) / count
        return 5 + np.cos(np.pi * 3 * place)[:, None] * np.cos(np.pi * 2 * place)

    for count in (20, 31, 64):
        found = resample(wave(24), (count, count))
        np.testing.assert_allclose(found, wave(count), atol=1e-5)


def test_resampled_white_noise_stays_white() -> None:
    noise = np.random.default_rng(3).normal(10, 1, (256, 256))
    smaller = resample(noise, (192, 200))
    assert smaller.mean() == pytest.approx(10, abs=0.02)
    # The power in the band that is kept is kept.
    assert smaller.var() == pytest.approx(192 * 200 / 256**2, rel=0.03)
    neighbours = np.corrcoef(smaller[:, 1:].ravel(), smaller[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.02


def test_shape_without_pixels_is_refused() -> None:
    with pytest.raises(InputError, match="resample"):
        resample(np.ones((4, 4)), (0, 4))

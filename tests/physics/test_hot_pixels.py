"""Hot pixels are replaced; nothing that a lens can image is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_dps.metrics.snr import noise_std
from napari_dps.physics.hot_pixels import without_hot_pixels
from napari_dps.physics.psf import airy_intensity
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings

NOISE = 5.0
PLACES = [(y, x) for y in (0.0, 0.17, 0.33, 0.5) for x in (0.0, 0.5)]


def noise_image(seed: int = 0, shape: tuple[int, int] = (65, 48)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(100, NOISE, shape).astype(np.float32)


def point_source(cutoff: float, y: float, x: float) -> np.ndarray:
    """A point at sub-pixel (y, x) from pixel (10, 10), integrated over the pixels.

    The Airy pattern of OTF cut-off c has the argument v = π c r, r in pixels.
    """
    fine = 8
    step = (np.arange(21 * fine) + 0.5) / fine - 0.5 - 10
    radius = np.hypot((step - y)[:, np.newaxis], step - x)
    light = airy_intensity(math.pi * cutoff * radius)
    binned = light.reshape(21, fine, 21, fine).mean(axis=(1, 3))
    return (binned * 10_000 / binned.max()).astype(np.float32)


@pytest.mark.parametrize("place", [(20, 30), (0, 0), (64, 17)])
def test_single_hot_pixel_is_replaced_and_counted(place: tuple[int, int]) -> None:
    image = noise_image()
    hot = image.copy()
    hot[place] = 4000
    cleaned, count = without_hot_pixels(hot, 0.4, NOISE)
    assert count == 1
    assert abs(cleaned[place] - 100) < 4 * NOISE
    others = np.ones(image.shape, bool)
    others[place] = False
    np.testing.assert_array_equal(cleaned[others], image[others])
    assert hot[place] == 4000


def test_hot_pixels_far_apart_are_all_counted() -> None:
    image = noise_image()
    image[10:60:10, 10:40:10] += 500
    cleaned, count = without_hot_pixels(image, 0.4, NOISE)
    assert count == 15
    assert cleaned.max() < 100 + 6 * NOISE


@pytest.mark.parametrize("second", [(20, 31), (21, 31), (21, 30)])
def test_hot_pixels_that_touch_are_replaced(second: tuple[int, int]) -> None:
    image = noise_image()
    hot = image.copy()
    hot[20, 30], hot[second] = 3000, 2000
    cleaned, count = without_hot_pixels(hot, 0.4, NOISE)
    assert count == 2
    assert np.abs(cleaned - image).max() < 8 * NOISE


@pytest.mark.parametrize("photons", [5, 30, 300])
@pytest.mark.parametrize("structure", ["microtubules", "beads", "clathrin"])
def test_structures_in_photon_noise_are_never_touched(
    structure: str, photons: float
) -> None:
    settings = SimulationSettings(
        structure=structure, photons=photons, height_px=128, width_px=128, seed=3
    )
    raw = simulate(settings).raw
    frame = raw.data[0, 0].astype(np.float32) - settings.offset_counts
    assert raw.optics is not None
    cutoff = raw.optics.cutoff_per_pixel
    assert without_hot_pixels(frame, cutoff, noise_std(frame, cutoff))[1] == 0


@pytest.mark.parametrize("cutoff", [0.3, 0.4, 0.5])
@pytest.mark.parametrize(("y", "x"), PLACES)
@pytest.mark.parametrize("background", [0.0, 200.0])
def test_point_source_is_never_touched(
    cutoff: float, y: float, x: float, background: float
) -> None:
    image = point_source(cutoff, y, x) + np.float32(background)
    cleaned, count = without_hot_pixels(image, cutoff, noise=1.0)
    assert count == 0
    np.testing.assert_array_equal(cleaned, image)


def test_under_sampled_image_is_left_alone() -> None:
    image = noise_image()
    image[20, 30] = 4000
    assert without_hot_pixels(image, 0.51, NOISE) == (image, 0)


def test_flank_of_a_spot_beyond_the_corner_is_not_hot() -> None:
    y, x = np.mgrid[:64, :64] + 1.2
    image = 100 + 3000 * np.exp(-(y**2 + x**2) / 2 / 1.1**2)
    image = image.astype(np.float32)
    assert without_hot_pixels(image, 0.32, NOISE) == (image, 0)
    image[0, 40] = 4000
    assert without_hot_pixels(image, 0.32, NOISE)[1] == 1


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_never_touched(seed: int) -> None:
    image = noise_image(seed, (256, 256))
    assert without_hot_pixels(image, 0.4, NOISE)[1] == 0
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2, (256, 256)).astype(np.float32)
    assert without_hot_pixels(counts, 0.4, math.sqrt(2))[1] == 0


@pytest.mark.parametrize("light", [0.01, 0.05, 0.3, 1.0])
def test_single_photons_are_never_touched(light: float) -> None:
    rng = np.random.default_rng(5)
    counts = rng.poisson(light, (9, 256, 256)).astype(np.float32)
    for image in (*counts, counts.mean(axis=0)):
        assert without_hot_pixels(image, 0.35, float(image.std()))[1] == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (1, 30)])
def test_tiny_images_are_returned_as_they_are(shape: tuple[int, int]) -> None:
    image = np.full(shape, 10, np.float32)
    image[0, -1] = 4000
    assert without_hot_pixels(image, 0.4, NOISE) == (image, 0)

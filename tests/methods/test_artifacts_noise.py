"""The noise of reconstructions: by place, by frequency and direction, for any turn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from napari_dps.core import Optics
from napari_dps.methods.artifacts.low_light import (
    edge_of,
    low_light_input,
    may_be_noisy,
)
from napari_dps.methods.reconstruction_noise import (
    CANONICAL_EDGE_PER_PX,
    canonical_shape,
    filtered,
    noise_map,
    noise_spectra,
    structure_and_noise,
)
from napari_dps.nets.equivariant import TURNS, turned
from napari_dps.physics.phantoms import StructureId
from napari_dps.physics.resampling import resample
from napari_dps.train.artifacts.faults import Faults
from napari_dps.train.artifacts.pairs import frames_of, reconstructed
from napari_dps.train.artifacts.scenes import PairSettings, draw_scene


def honeycomb(shape: tuple[int, int] = (256, 256), seed: int = 0) -> np.ndarray:
    """Noise that is strong in six spots of the spectrum."""
    rows, columns = (np.fft.fftfreq(side) for side in shape)
    radius = np.hypot(rows[:, None], columns)
    angle = np.arctan2(rows[:, None], columns)
    power = np.exp(-(((radius - 0.3) / 0.06) ** 2)) * np.cos(3 * angle) ** 2 + 0.01
    white = np.fft.fft2(np.random.default_rng(seed).normal(size=shape))
    return np.fft.ifft2(white * np.sqrt(power)).real.astype(np.float32)


def line_image(shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    """Soft lines across a part of the field."""
    image = np.zeros(shape)
    for start in range(20, 120, 24):
        image[:, start] = 1
    return scipy.ndimage.gaussian_filter(image, 1.5) * 60


def test_white_noise_is_measured_at_all_frequencies() -> None:
    image = np.random.default_rng(1).normal(50, 3, (256, 320))
    spectra = noise_spectra(image)
    high = np.hypot(*np.meshgrid(*(2 * [np.fft.fftfreq(64)]))) > 0.1
    assert np.median(spectra.noise[high]) == pytest.approx(9, rel=0.1)
    assert np.median(spectra.power[high]) == pytest.approx(9, rel=0.1)


def test_directions_of_a_honeycomb_are_told_apart_under_structure() -> None:
    noise = honeycomb()
    alone, both = noise_spectra(noise), noise_spectra(noise + line_image())
    assert alone.unevenness(0.3) > 1.5
    strong = alone.noise > 0.3 * alone.noise.max()
    ratio = both.noise[strong] / alone.noise[strong]
    assert np.median(ratio) == pytest.approx(1, abs=0.25)


def reconstructions(
    structure: StructureId, faults: Faults, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A reconstruction at canonical sampling, and its noise alone."""
    rng = np.random.default_rng([515, seed])
    scene = draw_scene(PairSettings(planted=0, haze=0), rng, structure=structure)
    noisy = frames_of(scene, faults, rng)
    expected = frames_of(scene, Faults(), np.random.default_rng(1))
    expected *= np.float32(noisy.mean() / expected.mean())
    shape = canonical_shape((2 * noisy.shape[-2],) * 2, scene.edge_per_px)
    # The filter does not follow the noise, so it is linear.
    image, clean = (
        resample(reconstructed(frames, scene, faults, np.random.default_rng(2)), shape)
        for frames in (noisy, expected)
    )
    return image, image - clean


HONEYCOMB = {"wiener_ratio": 0.01, "attenuation": 0.0, "apodisation": "none"}


@pytest.mark.parametrize("structure", ["actin", "er", "mitochondria"])
@pytest.mark.parametrize("photons", [5.0, 200.0])
@pytest.mark.parametrize("filter_", [{}, HONEYCOMB], ids=["sensible", "honeycomb"])
def test_noise_is_measured_in_fields_full_of_structure(
    structure: StructureId, photons: float, filter_: dict[str, object]
) -> None:
    faults = Faults(photons=photons, **filter_)
    image, noise = reconstructions(structure, faults, round(photons))
    found = noise_spectra(image).noise
    true = noise_spectra(noise).power
    radius = np.hypot(*np.meshgrid(*(2 * [np.fft.fftfreq(len(true))])))
    for low, high, most in ((0.12, 0.2, 10), (0.2, 0.28, 4), (0.28, 0.36, 4)):
        ring = (radius >= low) & (radius < high)
        assert 0.25 < found[ring].mean() / true[ring].mean() < most


def test_noise_by_place_follows_the_light() -> None:
    rows = np.mgrid[:256, :256][0]
    true = 1 + 3 * np.exp(-(((rows - 80) / 60.0) ** 2))
    found = noise_map(honeycomb() * true, CANONICAL_EDGE_PER_PX)
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("shape", [(64, 64), (37, 90), (16, 16)])
def test_filter_that_passes_all_changes_nothing(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(filtered(image, np.ones((64, 64))), image, atol=1e-5)


def test_filtered_versions_are_nearer_to_the_structure() -> None:
    truth = line_image()
    inputs = low_light_input(truth + 16 * honeycomb())
    assert inputs is not None
    pictures = inputs.bases * inputs.unit + inputs.level
    errors = [float(np.std(one - truth)) for one in pictures]
    assert min(errors[1:]) < 0.6 * errors[0]
    assert inputs.bases.min() < 0


@pytest.mark.parametrize("strength", [1, 30, 300])
def test_structure_is_told_from_noise_that_is_much_stronger(strength: float) -> None:
    truth = scipy.ndimage.gaussian_filter(line_image(), 2.0)
    spectra = noise_spectra(truth + strength * honeycomb())
    structure, noise = structure_and_noise(spectra)
    high = np.hypot(*np.meshgrid(*(2 * [np.fft.fftfreq(64)]))) > 0.25
    # Power less noise is as much as the scatter of the noise, half of it.
    passed = structure / (structure + noise)
    assert passed[high].max() < 0.3
    assert (noise >= spectra.noise).all()


def test_a_quick_look_tells_little_noise_and_misses_none() -> None:
    assert not may_be_noisy(line_image() + 0.2 * honeycomb(), 0.08)
    for strength in (2, 8, 30):
        image = line_image() + strength * honeycomb()
        inputs = low_light_input(image)
        assert inputs is not None
        assert may_be_noisy(image, 0.99 * inputs.noise)
    assert not may_be_noisy(np.full((64, 64), 3.0), 0.08)


@pytest.mark.parametrize("turn", range(1, TURNS))
def test_what_the_network_gets_turns_with_the_image(turn: int) -> None:
    image = (line_image() + 4 * honeycomb())[:200, :148]
    first = low_light_input(image)
    other = low_light_input(np.ascontiguousarray(turned(image, turn)))
    assert first is not None
    assert other is not None
    np.testing.assert_allclose(other.numbers, first.numbers, atol=1e-3)
    np.testing.assert_allclose(other.bases, turned(first.bases, turn), atol=1e-2)
    np.testing.assert_allclose(other.local, turned(first.local, turn), atol=1e-3)


@pytest.mark.parametrize("image", [np.full((64, 64), 3.0), np.zeros((9, 200))])
def test_nothing_is_measured_in_even_and_tiny_images(image: np.ndarray) -> None:
    assert low_light_input(image) is None


def test_edge_is_brought_to_one_place_on_a_grid_of_whole_cells() -> None:
    optics = Optics(na=1.4, emission_nm=520, pixel_size_nm=30, modulation_factor=1.7)
    shape = canonical_shape((301, 407), edge_of(optics))
    assert all(side % 4 == 0 for side in shape)
    zoom = shape[0] / 301
    assert edge_of(optics) / zoom == pytest.approx(CANONICAL_EDGE_PER_PX, rel=0.01)

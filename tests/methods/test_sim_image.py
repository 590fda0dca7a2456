"""What its spectrum says of an image without a history: a reconstruction, or not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage

from napari_dps.methods.effective_psf.sim_image import filter_width, sim_edge
from napari_dps.physics.otf import otf_2d
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings

LENS = 0.25
"""Cut-off of the lens, cycles per pixel, of images that it makes alone."""


def reconstruction(
    structure: str, photons: float, **filtering: object
) -> tuple[np.ndarray, float, float]:
    """A reconstruction on the 2× grid, its edge, and the cut-off of the lens."""
    settings = SimulationSettings(
        structure=structure, height_px=96, width_px=112, photons=photons, seed=3
    )
    made = simulate(settings)
    solver = WienerSolver(
        (96, 112), made.patterns, settings.optics, WienerSettings(**filtering)
    )
    image = solver.solve(made.raw.data - settings.offset_counts)
    lens = settings.optics.cutoff_per_pixel / 2
    period_nm = made.patterns[0].period_nm or np.inf
    return image, lens + settings.pixel_size_nm / 2 / period_nm, lens


def camera_image(
    structure: StructureId, photons: float, lens: float = LENS
) -> np.ndarray:
    """A widefield image with shot and read noise."""
    emitters = phantom(structure, (440, 400), pixel_size_nm=23, seed=2)
    otf = otf_2d(emitters.shape, lens / 2, half_plane=True)
    fine = scipy.fft.irfft2(scipy.fft.rfft2(emitters) * otf, s=emitters.shape)
    clean = np.maximum(fine.reshape(220, 2, 200, 2).mean(axis=(1, 3)), 0)
    clean *= photons / np.percentile(clean, 99.9)
    rng = np.random.default_rng(1)
    return rng.poisson(clean + 1) + rng.normal(0, 1.5, clean.shape)


@pytest.mark.parametrize("structure", ["vesicles", "microtubules", "nuclear_pores"])
@pytest.mark.parametrize("photons", [8.0, 100.0, 2000.0])
def test_reconstruction_is_known_and_its_edge_found(
    structure: str, photons: float
) -> None:
    image, edge, lens = reconstruction(structure, photons)
    assert sim_edge(image, lens) == pytest.approx(edge, rel=0.1)


def test_plain_filters_and_other_units_do_not_matter() -> None:
    image, edge, lens = reconstruction(
        "er", 100, wiener_parameter=1e-3, apodisation="triangle"
    )
    assert sim_edge(image, lens) == pytest.approx(edge, rel=0.1)
    integers = np.round(1000 * (image - image.min()) / np.ptp(image) + 7)
    assert sim_edge(integers, lens) == pytest.approx(edge, rel=0.1)


def test_reconstruction_cut_off_at_zero_is_known_by_its_psf() -> None:
    image, edge, lens = reconstruction("nuclear_pores", 300)
    assert sim_edge(np.maximum(image, 0), lens) == pytest.approx(edge, rel=0.15)


def test_edge_that_its_optics_allow_makes_no_reconstruction() -> None:
    image, edge, _ = reconstruction("microtubules", 300)
    assert sim_edge(image, edge / 1.1) is None
    assert sim_edge(image, edge / 3) is None


@pytest.mark.parametrize("structure", ["vesicles", "microtubules", "er"])
@pytest.mark.parametrize("photons", [5, 100, 2000])
def test_camera_image_is_none(structure: StructureId, photons: float) -> None:
    assert sim_edge(camera_image(structure, photons), LENS) is None


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: scipy.ndimage.gaussian_filter(image, 0.8),
        lambda image: scipy.ndimage.gaussian_filter(image, 1.2),
        lambda image: scipy.ndimage.median_filter(image, 3),
        lambda image: scipy.ndimage.rotate(image, 17, reshape=False),
        lambda image: scipy.ndimage.zoom(image, (1, 1.5), order=3),
        lambda image: np.where(np.random.default_rng(4).random(image.shape) < 1e-3,
                               3 * image.max(), image),
        lambda image: np.minimum(image, np.percentile(image, 97)),
        lambda image: np.sqrt(np.maximum(image, 0)),
        lambda image: image**2,
    ],
)  # fmt: skip
@pytest.mark.parametrize("photons", [50, 1000])
def test_changed_camera_image_is_none(
    changed: Callable[[np.ndarray], np.ndarray], photons: float
) -> None:
    assert sim_edge(changed(camera_image("actin", photons)), LENS) is None


@pytest.mark.parametrize("factor", [1.4, 2.0])
@pytest.mark.parametrize("order", [1, 3])
def test_enlarged_image_is_none(factor: float, order: int) -> None:
    coarse = camera_image("microtubules", 200, 0.42)
    enlarged = scipy.ndimage.zoom(coarse, factor, order=order)
    assert sim_edge(enlarged, 0.42 / factor) is None


@pytest.mark.parametrize("sigma_px", [0.0, 0.6, 1.0, 1.6])
@pytest.mark.parametrize("seed", range(4))
def test_noise_is_none(sigma_px: float, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(100, 10, (192, 176))
    smooth = scipy.ndimage.gaussian_filter(noise, sigma_px)
    assert sim_edge(smooth, LENS) is None


@pytest.mark.parametrize("shape", [(8, 300), (33, 40), (64, 64)])
def test_small_and_even_images_are_none(shape: tuple[int, int]) -> None:
    assert sim_edge(np.full(shape, 7.0), LENS) is None
    assert sim_edge(np.random.default_rng(0).random(shape), LENS) is None


def test_filter_that_blurs_is_told_from_one_that_does_not() -> None:
    widths = []
    for parameter in (0.3, 0.03, 0.003):
        image, edge, _ = reconstruction(
            "microtubules", 300, wiener_parameter=parameter, attenuation_strength=0.0
        )
        widths.append(filter_width(image, edge))
    assert widths == sorted(widths)
    assert widths[0] < 0.85
    assert 0.9 < widths[1] <= widths[2] <= 1.1


def test_filter_of_a_small_image_is_the_usual_one() -> None:
    assert filter_width(np.random.default_rng(0).random((24, 24)), 0.2) == 1

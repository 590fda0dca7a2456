"""Where the spectrum of a reconstruction ends, whatever light and filter."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.optics import factor_of_spectrum
from napari_dps.methods.effective_psf.spectral_edge import spectral_edge
from napari_dps.metrics.spectrum import fourier_radius
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.stages.artifacts import STAGE, ArtifactsParameters


def band_limited(edge: float, shape: tuple[int, int] = (256, 224)) -> np.ndarray:
    """Noise of one power up to a frequency, and nothing beyond it."""
    spectrum = np.fft.rfft2(np.random.default_rng(1).normal(size=shape))
    spectrum[fourier_radius(shape) > edge] = 0
    return np.fft.irfft2(spectrum, s=shape)


def reconstruction(photons: float, **filtering: object) -> tuple[np.ndarray, float]:
    """Nuclear pores reconstructed on the 2× grid, and where their spectrum ends."""
    settings = SimulationSettings(
        structure="nuclear_pores", height_px=96, width_px=112, photons=photons, seed=3
    )
    made = simulate(settings)
    solver = WienerSolver(
        (96, 112), made.patterns, settings.optics, WienerSettings(**filtering)
    )
    period_nm = made.patterns[0].period_nm or 1
    edge = (
        settings.pixel_size_nm
        / 2
        * (1 / settings.optics.cutoff_period_nm + 1 / period_nm)
    )
    return solver.solve(made.raw.data - settings.offset_counts), edge


@pytest.mark.parametrize("edge", [0.12, 0.25, 0.42])
def test_edge_of_a_band_is_found(edge: float) -> None:
    assert spectral_edge(band_limited(edge)) == pytest.approx(edge, rel=0.08)


@pytest.mark.parametrize("photons", [5.0, 100.0, 5000.0])
@pytest.mark.parametrize(
    "filtering",
    [
        {},
        {"wiener_parameter": 1e-4, "apodisation": "none", "attenuation_strength": 0.0},
        {"wiener_parameter": 3e-3, "apodisation": "triangle"},
    ],
)
def test_reconstruction_ends_where_patterns_and_lens_say(
    photons: float, filtering: dict[str, object]
) -> None:
    image, edge = reconstruction(photons, **filtering)
    assert spectral_edge(image) == pytest.approx(edge, rel=0.1)


def test_unit_offset_and_eight_bits_do_not_matter() -> None:
    image, edge = reconstruction(100, wiener_parameter=1e-3)
    found = spectral_edge(image)
    assert spectral_edge(7 * image + 300) == pytest.approx(found, rel=0.01)
    bits = np.round(255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    assert spectral_edge(bits) == pytest.approx(edge, rel=0.1)


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(0).poisson(20, (128, 128)),
        np.full((64, 64), 7.0),
        np.zeros((8, 300)),
    ],
)
def test_no_edge_where_there_is_none(image: np.ndarray) -> None:
    assert spectral_edge(image) is None


def test_edge_that_a_lens_reaches_makes_no_reconstruction() -> None:
    optics = Optics(na=1.3, emission_nm=520, pixel_size_nm=50)
    lens = optics.cutoff_per_pixel
    assert factor_of_spectrum(band_limited(lens), optics) is None
    factor = factor_of_spectrum(band_limited(1.7 * lens), optics)
    assert factor == pytest.approx(0.87 * 1.7, rel=0.08)


def test_artifacts_without_a_history_is_that_of_the_factor_measured() -> None:
    data, edge = reconstruction(20, wiener_parameter=1e-3)
    optics = SimulationSettings().optics.at_pixel_size(32.5)
    factor = 0.87 * edge / optics.cutoff_per_pixel
    told = optics.model_copy(update={"modulation_factor": factor})
    context = Context("cpu")
    results = [
        finish(
            STAGE.run(
                ImageStack(data, "YX", pixel_size_nm=32.5, optics=one),
                ArtifactsParameters(),
                context,
            )
        ).data
        for one in (optics, told)
    ]
    (warning,) = context.warnings
    assert "modulation factor" in warning
    inside = (slice(8, -8), slice(8, -8))
    pair = [result[inside].ravel() for result in results]
    assert np.corrcoef(*pair)[0, 1] > 0.99

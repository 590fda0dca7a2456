"""The OTF of beads: against the ideal objective that they were simulated with."""

import numpy as np
import pytest

from napari_dps.core import InputError, Optics, finish
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.beads import BeadSettings, find_beads, measure_otf
from napari_dps.physics.measured_otf import (
    check_otf,
    ideal_like,
    likeness,
    measured_in_focus,
    measured_table,
    normalised,
)
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.otf3d import defocus_table
from napari_dps.physics.sim.volume_patterns import VolumeEstimator
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.physics.simulate_volume import simulate_emitters

OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=80)
LIGHT = {
    "structure": "points",
    "phases": 5,
    "beams": "three",
    "modulation": 4 / 3,
    "second_modulation": 2 / 3,
    "pixel_size_nm": 80.0,
    "haze_fraction": 0.0,
    "background_photons": 2.0,
    "period_nm": 395.0,
    "gain_counts_per_e": 10.0,
}


def beads_at(places, *, planes=48, side=96, diameter_nm=100.0, photons=125.0):
    """Spheres, seen from above, in the middle plane; 500 photons in the peak."""
    settings = SimulationSettings(
        **LIGHT, planes=planes, height_px=side, width_px=side, photons=photons
    )
    fine = settings.oversampling
    emitters = np.zeros((planes, side * fine, side * fine), np.float32)
    y, x = np.mgrid[: side * fine, : side * fine] * 80 / fine
    for place in places:
        square = (y - 80 * place[0]) ** 2 + (x - 80 * place[1]) ** 2
        depth = np.sqrt(np.maximum((diameter_nm / 2) ** 2 - square, 0))
        emitters[planes // 2] += depth.astype(np.float32)
    return simulate_emitters(emitters, settings)


def photons_of(made):
    settings = made.settings
    frames = made.raw.data.astype(np.float32) - np.float32(settings.offset_counts)
    return frames / np.float32(settings.gain_counts_per_e)


@pytest.fixture(scope="module")
def bead():
    return beads_at([(48.7, 46.2)])


@pytest.fixture(scope="module")
def otf(bead):
    settings = BeadSettings(100.0, 395.0)
    return measure_otf(photons_of(bead), OPTICS, 125.0, settings)[0]


def test_every_order_of_a_bead_is_that_of_the_objective(bead, otf):
    ideal = ideal_like(otf, OPTICS, bead.settings.axial_per_nm)
    assert min(likeness(otf, ideal)) > 0.99
    in_focus = otf.values.sum(axis=2)[:, 3:20]
    assert np.abs(in_focus[1:] - in_focus[0]).max() < 0.02


def test_plain_images_give_order_0_alone(bead):
    plain = photons_of(bead).mean(axis=(1, 2), keepdims=True)
    otf, _ = measure_otf(plain, OPTICS, 125.0, BeadSettings())
    assert otf.orders == 1
    assert likeness(otf, ideal_like(otf, OPTICS, 0.0))[0] > 0.99


def test_beads_that_touch_are_left_out():
    made = beads_at([(40, 40), (40, 48), (120, 118), (40, 130)], side=160)
    found = find_beads(made.clean.mean(axis=(1, 2)))
    places = sorted(bead.centre_px[1:] for bead in found)
    assert np.allclose(places, [(40, 130), (120, 118)], atol=1)


def test_a_stack_without_beads_is_refused():
    noise = np.random.default_rng(0).poisson(20, (20, 64, 64))
    with pytest.raises(InputError, match="no beads"):
        find_beads(noise)


def test_few_planes_are_refused(bead):
    with pytest.raises(InputError, match="stack of beads: got 9 planes"):
        find_beads(bead.clean[:9].mean(axis=(1, 2)))


@pytest.fixture(scope="module")
def exact():
    """The ideal OTF as if it had been measured."""
    empty = MeasuredOtf(np.zeros((3, 40, 96), np.float32), 1.5e-4, 1 / (96 * 125.0))
    settings = SimulationSettings(**LIGHT, planes=9)
    return ideal_like(empty, OPTICS, settings.axial_per_nm)


def test_a_table_serves_any_planes_and_z_step(exact):
    expected = defocus_table(OPTICS, 20, 180.0)
    found = measured_table(exact, 0, OPTICS, 20, 180.0)
    # Between radii that were measured the table is a line.
    assert np.abs(found.values - expected.values)[30:].max() < 0.025
    in_focus = measured_in_focus(exact, OPTICS)(np.linspace(0, 1, 30))
    # The OTF in focus of a wide cap is a little below that of a flat aperture.
    np.testing.assert_allclose(
        in_focus, widefield_otf(np.linspace(0, 1, 30), 1.0), atol=0.06
    )


def test_scale_and_phase_of_a_file_do_not_matter(exact):
    turned = exact.values * np.array([3, 2j, -5 + 1j])[:, None, None]
    np.testing.assert_allclose(normalised(turned), exact.values, atol=2e-6)


def test_an_otf_of_other_optics_is_refused(exact):
    other = OPTICS.model_copy(update={"na": 1.2})
    told = MeasuredOtf(exact.values, 1.5e-4, 1e-4, OPTICS, "beads.tif")
    with pytest.raises(InputError, match=r"NA of the OTF beads.tif: got 1.4"):
        check_otf(told, other)
    check_otf(exact, OPTICS)
    with pytest.raises(InputError, match="cut-off period"):
        check_otf(exact, OPTICS.model_copy(update={"emission_nm": 700.0}))


def test_patterns_are_found_with_a_measured_otf(exact):
    made = simulate(
        SimulationSettings(
            **{**LIGHT, "structure": "shells", "oversampling": 2},
            planes=12,
            height_px=64,
            width_px=64,
        )
    )
    estimator = VolumeEstimator((12, 64, 64), OPTICS, 125.0, exact)
    found = finish(estimator.find(photons_of(made))).patterns
    for pattern, true in zip(found, made.patterns, strict=True):
        error = np.subtract(
            pattern.orders[0].wavevector_per_nm, true.orders[0].wavevector_per_nm
        )
        assert np.hypot(*error) * 64 * 80 < 0.1

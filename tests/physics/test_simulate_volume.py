"""Simulated z-stacks: light, focus, and the axial factor of three beams."""

import numpy as np
import pytest
from pydantic import ValidationError

from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.physics.simulate_volume import simulate_emitters

QUIET = {
    "structure": "points",
    "planes": 12,
    "phases": 5,
    "angles": 1,
    "pixel_size_nm": 80.0,
    "haze_fraction": 0.0,
    "background_photons": 0.0,
    "oversampling": 2,
}


def settings_of(**changes):
    return SimulationSettings(**{**QUIET, **changes})


def point(planes=17, side=64):
    emitters = np.zeros((planes, side, side), np.float32)
    emitters[planes // 2, side // 2, side // 2] = 1
    return emitters


def test_every_plane_holds_all_light():
    made = simulate_emitters(point(), settings_of(modulation=0, second_modulation=0))
    light = made.clean[:, 0].mean(axis=1).sum(axis=(1, 2))
    np.testing.assert_allclose(light / made.truth.data.sum(), 1, rtol=0.02)


def test_a_point_is_sharpest_in_its_plane():
    made = simulate_emitters(point(), settings_of(modulation=0, second_modulation=0))
    peak = made.clean[:, 0].mean(axis=1).max(axis=(1, 2))
    assert peak.argmax() == 8
    assert peak[0] < 0.1 * peak[8]


def test_first_order_of_three_beams_fades_and_returns_along_z():
    """Stripes of a point at a distance z have the factor cos(2π kz0 z)."""
    light = {"modulation": 1.0, "second_modulation": 0.25}
    two = simulate_emitters(point(33), settings_of(beams="two", **light))
    settings = settings_of(beams="three", **light)
    three = simulate_emitters(point(33), settings)
    wave = np.exp(-2j * np.pi * np.arange(5) / 5)
    first = [np.tensordot(wave, made.clean[:, 0], (0, 1)) for made in (two, three)]
    z_nm = (np.arange(33) - 16) * settings.z_step_nm
    expected = np.cos(2 * np.pi * settings.axial_per_nm * z_nm)
    bright = np.abs(first[0]) > 0.05 * np.abs(first[0]).max()
    error = (first[1] - expected[:, None, None] * first[0])[bright]
    assert np.abs(error).max() < 2e-3 * np.abs(first[0]).max()


def test_drift_along_z_moves_the_last_frames():
    made = simulate_emitters(
        point(), settings_of(z_drift_nm=60.0, modulation=0, second_modulation=0)
    )
    peaks = made.clean[:, 0].max(axis=(2, 3))
    z = np.arange(len(peaks))[:, None]
    centre = (z * peaks**2).sum(axis=0) / (peaks**2).sum(axis=0)
    assert (centre[-1] - centre[0]) * 125 == pytest.approx(240, rel=0.15)


def test_a_phantom_has_its_truth_on_half_the_pixel():
    made = simulate(settings_of(structure="shells", height_px=40, width_px=36))
    assert made.raw.axes == "ZAPYX"
    assert made.raw.shape == (12, 1, 5, 40, 36)
    assert made.truth.shape == (12, 80, 72)
    assert made.truth.z_step_nm == made.raw.z_step_nm == 125


def test_structures_of_planes_and_volumes_are_not_mixed_up():
    with pytest.raises(ValidationError, match="a z-stack shows"):
        settings_of(structure="microtubules")
    with pytest.raises(ValidationError, match="three beams need"):
        settings_of(phases=3, beams="three")

"""The 3-D OTF against the transform of a defocused pupil, and its limits."""

import numpy as np
import pytest

from napari_dps.core import InputError, Optics
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.otf3d import (
    axial_frequency_per_nm,
    cap_height_per_nm,
    defocus_table,
    defocused_otf,
)

OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=80)
OBJECTIVE = {"na": 1.4, "emission_nm": 525.0, "refractive_index": 1.518}


def pupil_otf(z_nm, bins):
    """H(kr, z) as the autocorrelation, by FFT, of a pupil with a defocus phase."""
    step = 2 * 1.4 / 525 / bins
    frequency = (np.arange(4 * bins) - 2 * bins) * step
    square = frequency[:, None] ** 2 + frequency**2
    sphere = 1.518 / 525
    inside = square < (1.4 / 525) ** 2
    axial = np.sqrt(np.where(inside, sphere**2 - square, sphere**2))
    # An emitter shines evenly onto the sphere: its pupil is brighter at the rim.
    pupil = np.where(
        inside, np.exp(2j * np.pi * z_nm * axial) * np.sqrt(sphere / axial), 0
    )
    overlap = np.fft.ifft2(np.abs(np.fft.fft2(pupil)) ** 2).real[0, : bins + 1]
    return np.arange(bins + 1) * step, overlap / overlap[0]


@pytest.mark.parametrize("z_nm", [0, 250, 500, 1000])
def test_is_the_transform_of_a_defocused_pupil(z_nm):
    radius, expected = pupil_otf(z_nm, 160)
    found = defocused_otf(radius, [z_nm], **OBJECTIVE)[:, 0]
    assert np.abs(found - expected).max() < 5e-3


def test_keeps_the_light_at_every_distance():
    values = defocused_otf([0.0], np.linspace(0, 3000, 7), **OBJECTIVE)
    np.testing.assert_allclose(values, 1, atol=1e-6)


def test_passes_nothing_beyond_the_cutoff():
    cutoff = 2 * 1.4 / 525
    values = defocused_otf([cutoff, 1.2 * cutoff], [0, 300], **OBJECTIVE)
    assert np.abs(values).max() == 0


def test_becomes_that_of_a_plane_at_small_aperture():
    share = np.linspace(0, 1, 30)
    values = defocused_otf(
        share * 2 * 0.1 / 525, [0], na=0.1, emission_nm=525, refractive_index=1.518
    )
    np.testing.assert_allclose(values[:, 0], widefield_otf(share, 1.0), atol=2e-3)


@pytest.mark.parametrize("z_step_nm", [80, 110])
def test_axial_support_is_that_of_the_cap_and_first_order_lies_around_kz0(z_step_nm):
    table = defocus_table(OPTICS, 120, z_step_nm)
    kz = np.fft.fftfreq(120, z_step_nm)
    height = cap_height_per_nm(OPTICS)
    plain = np.abs(table.transfer()[100:300])
    leak = plain[:, np.abs(kz) > 1.15 * height].max()
    assert leak < 0.02 * plain.max()
    kz0 = 12 / 120 / z_step_nm  # a whole number of bins
    moved = table.transfer(kz0)
    copies = np.roll(table.transfer(), 12, axis=1) + np.roll(table.transfer(), -12, 1)
    np.testing.assert_allclose(moved, copies / 2, atol=1e-9)


def test_axial_frequency_is_that_of_the_beams():
    # A beam tilted by θ has k = n/λ sin θ, and beats at n/λ (1 − cos θ) with the axis.
    wave, tilt = 1.518 / 472.5, np.radians(48)
    found = axial_frequency_per_nm(
        wave * np.sin(tilt), excitation_nm=472.5, refractive_index=1.518
    )
    assert found == pytest.approx(wave * (1 - np.cos(tilt)))


def test_stripes_finer_than_any_beam_makes_are_refused():
    with pytest.raises(InputError, match="above 311"):
        axial_frequency_per_nm(1 / 300, excitation_nm=472.5, refractive_index=1.518)


def test_a_z_step_of_zero_is_refused():
    with pytest.raises(InputError, match="z step"):
        defocus_table(OPTICS, 8, 0)

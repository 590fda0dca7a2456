"""PSF and OTF against their analytic properties."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import j1

from napari_dps.core import InputError, Optics
from napari_dps.physics.otf import otf_2d, radial_frequency, widefield_otf
from napari_dps.physics.psf import airy_intensity, first_zero_nm, fwhm_nm, sr_psf

OPTICS = Optics(na=1.5, emission_nm=488, pixel_size_nm=32.5, modulation_factor=2)
SHAPES = [(64, 64), (63, 63), (64, 63), (31, 90), (1, 5)]


def radial_profile(optics, radius_nm):
    na = optics.na * optics.modulation_factor
    return airy_intensity(2 * np.pi * na * radius_nm / optics.emission_nm)


def test_airy_matches_its_formula_and_limit():
    v = np.linspace(0.01, 30, 1000)
    np.testing.assert_allclose(airy_intensity(v), (2 * j1(v) / v) ** 2, rtol=1e-12)
    tiny = np.array([0.0, 1e-12, 9.9e-5, 1.01e-4, 1e-3])
    np.testing.assert_allclose(airy_intensity(tiny), 1 - tiny**2 / 4, rtol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 1.6, 2.0])
def test_first_zero_and_fwhm_follow_effective_na(factor):
    optics = OPTICS.model_copy(update={"modulation_factor": factor})
    unit_nm = optics.emission_nm / (optics.na * factor)
    assert first_zero_nm(optics) == pytest.approx(0.61 * unit_nm, rel=1e-3)
    assert fwhm_nm(optics) == pytest.approx(0.5145 * unit_nm, rel=1e-4)
    assert radial_profile(optics, first_zero_nm(optics)) < 1e-30
    half = brentq(lambda r: radial_profile(optics, r) - 0.5, 1, first_zero_nm(optics))
    assert fwhm_nm(optics) == pytest.approx(2 * half, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_psf_is_normalised_and_peaks_on_the_documented_pixel(shape):
    psf = sr_psf(OPTICS, shape)
    assert psf.shape == shape
    assert psf.dtype == np.float64
    assert psf.sum() == pytest.approx(1, abs=1e-12)
    assert np.unravel_index(psf.argmax(), shape) == (shape[0] // 2, shape[1] // 2)
    corner = sr_psf(OPTICS, shape, origin="corner")
    assert corner.argmax() == 0
    np.testing.assert_array_equal(np.fft.fftshift(corner), psf)


def test_psf_samples_follow_the_formula_between_pixels():
    psf = sr_psf(OPTICS, (41, 50))
    y, x = np.indices(psf.shape)
    radius_nm = 32.5 * np.hypot(y - 20, x - 25)
    np.testing.assert_allclose(
        psf / psf[20, 25], radial_profile(OPTICS, radius_nm), atol=1e-14
    )


@pytest.mark.parametrize("shape", SHAPES[:4])
def test_convolution_with_corner_psf_does_not_shift(shape):
    image = np.zeros(shape)
    image[shape[0] // 3, shape[1] // 4] = 1
    spectrum = np.fft.rfft2(sr_psf(OPTICS, shape, origin="corner"))
    blurred = np.fft.irfft2(np.fft.rfft2(image) * spectrum, s=shape)
    assert blurred.argmax() == image.argmax()
    row = blurred[shape[0] // 3]
    x = shape[1] // 4
    np.testing.assert_allclose(row[x + 1 : x + 6], row[x - 1 : x - 6 : -1], atol=1e-12)


def test_modulation_factor_equals_finer_emission():
    half = Optics(na=1.5, emission_nm=244, pixel_size_nm=32.5)
    np.testing.assert_allclose(sr_psf(OPTICS, (33, 40)), sr_psf(half, (33, 40)))


def test_psf_of_empty_shape_is_refused():
    with pytest.raises(InputError, match="shape of the PSF"):
        sr_psf(OPTICS, (0, 5))


def test_otf_is_transform_of_psf():
    optics = Optics(na=1.2, emission_nm=520, pixel_size_nm=65)
    shape = (512, 511)
    numeric = np.fft.rfft2(sr_psf(optics, shape, origin="corner"))
    analytic = otf_2d(shape, optics.cutoff_per_pixel, half_plane=True)
    assert np.abs(numeric.imag).max() < 1e-12
    # The array cuts tails off, which dents the OTF at its cusp at zero frequency.
    assert np.abs(numeric.real - analytic).max() < 6e-3


def test_otf_limits_and_volume():
    assert widefield_otf(0.0, 0.3) == 1
    assert widefield_otf([0.3, -0.3, 5.0], 0.3).tolist() == [0, 0, 0]
    frequency = np.linspace(0, 0.3, 200_001)
    # The volume under the OTF is the peak of the PSF of unit energy, π NA²/λ².
    volume = np.trapezoid(
        2 * np.pi * frequency * widefield_otf(frequency, 0.3), frequency
    )
    assert volume == pytest.approx(np.pi * 0.15**2, rel=1e-6)


@pytest.mark.parametrize("shape", [(8, 6), (7, 5)])
def test_half_plane_is_part_of_the_full_plane(shape):
    full = otf_2d(shape, 0.6)
    np.testing.assert_array_equal(
        otf_2d(shape, 0.6, half_plane=True), full[:, : shape[1] // 2 + 1]
    )
    assert radial_frequency(shape)[1, 2] == pytest.approx(
        np.hypot(1 / shape[0], 2 / shape[1])
    )

"""Noise over signal against spectra that are known."""

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from napari_dps.core import CameraNoise, Optics
from napari_dps.physics.otf import otf_2d, radial_frequency
from napari_dps.physics.sim.noise import EXPONENTS, USUAL_EXPONENT, noise_to_signal
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings

OPTICS = Optics(na=1.2, emission_nm=600, pixel_size_nm=80)


def stack(exponent: float, ratio: float, size: int = 256) -> torch.Tensor:
    """Frames of an object of power (f/f_c)^−exponent with noise of a known ratio."""
    rng = np.random.default_rng(1)
    cutoff = OPTICS.cutoff_per_pixel
    radius = np.maximum(radial_frequency((size, size)) / cutoff, 0.02)
    white = np.fft.fft2(rng.standard_normal((size, size)))
    blurred = white * radius ** (-exponent / 2) * otf_2d((size, size), cutoff)
    clean = np.fft.ifft2(blurred).real
    # The mean of 9 frames has a ninth of their noise power, and order 0 of three
    # angles together three times that of the mean.
    sigma = np.sqrt(ratio / 3 * 9)
    frames = clean + sigma * rng.standard_normal((3, 3, size, size))
    return torch.from_numpy(frames.astype(np.float32) + 20 * np.abs(frames).max())


@pytest.mark.parametrize(("exponent", "ratio"), [(2.5, 0.01), (3.0, 0.1), (4.0, 0.03)])
def test_power_law_is_measured(exponent, ratio):
    noise = noise_to_signal(stack(exponent, ratio), OPTICS)
    assert noise.exponent == pytest.approx(exponent, abs=0.35)
    assert noise.at_cutoff == pytest.approx(ratio, rel=0.35)


def test_noise_of_interpolated_frames_is_not_missed():
    rng = np.random.default_rng(2)
    coarse = stack(3.0, 0.05).numpy() + rng.standard_normal((3, 3, 256, 256)) * 5
    fine = np.stack(
        [[zoom(f, 2, order=3, mode="grid-mirror", grid_mode=True) for f in a]
         for a in coarse]
    )  # fmt: skip
    halved = Optics(na=1.2, emission_nm=600, pixel_size_nm=40)
    direct = noise_to_signal(torch.from_numpy(coarse.astype(np.float32)), OPTICS)
    seen = noise_to_signal(torch.from_numpy(fine.astype(np.float32)), halved)
    assert seen.at_cutoff > 0.4 * direct.at_cutoff


def test_noise_that_is_stated_is_that_which_is_measured():
    simulation = simulate(
        SimulationSettings(
            height_px=192, width_px=160, structure="er", photons=300, seed=5
        )
    )
    drawn = simulation.settings
    frames = simulation.raw.data.astype(np.float32) - drawn.offset_counts
    tensor = torch.from_numpy(frames)
    camera = CameraNoise(drawn.gain_counts_per_e, drawn.read_noise_e)
    measured = noise_to_signal(tensor, drawn.optics)
    stated = noise_to_signal(tensor, drawn.optics, camera)
    assert stated.at_cutoff == pytest.approx(measured.at_cutoff, rel=0.15)
    # Pixels so coarse that nothing lies beyond the cut-off: only what is stated counts.
    coarse = frames[..., :159].reshape(3, 3, 64, 3, 53, 3).sum(axis=(3, 5))
    wide = drawn.optics.at_pixel_size(3 * drawn.pixel_size_nm)
    louder = CameraNoise(4 * camera.gain, camera.read_noise_e)
    ratios = [
        noise_to_signal(torch.from_numpy(coarse), wide, c).at_cutoff
        for c in (camera, louder)
    ]
    assert ratios[1] > 3 * ratios[0]


def test_noise_alone_is_taken_for_mostly_noise():
    frames = torch.from_numpy(
        np.random.default_rng(0).normal(100, 5, (3, 3, 96, 80)).astype(np.float32)
    )
    noise = noise_to_signal(frames, OPTICS)
    assert noise.exponent == USUAL_EXPONENT
    assert noise.at_cutoff > 10


def test_tiny_and_undersampled_frames_are_measured():
    frames = torch.rand(3, 3, 37, 31)
    coarse = Optics(na=1.4, emission_nm=500, pixel_size_nm=160)
    noise = noise_to_signal(frames, coarse)
    assert np.isfinite(noise.at_cutoff)
    assert EXPONENTS[0] <= noise.exponent <= EXPONENTS[1]

"""Noise of raw frames: beyond the cut-off, and where the angles differ."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import gammaincinv

from napari_dps.core import Optics
from napari_dps.methods.sim.frames import frame_noise
from napari_dps.methods.sim.orders import Zoom

PHASES, SIGMA = 3, 5.0
OPTICS = Optics(na=1.5, emission_nm=488, pixel_size_nm=65)
"""Cut-off of 0.4 cycles per pixel: the frames are at canonical sampling."""


def noise_of(frames: torch.Tensor) -> float:
    return frame_noise(frames, frames.mean(dim=1), OPTICS, Zoom(1, 1))


@pytest.mark.parametrize("angles", [1, 3])
def test_white_noise_is_measured_beyond_the_cutoff(angles: int) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(angles, PHASES, 128, 128, generator=generator)
    assert noise_of(100 + SIGMA * noise) == pytest.approx(SIGMA, rel=0.03)


@pytest.mark.parametrize("angles", [2, 3, 5])
def test_difference_of_the_angles_is_the_median_that_the_weights_know(
    angles: int,
) -> None:
    generator = torch.Generator().manual_seed(1)
    frames = SIGMA * torch.randn(angles, PHASES, 192, 192, generator=generator)
    # As after interpolation: nothing is left beyond the cut-off.
    y, x = (torch.fft.fftfreq(192) for _ in "yx")
    kept = torch.hypot(y[:, None], x) < 0.4
    frames = torch.fft.ifft2(torch.fft.fft2(frames) * kept).real
    low = math.sqrt(float(gammaincinv(angles - 1, 0.5)) / (angles - 1))
    assert noise_of(frames) == pytest.approx(low * SIGMA, rel=0.03)

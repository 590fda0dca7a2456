"""Inputs of the network, and running it: scale, tiles, canonical sampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dps.core import Optics
from napari_dps.core.context import Context
from napari_dps.core.progress import finish
from napari_dps.methods.dps import network as dps_network
from napari_dps.methods.dps.input import (
    NetworkInput,
    base_and_scale,
    change_width,
    network_input_steps,
)
from napari_dps.methods.dps.network import Sharpener, dps_network_steps
from napari_dps.nets.architectures.res_u_dbpn import ResUDBPN
from napari_dps.physics.canonical import CANONICAL_OPTICS

CPU = torch.device("cpu")
NOISE = 8.0


@pytest.fixture(scope="module")
def network() -> ResUDBPN:
    torch.manual_seed(0)
    made = ResUDBPN(features=2, channels=8, head_channels=4).eval()
    torch.nn.init.normal_(made.leave.weight, std=0.2)
    return made.requires_grad_(False)


def given(image: np.ndarray, noise: float) -> NetworkInput:
    return finish(network_input_steps(image, (1, 2), CPU, noise))


def _image(shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.indices(shape)
    return rng.poisson(60 * (1 + np.cos(y / 3) * np.cos(x / 4))).astype(np.float32)


def test_inputs_of_an_even_image_are_even_and_dark():
    inputs = finish(network_input_steps(np.full((24, 31), 250.0), (2, 4), CPU, 5.0))
    assert inputs.base == pytest.approx(250)
    assert inputs.scale == pytest.approx(50)
    assert inputs.noise == pytest.approx(0.1)
    torch.testing.assert_close(inputs.image, torch.zeros(24, 31), atol=1e-3, rtol=0)
    even = torch.zeros(2, 48, 62)
    torch.testing.assert_close(inputs.features, even, atol=1e-3, rtol=0)


def test_image_of_noise_alone_stays_far_below_full_scale():
    noise = np.random.default_rng(1).normal(0, 5, (128, 128))
    base, scale = base_and_scale(noise, noise=5.0)
    assert scale == 50.0
    assert -5 < base < 0


def test_scaling_the_counts_scales_the_result(network):
    image = _image((40, 40))
    results = [
        finish(dps_network_steps(network, given(gain * image, gain * NOISE), Context()))
        for gain in (1.0, 50.0)
    ]
    torch.testing.assert_close(50 * results[0], results[1], rtol=1e-3, atol=1e-2)


class Metadata:
    rl_iterations = (1, 2)
    output_width = 0.4


def test_result_lies_on_twice_the_grid_of_any_microscope(network):
    sharpener = Sharpener(Metadata(), network, CPU)  # type: ignore[arg-type]
    optics = Optics(na=1.2, emission_nm=600, pixel_size_nm=65, modulation_factor=1.5)
    image = _image((37, 52))
    for assumed in (optics, CANONICAL_OPTICS):
        steps = dps_network.sharpen_steps(
            image, assumed, sharpener, noise=NOISE, iterations=2, width=0.5
        )
        result = finish(steps)
        assert result.shape == (74, 104)
        assert result.dtype == np.float32


def test_wider_psf_is_that_of_the_emitters_blurred_at_once():
    emitters = torch.zeros(64, 80)
    emitters[30, 40] = 1
    at_once = change_width(emitters, 0, 0.5)
    in_steps = change_width(change_width(emitters, 0, 0.4), 0.4, 0.5)
    torch.testing.assert_close(in_steps, at_once, atol=1e-5, rtol=0)
    assert change_width(emitters, 0.4, 0.4) is emitters
    assert float(at_once.sum()) == pytest.approx(1, rel=0.02)


def test_noise_is_told_as_white_at_canonical_sampling(network, monkeypatch):
    told = []
    original = dps_network.network_input_steps

    def see(image, iterations, device, noise, models):
        told.append(noise)
        return original(image, iterations, device, noise, models)

    monkeypatch.setattr(dps_network, "network_input_steps", see)
    sharpener = Sharpener(Metadata(), network, CPU)  # type: ignore[arg-type]
    for pixel_nm in (32.5, 65.0):
        optics = CANONICAL_OPTICS.at_pixel_size(pixel_nm)
        image = np.zeros((32, 32))
        finish(
            dps_network.sharpen_steps(
                image, optics, sharpener, noise=2.0, iterations=0, width=0.5
            )
        )
    assert told == pytest.approx([2.0, 4.0])

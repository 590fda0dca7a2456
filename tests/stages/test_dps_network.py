"""Inputs of the network, and running it: scale, tiles, canonical sampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dps.core import Optics
from napari_dps.core.progress import finish
from napari_dps.nets.res_u_dbpn import ResUDBPN
from napari_dps.physics.canonical import CANONICAL_OPTICS
from napari_dps.stages import dps_network
from napari_dps.stages.dps_network import (
    full_scale,
    network_steps,
    prepare_steps,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> ResUDBPN:
    torch.manual_seed(0)
    made = ResUDBPN(features=2, channels=8, head_channels=4).eval()
    torch.nn.init.normal_(made.leave.weight, std=0.2)
    return made.requires_grad_(False)


def _image(shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.indices(shape)
    return rng.poisson(60 * (1 + np.cos(y / 3) * np.cos(x / 4))).astype(np.float32)


def test_inputs_of_an_even_image_are_even_and_one():
    given = finish(prepare_steps(np.full((24, 31), 250.0), (2, 4), CPU))
    assert given.scale == pytest.approx(250)
    assert given.features.shape == (2, 48, 62)
    torch.testing.assert_close(given.image, torch.ones(24, 31))
    torch.testing.assert_close(given.features, torch.ones(2, 48, 62), atol=1e-3, rtol=0)


def test_image_of_noise_alone_stays_far_below_full_scale():
    noise = np.random.default_rng(1).normal(0, 5, (128, 128))
    assert full_scale(noise, noise=5.0) == 30.0


def test_scaling_the_counts_scales_the_result(network):
    image = _image((40, 40))
    results = [
        finish(network_steps(network, finish(prepare_steps(gain * image, (1, 2), CPU))))
        for gain in (1.0, 50.0)
    ]
    torch.testing.assert_close(50 * results[0], results[1], rtol=1e-3, atol=1e-2)


def test_tiles_join_without_a_seam(network, monkeypatch):
    given = finish(prepare_steps(_image((150, 203)), (1, 2), CPU))
    whole = finish(network_steps(network, given))
    monkeypatch.setattr(dps_network, "TILE_PX", 64)
    steps = list(network_steps(network, given))
    assert len(steps) == 3 * 4
    torch.testing.assert_close(
        finish(network_steps(network, given)), whole, rtol=1e-4, atol=1e-3
    )


def test_result_lies_on_twice_the_grid_of_any_microscope(network):
    class Stub:
        class metadata:
            rl_iterations = (1, 2)

        def network(self, device):
            return network

    optics = Optics(na=1.2, emission_nm=600, pixel_size_nm=65, modulation_factor=1.5)
    image = _image((37, 52))
    result = finish(dps_network.sharpen_steps(image, optics, Stub(), CPU))  # type: ignore[arg-type]
    assert result.shape == (74, 104)
    assert result.dtype == np.float32
    same = finish(dps_network.sharpen_steps(image, CANONICAL_OPTICS, Stub(), CPU))  # type: ignore[arg-type]
    assert same.shape == (74, 104)

"""A turned image gives a turned result and uncertainty, of every method."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.nets.architectures.res_u_dbpn import ResUDBPN
from napari_dps.nets.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    shipped_weights,
)
from napari_dps.nets.equivariant import TURNS, turned
from napari_dps.stages.dps import STAGE, DpsParameters


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Write weights at random, of a network that turns with the image."""
    torch.manual_seed(0)
    network = ResUDBPN(oriented=True, channels=16)
    with torch.no_grad():
        for values in network.leave.parameters():
            values.normal_(0, 0.2)
    description = load_checkpoint(shipped_weights("dps-hybrid")).metadata.model_dump()
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_checkpoint(
        path, network.state_dict(), {**description, "network": network.settings}
    )
    return str(path)


def image(shape, pixel_size_nm, smooth):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[: shape[0], : shape[1]]
    clean = 4 + 100 * np.sin(0.4 * x + 0.02 * y**1.3) ** 8
    counts = rng.poisson(clean).astype(np.float32)
    if smooth:
        counts = (counts + np.roll(counts, 1, 0) + np.roll(counts, 1, 1)) / 3
    optics = Optics(
        na=1.5, emission_nm=488, pixel_size_nm=pixel_size_nm, modulation_factor=2
    )
    return ImageStack(counts, "YX", pixel_size_nm=pixel_size_nm, optics=optics)


def run(stack, **parameters):
    return finish(STAGE.run(stack, DpsParameters(**parameters), Context("cpu")))


@pytest.mark.parametrize(
    ("shape", "pixel_size_nm", "smooth"),
    [((32, 40), 32.5, False), ((33, 44), 40.0, False), ((31, 35), 27.0, True)],
)
def test_network_that_turns_gives_turned_results(weights, shape, pixel_size_nm, smooth):
    stack = image(shape, pixel_size_nm, smooth)
    whole = run(stack, weights=weights)
    scale = float(np.ptp(whole.data))
    for turn in range(1, TURNS):
        other = stack.derive(np.ascontiguousarray(turned(stack.data, turn)))
        difference = run(other, weights=weights).data - turned(whole.data, turn)
        assert np.abs(difference).max() < 1e-4 * scale


@pytest.mark.parametrize("turn", [1, 6])
def test_default_weights_give_turned_results(turn):
    stack = image((48, 40), 32.5, False)
    whole = run(stack).data
    other = stack.derive(np.ascontiguousarray(turned(stack.data, turn)))
    error = np.abs(run(other).data - turned(whole, turn)).max()
    assert error < 1e-3 * np.ptp(whole)


@pytest.mark.parametrize("turn", [3, 5])
def test_average_over_turns_turns_with_the_image_whatever_the_weights(turn):
    stack = image((32, 41), 36.0, False)
    other = stack.derive(np.ascontiguousarray(turned(stack.data, turn)))
    differences = []
    for average in (False, True):
        whole, there = (
            run(s, weights="hybrid", average_turns=average).data for s in (stack, other)
        )
        error = np.abs(there - turned(whole, turn)).max()
        differences.append(float(error / np.ptp(whole)))
    assert differences[1] < 1e-4 < 1e-2 < differences[0]


def test_weights_that_turn_with_the_image_need_no_average(weights):
    stack = image((32, 40), 32.5, False)
    alone, average = (
        run(stack, weights=weights, average_turns=on).data for on in (False, True)
    )
    np.testing.assert_array_equal(alone, average)


@pytest.mark.parametrize("turn", [1, 6])
def test_uncertainty_turns_with_the_image(turn):
    stack = image((21, 30), 32.5, False)
    whole = run(stack, method="rl", uncertainty=True)
    other = stack.derive(np.ascontiguousarray(turned(stack.data, turn)))
    there = run(other, method="rl", uncertainty=True)
    expected = turned(whole.maps["uncertainty"], turn)
    error = np.abs(there.maps["uncertainty"] - expected).max()
    assert error < 1e-3 * expected.max()

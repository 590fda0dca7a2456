"""Data consistency: nothing to do, nothing changed; structure gains; noise does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dps.core import finish
from napari_dps.methods.dps.consistency import clear_share, consistency_steps
from napari_dps.methods.dps.input import NetworkInput
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.deconvolution.model import ImagingModel

CPU = torch.device("cpu")
SHAPE = (45, 52)
SEEN_WIDTH = 0.4
MODEL = ImagingModel(SHAPE, CANONICAL_CUTOFF_PER_PIXEL, CPU, seen_width=SEEN_WIDTH)


def given(image: torch.Tensor, noise: float) -> NetworkInput:
    """The image in the network's units: counts less 20, over 500."""
    nothing = torch.empty((0, *(2 * side for side in image.shape)))
    return NetworkInput((image - 20) / 500, nothing, noise / 500, 500.0, 20.0)


def rings() -> torch.Tensor:
    """A true object on the 2× grid, in counts."""
    y, x = np.indices([2 * side for side in SHAPE])
    light = 20 + 900 * np.exp(-((np.hypot(y - 44, x - 50) - 18) ** 2) / 6)
    return torch.from_numpy(light.astype(np.float32))


def seen(thing: torch.Tensor) -> torch.Tensor:
    return MODEL.forward(MODEL.extended(thing))


def test_no_iterations_return_the_result_itself() -> None:
    sharp = rings()
    steps = consistency_steps(sharp, given(seen(sharp), 5.0), SEEN_WIDTH, 0)
    assert finish(steps) is sharp


@pytest.mark.slow
def test_even_light_is_unchanged() -> None:
    even = torch.full((90, 104), 130.0)
    steps = consistency_steps(even, given(torch.full(SHAPE, 130.0), 5), SEEN_WIDTH, 6)
    torch.testing.assert_close(finish(steps), even, rtol=1e-4, atol=0)


def test_what_agrees_with_the_image_is_unchanged() -> None:
    sharp = rings()
    steps = consistency_steps(sharp, given(seen(sharp), 3.0), SEEN_WIDTH, 6)
    torch.testing.assert_close(finish(steps), sharp, rtol=2e-3, atol=0.5)


@pytest.mark.parametrize("gain", [0.01, 1.0, 100.0])
def test_result_comes_closer_to_the_image_and_the_truth(gain: float) -> None:
    truth = gain * rings()
    image = seen(truth)
    wrong = truth.clone()
    wrong[:, 52:] = 20 * gain + 0.6 * (truth[:, 52:] - 20 * gain)
    inputs = NetworkInput(
        (image - 20 * gain) / (500 * gain),
        torch.empty((0, 90, 104)),
        3 / 500,
        500 * gain,
        20 * gain,
    )
    misfits, errors = [], []
    for iterations in (0, 4, 16):
        result = finish(consistency_steps(wrong, inputs, SEEN_WIDTH, iterations))
        misfits.append(float((seen(result) - image).square().mean()))
        errors.append(float((result - truth).square().mean()))
    assert misfits[2] < 0.5 * misfits[1] < 0.25 * misfits[0]
    assert errors[2] < errors[1] < errors[0]


def test_share_is_none_in_even_light_and_all_in_clear_structure() -> None:
    even = clear_share(torch.full(SHAPE, 50.0), noise=7.0)
    assert float(even.max()) < 1e-6
    structure = clear_share(seen(rings()), noise=5.0)
    assert 0 <= float(structure.min()) < 0.05
    assert 0.95 < float(structure.max()) <= 1
    noisier = clear_share(seen(rings()), noise=50.0)
    assert bool((noisier <= structure).all())


def test_share_is_almost_none_in_noise() -> None:
    rng = np.random.default_rng(3)
    noise = torch.from_numpy(rng.poisson(40, (128, 128)).astype(np.float32))
    share = clear_share(noise, noise=float(np.sqrt(40)))
    assert float(share.min()) >= 0
    assert float(share.mean()) < 0.07
    # What the model expects of a result is smoother than the image: less still.
    smooth = torch.nn.functional.avg_pool2d(noise[None], 3, 1, 1)[0][2:-2, 2:-2]
    assert float(clear_share(smooth, noise=float(np.sqrt(40))).mean()) < 0.01


def test_share_of_a_dark_image_without_noise_is_finite() -> None:
    for light, noise in ((0.0, 0.0), (30.0, 0.0), (0.0, 4.0)):
        share = clear_share(torch.full(SHAPE, light), noise)
        assert float(share.abs().max()) < 1e-3


def test_noise_is_not_brought_up_where_there_is_no_structure() -> None:
    rng = np.random.default_rng(4)
    noisy = torch.from_numpy(rng.poisson(40, SHAPE).astype(np.float32))
    even = torch.full((90, 104), 40.0)
    result = finish(consistency_steps(even, given(noisy, 6.3), SEEN_WIDTH, 16))
    assert float((result - 40).abs().max()) < 0.1

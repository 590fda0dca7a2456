"""The denoiser's network: sizes, what it starts from, what it refuses."""

from __future__ import annotations

import pytest
import torch

from napari_dps.core import InputError
from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights
from napari_dps.nets.res_unet import ResUNet, SimDenoiser, SimImager, fill


@pytest.mark.parametrize("shape", [(2, 2), (30, 36), (44, 62)])
def test_any_even_size_gives_an_object_and_haze_of_half_its_size(shape):
    network = SimDenoiser(channels=8, blocks=1)
    height, width = shape
    fine, haze = network(torch.rand(2, 4, height, width), torch.zeros(2, 2))
    assert fine.shape == (2, height, width)
    assert haze.shape == (2, height // 2, width // 2)


def test_new_network_returns_the_smooth_estimate_where_noise_is_strong():
    network = SimDenoiser(channels=8, blocks=1)
    features = torch.rand(1, 4, 16, 16)
    strong, weak = (torch.tensor([[level, 0.0]]) for level in (1.0, -4.0))
    smooth, sharp = (network(features, told)[0] for told in (strong, weak))
    torch.testing.assert_close(smooth[0], features[0, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(sharp[0], features[0, 1], atol=1e-3, rtol=0)


def test_last_layer_starts_at_zero():
    network = ResUNet(3, 2, channels=4, blocks=1)
    assert not network(torch.rand(1, 3, 8, 8)).detach().any()


def test_other_numbers_of_inputs_are_refused():
    network = SimDenoiser(channels=8, blocks=1)
    with pytest.raises(InputError, match="estimates for the network"):
        network(torch.rand(1, 3, 16, 16), torch.zeros(1, 2))
    with pytest.raises(InputError, match="levels for the network"):
        network(torch.rand(1, 4, 16, 16), torch.zeros(1, 3))


def test_fill_mirrors_small_and_large_images():
    assert fill(torch.rand(1, 1, 3, 5), 8).shape == (1, 1, 8, 8)
    row = torch.arange(10.0).expand(1, 1, 8, 10)
    assert fill(row, 8)[0, 0, 0, 10:].tolist() == [8, 7, 6, 5, 4, 3]


def test_shipped_denoiser_loads_and_is_better_than_nothing_by_its_own_account():
    path = shipped_weights("denoise")
    assert path.stat().st_size < 8e6
    checkpoint = load_checkpoint(path)
    assert isinstance(checkpoint.network(torch.device("cpu")), SimDenoiser)
    scores = checkpoint.metadata.metrics
    for level in (10, 50, 200):
        for name in ("wiener", "ssim", "frames"):
            key = f"{name}_{level}"
            assert scores["held_out"][key] > scores["none"][key]


@pytest.mark.parametrize("shape", [(2, 2), (30, 36)])
def test_imager_gives_an_object_of_any_even_size(shape):
    network = SimImager(channels=8, blocks=1)
    assert network(torch.rand(2, 4, *shape), torch.zeros(2, 2)).shape == (2, *shape)


@pytest.mark.parametrize("oriented", [False, True])
def test_imager_begins_with_the_object_of_a_denoiser(oriented):
    denoiser = SimDenoiser(channels=8, blocks=1, oriented=oriented)
    for values in denoiser.trunk.leave.parameters():
        torch.nn.init.normal_(values, std=0.1)
    imager = SimImager(channels=8, blocks=1, oriented=oriented)
    imager.begin_with(denoiser.state_dict())
    given = torch.rand(1, 4, 16, 16), torch.zeros(1, 2)
    torch.testing.assert_close(imager(*given), denoiser(*given)[0])


def test_imager_refuses_to_begin_with_weights_of_another_size():
    denoiser = SimDenoiser(channels=8, blocks=1)
    with pytest.raises(InputError, match="do not fit"):
        SimImager(channels=16, blocks=1).begin_with(denoiser.state_dict())


def test_shipped_imager_is_better_on_hazy_stacks_by_its_own_account():
    path = shipped_weights("sim")
    assert path.stat().st_size < 8e6
    checkpoint = load_checkpoint(path)
    assert isinstance(checkpoint.network(torch.device("cpu")), SimImager)
    scores = checkpoint.metadata.metrics
    assert len(checkpoint.metadata.recipe["start_sha256"]) == 64
    for level in (10, 50, 200, 1000):
        key = f"hazy_{level}"
        assert scores["held_out"][key] > scores["denoiser"][key] + 0.5
        assert scores["held_out"][key] > scores["linear"][key] + 2
    for level in (10, 50, 200):
        key = f"raw_{level}"
        assert scores["held_out"][key] > scores["linear"][key] + 0.5

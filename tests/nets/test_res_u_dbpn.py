"""The network: sizes by formula, any input size, meaning of its inputs."""

from __future__ import annotations

import pytest
import torch

from napari_dps.core import InputError
from napari_dps.nets.architectures.res_u_dbpn import ResUDBPN
from napari_dps.nets.blocks import DownProjection, UpProjection
from napari_dps.nets.equivariant import TURNS, turned


def small(**settings: object) -> ResUDBPN:
    torch.manual_seed(0)
    defaults = {"features": 2, "channels": 8, "head_channels": 4}
    return ResUDBPN(**{**defaults, **settings}).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", [2, 4, 6])
def test_projections_double_and_halve_exactly(kernel):
    x = torch.rand(1, 3, 10, 14)
    assert UpProjection(3, kernel)(x).shape == (1, 3, 20, 28)
    assert DownProjection(3, kernel)(x).shape == (1, 3, 5, 7)


def test_up_projection_adds_nothing_where_the_first_guess_explains_the_input():
    # deconv copies each pixel to 2 × 2, conv takes their mean: e = L₀ − L is zero.
    unit = UpProjection(1, kernel=2)
    with torch.no_grad():
        for name, value in unit.named_parameters():
            is_weight = value.ndim == 4
            scale = 0.25 if name.startswith("back") else 1.0
            value.fill_(scale if is_weight else (1.0 if "1" in name else 0.0))
            if name.endswith("0.bias"):
                value.zero_()
    x = torch.rand(1, 1, 4, 5)
    expected = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(unit(x), expected)


@pytest.mark.parametrize("shape", [(32, 32), (31, 37), (16, 50), (3, 5), (1, 1)])
def test_output_is_twice_any_size(shape):
    fine = torch.rand(1, 2, 2 * shape[0], 2 * shape[1])
    out = small()(torch.rand(1, 1, *shape), fine, torch.tensor([0.1]))
    assert out.shape == (1, 1, 2 * shape[0], 2 * shape[1])
    assert bool((out >= 0).all())


def test_untrained_network_without_noise_gives_the_deepest_feature():
    features = torch.stack([torch.full((16, 16), 0.2), torch.full((16, 16), 0.9)])[None]
    image = torch.rand(1, 1, 8, 8)
    network = small()
    with torch.inference_mode():
        clean, noisy = (
            float(network(image, features, torch.tensor([noise])).mean())
            for noise in (1e-3, 1.0)
        )
    assert clean == pytest.approx(0.9, abs=0.01)
    assert noisy == pytest.approx(0.2, abs=0.05)


def test_untrained_network_without_features_interpolates():
    network = small(features=0, noise_input=False)
    even = torch.full((1, 1, 9, 11), 0.7)
    torch.testing.assert_close(network(even), torch.full((1, 1, 18, 22), 0.7))


def test_default_network_is_small():
    assert sum(p.numel() for p in ResUDBPN().parameters()) < 500_000


@pytest.mark.parametrize(
    ("features", "noise", "message"),
    [
        (None, torch.tensor([0.1]), "feature images"),
        (torch.rand(1, 1, 16, 16), torch.tensor([0.1]), "feature images"),
        (torch.rand(1, 2, 16, 15), torch.tensor([0.1]), "shape of the features"),
        (torch.rand(1, 2, 16, 16), None, "noise level"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(features, noise, message):
    with pytest.raises(InputError, match=message):
        small()(torch.rand(1, 1, 8, 8), features, noise)


@pytest.mark.parametrize("shape", [(32, 40), (30, 34), (31, 37), (5, 8)])
def test_oriented_network_turns_with_its_input(shape):
    network = small(oriented=True, head_channels=8)
    with torch.no_grad():
        for weights in network.leave.parameters():
            weights.normal_(0, 0.3)
    image, fine = torch.rand(1, 1, *shape), torch.rand(1, 2, *(2 * n for n in shape))
    noise = torch.tensor([0.1])
    with torch.inference_mode():
        whole = network(image, fine, noise)
        assert float(whole.std()) > 0.1
        for turn in range(TURNS):
            result = network(turned(image, turn), turned(fine, turn), noise)
            torch.testing.assert_close(result, turned(whole, turn), rtol=0, atol=1e-5)


def test_oriented_network_has_eight_times_fewer_weights():
    plain, oriented = ResUDBPN(), ResUDBPN(oriented=True)
    counts = [sum(p.numel() for p in one.parameters()) for one in (plain, oriented)]
    assert 7 < counts[0] / counts[1] < 8

"""The noise remover's network: any size, any unit of noise, turns with the image."""

from __future__ import annotations

import pytest
import torch

from napari_dps.nets.architectures.noise_remover import NoiseRemover
from napari_dps.nets.equivariant import TURNS, turned


def random_network() -> NoiseRemover:
    """Weights that change the image everywhere."""
    torch.manual_seed(1)
    network = NoiseRemover(bases=3, numbers=2, channels=8, blocks=1)
    for weights in network.trunk.leave.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    return network.eval().requires_grad_(False)


def inputs(shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return (
        5 * torch.randn(1, 3, *shape),
        0.5 + torch.rand(1, 1, *shape),
        torch.randn(1, 2),
    )


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (37, 31), (64, 64)])
def test_new_network_returns_the_mean_of_the_bases(shape: tuple[int, int]) -> None:
    bases, local, numbers = inputs(shape)
    with torch.no_grad():
        clean, gates = NoiseRemover(bases=3, numbers=2, channels=8, blocks=1)(
            bases, local, numbers
        )
    torch.testing.assert_close(clean, bases.mean(dim=1, keepdim=True))
    assert gates.shape == bases.shape
    torch.testing.assert_close(gates.sum(dim=1), torch.ones(1, *shape))


@pytest.mark.parametrize("turn", range(TURNS))
def test_result_turns_with_the_image(turn: int) -> None:
    network, (bases, local, numbers) = random_network(), inputs((28, 36))
    expected = turned(network(bases, local, numbers)[0], turn)
    result = network(turned(bases, turn), turned(local, turn), numbers)[0]
    assert not torch.allclose(expected, turned(bases.mean(1, keepdim=True), turn))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


def test_what_is_added_goes_with_noise_and_brightness() -> None:
    """Nothing where there is neither, something where there is one of them."""
    network, (_, local, numbers) = random_network(), inputs((32, 32))
    dark = torch.zeros(1, 3, 32, 32)
    faint = torch.cat([torch.full((1, 1), -6.0), numbers[:, 1:]], dim=1)

    def most(local: torch.Tensor, numbers: torch.Tensor) -> float:
        return float(network(dark, local, numbers)[0].abs().max())

    assert most(1e-6 * local, faint) < 1e-4
    assert most(local, faint) > 1e-2
    assert most(1e-6 * local, numbers) > 1e-2


def test_numbers_that_are_told_change_the_result() -> None:
    network, (bases, local, numbers) = random_network(), inputs((32, 32))
    first, _ = network(bases, local, numbers)
    assert not torch.allclose(first, network(bases, local, numbers + 1)[0])

"""The artefact remover's network: identity at first, any size, how far it sees."""

from __future__ import annotations

import pytest
import torch

from napari_dps.nets.architectures.artifact_remover import ArtifactRemover


def random_network() -> ArtifactRemover:
    """Weights that change the image everywhere."""
    torch.manual_seed(1)
    network = ArtifactRemover(channels=4).eval().requires_grad_(False)
    torch.nn.init.normal_(network.trunk.leave.weight, std=0.1)
    return network


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (37, 31), (64, 64)])
def test_new_network_returns_the_image_for_any_size(shape: tuple[int, int]) -> None:
    image = torch.rand(2, 1, *shape)
    with torch.no_grad():
        clean, gate = ArtifactRemover(channels=4, blocks=1)(
            image, torch.tensor([0.0, 1])
        )
    assert torch.equal(clean, image)
    assert gate.shape == image.shape
    assert gate.min() > 0
    assert gate.max() < 1


def test_noise_that_is_told_changes_the_result() -> None:
    network, image = random_network(), torch.rand(1, 1, 32, 32)
    quiet, _ = network(image, torch.tensor([0.001]))
    loud, _ = network(image, torch.tensor([0.1]))
    assert not torch.allclose(quiet, loud)

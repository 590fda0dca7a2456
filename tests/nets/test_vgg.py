"""VGG16-D: topology, torchvision's checkpoint format, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_dps.core import InputError
from napari_dps.nets.vgg import (
    FEATURE_LAYERS,
    VGG16,
    Classifier,
    load_torchvision_vgg16,
)

TORCHVISION_CONVOLUTIONS = {
    0: (64, 3),
    2: (64, 64),
    5: (128, 64),
    7: (128, 128),
    10: (256, 128),
    12: (256, 256),
    14: (256, 256),
    17: (512, 256),
    19: (512, 512),
    21: (512, 512),
    24: (512, 512),
    26: (512, 512),
    28: (512, 512),
}
"""Place in ``features`` and (outputs, inputs) of each convolution of ``vgg16``."""


def torchvision_weights() -> dict[str, torch.Tensor]:
    """Random weights under the keys and shapes of torchvision's file."""
    torch.manual_seed(0)
    weights = {}
    for place, (outputs, inputs) in TORCHVISION_CONVOLUTIONS.items():
        weights[f"features.{place}.weight"] = torch.randn(outputs, inputs, 3, 3) / 50
        weights[f"features.{place}.bias"] = torch.randn(outputs) / 50
    # The first layer of the classifier stands for the three that are not used.
    weights["classifier.0.bias"] = torch.zeros(4096)
    return weights


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return torchvision_weights()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_file_is_read_by_its_keys(
    tmp_path: Path, weights: dict[str, torch.Tensor], suffix: str
) -> None:
    path = tmp_path / f"vgg16-397923af{suffix}"
    if suffix == ".pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    network = load_torchvision_vgg16(path)
    assert len(network.state_dict()) == 26
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name])
    assert len(network(torch.rand(1, 1, 16, 16))) == len(FEATURE_LAYERS) == 9


def test_grey_image_enters_imagenet_weights_normalised() -> None:
    network = VGG16(width=1 / 64, colours=3)
    first = network.features[0]
    image = torch.rand(1, 1, 16, 16)
    seen = (
        image - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    ) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    expected = torch.relu(first(seen))
    assert torch.allclose(network(image, (0,))[0], expected)


def test_width_scales_channels_and_blocks_halve_the_size() -> None:
    found = VGG16(width=1 / 8)(torch.rand(2, 1, 48, 32), tuple(range(13)))
    channels = [8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64]
    halvings = [0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    for features, count, halving in zip(found, channels, halvings, strict=True):
        assert features.shape == (2, count, 48 >> halving, 32 >> halving)
        assert features.min() >= 0


def test_classifier_answers_every_head() -> None:
    network = Classifier(width=1 / 32, heads={"structure": 5, "noise": 3})
    answers = network(torch.rand(2, 1, 32, 32))
    assert {name: tuple(v.shape) for name, v in answers.items()} == {
        "structure": (2, 5),
        "noise": (2, 3),
    }


def test_missing_layer_is_named(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "vgg16.pth"
    torch.save({k: v for k, v in weights.items() if k != "features.17.bias"}, path)
    with pytest.raises(InputError, match=r"features\.17\.bias"):
        load_torchvision_vgg16(path)


def test_weights_of_another_network_are_refused_with_the_shape(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "vgg16_bn.safetensors"
    save_file({**weights, "features.2.weight": torch.zeros(64)}, path)
    with pytest.raises(InputError, match=r"features\.2\.weight.*\(64, 64, 3, 3\)"):
        load_torchvision_vgg16(path)


def test_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.pth"
    torch.save(VGG16(width=1 / 64), path)  # a pickled module, not a dictionary
    with pytest.raises(InputError, match=r"vgg16\.pth"):
        load_torchvision_vgg16(path)


@pytest.mark.parametrize("name", ["none.pth", "vgg16.onnx"])
def test_missing_or_unknown_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=name):
        load_torchvision_vgg16(tmp_path / name)


@pytest.mark.parametrize("settings", [{"width": 0}, {"width": 2}, {"colours": 2}])
def test_impossible_sizes_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="VGG16"):
        VGG16(**settings)  # type: ignore[arg-type]

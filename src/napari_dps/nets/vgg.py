"""VGG16-D: what an image looks like to a classifier, layer by layer.

Simonyan and Zisserman 2015, arXiv:1409.1556, configuration D; its features serve as a
perceptual distance (Johnson et al. 2016, doi:10.1007/978-3-319-46475-6_43).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dps.core import InputError

BLOCKS: tuple[tuple[int, ...], ...] = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 512, 512),
)
"""Channels of the thirteen convolutions; 2 × 2 max-pooling after each block."""

FEATURE_LAYERS = (0, 1, 2, 3, 4, 5, 6, 8, 9)
"""Convolutions, from 0, whose output after the ReLU is compared: nine, the fine ones
all, since artefacts are fine."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of red, green and blue on a scale of 0 to 1, as
torchvision's weights expect them."""


class VGG16(nn.Module):
    """The thirteen convolutions of VGG16-D, with their channels scaled.

    The keys of its weights are those of torchvision's ``vgg16``: ``features.0.weight``
    and so on; there is no batch normalisation.

    Parameters
    ----------
    width : float
        Channels over those of the original: 1 is VGG16-D.
    colours : int
        Channels of the input: 1, or 3 for weights from ImageNet, which get the image
        three times, normalised as they were trained.

    Examples
    --------
    >>> network = VGG16(width=1 / 16)
    >>> [tuple(f.shape[1:]) for f in network(torch.rand(1, 1, 32, 32), (0, 2, 9))]
    [(4, 32, 32), (8, 16, 16), (32, 4, 4)]
    """

    def __init__(self, *, width: float = 1.0, colours: int = 1) -> None:
        super().__init__()
        if not 0 < width <= 1:
            raise InputError("width of VGG16", got=width, allowed="above 0, up to 1")
        if colours not in (1, 3):
            raise InputError("colours of VGG16", got=colours, allowed="1 or 3")
        self.colours = colours
        layers: list[nn.Module] = []
        self.places: list[int] = []
        """Place of each ReLU in ``features``."""
        before = colours
        for block in BLOCKS:
            for full in block:
                channels = max(round(full * width), 1)
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
                self.places.append(len(layers) - 1)
                before = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.channels = before
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(
        self, image: Tensor, layers: tuple[int, ...] = FEATURE_LAYERS
    ) -> list[Tensor]:
        """Return features of some convolutions after their ReLU.

        Parameters
        ----------
        image : tensor (N, 1, Y, X)
            Full scale about 1; 16 px a side or more for the deepest.
        layers : tuple of int
            Ascending, 0 to 12.

        Returns
        -------
        list of tensor (N, C, Y', X')
        """
        x = self._coloured(image)
        wanted = [self.places[layer] for layer in layers]
        found = []
        for place in range(wanted[-1] + 1):
            x = self.features[place](x)
            if place in wanted:
                found.append(x)
        return found

    def _coloured(self, image: Tensor) -> Tensor:
        if self.colours == 1:
            return image
        mean = image.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
        std = image.new_tensor(IMAGENET_STD).view(1, 3, 1, 1)
        return (image.expand(-1, 3, -1, -1) - mean) / std


def load_torchvision_vgg16(path: Path) -> VGG16:
    """Read the convolutions of a checkpoint of torchvision's ``vgg16``.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or ``.pth`` as torchvision distributes it (read as tensors
        alone: nothing in it is run).

    Returns
    -------
    VGG16
        Full width, three colours. The classifier of the file is not used.

    Raises
    ------
    InputError
        If the file cannot be read, or keys or shapes are not those of ``vgg16``.
    """
    weights = _read_tensors(path)
    network = VGG16(width=1.0, colours=3)
    expected = network.state_dict()
    for name, value in expected.items():
        if name not in weights:
            raise InputError(f"{path.name} is not a vgg16 of torchvision: no {name}")
        if weights[name].shape != value.shape:
            raise InputError(
                f"{path.name} is not a vgg16 of torchvision: shape of {name}",
                got=tuple(weights[name].shape),
                allowed=str(tuple(value.shape)),
            )
    network.load_state_dict({name: weights[name].float() for name in expected})
    return network.eval().requires_grad_(False)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix not in (".safetensors", ".pth"):
        raise InputError(
            "file of vgg16 weights", got=path.name, allowed=".safetensors or .pth"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:
        raise InputError(
            f"cannot read vgg16 weights from {path.name}: {problem}"
        ) from problem
    if not isinstance(loaded, dict):
        raise InputError(f"{path.name} holds no dictionary of weights")
    return {k: v for k, v in loaded.items() if isinstance(v, Tensor)}


class Classifier(nn.Module):
    """`VGG16` with linear heads on the mean of its last features.

    Parameters
    ----------
    width : float
        Settings of `VGG16`.
    heads : dict of int
        Classes of each head.
    """

    def __init__(self, *, width: float, heads: dict[str, int]) -> None:
        super().__init__()
        self.vgg = VGG16(width=width)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(self.vgg.channels, n) for name, n in heads.items()}
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map images (N, 1, Y, X), full scale about 1, to the logits of each head."""
        (last,) = self.vgg(image, (12,))
        pooled = F.adaptive_avg_pool2d(last, 1).flatten(1)
        return {name: head(pooled) for name, head in self.heads.items()}

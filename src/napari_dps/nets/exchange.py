"""The networks as other programs meet them: tensors in, tensors out, no options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from napari_dps.core import InputError
from napari_dps.nets import architectures
from napari_dps.nets.checkpoint import Checkpoint, CheckpointMetadata

SIDE_PX = 64
"""Side of the images of a sample."""
STEP_PX = 8
"""By which their sides may be longer: cells of all networks fit."""
_NOISE = 0.05
"""Standard deviation of the noise of a sample, full scale 1."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that a network takes or gives.

    Attributes
    ----------
    name : str
        As its ``forward`` calls it.
    axes : str
        A letter an axis: b batch, c channels, n networks, f frequencies, y, x.
    description : str
        What its values are.
    channels, networks : int
        Lengths of c and n.
    scale : float
        Edge of its pixels, in pixels of the first input.
    fill : float or None
        Value of all its elements in a sample; None: random, 0 to 1.
    """

    name: str
    axes: str
    description: str
    channels: int = 1
    scale: float = 1.0
    fill: float | None = None
    networks: int = 1


Signature = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]
"""What a network takes, and what it gives."""


class ExchangedNetwork(nn.Module):
    """A network of any architecture that takes and gives tensors in a fixed order.

    Parameters
    ----------
    architecture : str
        One of `napari_dps.nets.checkpoint.ARCHITECTURES`.
    settings : dict
        Arguments of its class.
    inputs : sequence of str
        Names of its tensors, in the order of `forward`.
    """

    def __init__(
        self, architecture: str, settings: Mapping[str, Any], inputs: Sequence[str]
    ) -> None:
        super().__init__()
        module = import_module(f"{architectures.__name__}.{architecture}")
        self.network = module.NETWORK(**settings)
        self._inputs = tuple(inputs)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> ExchangedNetwork:
        """Return the network of a checkpoint, with its weights, to be asked.

        Raises
        ------
        InputError
            As `signature`.
        """
        metadata = checkpoint.metadata
        takes, _ = signature(metadata)
        names = [tensor.name for tensor in takes]
        network = cls(metadata.architecture, metadata.network, names).eval()
        network.network.load_state_dict(checkpoint.weights)
        return network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return all tensors that the network gives."""
        found = self.network(**dict(zip(self._inputs, tensors, strict=True)))
        if isinstance(found, Mapping):
            return tuple(found.values())
        return found if isinstance(found, tuple) else (found,)


def signature(metadata: CheckpointMetadata) -> Signature:
    """Return what a network takes and gives.

    Raises
    ------
    InputError
        If its architecture is not described here.

    Examples
    --------
    >>> from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights
    >>> path = shipped_weights("dps-hybrid")
    >>> takes, gives = signature(load_checkpoint(path).metadata)
    >>> [tensor.name for tensor in takes], gives[0].scale
    (['image', 'features', 'noise'], 0.5)
    """
    describe = _SIGNATURES.get(metadata.architecture)
    if describe is None:
        raise InputError(
            "architecture to export",
            got=metadata.architecture,
            allowed=", ".join(_SIGNATURES),
        )
    return describe(metadata.network)


def sample(takes: Sequence[TensorSpec], metadata: CheckpointMetadata) -> list[Tensor]:
    """Return an example of every input, float32, the same each time."""
    generator = torch.Generator().manual_seed(0)
    frequencies = len(metadata.network.get("log_frequencies", ()))
    tensors = []
    for spec in takes:
        side = round(SIDE_PX / spec.scale)
        lengths = {"b": 1, "c": spec.channels, "n": spec.networks}
        lengths |= {"y": side, "x": side, "f": frequencies}
        shape = [lengths[axis] for axis in spec.axes]
        values = torch.rand(shape, generator=generator)
        tensors.append(values if spec.fill is None else values.fill_(spec.fill))
    return tensors


def _image(name: str, what: str, channels: int = 1, scale: float = 1.0) -> TensorSpec:
    return TensorSpec(name, "bcyx", what, channels, scale)


def _noise() -> TensorSpec:
    what = "standard deviation of the image's noise, in its scale"
    return TensorSpec("noise", "b", what, fill=_NOISE)


def _remover(settings: Mapping[str, Any]) -> Signature:
    image = _image("image", "SIM image at canonical sampling, full scale 1")
    clean = _image("clean", "the image without artefacts")
    gate = _image("gate", "how far it was allowed to change, 0.1 to 1")
    return (image, _noise()), (clean, gate)


def _low_light_remover(settings: Mapping[str, Any]) -> Signature:
    what = "the image and its filtered versions, in units of its noise"
    bases = _image("bases", what, settings["bases"])
    local = _image("local", "the noise by place, in that unit")
    what = "numbers of the whole image; the first: log10 of its brightness in that unit"
    numbers = TensorSpec("numbers", "bc", what, settings["numbers"], fill=0.5)
    clean = _image("clean", "the image without noise and artefacts, in that unit")
    gates = _image("gates", "shares of the bases in it", settings["bases"])
    return (bases, replace(local, fill=1.0), numbers), (clean, gates)


def _sharpener(settings: Mapping[str, Any]) -> Signature:
    count = settings.get("features", 2)
    takes = [_image("image", "at canonical sampling, full scale 1")]
    if count:
        what = "Richardson-Lucy estimates on the fine grid, in the image's scale"
        takes.append(_image("features", what, count, 0.5))
    if settings.get("noise_input", True):
        takes.append(_noise())
    return tuple(takes), (_image("sharp", "on the fine grid, 0 or more", scale=0.5),)


def _finder(settings: Mapping[str, Any]) -> Signature:
    what = "linear estimates of the object on the grid of results, full scale 1"
    features = _image("features", what, settings.get("features", 4))
    what = "decimal logarithms of the noise of the mean frame, and of the stripes' gain"
    levels = TensorSpec("levels", "bc", what, settings.get("levels", 2), fill=-1.5)
    found = TensorSpec("object", "byx", "the object on the same grid")
    return (features, levels), (found,)


def _denoiser(settings: Mapping[str, Any]) -> Signature:
    takes, gives = _finder(settings)
    what = "light without stripes, on the grid of the frames"
    return takes, (*gives, TensorSpec("haze", "byx", what, scale=2.0))


def _voters(settings: Mapping[str, Any]) -> Signature:
    count = settings["networks"]
    spectra = TensorSpec("x", "nbcf", "logarithms of spectra over frequencies", 5)
    votes = TensorSpec("votes", "nbc", "ln of the PSF's width factor, and its error", 2)
    return (replace(spectra, networks=count),), (replace(votes, networks=count),)


def _classifier(settings: Mapping[str, Any]) -> Signature:
    image = _image("image", "SIM image at canonical sampling, full scale about 1")
    heads = settings["heads"].items()
    gives = [TensorSpec(name, "bc", f"logits of {name}", n) for name, n in heads]
    return (image,), tuple(gives)


_SIGNATURES: dict[str, Callable[[Mapping[str, Any]], Signature]] = {
    "artifact_remover": _remover,
    "noise_remover": _low_light_remover,
    "psf_voters": _voters,
    "res_u_dbpn": _sharpener,
    "sim_denoiser": _denoiser,
    "sim_imager": _finder,
    "vgg16_classifier": _classifier,
}

"""The super-resolution network, trained on: from images of the user's, without truth.

Two recordings of each field are needed that differ in their noise alone. A camera image
gives both: its photons are dealt out to two halves at random, which is what a beam
splitter would do (Lehtinen et al. 2018, arXiv:1803.04189).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_dps.core import InputError, Optics, Progress
from napari_dps.core.params import parse
from napari_dps.methods.dps.input import (
    NetworkInput,
    network_input_steps,
    within_cutoff,
)
from napari_dps.methods.dps.methods import weights_file
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.methods.dps.optics import effective_optics
from napari_dps.nets.checkpoint import Checkpoint, load_checkpoint
from napari_dps.physics.canonical import canonical_zoom, to_canonical
from napari_dps.train.dps.data import as_batch, stack_fields
from napari_dps.train.dps.task import DpsRecipe, DpsTask, NetworkSettings
from napari_dps.train.recipe import load_recipe
from napari_dps.train.task import Sources

_DEALS = 4
"""How often the photons of an image are dealt out anew."""
_HELD_OUT = 5
"""One field in so many decides which step is kept."""
_RNG_SEED = 7
_TINY = 1e-12

Plane = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class AdaptTask(DpsTask):
    """Res-U-DBPN on a user's images, from weights that exist.

    Parameters
    ----------
    start : Checkpoint
        Weights to begin with.
    """

    start: Checkpoint
    curves: ClassVar[tuple[str, ...]] = ("held_out_loss",)

    def build_network(self) -> nn.Module:
        """Return the network with the weights to begin with."""
        network = super().build_network()
        network.load_state_dict(self.start.weights)
        return network

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the loss on the fields that are left out, and its negative."""
        with torch.inference_mode():
            losses = [
                float(self.objective(network, as_batch(self.validation, n))["loss"])
                for n in range(len(self.validation))
            ]
        loss = float(np.mean(losses))
        return {"held_out_loss": loss, "score": -loss}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        return {
            **self._description(),
            "metrics": {"started_from_sha256": self.start.metadata.sha256},
        }


def prepare_adaptation(
    name: str, sources: Sources
) -> Generator[Progress, None, AdaptTask]:
    """Read recipe, weights and images.

    Parameters
    ----------
    name : str
        Recipe without terms that need truth.
    sources : Sources
        With images, and the weights to begin with.

    Yields
    ------
    Progress
        After each image.

    Returns
    -------
    AdaptTask

    Raises
    ------
    InputError
        If the recipe needs truth, weights and recipe do not fit together, or an image
        lacks optics or is too small.
    """
    recipe = load_recipe(DpsRecipe, name)
    if recipe.is_supervised:
        raise InputError(
            f"the recipe {name} needs the truth, which images do not have",
            allowed="one without truth terms, as adapt or physics",
        )
    start = _start(sources.init, recipe)
    fields: list[dict[str, Any]] = []
    for number, image in enumerate(sources.images):
        yield Progress(number, len(sources.images), "Preparing images")
        optics = effective_optics(image)
        data = np.asarray(image.data, dtype=np.float32)
        for plane in data.reshape(-1, *data.shape[-2:]):
            fields += yield from _fields(plane, optics, recipe)
    held_out = fields[::_HELD_OUT]
    training = [field for n, field in enumerate(fields) if n % _HELD_OUT]
    return AdaptTask(
        recipe, stack_fields(training or held_out), stack_fields(held_out), start
    )


def deal_photons(
    image: Plane, noise: float, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    """Deal the photons of a camera image out to two images.

    Parameters
    ----------
    image : array (Y, X), float32
        Counts above the camera's offset.
    noise : float
        Standard deviation of its noise in counts, taken for shot noise: counts per
        photon are its square over the mean.
    rng : numpy.random.Generator
        Deals.

    Returns
    -------
    two arrays (Y, X), float32
        Of the brightness of the image; their mean is the image, their noise √2 times
        its noise, and independent of one another.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = rng.poisson(20, (64, 64)).astype(np.float32)
    >>> one, other = deal_photons(image, noise=20**0.5, rng=rng)
    >>> bool(np.allclose(one + other, 2 * image, atol=1e-4))
    True
    >>> abs(float(np.corrcoef(one.ravel(), other.ravel())[0, 1])) < 0.05
    True
    """
    mean = max(float(image.mean(dtype=np.float64)), _TINY)
    gain = max(noise**2 / mean, _TINY)
    photons = np.maximum(image / gain, 0)
    half = rng.binomial(np.rint(photons).astype(np.int64), 0.5) - np.rint(photons) / 2
    difference = np.asarray(gain * half, dtype=np.float32)
    return image + 2 * difference, image - 2 * difference


def _fields(
    plane: Plane, optics: Optics, recipe: DpsRecipe
) -> Generator[Progress, None, list[dict[str, Any]]]:
    """Prepare one image, dealt out several times, and cut it into fields."""
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    white = is_raw(plane)
    noise = measured_noise(plane, cutoff, white=white)
    side = recipe.patch_px
    cut: list[dict[str, Any]] = []
    for deal in range(_DEALS):
        pair, level = (plane, plane), noise
        if white:
            rng = np.random.default_rng([_RNG_SEED, deal])
            pair, level = deal_photons(plane, noise, rng), 2**0.5 * noise
        one, other = (to_canonical(half, optics) for half in pair)
        height, width = one.shape
        if min(height, width) < side:
            raise InputError(
                "size of an image at canonical sampling",
                got=f"{height} × {width} px",
                allowed=f"at least {side} px a side",
            )
        level *= canonical_zoom(optics)
        steps = network_input_steps(
            one, recipe.rl_iterations, torch.device("cpu"), level
        )
        inputs = yield from steps
        cut += _cut(inputs, other, side)
    return cut


def _cut(inputs: NetworkInput, other: Plane, side: int) -> list[dict[str, Any]]:
    """Cut a prepared image and its partner into fields; keys as those of `Fields`."""
    height, width = other.shape
    partner = within_cutoff(torch.from_numpy(other)).numpy()
    partner = (partner - inputs.base) / inputs.scale
    fields: list[dict[str, Any]] = []
    for y in range(0, height - side + 1, side):
        for x in range(0, width - side + 1, side):
            fine = np.s_[2 * y : 2 * (y + side), 2 * x : 2 * (x + side)]
            coarse = np.s_[y : y + side, x : x + side]
            features = inputs.features[:, fine[0], fine[1]].numpy()
            fields.append(
                {
                    "image": inputs.image[coarse].numpy(),
                    "partner": partner[coarse].astype(np.float32),
                    "features": features.astype(np.float16),
                    "target": np.zeros((2 * side, 2 * side), np.float16),
                    "noise": np.float32(inputs.noise),
                    "base": np.float32(inputs.base / inputs.scale),
                }
            )
    return fields


def _start(init: str | None, recipe: DpsRecipe) -> Checkpoint:
    """Read the weights to begin with."""
    path = weights_file("hybrid" if init in (None, "shipped") else init)
    checkpoint = load_checkpoint(path)
    metadata = checkpoint.metadata
    fits = (
        parse(NetworkSettings, metadata.network, "network") == recipe.network
        and tuple(metadata.rl_iterations) == recipe.rl_iterations
        and metadata.output_width == recipe.output_width
    )
    if not fits:
        raise InputError(
            f"weights {path.name} and recipe {recipe.name} describe different networks"
        )
    return checkpoint

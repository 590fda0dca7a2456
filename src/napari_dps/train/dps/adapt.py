"""The super-resolution network, trained on: from images of the user's, without truth.

Two recordings of each field are needed that differ in their noise alone. A camera image
gives both: its photons are dealt out to two halves at random, which is what a beam
splitter would do (Lehtinen et al. 2018, arXiv:1803.04189). Of a reconstruction both
halves of the raw frames have to be reconstructed; its pixels alone are compared with
themselves.

Regions of the images are left out: some choose the step that is kept, others judge
whether it is better than the weights that were begun with.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_dps.core import ImageStack, InputError, Optics, Progress
from napari_dps.core.params import parse
from napari_dps.methods.dps.input import (
    NetworkInput,
    network_input_steps,
    within_cutoff,
)
from napari_dps.methods.dps.methods import (
    SHIPPED_WEIGHTS,
    reconstruction_noise,
    weights_file,
)
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.methods.dps.optics import effective_optics
from napari_dps.nets.checkpoint import Checkpoint, load_checkpoint
from napari_dps.physics.camera import deal_photons
from napari_dps.physics.canonical import canonical_zoom, to_canonical
from napari_dps.train.dps.data import Fields, as_batch, stack_fields
from napari_dps.train.dps.evaluate import run_network
from napari_dps.train.dps.losses import ImageFormation, LossWeights, Objective
from napari_dps.train.dps.task import DpsRecipe, DpsTask, NetworkSettings
from napari_dps.train.left_out import (
    MOST_POINTS,
    corners,
    looked_at,
    mean_of_regions,
    split_regions,
    spread,
    too_few_regions,
)
from napari_dps.train.recipe import load_recipe
from napari_dps.train.task import Sources

_DEALS, _DEALS_PX = 4, 16 * 512**2
"""How often the photons of an image are dealt out anew, and in how many pixels at most
more than once: preparing them takes time."""
_RNG_SEED = 7

Plane = NDArray[np.float32]
Prepared = dict[str, Any]
"""A field; keys as those of `Fields`."""


@dataclass(frozen=True, eq=False)
class AdaptTask(DpsTask):
    """Res-U-DBPN on a user's images, from weights that exist.

    Parameters
    ----------
    start : Checkpoint
        Weights to begin with.
    judged : Fields or None
        Of regions that neither train nor choose; None where there are too few.
    judged_regions : tuple of int
        The region that each of these fields shows.
    """

    start: Checkpoint
    judged: Fields | None
    judged_regions: tuple[int, ...]
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

    def misfit(self, network: nn.Module) -> NDArray[np.float64]:
        """Return −2 log likelihood per pixel of each region judged, but for a constant.

        Of the partners of the fields, whose noise the network has never seen.

        Raises
        ------
        InputError
            If there are too few regions to judge by.
        """
        if self.judged is None:
            raise too_few_regions()
        formation = ImageFormation(self.recipe.output_width)
        likelihood = LossWeights(
            poisson=1.0,
            noise2noise=True,
            margin_px=self.recipe.loss.margin_px,
        )
        objective = Objective(likelihood, formation)
        has_noise = self.recipe.network.noise_input
        network.eval()
        losses = []
        with torch.inference_mode():
            for number in range(len(self.judged)):
                batch = as_batch(self.judged, number)
                output = run_network(network, batch, noise_input=has_noise)
                losses.append(float(objective(output, batch)["loss"]))
        return mean_of_regions(self.judged_regions, losses)

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
    start, network = _start(sources.init, recipe)
    recipe = recipe.model_copy(update={"network": network})
    regions: dict[tuple[int, int, int], list[Prepared]] = {}
    total = len(sources.images)
    for number, image in enumerate(sources.images):
        yield Progress(number, total, "Preparing images")
        partner = sources.partners[number] if sources.partners else None
        for place, fields in (yield from _regions(image, partner, recipe)).items():
            regions.setdefault((number, *place), []).extend(fields)
    training, choosing, judging = split_regions(len(regions))
    of_region = list(regions.values())
    judged = looked_at(of_region, judging)
    return AdaptTask(
        recipe,
        stack_fields([field for n in training for field in of_region[n]]),
        stack_fields([field for field, _ in looked_at(of_region, choosing)]),
        start,
        stack_fields([field for field, _ in judged]) if judged else None,
        tuple(n for _, n in judged),
    )


def _regions(
    image: ImageStack, partner: ImageStack | None, recipe: DpsRecipe
) -> Generator[Progress, None, dict[tuple[int, int], list[Prepared]]]:
    """Return the prepared fields of an image by place; all planes count as one field.

    Time points and planes show the same structures: one must not train what another
    judges.
    """
    optics = effective_optics(image)
    reconstructed = any(entry.stage == "reconstruct" for entry in image.history)
    planes = np.asarray(image.data, dtype=np.float32).reshape(-1, *image.shape[-2:])
    others: Sequence[Plane | None] = [None] * len(planes)
    if partner is not None:
        others = list(np.asarray(partner.data, np.float32).reshape(planes.shape))
    found: dict[tuple[int, int], list[Prepared]] = {}
    pairs = spread(list(zip(planes, others, strict=True)), MOST_POINTS)
    deals = _DEALS_PX // (len(pairs) * planes[0].size)
    for plane, other in pairs:
        most = min(max(deals, 1), _DEALS)
        for one, half, noise in _pairs(plane, other, optics, reconstructed, most):
            cut = yield from _fields(one, half, noise, optics, recipe)
            for place, field in cut.items():
                found.setdefault(place, []).append(field)
    return found


def _pairs(
    plane: Plane, other: Plane | None, optics: Optics, reconstructed: bool, deals: int
) -> Iterator[tuple[Plane, Plane, float]]:
    """Return pairs that differ in their noise, and the noise of the first of each."""
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    white = is_raw(plane)
    noise = measured_noise(plane, cutoff, white=white)
    if reconstructed:
        noise = reconstruction_noise(plane, noise)
    if other is not None:
        yield plane, other, noise
    elif not white:
        yield plane, plane, noise
    else:
        for deal in range(deals):
            rng = np.random.default_rng([_RNG_SEED, deal])
            yield *deal_photons(plane, noise, rng), 2**0.5 * noise


def _fields(
    one: Plane, other: Plane, noise: float, optics: Optics, recipe: DpsRecipe
) -> Generator[Progress, None, dict[tuple[int, int], Prepared]]:
    """Prepare an image and its partner, and cut them into fields by place."""
    side = recipe.patch_px
    here, there = (to_canonical(half, optics) for half in (one, other))
    places = corners((here.shape[0], here.shape[1]), side, "an image")
    level = noise * canonical_zoom(optics)
    cpu = torch.device("cpu")
    steps = network_input_steps(here, recipe.rl_iterations, cpu, level)
    inputs = yield from steps
    return _cut(inputs, there, places, side)


def _cut(
    inputs: NetworkInput, other: Plane, places: Sequence[tuple[int, int]], side: int
) -> dict[tuple[int, int], Prepared]:
    """Cut a prepared image and its partner into fields by place."""
    partner = within_cutoff(torch.from_numpy(other)).numpy()
    partner = (partner - inputs.base) / inputs.scale
    fields: dict[tuple[int, int], Prepared] = {}
    for y, x in places:
        fine = np.s_[2 * y : 2 * (y + side), 2 * x : 2 * (x + side)]
        coarse = np.s_[y : y + side, x : x + side]
        features = inputs.features[:, fine[0], fine[1]].numpy()
        fields[y, x] = {
            "image": inputs.image[coarse].numpy(),
            "partner": partner[coarse].astype(np.float32),
            "features": features.astype(np.float16),
            "target": np.zeros((2 * side, 2 * side), np.float16),
            "noise": np.float32(inputs.noise),
            "base": np.float32(inputs.base / inputs.scale),
        }
    return fields


def _start(init: str | None, recipe: DpsRecipe) -> tuple[Checkpoint, NetworkSettings]:
    """Read the weights to begin with, and what network they are of."""
    name = SHIPPED_WEIGHTS[0] if init in (None, "shipped") else init
    path = weights_file(name)
    checkpoint = load_checkpoint(path)
    metadata = checkpoint.metadata
    network = parse(NetworkSettings, metadata.network, "network")
    turning = {"oriented": network.oriented}
    fits = (
        network == recipe.network.model_copy(update=turning)
        and tuple(metadata.rl_iterations) == recipe.rl_iterations
        and metadata.output_width == recipe.output_width
    )
    if not fits:
        raise InputError(
            f"weights {path.name} and recipe {recipe.name} describe different networks"
        )
    return checkpoint, network

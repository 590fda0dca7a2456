"""The super-resolution network, trained on: from images of the user's, without truth.

Two recordings of each field are needed that differ in their noise alone. A camera image
gives both: its photons are dealt out to two halves at random, which is what a beam
splitter would do (Lehtinen et al. 2018, arXiv:1803.04189). Of a reconstruction both
halves of the raw frames have to be reconstructed; its pixels alone are compared with
themselves.

Blocks of the images are left out: some choose the step that is kept, others judge
whether it is better than the weights that were begun with.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_dps.core import ImageStack, InputError, Optics, Progress
from napari_dps.core.params import parse
from napari_dps.methods.dps.by_network import SHIPPED_WEIGHTS, weights_file
from napari_dps.methods.dps.input import (
    NetworkInput,
    network_input_steps,
    within_cutoff,
)
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.methods.dps.optics import effective_optics
from napari_dps.methods.dps.target import reconstruction_noise
from napari_dps.nets.checkpoint import Checkpoint, load_checkpoint
from napari_dps.physics.camera import deal_photons
from napari_dps.physics.canonical import canonical_zoom, to_canonical
from napari_dps.train.dps.data import Fields, as_batch, stack_fields
from napari_dps.train.dps.evaluate import run_network
from napari_dps.train.dps.losses import ImageFormation, poisson_misfit
from napari_dps.train.dps.task import DpsRecipe, DpsTask, NetworkSettings
from napari_dps.train.left_out import (
    MOST_POINTS,
    BlockMeans,
    Numbers,
    corners,
    looked_at,
    number_blocks,
    only,
    patch_of,
    split_blocks,
    spread,
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
    judged : Fields
        Patches that show blocks which neither train nor choose.
    judged_blocks : array (N, Y, X)
        Numbers of these blocks; elsewhere `NOWHERE`.
    """

    start: Checkpoint
    judged: Fields
    judged_blocks: Numbers
    curves: ClassVar[tuple[str, ...]] = ("held_out_loss",)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the misfit of the blocks that choose, and its negative."""
        maps = [values for _, values in self._misfits(network, self.validation)]
        loss = float(np.nanmean(np.stack(maps)))
        return {"held_out_loss": loss, "score": -loss}

    def misfit(self, network: nn.Module) -> NDArray[np.float64]:
        """Return −2 log likelihood per pixel of each block judged, but for a constant.

        Of the partners of the patches, whose noise the network has never seen.
        """
        means = BlockMeans({}, {})
        for number, values in self._misfits(network.eval(), self.judged):
            means.add(values, self.judged_blocks[number])
        return means.value()

    def _misfits(
        self, network: nn.Module, fields: Fields
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the number of each field, and the misfit of its pixels."""
        formation = ImageFormation(self.recipe.output_width)
        has_noise = self.recipe.network.noise_input
        for number in range(len(fields)):
            batch = as_batch(fields, number)
            with torch.inference_mode():
                output = run_network(network, batch, noise_input=has_noise)
                seen = poisson_misfit(formation(output), batch.partner, batch.base)
            yield number, seen[0, 0].numpy()

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
    fields: list[Prepared] = []
    blocks: list[Numbers] = []
    count, total = 0, len(sources.images)
    for number, image in enumerate(sources.images):
        yield Progress(number, total, "Preparing images")
        partner = sources.partners[number] if sources.partners else None
        cut = yield from _patches(image, partner, recipe, count)
        fields += [field for field, _ in cut]
        blocks += [numbers for _, numbers in cut]
        count = max(count, *(int(numbers.max()) + 1 for _, numbers in cut))
    split = split_blocks(count)
    judged = looked_at(blocks, split.judging)
    return AdaptTask(
        recipe,
        _explaining(fields, blocks, range(len(fields)), split.training),
        _explaining(fields, blocks, looked_at(blocks, split.choosing), split.choosing),
        start,
        stack_fields([fields[n] for n in judged]),
        np.stack([only(blocks[n], split.judging) for n in judged]),
    )


def _explaining(
    fields: Sequence[Prepared],
    blocks: Sequence[Numbers],
    numbers: Iterable[int],
    chosen: Numbers,
) -> Fields:
    """Return patches whose partners are known in chosen blocks alone."""
    found = []
    for number in numbers:
        is_known = np.isin(blocks[number], chosen)
        if is_known.any():
            field = fields[number]
            partner = np.where(is_known, field["partner"], np.float32(np.nan))
            found.append({**field, "partner": partner})
    return stack_fields(found)


def _patches(
    image: ImageStack, partner: ImageStack | None, recipe: DpsRecipe, first: int
) -> Generator[Progress, None, list[tuple[Prepared, Numbers]]]:
    """Return the prepared patches of an image, with the numbers of their blocks.

    Time points and planes show the same structures: their blocks count as the same,
    since one must not train what another judges.
    """
    optics = effective_optics(image)
    is_sim = image.is_reconstruction
    planes = np.asarray(image.data, dtype=np.float32).reshape(-1, *image.shape[-2:])
    others: Sequence[Plane | None] = [None] * len(planes)
    if partner is not None:
        others = list(np.asarray(partner.data, np.float32).reshape(planes.shape))
    found: list[tuple[Prepared, Numbers]] = []
    pairs = spread(list(zip(planes, others, strict=True)), MOST_POINTS)
    deals = _DEALS_PX // (len(pairs) * planes[0].size)
    for plane, other in pairs:
        most = min(max(deals, 1), _DEALS)
        for one, half, noise in _pairs(plane, other, optics, is_sim, most):
            found += yield from _fields(one, half, noise, optics, recipe, first)
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
    one: Plane,
    other: Plane,
    noise: float,
    optics: Optics,
    recipe: DpsRecipe,
    first: int,
) -> Generator[Progress, None, list[tuple[Prepared, Numbers]]]:
    """Prepare an image and its partner, and cut them into patches."""
    here, there = (to_canonical(half, optics) for half in (one, other))
    shape = (here.shape[0], here.shape[1])
    places = corners(shape, recipe.patch_px, "an image")
    margin = recipe.loss.margin_px
    blocks = number_blocks(shape, margin, first)
    level = noise * canonical_zoom(optics)
    cpu = torch.device("cpu")
    steps = network_input_steps(here, recipe.rl_iterations, cpu, level)
    inputs = yield from steps
    partner = within_cutoff(torch.from_numpy(there)).numpy()
    partner = ((partner - inputs.base) / inputs.scale).astype(np.float32)
    side = recipe.patch_px
    return [
        (_cut(inputs, partner, *place, side), patch_of(blocks, place, side, margin))
        for place in places
    ]


def _cut(inputs: NetworkInput, partner: Plane, y: int, x: int, side: int) -> Prepared:
    """Cut a patch out of a prepared image and its partner."""
    fine = np.s_[2 * y : 2 * (y + side), 2 * x : 2 * (x + side)]
    coarse = np.s_[y : y + side, x : x + side]
    features = inputs.features[:, fine[0], fine[1]].numpy()
    return {
        "image": inputs.image[coarse].numpy(),
        "partner": partner[coarse],
        "features": features.astype(np.float16),
        "target": np.zeros((2 * side, 2 * side), np.float16),
        "noise": np.float32(inputs.noise),
        "base": np.float32(inputs.base / inputs.scale),
    }


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

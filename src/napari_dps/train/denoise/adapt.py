"""The denoiser, trained on: from raw frames of the user's, without truth.

The photons of every frame are dealt out to two halves that differ in their noise alone.
What the network makes of one half, seen through the patterns, has to explain the orders
of the other (Lehtinen et al. 2018, arXiv:1803.04189): noise that it has not seen cannot
be fitted.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from napari_dps.core import ImageStack, InputError, Progress
from napari_dps.core.context import Context
from napari_dps.methods.denoise.steps import gains_of_orders
from napari_dps.methods.denoise.weights import SHIPPED, denoiser_weights
from napari_dps.methods.sim.evidence import SeenOrders, messages_at, see_orders
from napari_dps.methods.sim.frames import resampled_steps
from napari_dps.methods.sim.network import (
    render_steps,
    sim_network_steps,
)
from napari_dps.methods.sim.patterns import raw_frames
from napari_dps.methods.sim.raw import with_hot_pixels_replaced
from napari_dps.nets.checkpoint import Checkpoint, load_checkpoint
from napari_dps.nets.res_unet import SimDenoiser
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.sim.pattern_model import Orders, PatternModel
from napari_dps.train.left_out import (
    MOST_POINTS,
    corners,
    looked_at,
    mean_of_regions,
    split_regions,
    spread,
    too_few_regions,
)
from napari_dps.train.recipe import PatchRecipe, load_recipe
from napari_dps.train.task import Sources

_ARCHITECTURE = "sim_denoiser"


class DenoiseAdaptRecipe(PatchRecipe):
    """A training of the denoiser on raw frames, from weights that exist.

    Attributes
    ----------
    margin_px : int
        Rim of the patches that is not looked at: light from outside is missing there.
    """

    model: ClassVar[str] = "denoise"

    margin_px: int = Field(default=8, ge=0)


@dataclass(frozen=True, slots=True, eq=False)
class HalfField:
    """A patch of one half of the photons, and of the other, at canonical sampling.

    Attributes
    ----------
    features, levels : tensor (F, 2Y, 2X) float16, (2,)
        The network's input, as of the whole image.
    wavevectors, modulation, weights : tensor (1, W, 2), (1, W), (1, W)
        As for `PatternModel`; the modulation is what the frames show.
    origin_px : (float, float)
        Pixel of the patch from whose centre phases are counted.
    partner : Orders
        Of the other half, (1, Y, X) and (1, W, Y, X), on the network's scale.
    """

    features: Tensor
    levels: Tensor
    wavevectors: Tensor
    modulation: Tensor
    weights: Tensor
    origin_px: tuple[float, float]
    partner: Orders

    def misfit(self, fine: Tensor, haze: Tensor, margin_px: int) -> Tensor:
        """Return −2 log likelihood of the other half, per number, but for a constant.

        Of white noise, by the level of the image; ``fine`` and ``haze`` are what the
        network returns of this patch.
        """
        device = fine.device
        zero, others = (part.to(device) for part in self.partner)
        weights = self.weights.to(device)
        model = PatternModel(
            (zero.shape[-2], zero.shape[-1]),
            self.wavevectors.to(device),
            self.modulation.to(device),
            weights,
            origin_px=self.origin_px,
        )
        seen = model.forward(fine[None])
        error = (seen.zero + haze - zero).square()
        rest = (seen.others - others).abs().square() * weights[..., None, None]
        error = error + rest.sum(dim=1)
        inner = [slice(margin_px, n - margin_px) for n in zero.shape[-2:]]
        inside = error[..., inner[0], inner[1]]
        numbers = 1 + 2 * weights.shape[1]
        return inside.mean() / (numbers * 10 ** (2 * self.levels[0].to(device)))


@dataclass(frozen=True, eq=False)
class DenoiseAdaptTask:
    """Res-UNet on a user's raw frames, from weights that exist.

    Parameters
    ----------
    recipe : DenoiseAdaptRecipe
        How to train.
    training, choosing, judged : sequence of HalfField
        Fields that train, that choose the step that is kept, and that do neither.
    judged_regions : tuple of int
        The region that each of the last shows; empty where there are too few.
    start : Checkpoint
        Weights to begin with.
    """

    recipe: DenoiseAdaptRecipe
    training: Sequence[HalfField]
    choosing: Sequence[HalfField]
    judged: Sequence[HalfField]
    judged_regions: tuple[int, ...]
    start: Checkpoint
    curves: ClassVar[tuple[str, ...]] = ("held_out_loss",)

    def build_network(self) -> nn.Module:
        """Return the network with the weights to begin with."""
        network = SimDenoiser(**self.start.metadata.network)
        network.load_state_dict(self.start.weights)
        return network

    def draw(self, step: int, device: torch.device) -> list[HalfField]:
        """Draw the fields of a step."""
        rng = np.random.default_rng([self.recipe.seed, step])
        chosen = rng.integers(len(self.training), size=self.recipe.batch)
        return [self.training[number] for number in chosen]

    def objective(
        self, network: nn.Module, batch: Sequence[HalfField]
    ) -> dict[str, Tensor]:
        """Return the mean misfit of the fields."""
        device = next(network.parameters()).device
        features = torch.stack([field.features for field in batch]).to(device)
        levels = torch.stack([field.levels for field in batch]).to(device)
        found = zip(*network(features.float(), levels), batch, strict=True)
        margin = self.recipe.margin_px
        losses = [field.misfit(fine, haze, margin) for fine, haze, field in found]
        return {"loss": torch.stack(losses).mean()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the misfit of the fields that choose, and its negative."""
        loss = float(np.mean(self._misfits(network, self.choosing)))
        return {"held_out_loss": loss, "score": -loss}

    def misfit(self, network: nn.Module) -> NDArray[np.float64]:
        """Return −2 log likelihood per number of each region judged; see `HalfField`.

        Raises
        ------
        InputError
            If there are too few regions to judge by.
        """
        if not self.judged:
            raise too_few_regions()
        losses = self._misfits(network.eval(), self.judged)
        return mean_of_regions(self.judged_regions, losses)

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        return {
            "architecture": _ARCHITECTURE,
            "network": self.start.metadata.network,
            "recipe": self.recipe.model_dump(mode="json"),
            "data": {"fields": len(self.training)},
            "optics": {"cutoff_per_pixel": CANONICAL_CUTOFF_PER_PIXEL},
            "metrics": {"started_from_sha256": self.start.metadata.sha256},
        }

    def _misfits(self, network: nn.Module, fields: Sequence[HalfField]) -> list[float]:
        with torch.inference_mode():
            return [float(self.objective(network, [one])["loss"]) for one in fields]


def prepare_adaptation(
    name: str, sources: Sources
) -> Generator[Progress, None, DenoiseAdaptTask]:
    """Read recipe, weights and raw frames.

    Parameters
    ----------
    name : str
        A recipe without truth, as ``adapt``.
    sources : Sources
        Images and partners: halves of raw frames, with their patterns; the weights to
        begin with.

    Yields
    ------
    Progress

    Returns
    -------
    DenoiseAdaptTask

    Raises
    ------
    InputError
        If these are no halves of raw frames, the weights are another network's, or
        frames are too small.
    """
    recipe = load_recipe(DenoiseAdaptRecipe, name)
    start = _start(sources.init)
    if len(sources.partners) != len(sources.images):
        raise InputError("the denoiser trains on halves of raw frames")
    regions: dict[tuple[int, int, int], list[HalfField]] = {}
    total = len(sources.images)
    for number, halves in enumerate(zip(sources.images, sources.partners, strict=True)):
        report = Progress(number, total)
        found = yield from messages_at(_regions(halves, recipe, start), report)
        for place, fields in found.items():
            regions.setdefault((number, *place), []).extend(fields)
    training, choosing, judging = split_regions(len(regions))
    of_region = list(regions.values())
    judged = looked_at(of_region, judging)
    return DenoiseAdaptTask(
        recipe,
        [field for n in training for field in of_region[n]],
        [field for field, _ in looked_at(of_region, choosing)],
        [field for field, _ in judged],
        tuple(n for _, n in judged),
        start,
    )


def _regions(
    halves: tuple[ImageStack, ImageStack],
    recipe: DenoiseAdaptRecipe,
    start: Checkpoint,
) -> Generator[Progress, None, dict[tuple[int, int], list[HalfField]]]:
    """Return the fields of two halves by place; each explains the other.

    Time points and planes show the same structures: they count as one place.
    """
    one = halves[0]
    if not one.is_raw:
        raise InputError("image", got=one.axes, allowed="raw frames of angles, phases")
    units = [np.reshape(half.data, (-1, *half.shape[-4:])) for half in halves]
    network = start.network(torch.device("cpu"))
    context = Context(device="cpu")
    found: dict[tuple[int, int], list[HalfField]] = {}
    for point in spread(range(len(units[0])), MOST_POINTS):
        pair = [
            with_hot_pixels_replaced(
                replace(one, data=unit[point], axes="APYX", noise=None), context
            )
            for unit in units
        ]
        for first, second in (pair, pair[::-1]):
            cut = yield from _fields(first, second, network, recipe, context)
            for place, field in cut:
                found.setdefault(place, []).append(field)
    return found


def _fields(
    one: ImageStack,
    other: ImageStack,
    network: Any,
    recipe: DenoiseAdaptRecipe,
    context: Context,
) -> Generator[Progress, None, list[tuple[tuple[int, int], HalfField]]]:
    """Cut a half of a stack, and the other, into fields by place."""
    frames, others = raw_frames(one, context), raw_frames(other, context)
    total = 2 * frames.shape[0] * frames.shape[1] + 10
    seen = yield from see_orders(frames, one, one.patterns, context, total)
    height, width = seen.frames.shape[-2:]
    small = yield from resampled_steps(others * seen.factors, (height, width), 0, total)
    separated = seen.orders.mixing.separate(small)
    gains = yield from _gains(seen, network, context)
    side = recipe.patch_px
    return [
        (place, _field(seen, separated, gains, *place, side))
        for place in corners((height, width), side, "the frames")
    ]


def _gains(
    seen: SeenOrders, network: Any, context: Context
) -> Generator[Progress, None, Tensor]:
    """Return the amplitudes of the orders in the frames, over those of the model."""
    fine, haze = yield from sim_network_steps(network, seen.inputs, context)
    model = yield from render_steps(fine, haze, seen.inputs)
    others = model.others * seen.inputs.scale[:, None, None, None]
    return gains_of_orders(others, seen.separated, seen.evidence)


def _field(
    seen: SeenOrders, partner: Orders, gains: Tensor, y: int, x: int, side: int
) -> HalfField:
    """Cut out one field."""
    inputs, orders = seen.inputs, seen.orders
    fine = np.s_[2 * y : 2 * (y + side), 2 * x : 2 * (x + side)]
    coarse = np.s_[..., y : y + side, x : x + side]
    base, scale = inputs.base[:, None, None], inputs.scale[:, None, None]
    return HalfField(
        features=inputs.features[0][:, *fine].half(),
        levels=inputs.levels[0],
        wavevectors=orders.wavevectors,
        modulation=orders.modulation * gains,
        weights=orders.weights,
        origin_px=(-float(y), -float(x)),
        partner=Orders(
            (partner.zero[coarse] - base) / scale,
            partner.others[coarse] / scale[:, None],
        ),
    )


def _start(init: str | None) -> Checkpoint:
    """Read the weights to begin with."""
    checkpoint = load_checkpoint(denoiser_weights(init or SHIPPED))
    if checkpoint.metadata.architecture != _ARCHITECTURE:
        raise InputError(
            "weights to begin with: architecture",
            got=checkpoint.metadata.architecture,
            allowed=_ARCHITECTURE,
        )
    return checkpoint

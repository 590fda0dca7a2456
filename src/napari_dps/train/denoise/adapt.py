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
    NOWHERE,
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
    blocks : array (Y, X)
        Numbers of the blocks that have to be explained; see `left_out`.
    """

    features: Tensor
    levels: Tensor
    wavevectors: Tensor
    modulation: Tensor
    weights: Tensor
    origin_px: tuple[float, float]
    partner: Orders
    blocks: Numbers

    def misfit(self, fine: Tensor, haze: Tensor) -> Tensor:
        """Return −2 log likelihood of the other half, per number, but for a constant.

        Of white noise, by the level of the image; ``fine`` and ``haze`` are what the
        network returns of this patch. (Y, X).
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
        numbers = 1 + 2 * weights.shape[1]
        return error[0] / (numbers * 10 ** (2 * self.levels[0].to(device)))

    def loss(self, fine: Tensor, haze: Tensor) -> Tensor:
        """Return the mean misfit of the blocks that have to be explained."""
        inside = torch.from_numpy(self.blocks != NOWHERE).to(fine.device)
        return self.misfit(fine, haze)[inside].mean()

    def explaining(self, chosen: Numbers) -> HalfField:
        """Return the patch with fewer blocks that have to be explained."""
        return replace(self, blocks=only(self.blocks, chosen))


@dataclass(frozen=True, eq=False)
class DenoiseAdaptTask:
    """Res-UNet on a user's raw frames, from weights that exist.

    Parameters
    ----------
    recipe : DenoiseAdaptRecipe
        How to train.
    training, choosing, judged : sequence of HalfField
        Patches with the blocks that train, that choose the step that is kept, and that
        do neither.
    start : Checkpoint
        Weights to begin with.
    """

    recipe: DenoiseAdaptRecipe
    training: Sequence[HalfField]
    choosing: Sequence[HalfField]
    judged: Sequence[HalfField]
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
        losses = [field.loss(fine, haze) for fine, haze, field in found]
        return {"loss": torch.stack(losses).mean()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the misfit of the blocks that choose, and its negative."""
        loss = float(self._misfits(network, self.choosing).mean())
        return {"held_out_loss": loss, "score": -loss}

    def misfit(self, network: nn.Module) -> NDArray[np.float64]:
        """Return −2 log likelihood per number of each block judged; see `HalfField`."""
        return self._misfits(network.eval(), self.judged)

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

    def _misfits(
        self, network: nn.Module, fields: Sequence[HalfField]
    ) -> NDArray[np.float64]:
        """Return the mean misfit of each block of some patches."""
        device = next(network.parameters()).device
        means = BlockMeans({}, {})
        for field in fields:
            features = field.features[None].to(device).float()
            with torch.inference_mode():
                fine, haze = network(features, field.levels[None].to(device))
                misfit = field.misfit(fine[0], haze[0])
            means.add(misfit.cpu().numpy(), field.blocks)
        return means.value()


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
    fields: list[HalfField] = []
    count, total = 0, len(sources.images)
    for number, halves in enumerate(zip(sources.images, sources.partners, strict=True)):
        report = Progress(number, total)
        cut = yield from messages_at(_patches(halves, recipe, start, count), report)
        fields += cut
        count = max(count, *(int(field.blocks.max()) + 1 for field in cut))
    split = split_blocks(count)
    whole = [field.explaining(split.training) for field in fields]
    return DenoiseAdaptTask(
        recipe,
        [field for field in whole if (field.blocks != NOWHERE).any()],
        _showing(fields, split.choosing),
        _showing(fields, split.judging),
        start,
    )


def _showing(fields: Sequence[HalfField], chosen: Numbers) -> list[HalfField]:
    """Return patches that show chosen blocks, which they have to explain."""
    blocks = [field.blocks for field in fields]
    return [fields[n].explaining(chosen) for n in looked_at(blocks, chosen)]


def _patches(
    halves: tuple[ImageStack, ImageStack],
    recipe: DenoiseAdaptRecipe,
    start: Checkpoint,
    first: int,
) -> Generator[Progress, None, list[HalfField]]:
    """Return the patches of two halves; each explains the other.

    Time points and planes show the same structures: their blocks count as the same.
    """
    one = halves[0]
    if not one.is_raw:
        raise InputError("image", got=one.axes, allowed="raw frames of angles, phases")
    units = [np.reshape(half.data, (-1, *half.shape[-4:])) for half in halves]
    network = start.network(torch.device("cpu"))
    context = Context(device="cpu")
    found: list[HalfField] = []
    for point in spread(range(len(units[0])), MOST_POINTS):
        pair = [
            with_hot_pixels_replaced(
                replace(one, data=unit[point], axes="APYX", noise=None), context
            )
            for unit in units
        ]
        for half, other in (pair, pair[::-1]):
            found += yield from _fields(half, other, network, recipe, context, first)
    return found


def _fields(
    one: ImageStack,
    other: ImageStack,
    network: Any,
    recipe: DenoiseAdaptRecipe,
    context: Context,
    first: int,
) -> Generator[Progress, None, list[HalfField]]:
    """Cut a half of a stack, and the other, into patches."""
    frames, others = raw_frames(one, context), raw_frames(other, context)
    total = 2 * frames.shape[0] * frames.shape[1] + 10
    seen = yield from see_orders(frames, one, one.patterns, context, total)
    height, width = seen.frames.shape[-2:]
    small = yield from resampled_steps(others * seen.factors, (height, width), 0, total)
    separated = seen.orders.mixing.separate(small)
    gains = yield from _gains(seen, network, context)
    side, margin = recipe.patch_px, recipe.margin_px
    blocks = number_blocks((height, width), margin, first)
    return [
        _field(seen, separated, gains, place, patch_of(blocks, place, side, margin))
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
    seen: SeenOrders,
    partner: Orders,
    gains: Tensor,
    corner: tuple[int, int],
    blocks: Numbers,
) -> HalfField:
    """Cut out one patch."""
    (y, x), side = corner, len(blocks)
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
        blocks=blocks,
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

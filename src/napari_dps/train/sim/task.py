"""The network of SIM images as a task for the trainer."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from napari_dps.core import Progress, finish
from napari_dps.core.params import FrozenModel
from napari_dps.methods.denoise.steps import (
    as_seen,
    noise_left,
    rest_of_angle,
    with_rest,
)
from napari_dps.methods.sim.evidence import evidence_steps
from napari_dps.methods.sim.frames import frame_noise
from napari_dps.methods.sim.network import DenoiserInput, render, sim_image
from napari_dps.methods.sim.orders import Zoom
from napari_dps.nets.checkpoint import Checkpoint, load_checkpoint, shipped_weights
from napari_dps.nets.res_unet import SimDenoiser, SimImager
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL, CANONICAL_OPTICS
from napari_dps.physics.sim.pattern_model import Orders
from napari_dps.train.denoise.objects import build_objects_steps
from napari_dps.train.denoise.settings import DenoiseData
from napari_dps.train.denoise.simulation import Stacks, draw_stacks, network_input
from napari_dps.train.denoise.task import DenoiseNetwork
from napari_dps.train.denoise.validation import (
    VALIDATION_PHOTONS,
    psnr,
    similarity,
    validation_batches,
)
from napari_dps.train.losses import ssim_loss
from napari_dps.train.recipe import PatchRecipe, load_recipe, training_record
from napari_dps.train.task import Sources

_LEAST_NOISE = 0.01
"""Full scale 1, that errors are divided by at least."""
_FRAME_OPTICS = CANONICAL_OPTICS.model_copy(
    update={
        "pixel_size_nm": CANONICAL_OPTICS.modulation_factor
        * CANONICAL_OPTICS.pixel_size_nm,
        "modulation_factor": 1.0,
    }
)
"""Of raw frames at canonical sampling."""
_NOISE = (
    "measured as reconstruct does, by methods.sim.frames.frame_noise: the difference "
    "of the angles as its median, not corrected to the mean"
)
_LARGER_FIELD = (-1.0, 0.0)
"""Decades by which less noise is measured in denoised frames of a field larger than a
patch, whose edges do not count as much."""
KINDS = {"raw": (False, False), "denoised": (True, False), "hazy": (False, True)}
"""What the network gets in the validation: whether the frames are denoised, and
whether there is haze."""


class SimLoss(FrozenModel):
    """Weight of each term, of the SIM image against the ideal one.

    Attributes
    ----------
    ssim
        Of 1 − SSIM (the slides' α).
    error
        Of the mean absolute error over the noise level of the raw stack (β).
    """

    ssim: float = Field(default=0.5, ge=0)
    error: float = Field(default=1.0, ge=0)


class SimRecipe(PatchRecipe):
    """A training of the network of SIM images.

    Attributes
    ----------
    start : str
        Shipped weights of a denoiser: the training begins with them, and stacks are
        denoised with them.
    denoised : float
        Share of the steps whose stacks are denoised first, as the stage ``denoise``
        does.
    """

    model: ClassVar[str] = "sim"

    start: str = "denoise"
    denoised: float = Field(default=0.5, ge=0, le=1)
    network: DenoiseNetwork
    loss: SimLoss
    data: DenoiseData


@dataclass(frozen=True, slots=True, eq=False)
class SimBatch:
    """What the network takes of stacks, and what it is to find.

    Attributes
    ----------
    inputs : DenoiserInput
        Of noisy or denoised frames.
    ideal : tensor (B, 2Y, 2X)
        On the network's scale.
    noise : tensor (B,)
        Of order 0 of the noisy frames, on the network's scale.
    """

    inputs: DenoiserInput
    ideal: Tensor
    noise: Tensor


@dataclass(frozen=True, eq=False)
class SimTask:
    """SIM images from the linear estimates of simulated stacks.

    Parameters
    ----------
    recipe : SimRecipe
        What to train.
    objects : array (N, S, S), float16
        Bank of objects on the fine grid.
    start : Checkpoint
        Of the denoiser.
    """

    recipe: SimRecipe
    objects: NDArray[np.float16]
    start: Checkpoint

    @property
    def curves(self) -> tuple[str, ...]:
        """PSNR of the SIM image at each level of light."""
        return tuple(f"{kind}_{p:g}" for kind in KINDS for p in VALIDATION_PHOTONS)

    def build_network(self) -> nn.Module:
        """Return the network with what it shares with the denoiser."""
        network = SimImager(**self.recipe.network.model_dump())
        network.begin_with(self.start.weights)
        return network

    def draw(self, step: int, device: torch.device) -> SimBatch:
        """Simulate the stacks of a step, and denoise those of some."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step])
        stacks = draw_stacks(
            self.objects, recipe.data, rng, size=recipe.batch, patch_px=recipe.patch_px
        )
        moved = stacks.to(device)
        denoiser = self._denoiser if rng.random() < recipe.denoised else None
        share = 10 ** rng.uniform(*_LARGER_FIELD)
        with torch.no_grad():
            return make_batch(moved, denoiser, share=share)

    def objective(self, network: nn.Module, batch: SimBatch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, and their sum."""
        weights, inputs = self.recipe.loss, batch.inputs
        image = sim_image(network(inputs.features, inputs.levels), inputs)
        error = (image - batch.ideal).abs().mean(dim=(1, 2)) / (
            batch.noise + _LEAST_NOISE
        )
        unlike = ssim_loss(image[:, None], batch.ideal[:, None])
        terms = {"error": weights.error * error.mean(), "ssim": weights.ssim * unlike}
        return {**terms, "loss": torch.stack(list(terms.values())).sum()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return scores on the classes that are never trained on.

        ``raw_10``, ``denoised_10``, ``hazy_10`` and so on: PSNR (dB) of the SIM image
        of such frames at 10 photons against the ideal one; ``raw_ssim_10`` its SSIM.
        """

        def image(inputs: DenoiserInput) -> Tensor:
            return sim_image(network(inputs.features, inputs.levels), inputs)

        scores = self._score(image)
        means = [scores[name] for name in self.curves]
        return {**scores, "score": round(float(np.mean(means)), 4)}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself.

        ``linear`` is the sharp linear estimate, ``denoiser`` the object with its haze
        that the denoiser finds: both seen as the network's object is.
        """
        recipe = self.recipe
        record = training_record(recipe, network=recipe.network, data=recipe.data)
        record["recipe"]["start_sha256"] = self.start.metadata.sha256
        record["data"]["noise_of_denoised_stacks"] = _NOISE
        return {
            "architecture": "sim_imager",
            **record,
            "optics": {"cutoff_per_pixel": CANONICAL_CUTOFF_PER_PIXEL},
            "metrics": self._others,
        }

    @cached_property
    def _denoiser(self) -> SimDenoiser:
        network: SimDenoiser = self.start.network(torch.device("cpu"))
        return network

    @cached_property
    def _validation(self) -> dict[str, SimBatch]:
        batches = {}
        for kind, (denoised, haze) in KINDS.items():
            denoiser = self._denoiser if denoised else None
            for photons, one in validation_batches(self.recipe.data, haze=haze).items():
                with torch.inference_mode():
                    batches[f"{kind}_{photons:g}"] = make_batch(one.stacks, denoiser)
        return batches

    def _score(self, image: Any) -> dict[str, float]:
        scores: dict[str, float] = {}
        for name, batch in self._validation.items():
            with torch.inference_mode():
                shown = image(batch.inputs)
            # A level that all pixels share is no error here: the others keep the base.
            shown = shown + (batch.ideal - shown).mean(dim=(1, 2), keepdim=True)
            pairs = list(zip(shown, batch.ideal, strict=True))
            kind, photons = name.split("_")
            scores[name] = round(float(np.mean([psnr(*p) for p in pairs])), 4)
            likeness = float(np.mean([similarity(*p) for p in pairs]))
            scores[f"{kind}_ssim_{photons}"] = round(likeness, 4)
        return scores

    @cached_property
    def _others(self) -> dict[str, dict[str, float]]:
        def denoiser(inputs: DenoiserInput) -> Tensor:
            fine, haze = self._denoiser(inputs.features, inputs.levels)
            soft = F.interpolate(
                haze[:, None], scale_factor=2, mode="bilinear", align_corners=False
            )
            return sim_image(fine + soft[:, 0], inputs)

        def linear(inputs: DenoiserInput) -> Tensor:
            return sim_image(inputs.features[:, 1], inputs)

        return {"linear": self._score(linear), "denoiser": self._score(denoiser)}


def make_batch(
    stacks: Stacks, denoiser: SimDenoiser | None, *, share: float = 1.0
) -> SimBatch:
    """Return what the network takes of stacks, denoised first if there is one.

    Of denoised stacks ``share`` of what is measured counts as their noise.
    """
    inputs = network_input(stacks)
    noise = 10 ** inputs.levels[:, 0]
    if denoiser is not None:
        clean = denoised(stacks, inputs, denoiser)
        inputs = network_input(replace(clean, noise=share * clean.noise))
    return SimBatch(inputs, stacks.ideal / inputs.scale[:, None, None], noise)


def denoised(stacks: Stacks, inputs: DenoiserInput, denoiser: SimDenoiser) -> Stacks:
    """Return stacks as `napari_dps.methods.denoise.steps.denoise_steps` leaves them.

    Their noise is set to what `reconstruct` measures.
    """
    separated, weights, gain = stacks.separate(stacks.frames)
    fine, haze = denoiser(inputs.features, inputs.levels)
    evidence = finish(evidence_steps(inputs, separated))
    shown = as_seen(render(fine, haze, inputs), separated, evidence, inputs)
    kept = []
    for n, level in enumerate(10 ** inputs.levels[:, 0]):
        clean, raw = (
            Orders(o.zero[n : n + 1], o.others[n : n + 1]) for o in (shown, separated)
        )
        noise = float(stacks.noise[n] * gain[n])
        kept.append(
            finish(with_rest(clean, raw, weights[n].tolist(), noise, float(level)))
        )
    full = Orders(*(torch.cat(orders) for orders in zip(*kept, strict=True)))
    frames = stacks.mix(full)
    rest = stacks.frames - stacks.mix(separated)
    count, (angles, phases) = weights.shape[1], frames.shape[1:3]
    for n, noise in enumerate(stacks.noise.tolist()):
        left = noise_left(noise, count, angles, phases) if count else None
        for angle, more in zip(frames[n], rest[n], strict=True):
            angle += rest_of_angle(more, noise, left)
    measured = [_measured(*one) for one in zip(frames, stacks.mixing, strict=True)]
    return replace(stacks, frames=frames, noise=torch.tensor(measured).to(frames))


def _measured(frames: Tensor, mixing: Tensor) -> float:
    """Measure the noise of one stack (A, P, Y, X)."""
    zeros = torch.einsum("ap,apyx->ayx", torch.linalg.pinv(mixing)[:, 0], frames)
    return frame_noise(frames, zeros, _FRAME_OPTICS, Zoom(1, 1))


def prepare_task(name: str, sources: Sources) -> Generator[Progress, None, SimTask]:
    """Read the recipe and the denoiser's weights, and draw the objects."""
    recipe = load_recipe(SimRecipe, name)
    start = load_checkpoint(shipped_weights(recipe.start))
    objects = yield from build_objects_steps(sources, recipe.data)
    return SimTask(recipe, objects, start)

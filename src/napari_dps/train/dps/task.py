"""The super-resolution network as a task for the trainer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from napari_dps.core.params import FrozenModel
from napari_dps.methods.dps.frames_network import FEATURE_SHARES
from napari_dps.nets.architectures.res_u_dbpn import ResUDBPN
from napari_dps.nets.checkpoint import Checkpoint
from napari_dps.train.dps.data import (
    VALIDATION_PHOTONS,
    Batch,
    Fields,
    draw_batch,
)
from napari_dps.train.dps.evaluate import baselines, run_network, validate
from napari_dps.train.dps.losses import ImageFormation, LossWeights, Objective
from napari_dps.train.dps.simulation import DataSettings
from napari_dps.train.recipe import CANONICAL_RECORD, PatchRecipe, training_record


class NetworkSettings(FrozenModel):
    """Arguments of `ResUDBPN`."""

    features: int = Field(default=2, ge=0, le=8)
    noise_input: bool = True
    channels: int = Field(default=48, ge=1, le=1024)
    head_channels: int = Field(default=16, ge=1, le=1024)
    blocks: int = Field(default=1, ge=0, le=64)
    oriented: bool = False


class DpsRecipe(PatchRecipe):
    """A training of the super-resolution network.

    Attributes
    ----------
    rl_iterations : tuple of int
        Depths of the Richardson–Lucy features of an image.
    raw_frames : bool
        Whether they are of all raw frames of a SIM stack in place of an image, as deep
        as these carry; see `frames`.
    start : str
        Shipped weights of such a network to begin with; empty: none.
    output_width : float
        PSF of the output over that of the image: 0 for point emitters.
    network, loss, data
        Of the network, the objective and the simulation.
    """

    model: ClassVar[str] = "dps"

    rl_iterations: tuple[int, ...] = ()
    raw_frames: bool = False
    start: str = ""
    output_width: float = Field(ge=0, lt=1)
    network: NetworkSettings
    loss: LossWeights
    data: DataSettings

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        features = FEATURE_SHARES if self.raw_frames else self.rl_iterations
        if self.network.features != len(features):
            raise ValueError(
                f"network.features must be {len(FEATURE_SHARES)} with raw_frames, the "
                "number of rl_iterations without"
            )
        if self.patch_px > self.data.field_px:
            raise ValueError("patch_px must not exceed data.field_px")
        if self.is_supervised and not self.output_width:
            raise ValueError("the supervised term needs output_width above 0")
        count = self.data.time_points
        if self.batch % count or self.data.fields % count:
            raise ValueError("batch and data.fields must be multiples of time_points")
        if count > 1 and self.data.chain:
            raise ValueError("data.chain draws single time points")
        return self

    @property
    def is_supervised(self) -> bool:
        """Whether a term of the objective needs the truth."""
        loss = self.loss
        return bool(loss.truth or loss.truth_square or loss.truth_ssim)


@dataclass(frozen=True, eq=False)
class DpsTask:
    """Res-U-DBPN on prepared fields.

    Parameters
    ----------
    recipe : DpsRecipe
        What to train.
    training, validation : Fields
        As from `data.build_fields_steps` and `data.validation_fields`.
    start : Checkpoint or None
        Weights to begin with.
    """

    recipe: DpsRecipe
    training: Fields
    validation: Fields
    start: Checkpoint | None
    curves: ClassVar[tuple[str, ...]] = tuple(f"psnr_{p:g}" for p in VALIDATION_PHOTONS)

    def build_network(self) -> nn.Module:
        """Return a new network, with the weights that the recipe starts from."""
        network = ResUDBPN(**self.recipe.network.model_dump())
        if self.start is not None:
            network.load_state_dict(self.start.weights)
        return network

    def draw(self, step: int, device: torch.device) -> Batch:
        """Return the patches of a step."""
        recipe = self.recipe
        batch = draw_batch(
            self.training,
            step=step,
            time_points=recipe.data.time_points,
            **recipe.patches,
        )
        return batch.to(device)

    def objective(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, and their sum."""
        has_noise = self.recipe.network.noise_input
        output = run_network(network, batch, noise_input=has_noise)
        return self._objective(output, batch)

    @cached_property
    def _objective(self) -> Objective:
        recipe = self.recipe
        formation = ImageFormation(recipe.output_width)
        return Objective(recipe.loss, formation, recipe.data.time_points)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return PSNR and SSIM on the held-out fields."""
        scores = validate(
            network,
            self.validation,
            noise_input=self.recipe.network.noise_input,
            output_width=self.recipe.output_width,
        )
        return {**scores, "score": scores["psnr"]}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        return {**self._description(), "metrics": baselines(self.validation)}

    def _description(self) -> dict[str, Any]:
        recipe = self.recipe
        record = training_record(recipe, network=recipe.network, data=recipe.data)
        if self.start is not None:
            record["recipe"]["start_sha256"] = self.start.metadata.sha256
        return {
            "architecture": "res_u_dbpn",
            **record,
            "rl_iterations": recipe.rl_iterations,
            "output_width": recipe.output_width,
            "optics": CANONICAL_RECORD,
        }

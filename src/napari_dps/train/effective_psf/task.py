"""The estimator of the effective PSF as a task for the trainer."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from napari_dps.core import Progress
from napari_dps.core.params import FrozenModel
from napari_dps.methods.effective_psf.features import (
    LOG_FREQUENCIES,
    log_channels,
    psf_features,
    without_spikes,
)
from napari_dps.nets.architectures.psf_voters import PsfVoters
from napari_dps.train.bank import Arrays, Bank, bank_steps
from napari_dps.train.effective_psf.images import (
    NEVER_SEEN,
    NEVER_SEEN_PSF,
    TRAINING_PSFS,
    TRAINING_STRUCTURES,
    draw,
)
from napari_dps.train.recipe import Recipe, load_recipe, training_record
from napari_dps.train.task import Sources

FREEDOM = 4.0
"""Degrees of freedom of Student's t: few large errors must not rule the fit."""
VIEWS = 4
"""Images of a scene."""
_VERSION = 1
"""Raised when the same settings draw other images, or their features change."""
_SHARD = 10 * VIEWS * len(TRAINING_STRUCTURES)
"""Images in a file of the bank: all structures as often."""
_VALIDATION_SEED = 4711


class PsfData(FrozenModel):
    """What the images are drawn from; the rest is in `images`.

    Attributes
    ----------
    images : int
        How many to train on.
    seed : int
        Same seed, same images.
    held_out : int
        Images of structures that are never trained on, for the validation.
    resampled, noise_only, under_sampled : float
        Share of images with such a flaw.
    """

    images: int = Field(default=11700, ge=1)
    seed: int = Field(default=100, ge=0)
    held_out: int = Field(default=400, ge=1)
    resampled: float = Field(default=0.1, ge=0, le=0.3)
    noise_only: float = Field(default=0.04, ge=0, le=0.3)
    under_sampled: float = Field(default=0.05, ge=0, le=0.3)

    @property
    def flaws(self) -> tuple[tuple[str, float], ...]:
        """Flaws with their shares, as `images.draw` takes them."""
        return (
            ("resampled", self.resampled),
            ("noise only", self.noise_only),
            ("under-sampled", self.under_sampled),
        )


class VotersSettings(FrozenModel):
    """Arguments of `PsfVoters` but for the axis."""

    networks: int = Field(default=3, ge=1, le=16)
    channels: int = Field(default=32, ge=1, le=256)
    kernel: int = Field(default=5, ge=1, le=31)
    dilations: tuple[int, ...] = (1, 2, 4, 8)


class EffectivePsfRecipe(Recipe):
    """A training of the estimator of the effective PSF."""

    model: ClassVar[str] = "effective-psf"

    network: VotersSettings
    data: PsfData


class PsfBatch(NamedTuple):
    """Images for each of N networks.

    Attributes
    ----------
    channels : tensor (N, B, 5, F)
        As from `log_channels`.
    log_cutoff : tensor (N, B)
        ln of the Airy-equivalent cut-off in cycles per pixel.
    """

    channels: Tensor
    log_cutoff: Tensor


@dataclass(frozen=True, eq=False)
class EffectivePsfTask:
    """Networks that vote for the width of the PSF.

    Parameters
    ----------
    recipe : EffectivePsfRecipe
        What to train.
    training, validation : dict of array
        ``channels`` (N, 5, F) and ``cutoff`` (N,) of images.
    """

    recipe: EffectivePsfRecipe
    training: Arrays
    validation: Arrays
    curves: ClassVar[tuple[str, ...]] = ("median_error", "ninety_error")

    def build_network(self) -> nn.Module:
        """Return new networks."""
        return PsfVoters(**self._arguments())

    def draw(self, step: int, device: torch.device) -> PsfBatch:
        """Return images of a step, other ones for each network."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step])
        size = (recipe.network.networks, recipe.batch)
        chosen = rng.integers(len(self.training["cutoff"]), size=size)
        return _batch(self.training, chosen, device)

    def objective(self, network: nn.Module, batch: PsfBatch) -> dict[str, Tensor]:
        """Return the likelihoods' sum: the networks learn apart from one another."""
        nll = student_t(network(batch.channels), batch.log_cutoff)
        return {"loss": nll.mean(dim=1).sum()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return errors on structures that are never trained on, |ln(k/k_true)| in %.

        ``median_error`` and ``ninety_error`` (90 % are below) of the networks' mean;
        the score is the likelihood that they give the truth.
        """
        count = len(self.validation["cutoff"])
        networks = self.recipe.network.networks
        every = np.broadcast_to(np.arange(count), (networks, count))
        batch = _batch(self.validation, every, torch.device("cpu"))
        with torch.inference_mode():
            found = network(batch.channels)
            nll = float(student_t(found, batch.log_cutoff).mean())
        error = found[..., 0].mean(dim=0) - batch.log_cutoff[0]
        return {**_percentiles(error.numpy()), "score": round(-nll, 4)}

    def describe(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself."""
        recipe = self.recipe
        record = training_record(recipe, network=recipe.network, data=recipe.data)
        record["data"] |= {
            "structures": TRAINING_STRUCTURES,
            "psfs": TRAINING_PSFS,
            "never_seen": [*NEVER_SEEN, NEVER_SEEN_PSF],
        }
        return {
            "architecture": "psf_voters",
            **record,
            "network": self._arguments(),
            "optics": {},
            "metrics": {"constant": self._constant()},
        }

    def _arguments(self) -> dict[str, Any]:
        axis = [round(float(value), 7) for value in np.log(LOG_FREQUENCIES)]
        return {**self.recipe.network.model_dump(), "log_frequencies": axis}

    def _constant(self) -> dict[str, float]:
        """Errors of the answer that is always the same."""
        logs = np.log(self.validation["cutoff"])
        return _percentiles(logs - np.median(np.log(self.training["cutoff"])))


def _percentiles(error: NDArray[Any]) -> dict[str, float]:
    """Return the median of errors, and what 90 % are below, in %."""
    median, ninety = 100 * np.percentile(np.abs(error), (50, 90))
    return {
        "median_error": round(float(median), 3),
        "ninety_error": round(float(ninety), 3),
    }


def student_t(output: Tensor, log_cutoff: Tensor) -> Tensor:
    """Return the negative log-likelihood under Student's t, but for a constant.

    Parameters
    ----------
    output : tensor (..., 2)
        ln k and ln of its scale.
    log_cutoff : tensor (...)
        The true ln k.

    Returns
    -------
    tensor (...)
    """
    log_sd = output[..., 1].clamp(-6, 2)
    error = (log_cutoff - output[..., 0]) / log_sd.exp()
    return log_sd + (FREEDOM + 1) / 2 * torch.log1p(error**2 / FREEDOM)


def images_bank(data: PsfData) -> Bank:
    """Return the bank of what the estimator reads from images.

    Returns
    -------
    Bank
        Of ``channels`` (N, 5, F) and ``cutoff`` (N,).
    """
    return Bank(
        "psf-images",
        partial(_drawn, data),
        {
            "version": _VERSION,
            "settings": data.model_dump(mode="json", exclude={"images", "held_out"}),
            "structures": TRAINING_STRUCTURES,
            "psfs": TRAINING_PSFS,
            "views": VIEWS,
            "frequencies": LOG_FREQUENCIES.tolist(),
        },
        _SHARD,
    )


def validation_images(data: PsfData) -> Arrays:
    """Return what is read from images of structures that are never trained on."""
    samples = draw(data.held_out, _VALIDATION_SEED, NEVER_SEEN, views=VIEWS)
    return _read((sample.image, sample.cutoff) for sample in samples)


def _drawn(data: PsfData, numbers: range) -> Arrays:
    """Draw the images of a file of the bank, all from one generator."""
    seed = [data.seed, numbers.start]
    samples = draw(len(numbers), seed, flaws=data.flaws, views=VIEWS)
    return _read((sample.image, sample.cutoff) for sample in samples)


def _read(images: Iterable[tuple[NDArray[np.float32], float]]) -> Arrays:
    """Return channels and cut-offs of images."""
    channels, cutoffs = [], []
    for image, cutoff in images:
        channels.append(log_channels(psf_features(without_spikes(image))))
        cutoffs.append(cutoff)
    return {
        "channels": np.array(channels, np.float32),
        "cutoff": np.array(cutoffs, np.float32),
    }


def _batch(
    images: Arrays, chosen: NDArray[np.integer], device: torch.device
) -> PsfBatch:
    """Return the images of these numbers (N, B)."""
    channels = torch.from_numpy(images["channels"][chosen])
    log_cutoff = torch.from_numpy(np.log(images["cutoff"][chosen]))
    return PsfBatch(channels.to(device), log_cutoff.to(device))


def prepare_task(
    name: str, sources: Sources
) -> Generator[Progress, None, EffectivePsfTask]:
    """Read the recipe and draw the images."""
    recipe = load_recipe(EffectivePsfRecipe, name)
    bank = images_bank(recipe.data)
    steps = bank_steps(sources.bank, bank, recipe.data.images, workers=sources.workers)
    training = yield from steps
    return EffectivePsfTask(recipe, training, validation_images(recipe.data))

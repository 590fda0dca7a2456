"""Prepared fields of a bank, and batches drawn from them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.core.progress import finish
from napari_dps.methods.dps.input import (
    OUTPUT_WIDTH,
    NetworkInput,
    network_input_steps,
    within_cutoff,
)
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.methods.dps.target import reconstruction_noise
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.train.bank import Arrays, Bank, bank_steps
from napari_dps.train.dps.chain import draw_chain_field
from napari_dps.train.dps.simulation import (
    DataSettings,
    FieldConditions,
    Image,
    SimulatedField,
    draw_emitters,
    draw_field,
    record_field,
)
from napari_dps.train.objects import (
    HELD_OUT_CLASSES,
    TRAINING_CLASSES,
    draw_cut,
    load_objects,
    objects_key,
)
from napari_dps.train.task import Sources

VALIDATION_PHOTONS = (40.0, 200.0, 2000.0)
VALIDATION_SEEDS = (0, 1)
_VERSION = 1
"""Raised when the same settings draw other fields, or their inputs change."""
SHARD = 100
"""Fields in a file of the bank."""


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Prepared fields: counts less the base of their image, over its full scale.

    Attributes
    ----------
    image, partner : array (N, Y, X), float32
        The network's input and a second recording of the same object, NaN where
        nothing has to be explained.
    features : array (N, F, 2Y, 2X), float16
        Richardson–Lucy features.
    target : array (N, 2Y, 2X), float16
        The truth at `OUTPUT_WIDTH` of the PSF's width.
    noise, base : array (N,), float32
        Standard deviation of the image's noise, and what was taken away.
    """

    image: NDArray[np.float32]
    partner: NDArray[np.float32]
    features: NDArray[np.float16]
    target: NDArray[np.float16]
    noise: NDArray[np.float32]
    base: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Patches for one step: `Fields` as float32 tensors with a channel axis."""

    image: torch.Tensor
    partner: torch.Tensor
    features: torch.Tensor | None
    target: torch.Tensor
    noise: torch.Tensor
    base: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        tensors = {name: getattr(self, name) for name in self.__slots__}
        return replace(
            self, **{n: t.to(device) for n, t in tensors.items() if t is not None}
        )


def prepare_field(field: SimulatedField, depths: Sequence[int]) -> dict[str, Any]:
    """Compute the network's inputs of a field; see `Fields` for the keys."""
    white = is_raw(field.image)
    noise = measured_noise(field.image, CANONICAL_CUTOFF_PER_PIXEL, white=white)
    if field.is_reconstructed:
        noise = reconstruction_noise(field.image, noise)
    inputs = finish(
        network_input_steps(field.image, depths, torch.device("cpu"), noise)
    )
    partner = within_cutoff(torch.from_numpy(field.partner)).numpy()
    return field_arrays(inputs, field.target, partner)


def field_arrays(inputs: NetworkInput, target: Image, partner: Image) -> dict[str, Any]:
    """Return a field by the network's inputs, its truth and a second recording.

    Truth and recording are in counts; see `Fields` for the keys.
    """
    base, scale = np.float32(inputs.base), np.float32(inputs.scale)
    return {
        "image": inputs.image.numpy(),
        "partner": (partner - base) / scale,
        "features": inputs.features.numpy().astype(np.float16),
        "target": ((target - base) / scale).astype(np.float16),
        "noise": np.float32(inputs.noise),
        "base": base / scale,
    }


def fields_bank(
    settings: DataSettings, depths: Sequence[int], objects: Path | None = None
) -> Bank:
    """Return the bank of training fields.

    Parameters
    ----------
    settings : DataSettings
        What to simulate.
    depths : sequence of int
        Iterations of the Richardson–Lucy features.
    objects : Path, optional
        Folder of real images to use as objects; see `objects.load_objects`.

    Returns
    -------
    Bank
        Of the arrays of `Fields`.
    """
    return Bank(
        "fields",
        partial(_drawn, settings, tuple(depths), objects),
        fields_shaped_by(_VERSION, settings, depths, objects),
        SHARD,
    )


def fields_shaped_by(
    version: int, settings: DataSettings, depths: Sequence[int], objects: Path | None
) -> dict[str, Any]:
    """Return everything that prepared fields depend on, for `Bank.shaped_by`."""
    return {
        "version": version,
        "settings": _drawn_with(settings),
        "depths": list(depths),
        "classes": TRAINING_CLASSES,
        "output_width": OUTPUT_WIDTH,
        "cutoff_per_pixel": CANONICAL_CUTOFF_PER_PIXEL,
        "objects": objects_key(objects),
    }


def build_fields_steps(
    sources: Sources, settings: DataSettings, depths: Sequence[int]
) -> Generator[Progress, None, Fields]:
    """Simulate and prepare the training fields, or read those that are there.

    Parameters
    ----------
    sources : Sources
        Folder of the banks, and of real images.
    settings, depths
        As for `fields_bank`.

    Yields
    ------
    Progress
        After each file of the bank.

    Returns
    -------
    Fields
    """
    bank = fields_bank(settings, depths, sources.objects)
    steps = bank_steps(sources.bank, bank, settings.fields, workers=sources.workers)
    return Fields(**(yield from steps))


def validation_fields(depths: Sequence[int], *, field_px: int = 128) -> Fields:
    """Return fixed fields of the held-out classes at 40, 200 and 2000 photons.

    Parameters
    ----------
    depths : sequence of int
        Iterations of the Richardson–Lucy features.
    field_px : int
        Edge of the fields.

    Returns
    -------
    Fields
        Photons vary slowest, then classes, then seeds.
    """
    prepared = []
    for photons in VALIDATION_PHOTONS:
        for number, structure in enumerate(HELD_OUT_CLASSES):
            for seed in VALIDATION_SEEDS:
                rng = np.random.default_rng([90210, number, seed, int(photons)])
                emitters = draw_emitters(structure, field_px, seed=1000 + seed)
                field = record_field(emitters, FieldConditions(photons=photons), rng)
                prepared.append(prepare_field(field, depths))
    return stack_fields(prepared)


def draw_batch(
    fields: Fields,
    *,
    step: int,
    seed: int,
    size: int,
    patch_px: int,
    time_points: int = 1,
) -> Batch:
    """Draw the patches of one step: a function of seed and step alone.

    Parameters
    ----------
    fields : Fields
        The bank.
    step : int
        Number of the step.
    seed : int
        Of the training.
    size : int
        Patches.
    patch_px : int
        Their edge on the image's grid.
    time_points : int
        Fields in a row that are the time points of one object; patches of them follow
        one another, cut alike.

    Returns
    -------
    Batch
        Cropped, turned and mirrored at random.
    """
    rng = np.random.default_rng([seed, step])
    firsts = rng.integers(len(fields) // time_points, size=size // time_points)
    cuts = [draw_cut(rng, fields.image.shape[-1], patch_px) for _ in firsts]
    chosen = (time_points * firsts[:, None] + np.arange(time_points)).ravel()
    cuts = [cut for cut in cuts for _ in range(time_points)]
    stacked: dict[str, torch.Tensor] = {}
    for name, finer in (("image", 1), ("partner", 1), ("features", 2), ("target", 2)):
        wholes = getattr(fields, name)
        tensors = [
            torch.from_numpy(cut(wholes[index], finer))
            for cut, index in zip(cuts, chosen, strict=True)
        ]
        stacked[name] = torch.stack([t.view(-1, *t.shape[-2:]) for t in tensors])
    features = stacked.pop("features")
    return Batch(
        features=features if features.shape[1] else None,
        noise=torch.from_numpy(fields.noise[chosen]),
        base=torch.from_numpy(fields.base[chosen]),
        **stacked,
    )


def as_batch(fields: Fields, index: int) -> Batch:
    """Return one whole field as a batch."""
    features = torch.from_numpy(fields.features[index].astype(np.float32))[None]
    return Batch(
        torch.from_numpy(fields.image[index])[None, None],
        torch.from_numpy(fields.partner[index])[None, None],
        features if features.shape[1] else None,
        torch.from_numpy(fields.target[index].astype(np.float32))[None, None],
        torch.from_numpy(fields.noise[index : index + 1]),
        torch.from_numpy(fields.base[index : index + 1]),
    )


def _drawn_with(settings: DataSettings) -> dict[str, Any]:
    """Return what decides how fields are drawn."""
    # Banks of single images from before there were time points stay what they are.
    single = {"time_points", "motion_px"} if settings.time_points == 1 else set()
    return settings.model_dump(mode="json", exclude={"fields", *single})


def _drawn(
    settings: DataSettings,
    depths: tuple[int, ...],
    objects: Path | None,
    numbers: range,
) -> Arrays:
    """Draw fields by number and prepare them."""
    real = load_objects(objects, "train") if objects else ()
    fields = stack_fields(
        [prepare_field(_draw(settings, n, real), depths) for n in numbers]
    )
    return {name: getattr(fields, name) for name in fields.__slots__}


def _draw(
    settings: DataSettings, index: int, objects: Sequence[Image]
) -> SimulatedField:
    """Draw the field of an index: an image, or one from raw frames."""
    is_chain = np.random.default_rng([settings.seed, index, 1]).random()
    draw = draw_chain_field if is_chain < settings.chain else draw_field
    return draw(settings, index, objects)


def stack_fields(prepared: Sequence[dict[str, Any]]) -> Fields:
    """Put prepared fields of one size together; keys as those of `Fields`."""
    return Fields(**{n: np.stack([one[n] for one in prepared]) for n in prepared[0]})

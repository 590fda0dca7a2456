"""A bank of prepared fields on disk, and batches drawn from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.core.progress import finish
from napari_dps.methods.dps.input import (
    OUTPUT_WIDTH,
    network_input_steps,
    within_cutoff,
)
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.train.objects import load_objects
from napari_dps.train.simulation import (
    HELD_OUT_CLASSES,
    TRAINING_CLASSES,
    DataSettings,
    FieldConditions,
    SimulatedField,
    draw_emitters,
    draw_field,
    record_field,
)

VALIDATION_PHOTONS = (40.0, 200.0, 2000.0)
_VALIDATION_SEEDS = (0, 1)
_SHARD = 100
"""Fields in a file of the bank."""


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Prepared fields: counts less the base of their image, over its full scale.

    Attributes
    ----------
    image, partner : array (N, Y, X), float32
        The network's input and a second recording of the same object.
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
        features = None if self.features is None else self.features.to(device)
        return Batch(
            self.image.to(device),
            self.partner.to(device),
            features,
            self.target.to(device),
            self.noise.to(device),
            self.base.to(device),
        )


def prepare_field(field: SimulatedField, depths: Sequence[int]) -> dict[str, Any]:
    """Compute the network's inputs of a field; see `Fields` for the keys."""
    white = is_raw(field.image)
    noise = measured_noise(field.image, CANONICAL_CUTOFF_PER_PIXEL, white=white)
    given = finish(network_input_steps(field.image, depths, torch.device("cpu"), noise))
    partner = torch.from_numpy(field.partner)
    base, scale = np.float32(given.base), np.float32(given.scale)
    return {
        "image": given.image.numpy(),
        "partner": (within_cutoff(partner).numpy() - base) / scale,
        "features": given.features.numpy().astype(np.float16),
        "target": ((field.target - base) / scale).astype(np.float16),
        "noise": np.float32(given.noise),
        "base": base / scale,
    }


def bank_folder(
    root: Path,
    settings: DataSettings,
    depths: Sequence[int],
    objects: Path | None = None,
) -> Path:
    """Return the folder of a bank: its name tells its settings, but for the size."""
    drawn = settings.model_dump(exclude={"fields"})
    real = sorted(file.name for file in objects.iterdir()) if objects else []
    told = json.dumps([drawn, list(depths), TRAINING_CLASSES, OUTPUT_WIDTH, real])
    return root / f"bank-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def build_bank_steps(
    root: Path,
    settings: DataSettings,
    depths: Sequence[int],
    *,
    objects: Path | None = None,
    workers: int = 1,
) -> Generator[Progress, None, Fields]:
    """Simulate and prepare the training fields, or read those that are there.

    Parameters
    ----------
    root : Path
        Folder for banks; files that are complete are reused.
    settings : DataSettings
        What to simulate.
    depths : sequence of int
        Iterations of the Richardson–Lucy features.
    objects : Path, optional
        Folder of real images to use as objects; see `objects.load_objects`.
    workers : int
        Processes.

    Yields
    ------
    Progress
        After each file of the bank.

    Returns
    -------
    Fields
    """
    folder = bank_folder(root, settings, depths, objects)
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, settings.fields, _SHARD)
    make = partial(_make_shard, folder, settings, tuple(depths), objects)
    for done, _ in enumerate(map_shards(make, starts, workers), 1):
        yield Progress(done, len(starts), "Simulating training fields")
    shards = [np.load(_shard_file(folder, start)) for start in starts]
    names = Fields.__dataclass_fields__
    whole = {n: np.concatenate([s[n] for s in shards]) for n in names}
    return Fields(**{n: values[: settings.fields] for n, values in whole.items()})


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
            for seed in _VALIDATION_SEEDS:
                rng = np.random.default_rng([90210, number, seed, int(photons)])
                emitters = draw_emitters(structure, field_px, seed=1000 + seed)
                field = record_field(emitters, FieldConditions(photons=photons), rng)
                prepared.append(prepare_field(field, depths))
    return stack_fields(prepared)


def draw_batch(
    fields: Fields, *, step: int, seed: int, size: int, patch_px: int
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

    Returns
    -------
    Batch
        Cropped, turned and mirrored at random.
    """
    rng = np.random.default_rng([seed, step])
    parts: dict[str, list[torch.Tensor]] = {}
    chosen = rng.integers(len(fields), size=size)
    for index in chosen:
        side = fields.image.shape[-1]
        corner = rng.integers(0, side - patch_px + 1, size=2)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        for name, finer in (
            ("image", 1),
            ("partner", 1),
            ("features", 2),
            ("target", 2),
        ):
            y, x = (finer * int(c) for c in corner)
            whole = getattr(fields, name)[index]
            part = whole[..., y : y + finer * patch_px, x : x + finer * patch_px]
            part = np.rot90(part, turns, axes=(-2, -1))
            part = part[..., ::-1] if mirror else part
            tensor = torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))
            parts.setdefault(name, []).append(tensor.view(-1, *tensor.shape[-2:]))
    stacked = {name: torch.stack(tensors) for name, tensors in parts.items()}
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


def map_shards(
    make: Callable[[int], None], starts: Iterable[int], workers: int
) -> Iterator[None]:
    """Make the files of a bank one after the other, or in processes.

    Parameters
    ----------
    make : callable
        Writes the file whose first field has the number given.
    starts : iterable of int
        Those numbers.
    workers : int
        Processes.

    Yields
    ------
    None
        After each file.
    """
    if workers == 1:
        yield from map(make, starts)
        return
    # A fork of a process in which torch has started threads can hang.
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(make, starts)


def _shard_file(folder: Path, start: int) -> Path:
    return folder / f"fields-{start:06d}.npz"


def _make_shard(
    folder: Path,
    settings: DataSettings,
    depths: tuple[int, ...],
    objects: Path | None,
    start: int,
) -> None:
    """Write one file of the bank, unless it is there; complete or not at all."""
    target = _shard_file(folder, start)
    if target.exists():
        return
    real = load_objects(objects, "train") if objects else ()
    drawn = (draw_field(settings, n, real) for n in range(start, start + _SHARD))
    fields = stack_fields([prepare_field(field, depths) for field in drawn])
    partial_file = target.with_suffix(".part")
    with partial_file.open("wb") as stream:
        np.savez(stream, **{n: getattr(fields, n) for n in fields.__slots__})
    partial_file.replace(target)


def stack_fields(prepared: Sequence[dict[str, Any]]) -> Fields:
    """Put prepared fields of one size together; keys as those of `Fields`."""
    return Fields(**{n: np.stack([one[n] for one in prepared]) for n in prepared[0]})

"""Pairs of a bank, what the network takes of them, and batches."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.methods.artifacts.network import network_input
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.train.artifacts.faults import (
    HELD_OUT_KINDS,
    HELD_OUT_MIXTURES,
    KINDS,
)
from napari_dps.train.artifacts.pairs import Pair, draw_pairs, make_pair
from napari_dps.train.artifacts.scenes import REAL, PairSettings, draw_scene
from napari_dps.train.bank import Arrays, Bank, bank_steps
from napari_dps.train.objects import (
    HELD_OUT_CLASSES,
    TRAINING_CLASSES,
    draw_cut,
    objects_key,
)
from napari_dps.train.task import Sources

STRUCTURE_NAMES: tuple[str, ...] = (*TRAINING_CLASSES, REAL)
"""Labels of the structures."""
KIND_NAMES: tuple[str, ...] = tuple(KINDS)
"""Labels of the artefacts."""
NOISE_EDGES = (0.003, 0.01, 0.03)
"""Noise over full scale between the labels of the noise level."""
_VERSION = 1
"""Raised when the same settings draw other pairs, or their scale changes."""
_SHARD = 50
"""Objects in a file of the bank."""


@dataclass(frozen=True, slots=True, eq=False)
class PairBank:
    """Pairs in the scale of `methods.artifacts.network.network_input`.

    Attributes
    ----------
    image, target : array (N, Y, X), float16
        With artefacts, and as it should be.
    noise : array (N,), float32
        That of the image, in its scale.
    structure : array (N,), int16
        Index in `STRUCTURE_NAMES`; −1 for others.
    kinds : array (N, K), bool
        Which of `KIND_NAMES`.
    """

    image: NDArray[np.float16]
    target: NDArray[np.float16]
    noise: NDArray[np.float32]
    structure: NDArray[np.int16]
    kinds: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image)

    def part(self, chosen: NDArray[np.integer] | slice) -> PairBank:
        """Return some of the pairs."""
        return PairBank(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class PairBatch:
    """Pairs for one step as tensors.

    Attributes
    ----------
    image, target : tensor (N, 1, Y, X), float32
        As in `PairBank`.
    noise : tensor (N,), float32
        Likewise.
    structure, noise_class : tensor (N,), int64
        Labels.
    kinds : tensor (N, K), float32
        0 or 1.
    """

    image: torch.Tensor
    target: torch.Tensor
    noise: torch.Tensor
    structure: torch.Tensor
    noise_class: torch.Tensor
    kinds: torch.Tensor

    def to(self, device: torch.device) -> PairBatch:
        """Return the batch on a device."""
        return PairBatch(*(getattr(self, n).to(device) for n in self.__slots__))


def as_bank(pairs: list[Pair]) -> PairBank:
    """Bring pairs to floor and scale of their images, as the stage does."""
    images, targets, noises = [], [], []
    for pair in pairs:
        inputs = network_input(pair.image)
        images.append(inputs.image.astype(np.float16))
        target = (pair.target - np.float32(inputs.floor)) / np.float32(inputs.scale)
        targets.append(target.astype(np.float16))
        noises.append(inputs.noise)
    labels = {name: number for number, name in enumerate(STRUCTURE_NAMES)}
    return PairBank(
        np.stack(images),
        np.stack(targets),
        np.array(noises, np.float32),
        np.array([labels.get(pair.structure, -1) for pair in pairs], np.int16),
        np.array([[name in p.kinds for name in KIND_NAMES] for p in pairs], bool),
    )


def pairs_bank(settings: PairSettings, objects: Path | None = None) -> Bank:
    """Return the bank of pairs.

    Parameters
    ----------
    settings : PairSettings
        What to make.
    objects : Path, optional
        Folder of real images to use as objects; see `objects.load_objects`.

    Returns
    -------
    Bank
        Of the arrays of `PairBank`.
    """
    return Bank(
        "pairs",
        partial(_drawn, settings, objects),
        {
            "version": _VERSION,
            "settings": settings.model_dump(mode="json", exclude={"fields"}),
            "classes": TRAINING_CLASSES,
            "structures": STRUCTURE_NAMES,
            "kinds": KIND_NAMES,
            "mixtures": HELD_OUT_MIXTURES,
            "cutoff_per_pixel": CANONICAL_CUTOFF_PER_PIXEL,
            "objects": objects_key(objects),
        },
        _SHARD,
        rows=settings.variants,
    )


def build_pairs_steps(
    sources: Sources, settings: PairSettings
) -> Generator[Progress, None, PairBank]:
    """Make the pairs, or read those that are there.

    Parameters
    ----------
    sources : Sources
        Folder for the bank, where files that are complete are reused, and of objects.
    settings : PairSettings
        What to make.

    Yields
    ------
    Progress
        After each file of the bank.

    Returns
    -------
    PairBank
        Those of an object follow one another.
    """
    bank = pairs_bank(settings, sources.objects)
    steps = bank_steps(sources.bank, bank, settings.fields, workers=sources.workers)
    return PairBank(**(yield from steps))


def held_out_cases() -> tuple[tuple[str, ...], ...]:
    """Return what validation looks at: each kind, those never trained on, none."""
    single = [(name,) for name in (*KINDS, *HELD_OUT_KINDS)]
    return ((), *single, *HELD_OUT_MIXTURES)


def held_out_pairs(settings: PairSettings, *, seeds: int = 2) -> list[Pair]:
    """Return fixed pairs of the classes that are never trained on.

    Parameters
    ----------
    settings : PairSettings
        Ranges; objects are phantoms, without gaps or points.
    seeds : int
        Scenes of each class.

    Returns
    -------
    list of Pair
        Cases (see `held_out_cases`) vary fastest.
    """
    plain = settings.model_copy(update={"planted": 0.0})
    pairs = []
    for number, structure in enumerate(HELD_OUT_CLASSES):
        for seed in range(seeds):
            rng = np.random.default_rng([4711, number, seed])
            scene = draw_scene(plain, rng, structure=structure)
            pairs += [make_pair(scene, case, plain, rng) for case in held_out_cases()]
    return pairs


def draw_pairs_batch(
    bank: PairBank, *, step: int, seed: int, size: int, patch_px: int
) -> PairBatch:
    """Draw the pairs of one step: a function of seed and step alone.

    Parameters
    ----------
    bank : PairBank
        Where from.
    step : int
        Number of the step.
    seed : int
        Of the training.
    size : int
        Pairs.
    patch_px : int
        Their edge.

    Returns
    -------
    PairBatch
        Cropped, turned and mirrored at random.
    """
    rng = np.random.default_rng([seed, step])
    chosen = rng.integers(len(bank), size=size)
    images: list[NDArray[np.float32]] = []
    targets: list[NDArray[np.float32]] = []
    for index in chosen:
        cut = draw_cut(rng, bank.image.shape[-1], patch_px)
        images.append(cut(bank.image[index]))
        targets.append(cut(bank.target[index]))
    return _as_batch(bank.part(chosen), np.stack(images), np.stack(targets))


def whole_batch(bank: PairBank) -> PairBatch:
    """Return all pairs of a small bank as one batch."""
    return _as_batch(
        bank, bank.image.astype(np.float32), bank.target.astype(np.float32)
    )


def _as_batch(
    bank: PairBank, images: NDArray[np.float32], targets: NDArray[np.float32]
) -> PairBatch:
    return PairBatch(
        torch.from_numpy(images)[:, None],
        torch.from_numpy(targets)[:, None],
        torch.from_numpy(bank.noise),
        torch.from_numpy(bank.structure.astype(np.int64)),
        torch.from_numpy(np.digitize(bank.noise, NOISE_EDGES)),
        torch.from_numpy(bank.kinds.astype(np.float32)),
    )


def _drawn(settings: PairSettings, objects: Path | None, numbers: range) -> Arrays:
    """Draw the pairs of objects by number."""
    bank = as_bank([pair for n in numbers for pair in draw_pairs(settings, n, objects)])
    return {name: getattr(bank, name) for name in bank.__slots__}

"""The pairs of the noise remover in a bank, and batches of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.methods.artifacts.low_light import SMOOTHINGS
from napari_dps.methods.reconstruction_noise import CANONICAL_EDGE_PER_PX
from napari_dps.train.artifacts.faults import HELD_OUT_MIXTURES, KINDS
from napari_dps.train.artifacts.restorations import (
    Restoration,
    RestorationSettings,
    draw_restorations,
)
from napari_dps.train.bank import Arrays, Bank, bank_steps
from napari_dps.train.objects import TRAINING_CLASSES, draw_cut, objects_key
from napari_dps.train.task import Sources

_VERSION = 2
"""Raised when the same settings draw other pairs, or their scale changes."""
_SHARD = 50
"""Objects in a file of the bank."""
_LARGEST = 6e4
"""What float16 holds."""


@dataclass(frozen=True, slots=True, eq=False)
class RestorationBank:
    """Pairs in the scale of `methods.artifacts.low_light.low_light_input`.

    Attributes
    ----------
    bases : array (N, B, Y, X), float16
    local, target : array (N, Y, X), float16
    numbers : array (N, K), float32
    floor, scale : array (N,), float32
        All as in `restorations.Restoration`.
    """

    bases: NDArray[np.float16]
    local: NDArray[np.float16]
    numbers: NDArray[np.float32]
    target: NDArray[np.float16]
    floor: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.bases)


@dataclass(frozen=True, slots=True, eq=False)
class RestorationBatch:
    """Pairs for one step as tensors, float32.

    Attributes
    ----------
    bases : tensor (N, B, Y, X)
    local, target : tensor (N, 1, Y, X)
    numbers : tensor (N, K)
    floor, scale : tensor (N, 1, 1, 1)
        All as in `RestorationBank`.
    """

    bases: torch.Tensor
    local: torch.Tensor
    numbers: torch.Tensor
    target: torch.Tensor
    floor: torch.Tensor
    scale: torch.Tensor

    def to(self, device: torch.device) -> RestorationBatch:
        """Return the batch on a device."""
        return RestorationBatch(*(getattr(self, n).to(device) for n in self.__slots__))

    def picture(self, image: torch.Tensor) -> torch.Tensor:
        """Return an image (N, 1, Y, X) as a picture: the target's full scale is 1."""
        return (image - self.floor) / self.scale


def bank_of(pairs: Sequence[Restoration]) -> RestorationBank:
    """Return pairs of one size as a bank."""
    columns = {
        info.name: np.stack([getattr(pair, info.name) for pair in pairs])
        for info in fields(Restoration)
    }
    for name in ("bases", "local", "target"):
        clipped = np.clip(columns[name], -_LARGEST, _LARGEST)
        columns[name] = clipped.astype(np.float16)
    for name in ("numbers", "floor", "scale"):
        columns[name] = columns[name].astype(np.float32)
    return RestorationBank(**columns)


def restorations_bank(
    settings: RestorationSettings, objects: Path | None = None
) -> Bank:
    """Return the bank of pairs.

    Parameters
    ----------
    settings : RestorationSettings
        What to make.
    objects : Path, optional
        Folder of real images to use as objects; see `objects.load_objects`.

    Returns
    -------
    Bank
        Of the arrays of `RestorationBank`.
    """
    return Bank(
        "restorations",
        partial(_drawn, settings, objects),
        {
            "version": _VERSION,
            "settings": settings.model_dump(mode="json", exclude={"fields"}),
            "classes": TRAINING_CLASSES,
            "kinds": tuple(KINDS),
            "mixtures": HELD_OUT_MIXTURES,
            "edge_per_px": CANONICAL_EDGE_PER_PX,
            "smoothings": SMOOTHINGS,
            "objects": objects_key(objects),
        },
        _SHARD,
        rows=settings.variants,
    )


def build_restorations_steps(
    sources: Sources, settings: RestorationSettings
) -> Generator[Progress, None, RestorationBank]:
    """Make the pairs, or read those that are there.

    Parameters
    ----------
    sources : Sources
        Folder for the bank, where files that are complete are reused, and of objects.
    settings : RestorationSettings
        What to make.

    Yields
    ------
    Progress
        After each file of the bank.

    Returns
    -------
    RestorationBank
        Those of an object follow one another.
    """
    bank = restorations_bank(settings, sources.objects)
    steps = bank_steps(sources.bank, bank, settings.fields, workers=sources.workers)
    return RestorationBank(**(yield from steps))


def draw_restorations_batch(
    bank: RestorationBank, *, step: int, seed: int, size: int, patch_px: int
) -> RestorationBatch:
    """Draw the pairs of one step: a function of seed and step alone.

    Parameters
    ----------
    bank : RestorationBank
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
    RestorationBatch
        Cropped, turned and mirrored at random.
    """
    rng = np.random.default_rng([seed, step])
    chosen = rng.integers(len(bank), size=size)
    bases, local, target = [], [], []
    for index in chosen:
        cut = draw_cut(rng, bank.local.shape[-1], patch_px)
        bases.append(cut(bank.bases[index]))
        local.append(cut(bank.local[index]))
        target.append(cut(bank.target[index]))
    rest = (bank.numbers[chosen], bank.floor[chosen], bank.scale[chosen])
    return as_batch(np.stack(bases), np.stack(local), np.stack(target), *rest)


def whole_batch(bank: RestorationBank, chosen: slice) -> RestorationBatch:
    """Return some pairs of a bank, whole."""
    images = (getattr(bank, name)[chosen] for name in ("bases", "local", "target"))
    rest = (getattr(bank, name)[chosen] for name in ("numbers", "floor", "scale"))
    return as_batch(*(one.astype(np.float32) for one in images), *rest)


def as_batch(
    bases: NDArray[np.float32],
    local: NDArray[np.float32],
    target: NDArray[np.float32],
    numbers: NDArray[np.float32],
    floor: NDArray[np.float32],
    scale: NDArray[np.float32],
) -> RestorationBatch:
    """Return the arrays of pairs as tensors."""
    return RestorationBatch(
        torch.from_numpy(bases),
        torch.from_numpy(local)[:, None],
        torch.from_numpy(numbers),
        torch.from_numpy(target)[:, None],
        torch.from_numpy(floor)[:, None, None, None],
        torch.from_numpy(scale)[:, None, None, None],
    )


def _drawn(
    settings: RestorationSettings, objects: Path | None, numbers: range
) -> Arrays:
    """Draw the pairs of objects by number."""
    pairs = [p for n in numbers for p in draw_restorations(settings, n, objects)]
    bank = bank_of(pairs)
    return {name: getattr(bank, name) for name in bank.__slots__}

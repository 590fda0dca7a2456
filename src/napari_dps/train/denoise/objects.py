"""The objects of the denoiser's stacks: a bank on the fine grid, and parts of it."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_dps.core import Progress
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.train.bank import Arrays, Bank, bank_steps
from napari_dps.train.denoise.settings import DenoiseData
from napari_dps.train.objects import (
    HELD_OUT_CLASSES,
    TRAINING_CLASSES,
    draw_class,
    draw_cut,
    load_objects,
    objects_key,
)
from napari_dps.train.task import Sources

OBJECT_PIXEL_NM = 45.0
"""Pixel of the objects at magnification 1: half a canonical pixel of a microscope with
a cut-off period of 225 nm (NA 1.3, 585 nm)."""
OBJECT_SETTINGS = frozenset(
    {"object_px", "seed", "real", "magnification", "separation_nm", "mixed", "diffuse"}
)
"""Settings that objects are drawn by; all others are for the stacks."""
_VERSION = 1
"""Raised when the same settings draw other objects."""
_SHARD = 100
"""Objects in a file of the bank."""


def draw_object(
    data: DenoiseData, index: int, real: tuple[NDArray[np.float32], ...] = ()
) -> NDArray[np.float16]:
    """Draw the object of an index on the fine grid, maximum 1."""
    rng = np.random.default_rng([data.seed, index])
    side = data.object_px
    if real and rng.random() < data.real:
        result = _real_object(real[rng.integers(len(real))], side, rng)
    else:
        result = np.zeros((side, side), np.float32)
        for _ in range(1 + int(rng.random() < data.mixed)):
            part = draw_phantom(
                draw_class(rng),
                side,
                seed=rng,
                magnification=rng.uniform(*data.magnification),
                separation_nm=rng.uniform(*data.separation_nm),
            )
            result += part * np.float32(rng.lognormal(0, 0.5) / part.sum())
    if rng.random() < data.diffuse:
        cloud = scipy.ndimage.gaussian_filter(result, rng.uniform(6, 30), mode="wrap")
        result = result + np.float32(rng.uniform(0.3, 2)) * cloud
    return np.asarray(result / result.max(), dtype=np.float16)


def draw_phantom(
    structure: StructureId,
    side: int,
    *,
    seed: int | np.random.Generator,
    magnification: float = 1.0,
    separation_nm: float = 120.0,
) -> NDArray[np.float32]:
    """Draw a structure on the fine grid."""
    return phantom(
        structure,
        (side, side),
        pixel_size_nm=OBJECT_PIXEL_NM / magnification,
        seed=seed,
        separation_nm=separation_nm / magnification,
    )


def _real_object(
    image: NDArray[np.float32], side: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cut and shrink a part of a real image at random."""
    wide = int(min(side * rng.uniform(1.0, 2.0), *image.shape))
    y, x = (int(rng.integers(0, n - wide + 1)) for n in image.shape)
    part = torch.from_numpy(image[y : y + wide, x : x + wide])[None, None]
    shrunk = F.interpolate(part, (side, side), mode="bilinear", antialias=True)
    return shrunk[0, 0].numpy() + np.float32(1e-6)


def objects_bank(data: DenoiseData, objects: Path | None = None) -> Bank:
    """Return the bank of objects.

    Parameters
    ----------
    data : DenoiseData
        `OBJECT_SETTINGS` of it are used.
    objects : Path, optional
        Folder of real images; see `napari_dps.train.objects.load_objects`.

    Returns
    -------
    Bank
        Of ``objects`` (N, S, S), float16.
    """
    return Bank(
        "objects",
        partial(_drawn, data, objects),
        {
            "version": _VERSION,
            "settings": data.model_dump(mode="json", include=set(OBJECT_SETTINGS)),
            "classes": TRAINING_CLASSES,
            "pixel_nm": OBJECT_PIXEL_NM,
            "objects": objects_key(objects),
        },
        _SHARD,
    )


def build_objects_steps(
    sources: Sources, data: DenoiseData
) -> Generator[Progress, None, NDArray[np.float16]]:
    """Draw the objects of a bank, or read those that are there.

    Parameters
    ----------
    sources : Sources
        Folder of the banks, and of real images.
    data : DenoiseData
        What to draw, and how many.

    Yields
    ------
    Progress
        After each file.

    Returns
    -------
    array (N, S, S), float16
    """
    bank = objects_bank(data, sources.objects)
    steps = bank_steps(sources.bank, bank, data.objects, workers=sources.workers)
    return (yield from steps)["objects"]


def _drawn(data: DenoiseData, objects: Path | None, numbers: range) -> Arrays:
    """Draw objects by number."""
    images = load_objects(objects, "train") if objects else ()
    return {"objects": np.stack([draw_object(data, n, images) for n in numbers])}


def validation_objects(side: int, *, seeds: int = 2) -> Tensor:
    """Return objects of the classes that are never trained on, (N, S, S)."""
    drawn = [
        draw_phantom(structure, side, seed=1000 + seed)
        for structure in HELD_OUT_CLASSES
        for seed in range(seeds)
    ]
    return torch.from_numpy(np.stack(drawn))


def draw_objects(
    bank: NDArray[np.float16], rng: np.random.Generator, *, size: int, side: int
) -> Tensor:
    """Cut, turn and mirror objects (B, side, side) of the bank at random."""
    chosen = rng.integers(len(bank), size=size)
    drawn = [draw_cut(rng, bank.shape[-1], side)(bank[index]) for index in chosen]
    return torch.from_numpy(np.stack(drawn))

"""What a network of the noise remover is judged by: structures it never sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_dps.metrics.reference import psnr_db, ssim
from napari_dps.train.artifacts.faults import (
    HELD_OUT_KINDS,
    KINDS,
    Faults,
    draw_ratio,
)
from napari_dps.train.artifacts.pairs import counts_of
from napari_dps.train.artifacts.restoration_bank import (
    RestorationBank,
    bank_of,
    whole_batch,
)
from napari_dps.train.artifacts.restorations import (
    RestorationSettings,
    as_restoration,
    scene_settings,
)
from napari_dps.train.artifacts.scenes import Scene, draw_scene
from napari_dps.train.objects import HELD_OUT_CLASSES

PHOTONS = (5.0, 15.0, 50.0)
"""Of the held-out reconstructions that lack light."""
WIENER_RATIOS = (0.1, 0.01, 0.001)
"""Their Wiener parameter over a sensible one."""
_BRIGHT_PHOTONS = (300.0, 3000.0)
_CLEAN = "clean"
_LOW_LIGHT = "low light"


@dataclass(frozen=True, slots=True)
class Case:
    """A fault of a held-out reconstruction.

    Attributes
    ----------
    group : str
        ``"clean"``, ``"low light"``, or the kind of fault.
    faults : Faults
        What is wrong.
    """

    group: str
    faults: Faults


def held_out_cases(rng: np.random.Generator) -> list[Case]:
    """Return the cases of one scene: none, lack of light, and each other kind."""
    cases = [Case(_CLEAN, Faults())]
    for number, (photons, ratio) in enumerate(product(PHOTONS, WIENER_RATIOS)):
        faults = Faults(photons=photons, wiener_ratio=ratio)
        if number % 2:
            # A filter that trusts all orders alike.
            apodisation = "none" if number % 4 == 1 else "triangle"
            faults = replace(faults, attenuation=0.0, apodisation=apodisation)
        cases.append(Case(_LOW_LIGHT, faults))
    for name, kind in {**KINDS, **HELD_OUT_KINDS}.items():
        bright = Faults(photons=draw_ratio(rng, *_BRIGHT_PHOTONS))
        cases.append(Case(name, kind(bright, rng)))
    return cases


def held_out_scene(
    settings: RestorationSettings, number: int, seed: int
) -> tuple[Scene, np.random.Generator]:
    """Return a scene of a class that is never trained on, and what goes on drawing."""
    rng = np.random.default_rng([4711, number, seed])
    plain = scene_settings(settings).model_copy(update={"planted": 0.0})
    return draw_scene(plain, rng, structure=HELD_OUT_CLASSES[number]), rng


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Held-out pairs, and the group of each."""

    groups: tuple[str, ...]
    bank: RestorationBank


def held_out_pairs(settings: RestorationSettings, *, seeds: int = 1) -> HeldOut:
    """Return fixed pairs of the classes that are never trained on.

    Parameters
    ----------
    settings : RestorationSettings
        Size of the fields.
    seeds : int
        Scenes of each class.

    Returns
    -------
    HeldOut
    """
    groups, pairs = [], []
    side = settings.field_px
    for number, seed in product(range(len(HELD_OUT_CLASSES)), range(seeds)):
        scene, rng = held_out_scene(settings, number, seed)
        for case in held_out_cases(rng):
            counts = counts_of(scene, case.faults, rng)
            pair = as_restoration(*counts, scene.edge_per_px)
            if pair is not None:
                groups.append(case.group)
                pairs.append(pair.part((0, 0), side))
    return HeldOut(tuple(groups), bank_of(pairs))


def restored(network: nn.Module, bank: RestorationBank) -> list[NDArray[np.float32]]:
    """Return what a network makes of each pair, in the scale of the bank."""
    results = []
    with torch.inference_mode():
        for number in range(len(bank)):
            batch = whole_batch(bank, slice(number, number + 1))
            clean = network(batch.bases, batch.local, batch.numbers)[0]
            results.append(clean[0, 0].numpy())
    return results


def score(results: list[NDArray[np.float32]], held_out: HeldOut) -> dict[str, float]:
    """Return SSIM and PSNR against the right reconstructions.

    Parameters
    ----------
    results : list of array (Y, X)
        One for each pair.
    held_out : HeldOut
        The pairs.

    Returns
    -------
    dict
        ``ssim_low_light``, ``psnr_low_light`` (dB), the same with ``_faults`` over the
        kinds that are trained on and ``_held_out_kinds`` over those that are not, and
        ``psnr_clean`` over images without any fault, against themselves.
    """
    rows: dict[str, list[tuple[float, float]]] = {}
    for group, result, target in zip(
        held_out.groups, results, held_out.bank.target, strict=True
    ):
        truth = target.astype(np.float64)
        name = _group_name(group)
        found = ssim(result, truth), min(psnr_db(result, truth), 99.0)
        rows.setdefault(name, []).append(found)
    scores = {}
    for name, values in rows.items():
        similarity, peak = np.array(values).mean(axis=0)
        scores[f"ssim_{name}"] = round(float(similarity), 4)
        scores[f"psnr_{name}"] = round(float(peak), 3)
    return scores


def _group_name(group: str) -> str:
    if group in KINDS:
        return "faults"
    return "held_out_kinds" if group in HELD_OUT_KINDS else group.replace(" ", "_")

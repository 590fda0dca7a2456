"""Scores of the denoiser on structures that it is never trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_dps.methods.sim.network import render
from napari_dps.train.denoise.objects import validation_objects
from napari_dps.train.denoise.patterns import Acquisition
from napari_dps.train.denoise.settings import DenoiseData
from napari_dps.train.denoise.simulation import (
    MARGIN_PX,
    DenoiseBatch,
    make_batch,
    scaled_frames,
    simulate_stacks,
)
from napari_dps.train.denoise.wiener import wiener_images
from napari_dps.train.losses import ssim_loss

VALIDATION_PHOTONS = (10.0, 50.0, 200.0, 1000.0)
VALIDATION_PX = 96
WIENER_PARAMETERS = (0.1, 0.03, 0.01, 0.003)
"""The best of them counts, for each stack alone."""
REFERENCE_PARAMETER = 0.01
"""Of the Wiener image of the clean frames that all are compared with."""
PEAK = 0.999
"""Quantile of the reference that is full scale."""


def validation_batches(
    data: DenoiseData, *, haze: bool = False
) -> dict[float, DenoiseBatch]:
    """Return stacks (3 × 3, exact patterns) of the held-out classes, by photons."""
    objects = validation_objects(2 * (VALIDATION_PX + 2 * MARGIN_PX))
    batches = {}
    for photons in VALIDATION_PHOTONS:
        rng = np.random.default_rng([90210, int(photons)])
        fixed = data.model_copy(
            update={
                "modulation": (0.7, 0.9),
                "wavevector": (0.7, 1.0),
                "read_noise_e": (1.6, 1.6),
                "background": (0.02, 0.05),
                "haze": 1.0,
            }
        )
        levels = np.full(len(objects), photons)
        stacks = simulate_stacks(
            objects,
            Acquisition(3, 3),
            fixed,
            rng,
            photons=levels,
            exact=True,
            haze=haze,
        )
        batches[photons] = make_batch(
            stacks, torch.ones(len(objects)), torch.device("cpu")
        )
    return batches


def score(batches: dict[float, DenoiseBatch], network: Any | None) -> dict[str, float]:
    """Return PSNR and SSIM by photons, of a network or of the stacks as they are."""
    scores: dict[str, float] = {}
    for photons, batch in batches.items():
        inputs, stacks = batch.inputs, batch.stacks
        clean = scaled_frames(stacks.clean, inputs)
        if network is None:
            frames = scaled_frames(stacks.frames, inputs)
        else:
            fine, haze = network(batch)
            frames = stacks.mix(render(fine, haze, inputs))
        count = len(clean)
        (wanted,) = wiener_images(
            clean[None], stacks, torch.full((count,), REFERENCE_PARAMETER)
        )
        tries = [
            wiener_images(frames[None], stacks, torch.full((count,), parameter))[0]
            for parameter in WIENER_PARAMETERS
        ]
        rows = [
            (
                max(psnr(t[n], wanted[n]) for t in tries),
                max(similarity(t[n], wanted[n]) for t in tries),
                psnr(frames[n], clean[n]),
            )
            for n in range(count)
        ]
        for name, value in zip(
            ("wiener", "ssim", "frames"), np.mean(rows, axis=0), strict=True
        ):
            scores[f"{name}_{photons:g}"] = round(float(value), 4)
    return scores


def _span(wanted: Tensor) -> Tensor:
    values = wanted.flatten()
    return torch.quantile(values, PEAK) - torch.quantile(values, 1 - PEAK)


def psnr(image: Tensor, wanted: Tensor) -> float:
    """Return the PSNR in dB; full scale are the quantiles of what is wanted."""
    error = (image - wanted).square().mean()
    return float(10 * torch.log10(_span(wanted) ** 2 / error))


def similarity(image: Tensor, wanted: Tensor) -> float:
    """Return the SSIM on the same scale."""
    span = _span(wanted)
    return 1 - float(ssim_loss((image / span)[None, None], (wanted / span)[None, None]))

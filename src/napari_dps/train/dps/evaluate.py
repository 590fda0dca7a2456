"""Scores of a network on held-out structures, beside those of its inputs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dps.methods.dps.input import OUTPUT_WIDTH, change_width
from napari_dps.metrics.reference import fit_intensity, psnr_db, ssim
from napari_dps.train.dps.data import VALIDATION_PHOTONS, Batch, Fields, as_batch
from napari_dps.train.dps.losses import SCORED_WIDTH


def run_network(network: nn.Module, batch: Batch, *, noise_input: bool) -> Tensor:
    """Give a batch to a network; return (N, 1, 2Y, 2X)."""
    out: Tensor = network(
        batch.image, batch.features, batch.noise if noise_input else None
    )
    return out


def validate(
    network: nn.Module, fields: Fields, *, noise_input: bool, output_width: float
) -> dict[str, float]:
    """Score a network on fields as from `validation_fields`.

    Parameters
    ----------
    network : module
        Without gradients, in evaluation mode.
    fields : Fields
        As many for each of `VALIDATION_PHOTONS`, in this order.
    noise_input : bool
        Whether the network takes the noise level.
    output_width : float
        PSF of the output.

    Returns
    -------
    dict
        ``psnr_40`` (dB), ``ssim_40`` and so on, after an affine fit, and their means
        ``psnr`` and ``ssim``.
    """
    with torch.inference_mode():
        results = [
            run_network(network, as_batch(fields, index), noise_input=noise_input)
            for index in range(len(fields))
        ]
    return score((result[0, 0] for result in results), output_width, fields)


def baselines(fields: Fields) -> dict[str, dict[str, float]]:
    """Score the interpolated inputs and each Richardson–Lucy feature."""
    inputs = (
        F.interpolate(as_batch(fields, index).image, scale_factor=2, mode="bicubic")
        for index in range(len(fields))
    )
    scores = {"input": score((image[0, 0] for image in inputs), SCORED_WIDTH, fields)}
    for number in range(fields.features.shape[1]):
        feature = torch.from_numpy(fields.features[:, number].astype(np.float32))
        scores[f"richardson_lucy_{number}"] = score(feature, OUTPUT_WIDTH, fields)
    return scores


def score(
    results: Iterable[Tensor], output_width: float, fields: Fields
) -> dict[str, float]:
    """Return PSNR and SSIM against the targets for each level of light.

    Parameters
    ----------
    results : iterable of tensor (2Y, 2X)
        One for each field.
    output_width : float
        Width of their PSF; both sides are compared at `SCORED_WIDTH`.
    fields : Fields
        With their targets.

    Returns
    -------
    dict
        See `validate`.
    """
    rows = []
    for result, target in zip(results, fields.target, strict=True):
        whole = torch.from_numpy(target.astype(np.float32))
        truth = change_width(whole, OUTPUT_WIDTH, SCORED_WIDTH).double().numpy()
        seen = change_width(result, output_width, SCORED_WIDTH).double().numpy()
        fitted = fit_intensity(seen, truth)
        rows.append((psnr_db(fitted, truth), ssim(fitted, truth)))
    table = np.array(rows).reshape(len(VALIDATION_PHOTONS), -1, 2).mean(axis=1)
    scores: dict[str, float] = {}
    for photons, (psnr, similarity) in zip(VALIDATION_PHOTONS, table, strict=True):
        scores[f"psnr_{photons:g}"] = round(float(psnr), 3)
        scores[f"ssim_{photons:g}"] = round(float(similarity), 4)
    scores["psnr"], scores["ssim"] = (round(float(v), 4) for v in table.mean(axis=0))
    return scores

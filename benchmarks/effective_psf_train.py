"""Train the estimator of the effective PSF: about ten CPU-minutes on one thread.

Draws simulated images (`effective_psf_images`), keeps their features, fits the networks
of `methods.effective_psf.estimate`, and writes weights and model card beside it.

    python benchmarks/effective_psf_train.py
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from effective_psf_images import (
    NEVER_SEEN,
    NEVER_SEEN_PSF,
    TRAINING_PSFS,
    TRAINING_STRUCTURES,
    draw,
)
from torch import nn

from napari_dps.methods.effective_psf.estimate import DILATIONS, WEIGHTS
from napari_dps.methods.effective_psf.features import (
    LOG_FREQUENCIES,
    log_channels,
    psf_features,
    without_spikes,
)

FLAWS = (("resampled", 0.1), ("noise only", 0.04), ("under-sampled", 0.05))
CHANNELS = 32
KERNEL = 5
NETWORKS = 3
EPOCHS = 22
BATCH = 128
LEARNING_RATE = 6e-3
WEIGHT_DECAY = 1e-2
FREEDOM = 4.0
"""Degrees of freedom of Student's t: few large errors must not rule the fit."""


def features(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Channels (N, 5, 80) and cut-offs (N,) of drawn images."""
    rows, cutoffs = [], []
    for sample in draw(count, seed, flaws=FLAWS, views=4):
        rows.append(log_channels(psf_features(without_spikes(sample.image))))
        cutoffs.append(sample.cutoff)
        if len(rows) % 500 == 0:
            print(f"{len(rows)} of {count} images", flush=True)
    return np.array(rows, np.float32), np.array(cutoffs, np.float32)


class Network(nn.Module):
    """Dilated convolutions along ln f; each place votes for ln k, with a weight.

    A convolution knows no zoom, so that what is learned at one k serves at all others.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 5
        for dilation in DILATIONS:
            padding = dilation * (KERNEL // 2)
            layers += [
                nn.Conv1d(width, CHANNELS, KERNEL, padding=padding, dilation=dilation),
                nn.SiLU(),
            ]
            width = CHANNELS
        self.layers = nn.Sequential(*layers, nn.Conv1d(CHANNELS, 3, 1))
        axis = torch.from_numpy(np.log(LOG_FREQUENCIES)).float()
        self.register_buffer("axis", axis, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 5, 80) → (N, 2): ln k and ln sd."""
        score, offset, log_sd = self.layers(x).unbind(1)
        share = torch.softmax(score, dim=1)
        log_cutoff = (share * (self.axis + 0.3 * offset)).sum(1)
        return torch.stack([log_cutoff, (share * log_sd).sum(1) - 2.5], dim=1)


def student_t(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of the target under Student's t, mean."""
    log_sd = output[:, 1].clamp(-6, 2)
    error = (target - output[:, 0]) / log_sd.exp()
    nll = log_sd + (FREEDOM + 1) / 2 * torch.log1p(error**2 / FREEDOM)
    return nll.mean()


def fit(x: torch.Tensor, y: torch.Tensor, seed: int) -> Network:
    """Fit one network to channels and ln k."""
    torch.manual_seed(seed)
    model = Network()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )
    steps = EPOCHS * math.ceil(len(x) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=steps
    )
    for _ in range(EPOCHS):
        for index in torch.randperm(len(x)).split(BATCH):
            loss = student_t(model(x[index]), y[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def main() -> None:
    """Draw, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=11700)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, cutoffs = features(options.images, options.seed)
    x, y = torch.from_numpy(rows), torch.from_numpy(np.log(cutoffs))
    models = [fit(x, y, seed) for seed in range(NETWORKS)]
    save(options.out, tensors_of(models), options.images, options.seed)


def tensors_of(models: list[Network]) -> dict[str, np.ndarray]:
    """Return the weights of all networks, stacked, by layer."""
    linear = [[m for m in model.layers if isinstance(m, nn.Conv1d)] for model in models]
    return {
        f"{layer}.{kind}": torch.stack([getattr(v, kind) for v in versions])
        .detach()
        .numpy()
        for layer, versions in enumerate(zip(*linear, strict=True))
        for kind in ("weight", "bias")
    }


def save(path: Path, tensors: dict[str, np.ndarray], images: int, seed: int) -> None:
    """Write the weights, and the model card beside them."""
    data = safetensors.numpy.save(tensors)
    path.write_bytes(data)
    card = {
        "model": "effective_psf",
        "purpose": "width of the effective PSF from one image",
        "sha256": hashlib.sha256(data).hexdigest(),
        "recipe": "python benchmarks/effective_psf_train.py "
        f"--images {images} --seed {seed}",
        "network": f"{len(DILATIONS)} dilated convolutions along ln f of "
        f"{KERNEL} taps and {CHANNELS} channels, then votes",
        "networks": NETWORKS,
        "loss": f"Student t, {FREEDOM:g} degrees of freedom",
        "optimiser": f"AdamW, OneCycle {LEARNING_RATE:g}, {EPOCHS} epochs of {BATCH}",
        "data": {
            "images": images,
            "simulated": True,
            "structures": TRAINING_STRUCTURES,
            "psfs": TRAINING_PSFS,
            "flaws": dict(FLAWS),
            "never_seen": [*NEVER_SEEN, NEVER_SEEN_PSF],
        },
        "licence": "BSD-3-Clause",
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    path.with_suffix(".json").write_text(
        json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()

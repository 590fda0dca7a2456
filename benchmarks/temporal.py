"""Averaging over time: gain, ghosts, leaks, and what it costs.

    python benchmarks/temporal.py [--seeds 3] [--out docs/benchmarks/temporal.md]

Time-lapses of nine time points of 3 × 3 frames of 128², exact patterns that start at
another phase at each, 2 % bleaching a time point, haze, a camera of 1.6 e- read noise.
The time point in the middle is averaged, denoised and reconstructed by a Wiener filter;
dB: that image against the one of its clean frames (the best of four Wiener parameters),
everywhere / where the clean images of the window differ by more than a tenth of their
span. Ghost: coefficient of (mean of the neighbours − now) in the error there, fitted
beside the image and blurred copies of it; a plain mean of the window has 1, a time
point alone 0.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import real_data
import temporal_scenes
import tifffile
import torch
from page import machine, options, publish, table
from temporal_protocol import (
    Judge,
    Score,
    averaged,
    denoised,
    dps_error,
    mean,
    points_of,
)
from temporal_scenes import SCENES, TIME_POINTS, Lapse, lapse

from napari_dps.core import ImageStack, Progress, finish
from napari_dps.core.context import Context
from napari_dps.stages.reconstruct import STAGE as RECONSTRUCT

PHOTONS = (10, 30, 100)
FIRST_SEED = 9000
MIDDLE = TIME_POINTS // 2
VARIANTS: dict[str, dict[str, object]] = {
    "centred": {},
    "centred, no flow": {"flow": False},
    "past": {"direction": "past"},
}


def gains(seeds: int) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows of each scene, and those of the mean of all scenes."""
    rows, means = [], []
    for photons in PHOTONS:
        found: dict[str, list[Score]] = {name: [] for name in ("alone", *VARIANTS)}
        for kind in SCENES:
            scores: dict[str, list[Score]] = {name: [] for name in found}
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                made = lapse(kind, photons, seed)
                judge = Judge(made, MIDDLE)
                scores["alone"].append(judge.score(denoised(made.raw[MIDDLE])))
                for name, parameters in VARIANTS.items():
                    result = averaged(made, MIDDLE, **parameters)
                    scores[name].append(judge.score(denoised(result)))
            one = {name: mean(values) for name, values in scores.items()}
            rows.append([str(photons), kind, *_cells(one)])
            for name, score in one.items():
                found[name].append(score)
        means.append([str(photons), *_cells({n: mean(s) for n, s in found.items()})])
    return rows, means


def _cells(scores: dict[str, Score]) -> list[str]:
    alone = scores["alone"]
    cells = [_cell(f"{alone.everywhere:.1f}", f"{alone.moving:.1f}", alone)]
    for name in VARIANTS:
        score = scores[name]
        everywhere = f"{score.everywhere - alone.everywhere:+.2f}"
        moving = f"{score.moving - alone.moving:+.2f}"
        cells.append(_cell(everywhere, moving, score))
    return cells


def _cell(everywhere: str, moving: str, score: Score) -> str:
    if np.isnan(score.moving):
        return f"{everywhere} / – / –"
    return f"{everywhere} / {moving} / {score.ghost:.2f}"


def leaks(seeds: int) -> list[list[str]]:
    """Return how much of an event's light is found in the time points beside it."""
    rows = []
    for photons in (10, 30):
        shares = []
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            made = lapse("events", photons, seed)
            event = made.clean[MIDDLE] - made.clean[MIDDLE - 1]
            event -= event.mean()
            for t in (MIDDLE - 1, MIDDLE + 1):
                change = averaged(made, t).data - made.clean[t]
                shares.append(100 * float((change * event).sum() / (event**2).sum()))
        rows.append([str(photons), f"{np.mean(shares):.2f}", f"{np.max(shares):.2f}"])
    return rows


def still(seeds: int) -> list[list[str]]:
    """Return what a still object is worth, and the noise that is left of it."""
    rows = []
    for photons in PHOTONS:
        worth, left, before = [], [], []
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            made = lapse("still ER", photons, seed)
            result = averaged(made, MIDDLE)
            number = result.maps["time_points"]
            worth.append(number.mean())
            clean = made.clean[MIDDLE]
            alone = np.mean((made.raw[MIDDLE].data - clean) ** 2)
            left.append(float(np.mean((result.data - clean) ** 2) / alone))
            before.append(float((1 / number).mean()))
        rows.append(
            [
                str(photons),
                f"{np.mean(worth):.2f}",
                f"{np.mean(before):.4f}",
                f"{np.mean(left):.4f}",
            ]
        )
    return rows


def dps(seeds: int) -> list[list[str]]:
    """Return the error of DPS with and without averaging over time."""
    rows, changes = [], []
    for kind in SCENES:
        pairs = []
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            made = lapse(kind, 30, seed)
            truth = made.truth[MIDDLE]
            alone = dps_error(made.raw[MIDDLE], truth)
            pairs.append((alone, dps_error(averaged(made, MIDDLE), truth)))
        alone, after = np.mean(pairs, axis=0)
        changes.append(100 * (after / alone - 1))
        rows.append([kind, f"{alone:.3f}", f"{after:.3f}", f"{changes[-1]:+.0f} %"])
    rows.append(["mean", "", "", f"{np.mean(changes):+.0f} %"])
    return rows


def costs() -> list[list[str]]:
    """Return the CPU seconds of a time point of 512², neighbours looked at before."""
    side = 512
    rows = []
    for kind in ("still ER", "drift .5 px"):
        made = temporal_scenes.lapse(kind, 30, FIRST_SEED, side_px=side)
        for name, parameters in VARIANTS.items():
            rows.append([kind, name, f"{_seconds(made, parameters):.2f}"])
    return rows


def _seconds(made: Lapse, parameters: dict[str, object]) -> float:
    points = points_of(made)
    averaged(made, MIDDLE - 1, points, **parameters)
    started = time.process_time()
    averaged(made, MIDDLE, points, **parameters)
    return time.process_time() - started


def real(folder: Path) -> list[list[str]]:
    """Return the gains on a real time-lapse whose frames are thinned to few photons."""
    frames = tifffile.imread(folder / "sim9_er_timelapse" / "raw.tif")
    frames = frames.reshape(3, 9, *frames.shape[-2:]).astype(np.float32)
    frames -= np.float32(np.percentile(frames, 0.1))
    bright = [real_data.raw_stack(one, real_data.ER_OPTICS) for one in frames]
    found = finish(reconstruct(bright[0])).patterns
    vectors = tuple(pattern.only_wave_vectors() for pattern in found)
    patterns = [
        finish(reconstruct(replace(one, patterns=vectors))).patterns for one in bright
    ]
    rows = []
    for photons in PHOTONS:
        scale = photons / np.percentile(frames.mean(axis=1), 99.9)
        clean = tuple(np.clip(one.data * scale, 0, None) for one in bright)
        pairs = []
        for seed in range(3):
            rng = np.random.default_rng(seed)
            raw = tuple(
                replace(one.derive(rng.poisson(c).astype(np.float32)), patterns=p)
                for one, c, p in zip(bright, clean, patterns, strict=True)
            )
            made = Lapse(raw, clean, ())
            judge = Judge(made, 1)
            alone = judge.score(denoised(raw[1])).everywhere
            after = judge.score(denoised(averaged(made, 1))).everywhere
            pairs.append((alone, after))
        alone, after = np.mean(pairs, axis=0)
        rows.append(
            [str(photons), f"{alone:.2f}", f"{after:.2f}", f"{after - alone:+.2f}"]
        )
    return rows


def reconstruct(raw: ImageStack) -> Generator[Progress, None, ImageStack]:
    """Find the patterns of bright frames, by reconstructing them."""
    return RECONSTRUCT.run(raw, RECONSTRUCT.parameters(), Context("cpu"))


def page(seeds: int, data: Path | None) -> str:
    """Return the page."""
    each, means = gains(seeds)
    heads = ["alone", *VARIANTS]
    parts = [
        "# Averaging over time",
        (__doc__ or "").split("\n\n", 2)[2].strip(),
        f"Means of {seeds} seeds; dB everywhere / where it moves / ghost, and gains on "
        "the time point alone.",
        table(["photons", *heads], means),
        table(["photons", "scene", *heads], each, text_columns=2),
        "## Light of an event of one time point in the ones beside it, %",
        table(["photons", "mean", "most"], leaks(seeds)),
        "## A still object, seven time points",
        table(
            [
                "photons",
                "effective number",
                "mean of its inverse",
                "variance left",
            ],
            still(seeds),
        ),
        "## DPS after it, 30 photons: NRMSE",
        table(["scene", "alone", "averaged", "change"], dps(1)),
        "## CPU seconds a time point, 512² × 9",
        table(["scene", "", "s"], costs(), text_columns=2),
    ]
    if data is not None:
        parts += [
            "## A real time-lapse of the endoplasmic reticulum, thinned",
            "Three time points of 112 × 512, the one in the middle with those beside "
            "it, dB against the image of the frames as they were recorded.",
            table(["photons", "alone", "averaged", "gain"], real(data)),
        ]
    parts.append(machine("torch", "numpy"))
    return "\n\n".join(parts)


def main() -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="folder of the real data")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    publish(page(asked.seeds, asked.data), asked.out)


if __name__ == "__main__":
    main()

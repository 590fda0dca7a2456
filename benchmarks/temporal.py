"""Averaging over time: gain, ghosts, leaks, and what it costs.

    python benchmarks/temporal.py [--seeds 3] [--parts gains dps] [--photons 10 30]
        [--side-px 128] [--data FOLDER] [--out docs/benchmarks/temporal.md]

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
from argparse import Namespace
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import real_data
import temporal_scenes
import tifffile
import torch
from page import machine, options, publish, table
from temporal_protocol import (
    Array,
    Judge,
    Score,
    averaged,
    denoised,
    dps_error,
    mean,
    points_of,
    reconstructed,
    sparse_errors,
)
from temporal_scenes import SCENES, TIME_POINTS, Lapse, lapse

from napari_dps.core import ImageStack, Pattern, Progress, finish
from napari_dps.core.context import Context, TimePoint
from napari_dps.physics.sim.shot_noise import pedestal, shot_noise
from napari_dps.stages.reconstruct import STAGE as RECONSTRUCT

PHOTONS = (10, 30, 100)
FIRST_SEED = 9000
MIDDLE = TIME_POINTS // 2
DRAWS = 5
"""Of the photons of a real recording."""
LARGEST_SHARE = 0.6
"""Of them for the dim frames."""
VARIANTS: dict[str, dict[str, object]] = {
    "centred": {},
    "centred, no flow": {"flow": False},
    "past": {"direction": "past"},
}


def gains(asked: Namespace) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows of each scene, and those of the mean of all scenes."""
    rows, means = [], []
    for photons in asked.photons:
        found: dict[str, list[Score]] = {name: [] for name in ("alone", *VARIANTS)}
        for kind in SCENES:
            scores: dict[str, list[Score]] = {name: [] for name in found}
            for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds):
                made = lapse(kind, photons, seed, asked.side_px)
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


def still(asked: Namespace) -> list[list[str]]:
    """Return what a still object is worth, and the noise that is left of it."""
    rows = []
    for photons in asked.photons:
        worth, left, before = [], [], []
        for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds):
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


def real(asked: Namespace) -> list[list[str]]:
    """Return the gains on a real time-lapse whose photons are dealt out by chance.

    A binomial share of the photons of each pixel makes the dim frames, the rest the
    reference: of Poisson counts the two are independent. What the reference's noise
    adds to both errors is known from its halves, and taken off.
    """
    bright = _real_lapse(asked.data / "sim9_er_timelapse" / "raw.tif")
    found = finish(reconstruct(bright[0])).patterns
    vectors = tuple(pattern.only_wave_vectors() for pattern in found)
    patterns = [
        finish(reconstruct(replace(one, patterns=vectors))).patterns for one in bright
    ]
    light = np.mean([one.data.mean(axis=(0, 1)) for one in bright], axis=0)
    recorded = float(np.percentile(light, 99.9))
    rows = []
    for photons in asked.photons:
        if photons > LARGEST_SHARE * recorded:
            continue  # the rest would be no reference
        draws = [
            _real_errors(bright, patterns, photons / recorded, seed)
            for seed in range(DRAWS)
        ]
        alone, after, reference = np.mean(draws, axis=0)
        gained = 10 * np.log10((alone - reference) / (after - reference))
        total = 10 * np.log10(alone / after)
        share = 100 * reference / alone
        rows.append(
            [
                f"{photons} of {recorded:.0f}",
                f"{share:.0f} %",
                f"{total:+.2f}",
                f"{gained:+.2f}",
            ]
        )
    return rows


def _real_lapse(path: Path) -> list[ImageStack]:
    """Return the time points in whole photo-electrons, by the noise of the frames."""
    counts = tifffile.imread(path).astype(np.float32)
    counts = counts.reshape(3, 3, 3, *counts.shape[-2:])
    optics = real_data.ER_OPTICS
    offset = pedestal(counts[0], optics)
    gain = shot_noise(counts[0] - offset, optics).gain
    electrons = np.clip(np.round((counts - offset) / gain), 0, None)
    return [real_data.raw_stack(one.reshape(9, *one.shape[-2:]), optics)
            for one in electrons]  # fmt: skip


def _real_errors(
    bright: Sequence[ImageStack],
    patterns: Sequence[tuple[Pattern, ...]],
    share: float,
    seed: int,
) -> tuple[float, float, float]:
    """Return squared errors alone and averaged, and what the reference adds to them."""
    rng = np.random.default_rng(seed)

    def dealt(counts: Array, part: float) -> tuple[Array, Array]:
        one = rng.binomial(counts.astype(np.int64), part).astype(np.float32)
        return one, counts - one

    raw, clean, halves = [], [], []
    for one, known in zip(bright, patterns, strict=True):
        dim, rest = dealt(one.data, share)
        raw.append(replace(one.derive(dim), patterns=known))
        clean.append(rest * (share / (1 - share)))
        halves.append(dealt(rest, 0.5))
    judge = Judge(Lapse(tuple(raw), tuple(clean), ()), 1)
    scores = [judge.score(denoised(one)) for one in (raw[1], averaged(judge.lapse, 1))]
    alone, after = (judge.span**2 * 10 ** (-s.everywhere / 10) for s in scores)
    first, second = (judge.image(h * (share / (1 - share))) for h in halves[1])
    # Both halves add up to the reference: they differ by as much noise as it has.
    return alone, after, float(np.mean((first - second) ** 2))


def widefield(raw: ImageStack) -> ImageStack:
    """Return the mean of all frames."""
    return raw.derive(raw.data.mean(axis=(0, 1)), axes="YX", patterns=())


def reconstruct(raw: ImageStack) -> Generator[Progress, None, ImageStack]:
    """Find the patterns of bright frames, by reconstructing them."""
    return RECONSTRUCT.run(raw, RECONSTRUCT.parameters(), Context("cpu"))


def sparse(asked: Namespace) -> list[list[str]]:
    """Return the error of sparse deconvolution without and with continuity in time."""
    chains: dict[str, Callable[[Lapse, int, list[TimePoint]], ImageStack]] = {
        "widefield": lambda made, t, _: widefield(made.raw[t]),
        "reconstruct": lambda made, t, _: reconstructed(made.raw[t]),
        "temporal, denoise, reconstruct": lambda made, t, points: reconstructed(
            denoised(averaged(made, t, points))
        ),
    }
    rows = []
    for photons in asked.photons:
        changes: dict[str, list[str]] = {name: [] for name in chains}
        for kind in SCENES:
            made = lapse(kind, photons, FIRST_SEED, asked.side_px)
            points = points_of(made)
            for name, chain in chains.items():
                middle = (MIDDLE - 1, MIDDLE, MIDDLE + 1)
                images = [chain(made, t, points) for t in middle]
                alone, after = sparse_errors(images, made.truth[MIDDLE])
                change = 100 * (after / alone - 1)
                changes[name].append(f"{alone:.3f} {change:+.0f} %")
        rows += [[str(photons), name, *cells] for name, cells in changes.items()]
    return rows


def gains_text(asked: Namespace) -> str:
    """Return the tables of what averaging gains."""
    each, means = gains(asked)
    heads = ["alone", *VARIANTS]
    return (
        f"{asked.side_px}², {asked.seeds} seed(s) from {FIRST_SEED} on; dB everywhere "
        "/ where it moves / ghost, and gains on the time point alone.\n\n"
        f"{table(['photons', *heads], means)}\n\n"
        f"{table(['photons', 'scene', *heads], each, text_columns=2)}"
    )


def leaks_text(asked: Namespace) -> str:
    """Return the table of what events leave in other time points."""
    return (
        "## Light of an event of one time point in the ones beside it, %\n\n"
        + table(["photons", "mean", "most"], leaks(asked.seeds))
    )


def still_text(asked: Namespace) -> str:
    """Return the table of what is left of the noise of a still object."""
    heads = ["photons", "effective number", "mean of its inverse", "variance left"]
    rows = still(asked)
    return f"## A still object, seven time points\n\n{table(heads, rows)}"


def dps_text(asked: Namespace) -> str:
    """Return the table of the errors of DPS."""
    heads = ["scene", "alone", "averaged", "change"]
    return f"## DPS after it, 30 photons: NRMSE\n\n{table(heads, dps(asked.seeds))}"


def sparse_text(asked: Namespace) -> str:
    """Return the table of the errors of sparse deconvolution."""
    return (
        "## Sparse deconvolution with continuity in time\n\n"
        "`dps.method sparse`: NRMSE of each time point by itself, and what "
        "`dps.time_continuity` 1 changes. widefield: the mean of all frames of a time "
        "point.\n\n"
        + table(["photons", "after", *SCENES], sparse(asked), text_columns=2)
    )


def costs_text(asked: Namespace) -> str:
    """Return the table of the cost."""
    heads = ["scene", "", "s"]
    rows = table(heads, costs(), text_columns=2)
    return f"## CPU seconds a time point, 512² × 9\n\n{rows}"


def real_text(asked: Namespace) -> str:
    """Return the table of a real time-lapse; empty without its data."""
    if asked.data is None:
        return ""
    return (
        "## A real time-lapse of the endoplasmic reticulum, thinned\n\n"
        "Three time points of 112 × 512, the one in the middle with those beside it. "
        "The photons of each pixel are dealt out: a share makes the dim frames, the "
        "rest the reference, whose noise is independent of theirs. Gain in dB of the "
        "squared error, all of it and less what the noise of the reference adds.\n\n"
        + table(
            [
                "photons",
                "of the error alone, noise of the reference",
                "gain",
                "gain less that noise",
            ],
            real(asked),
        )
    )


PARTS: dict[str, Callable[[Namespace], str]] = {
    "gains": gains_text,
    "leaks": leaks_text,
    "still": still_text,
    "dps": dps_text,
    "sparse": sparse_text,
    "costs": costs_text,
    "real": real_text,
}


def main() -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--photons", type=int, nargs="+", default=PHOTONS)
    parser.add_argument("--side-px", type=int, default=128)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", type=Path, help="folder of the real data")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    head = "# Averaging over time\n\n" + (__doc__ or "").split("\n\n", 2)[2].strip()
    parts = [PARTS[name](asked) for name in asked.parts]
    text = "\n\n".join(filter(None, [head, *parts, machine("torch", "numpy")]))
    publish(text, asked.out)


if __name__ == "__main__":
    main()

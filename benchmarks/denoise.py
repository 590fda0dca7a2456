"""Denoising of raw SIM frames: the stage `denoise` and its plain peers.

``python benchmarks/denoise.py --out docs/benchmarks/denoise.md``
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import astuple, replace

import numpy as np
import torch
from denoise_images import REFERENCE_FACTOR, image_rows, picture
from denoise_protocol import (
    CLASSES,
    LAYOUTS,
    METHODS,
    PARAMETERS,
    PHOTONS,
    REFERENCE,
    SIDE_PX,
    imprinted,
    network,
    period_errors_nm,
    scene,
    score,
    wrong,
)
from page import machine, options, publish, table

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.stages import denoise
from napari_dps.stages.denoise import DenoiseParameters

PICTURE = "denoise.png"
DRAWN_PHOTONS = (10, 50)
DRAWN = " and ".join(map(str, DRAWN_PHOTONS)) + " photons"


def compared(seeds: int) -> str:
    """Return the table of all methods at all levels."""
    rows = []
    for name, method in METHODS.items():
        levels = []
        for photons in PHOTONS:
            scenes = [scene(c, photons, s) for c in CLASSES for s in range(seeds)]
            results = [(method(one.raw), one) for one in scenes]
            scores = [astuple(score(*pair)) for pair in results]
            errors = np.concatenate([period_errors_nm(*pair) for pair in results])
            found = errors[np.isfinite(errors)]
            period = float(np.median(found)) if found.size else float("nan")
            share = 100 * found.size / errors.size
            levels.append([*np.mean(scores, axis=0), period, share])
        rows.append([name, *(" ".join(row) for row in _printed(np.array(levels)))])
    head = [
        "method",
        "frames, dB",
        "Wiener, dB",
        "Wiener, SSIM",
        "contrast",
        "phase, °",
        "period, nm",
        "found, %",
    ]
    return table(head, rows)


def _printed(levels: np.ndarray) -> list[list[str]]:
    forms = (".1f", ".1f", ".3f", ".2f", ".1f", ".2f", ".0f")
    return [
        [format(value, form) for value in column]
        for column, form in zip(levels.T, forms, strict=True)
    ]


def layouts(seeds: int) -> str:
    """Return the Wiener PSNR with and without denoising for each layout."""
    rows = []
    for name, layout in LAYOUTS.items():
        cells = []
        for photons in PHOTONS:
            scenes = [
                scene(c, photons, s, **layout) for c in CLASSES for s in range(seeds)
            ]
            before, after = (
                np.mean([score(f(s.raw), s).wiener_db for s in scenes])
                for f in (METHODS["none"], network)
            )
            cells.append(f"{before:.1f} → {after:.1f}")
        rows.append([name, *cells])
    return table(["layout", *(f"{p} photons" for p in PHOTONS)], rows)


def images(seeds: int) -> str:
    """Return errors and resolutions of the SIM images of whole ways."""
    head = ["way", "NRMSE", "NRMSE, radial gain", "SNR, dB", "resolution, nm"]
    return table(head, image_rows(CLASSES, PHOTONS, seeds))


def imprints(seeds: int) -> str:
    """Return the modulation that a wrong and an absent pattern leave behind."""
    rows = []
    for name, even in (("17° and 10 % off", False), ("no stripes at all", True)):
        cells = []
        for photons in PHOTONS:
            pairs = [
                pair
                for structure in CLASSES
                for seed in range(seeds)
                for pair in _imprint(structure, photons, seed, even=even)
            ]
            most = max(after - before for after, before in pairs)
            own = max(before for _, before in pairs)
            cells.append(f"{most:.3f} ({own:.3f})")
        rows.append([name, *cells])
    return table(["told a pattern", *(f"{p} photons" for p in PHOTONS)], rows)


def _imprint(
    structure: str, photons: float, seed: int, *, even: bool
) -> list[tuple[float, float]]:
    """Return what denoised and expected frames show of a pattern they do not have."""
    lit = scene(structure, photons, seed)
    told = lit.raw.patterns if even else wrong(lit.raw.patterns)
    shown = scene(structure, photons, seed, modulation=0.0) if even else lit
    frames = network(replace(shown.raw, patterns=told))
    pairs = []
    for pattern in told:
        angle = pattern.angle_index
        after, before = (
            imprinted(some[angle], shown.clean[angle], pattern, lit.raw)
            for some in (frames, shown.clean)
        )
        pairs.append((after, before))
    return pairs


def speed() -> str:
    """Return seconds and most memory for 512² × 9, each in a process of its own."""
    command = [sys.executable, __file__, "--measure"]
    rows = []
    for threads in (1, 2):
        done = subprocess.run(
            [*command, str(threads)], capture_output=True, text=True, check=True
        )
        rows.append([str(threads), *done.stdout.split()])
    return table(["threads", "seconds", "CPU seconds", "most memory, MiB"], rows)


def measure(threads: int) -> None:
    """Print seconds and memory of this process."""
    torch.set_num_threads(threads)
    optics = Optics(na=1.3, emission_nm=600, pixel_size_nm=65)
    part = scene("microtubules", 100, 0)
    tiled = np.tile(part.raw.data, (1, 1, 4, 4))[..., :512, :512]
    stack = ImageStack(
        tiled, "APYX", pixel_size_nm=65, optics=optics, patterns=part.raw.patterns
    )
    runs = []
    context = Context("cpu")
    for _ in range(4):
        started = time.perf_counter(), time.process_time()
        finish(denoise.STAGE.run(stack, DenoiseParameters(), context))
        now = time.perf_counter(), time.process_time()
        runs.append([a - b for a, b in zip(now, started, strict=True)])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds, cpu = np.min(runs, axis=0)
    print(f"{seconds:.2f} {cpu:.2f} {memory:.0f}")


def report(seeds: int) -> str:
    """Return the page."""
    parameters = ", ".join(map(str, PARAMETERS))
    return f"""# Denoising

`python benchmarks/denoise.py --seeds {seeds} --out docs/benchmarks/denoise.md`

Simulated stacks of {SIDE_PX}² pixels of structures that the network never saw
({", ".join(CLASSES).replace("_", " ")}; {seeds} fields of each), 3 × 3 frames, NA,
pixel size and stripes as `napari-dps simulate` has them by default, a fifth of haze.
Photons are those of the brightest structure (99.9th percentile) in an evenly lit frame;
numbers stand for {", ".join(map(str, PHOTONS))} photons.

Frames: PSNR against the expected frames. Wiener: the exact patterns, the best of the
Wiener parameters {parameters}, against the Wiener image of the expected frames at
{REFERENCE}; full scale is the 99.9th percentile. Contrast and phase: the first order in
the frames against that in the expected frames. Period: error of the stripes' period
where `reconstruct` finds it in these frames, told nothing, the median of all angles;
and the share of the angles where it does (our own ways look for patterns in the noisy
frames, those of the row *none*).

{compared(seeds)}

PSNR of the Wiener image without and with denoising, by layout:

{layouts(seeds)}

SIM images of whole ways, patterns known, defaults of each program: error to the truth
seen through the PSF of {REFERENCE_FACTOR} times the NA (gain and offset fitted; NRMSE,
the same after a fit of the gain by frequency, in which apodisation and Wiener parameter
do not count, and SNR as standard deviation of the truth over the error), and resolution
by decorrelation analysis, the median (noise can make it look better than it is: read it
beside the error). *network* is `--reconstruct.method network`, else the Wiener filter:

{images(seeds)}

![Widefield, reconstructions and truth of one field of each at {DRAWN}]({PICTURE})

By how much denoised frames show more of a pattern that the stage was told and they do
not have than the expected frames do, as modulation depth, at most (in brackets: the
most that the expected frames show of it, since the object is not even; the true
pattern has 0.6):

{imprints(seeds)}

512² × 9 frames, patterns known, the least of four runs (where other work keeps the
machine busy only the CPU seconds of one thread tell):

{speed()}

{machine("torch")}.
"""


def main() -> None:
    """Print the report, and write it if asked to."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="fields of each structure")
    parser.add_argument(
        "--measure", type=int, metavar="THREADS", help=argparse.SUPPRESS
    )
    chosen = parser.parse_args()
    if chosen.measure:
        measure(chosen.measure)
        return
    torch.set_num_threads(1)
    publish(report(chosen.seeds), chosen.out)
    if chosen.out is not None:
        picture(chosen.out.with_name(PICTURE), CLASSES[:2], DRAWN_PHOTONS)


if __name__ == "__main__":
    main()

"""Super-resolution by every method of the stage `dps`, and by its peers.

``python benchmarks/dps.py --out docs/benchmarks/dps.md``
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from dps_cost import peak_memory_mib, speed_rows
from dps_methods import LIKENESS, METHODS, RL_DEPTHS, SPARSE_STRENGTHS
from dps_protocol import (
    BACKGROUND,
    CLASSES,
    flat_cv,
    flatness,
    intensity_ratio,
    likeness,
    noise_peak,
    resolved_nm,
)
from dps_real import all_samples, er_rows, picture
from dps_trust import MISMATCH_SIDE_PX, mismatch_rows, trust_cells
from page import machine, options, publish, table
from real_data import data_folder

from napari_dps.nets.checkpoint import shipped_weights

LEVELS = (20, 40, 200, 2000, np.inf)
RESOLVED_AT = (200, 2000)


def likeness_tables(seeds: int) -> str:
    """Score every method at every level."""
    main, more = [], []
    for name, method in LIKENESS.items():
        scores = [likeness(method, photons, seeds) for photons in LEVELS]
        main.append([name, *(f"{s.psnr_db:.2f} / {s.ssim:.3f}" for s in scores)])
        more.append(
            [
                name,
                *(
                    f"{s.nrmse:.3f} / {s.frc_gain:.2f} / {s.frc_gain_1_7:.2f}"
                    for s in scores
                ),
            ]
        )
        print(main[-1], more[-1][1:], flush=True)
    header = ["method", *(f"{level:g} photons" for level in LEVELS[:-1]), "no noise"]
    return f"""PSNR in dB / SSIM:

{table(header, main)}

NRMSE / gain of the Fourier ring correlation with the truth over the input's, by the
frequency where it falls below 1/2 (what 1/7 is between two noisy images) / below 1/7:

{table(header, more)}"""


def resolution_and_trust() -> tuple[str, str]:
    """Return the tables of what is told apart, and of what can be believed."""
    resolved, trust = [], []
    for name, method in METHODS.items():
        resolved.append(
            [
                name,
                *(
                    f"{resolved_nm(method, kind, photons):.0f}"
                    for photons in RESOLVED_AT
                    for kind in ("line", "point")
                ),
            ]
        )
        trust.append(
            [
                name,
                f"{flat_cv(method):.2f}",
                f"{100 * noise_peak(method):.1f} %",
                f"{flatness(method):.0e}",
                f"{intensity_ratio(method):.2f}",
                *trust_cells(name),
            ]
        )
        print(resolved[-1], trust[-1][1:], flush=True)
    separations = [
        f"{kind}, {photons} photons"
        for photons in RESOLVED_AT
        for kind in ("lines", "points")
    ]
    names = ["noise", "noise alone", "constant", "1:20"]
    names += ["false, of the image", "false, of the result", "flux"]
    return table(["nm", *separations], resolved), table(["method", *names], trust)


def real_section(out: Path | None) -> str:
    """Return the part on real images, and draw them; empty without the data."""
    folder = data_folder()
    if folder is None:
        return ""
    levels = ["lowest exposure", "middle", "highest"]
    rows = er_rows(folder)
    told, pictures = [], []
    for name, samples in all_samples(folder).items():
        if out is not None:
            picture(samples, out.parent / f"{name}.png")
        pictures.append(f"![{samples[0].name}]({name}.png)")
        told += [
            [sample.name, f"{sample.rsp:.3f}", "; ".join(sample.notes) or "–"]
            for sample in samples
        ]
    return f"""## Real images

Widefield images of endoplasmic reticulum at three exposures, and the SIM image of the
same field (BioSR, cell 022, by way of SRFM-UpDownSamp): correlation of each result
with the SIM image after registration / after the isotropic filter that fits best,
which takes out how much each has sharpened. The files state no optics: NA 1.41, 525
nm and pixels of 62.6 nm are assumed, modulation factor 1. Peers at their best on the
SIM image.

{table(["method", *levels], rows)}

By the default of the stage, the correlation of the result, blurred back, with its input
(RSP):

{table(["image", "RSP", "notes"], told)}

Windows at full zoom, two screen pixels for each pixel of the result, each between its
0.5th and 99.8th percentile. [The page of the stage](../stages/dps.md) says what to
think of them.

{chr(10).join(pictures)}
"""


def weights_line() -> str:
    """Say which weights were measured."""
    file = shipped_weights("dps-oriented").with_suffix(".json")
    told = json.loads(file.read_text(encoding="utf-8"))
    return f"step {told['metrics']['step']}, SHA-256 {told['sha256'][:12]}…"


def report(seeds: int, out: Path | None) -> str:
    """Run everything and write the page."""
    likenesses = likeness_tables(seeds)
    resolutions, trust = resolution_and_trust()
    mismatches = mismatch_rows(max(seeds // 2, 1))
    speeds = speed_rows(3)
    busy = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    memory = [
        [f"`{name}`", str(peak_memory_mib(name, 2048))]
        for name in ("network", "rl", "sparse")
    ]
    real = real_section(out)
    costs = ["loss, dB", "could tell", "their loss, dB", "dip", "doubled", "ghost"]
    classes = ", ".join(CLASSES).replace("_", " ")
    depths = ", ".join(map(str, RL_DEPTHS))
    strengths = ", ".join(map(str, SPARSE_STRENGTHS))
    return f"""# Super-resolution

`python benchmarks/dps.py --out docs/benchmarks/dps.md`

Simulated images with exact truth at an effective NA of 3, 488 nm and pixels of 32.5 nm
(PSF 83.7 nm wide), with photon noise on an even background of {100 * BACKGROUND:g} %
of the peak. Photons are those of the brightest structure (99.9th percentile). Every
method knows the PSF. Weights of the network `oriented`: {weights_line()}

## Likeness to the truth

On the 2× grid against the truth under a PSF of half the width, after a fit of scale
and offset. Means over {classes}, which no training saw (they chose its best step), and
{seeds} fields of 128² each. Where a peer says *best*, every score is the best of its
candidates on the truth at that level: Richardson–Lucy, not accelerated, after {depths}
iterations; `sparse` at strength {strengths}; scikit-image's Wiener filter of nine
parameters. No user can choose so well; the stage's own methods run at one setting.

{likenesses}

## Resolution

Separation in nm of two lines or points at a dip of 26 % in the mean profile of 20
pairs at random places and directions. A perfect image at 1/1.67 of the PSF reads 62
and 63 nm, at half the PSF 54 and 54.

{resolutions}

## Trust

Noise: std/mean of the result on an even background of 10 photons in an image of 200.
Noise alone: largest value that comes out of an even field of 5 photons, in shares of
200. Constant: greatest deviation of the result of a constant image. 1:20: what is
left of that ratio of two far halves, times 20. False: peaks in regions without any
structure (10 photons beside glyphs of 200; 8 recordings) per 1000 pixels, above the
median by five standard deviations of the image's noise, and of the result's own
(1.4826 times its median absolute deviation; outliers of a distribution with heavy
tails count too). Flux: greatest error from frame to frame of the light of glyphs
above their background in a series that bleaches by 15 % a frame.

{trust}

## Wrong optics

The true PSF narrower or wider than the optics say, which are taken as stated or
corrected by what the image shows (`--modulation-factor auto`). Loss in dB against the
exact PSF, mean over the held-out structures at 200 and 2000 photons,
{MISMATCH_SIDE_PX}² pixels; how many images could tell their PSF, and the loss of those.
Of 20 single lines at 2000 photons: the dip in the middle of their mean profile, how
many dip by more than 10 % (one looks like two), and the brightest ghost line within
150 nm, of the peak. With the exact PSF in the first two rows.

{table(["", *costs], mismatches)}

## Speed and memory

512² to 1024² pixels: CPU seconds of one thread, and wall clock on two threads, each the
least of three runs in turns with the others ({busy}; wall clock tells
little on a busy machine). Its authors' numpy
implementation of sparse–Hessian deconvolution takes 95 s for 128² pixels as measured
when this project began (it cannot be run in this table: it needs edits to run without a
GPU library); `sparse` is our implementation in torch.

{table(["method", "CPU, s", "against RL 50", "wall, s"], speeds)}

Most memory of a process on 2048² pixels, in MiB (Python and torch alone take about
300):

{table(["method", "MiB"], memory)}

{real}
{machine("torch")}.
"""


def main() -> None:
    """Print the report, and write it if asked to."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="fields of each structure")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    publish(report(chosen.seeds, chosen.out), chosen.out)


if __name__ == "__main__":
    main()

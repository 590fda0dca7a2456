"""Turned images to `dps`: whether results turn with them, and err as is stated.

``python benchmarks/dps_turns.py --out dps_turns.md``; ``--weights``
compares others, by name or file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from dps_methods import stage
from dps_protocol import (
    BACKGROUND,
    CLASSES,
    Image,
    Method,
    likeness,
    record,
    resolved_nm,
    structure,
)
from page import machine, options, publish, seconds_of, table

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.input import change_width
from napari_dps.methods.dps.target import CAUTIOUS_WIDTH, SHARP_WIDTH
from napari_dps.nets.equivariant import TURNS, opposite, turned
from napari_dps.stages.dps import STAGE, DpsParameters

LEVELS = (40, 200, 2000)
RESOLVED_AT = (200, 2000)
FIELD_SEED = 1007
"""Of the fields that are turned; `likeness` has others."""
RIM_PX = 8
"""Rim of the result that does not count: the truth is mirrored there."""
BRIGHT = 90
"""Percentile of the result from which pixels are called bright."""


class Trust(NamedTuple):
    """Means over the classes, at one level of light.

    Attributes
    ----------
    deviation : float
        Largest difference of a turned result from the result, of its range; the worst
        class.
    spread : float
        Standard deviation over the turns over the stated uncertainty: the median of
        the bright pixels.
    within : float
        Share of pixels whose error is below two standard deviations.
    within_bright : float
        The same of the bright pixels.
    """

    deviation: float
    spread: float
    within: float
    within_bright: float


def trust(parameters: dict[str, object], photons: float) -> Trust:
    """Turn fields, and compare errors with the uncertainty that is stated."""
    scores = [_trust_of(name, parameters, photons) for name in CLASSES]
    rows = np.array(scores)
    return Trust(float(rows[:, 0].max()), *rows[:, 1:].mean(axis=0).tolist())


def _trust_of(name: str, parameters: dict[str, object], photons: float) -> Trust:
    scene = structure(name, FIELD_SEED)
    image = record(scene.clean, photons, FIELD_SEED)
    chosen = DpsParameters(**parameters, uncertainty=True)  # type: ignore[arg-type]
    stated = finish(STAGE.run(image, chosen, Context("cpu")))
    method = stage(**parameters)
    results = np.stack([_of_turned(image, method, turn) for turn in range(TURNS)])
    sigma = np.asarray(stated.maps["uncertainty"])
    width = CAUTIOUS_WIDTH + chosen.strength * (SHARP_WIDTH - CAUTIOUS_WIDTH)
    emitters = torch.from_numpy(np.ascontiguousarray(scene.truth.data))
    truth = photons * (change_width(emitters, 0, width).numpy() + BACKGROUND)
    inside = np.s_[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    bright = stated.data[inside] > np.percentile(stated.data[inside], BRIGHT)
    within = (np.abs(stated.data - truth) < 2 * sigma)[inside]
    spread = (results.std(axis=0) / sigma)[inside]
    return Trust(
        float(np.abs(results - results[0]).max() / np.ptp(results[0])),
        float(np.median(spread[bright])),
        float(within.mean()),
        float(within[bright].mean()),
    )


def _of_turned(image: ImageStack, method: Method, turn: int) -> Image:
    """Return the result of a turned image, turned back."""
    other = image.derive(np.ascontiguousarray(turned(image.data, turn)))
    return np.ascontiguousarray(turned(method(other).data, opposite(turn)))


def candidates(weights: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return the parameters of what is compared, by what the tables call it."""
    return {
        "`rl`": {"method": "rl"},
        **{f"`network`, {name}": {"weights": name} for name in weights},
        **{
            f"`network`, {name}, average over turns": {
                "weights": name,
                "average_turns": True,
            }
            for name in weights
        },
    }


def report(weights: Sequence[str], seeds: int) -> str:
    """Run everything and write the page."""
    turns, similar, resolved, seconds = [], [], [], []
    for name, parameters in candidates(weights).items():
        method = stage(**parameters)
        for photons in LEVELS:
            found = trust(parameters, photons)
            cells = [
                f"{photons}",
                f"{100 * found.deviation:.2g} %",
                f"{100 * found.spread:.2g} %",
                f"{100 * found.within:.0f} %",
                f"{100 * found.within_bright:.0f} %",
            ]
            turns.append([name, *cells])
            print(turns[-1], flush=True)
        scores = [likeness(method, photons, seeds) for photons in LEVELS]
        similar.append([name, *(f"{s.psnr_db:.2f} / {s.ssim:.3f}" for s in scores)])
        print(similar[-1], flush=True)
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
        print(resolved[-1], flush=True)
        image = record(structure("glyphs", FIELD_SEED, 256).clean, 200, 0)
        method(image)
        cost = min(seconds_of(lambda m=method, i=image: m(i)) for _ in range(3))  # type: ignore[misc]
        seconds.append([name, f"{cost:.2f}"])
    header = ["", "photons", "turned", "spread", "within 2σ", "of the bright"]
    levels = [f"{level} photons" for level in LEVELS]
    pairs = [f"{k}, {p}" for p in RESOLVED_AT for k in ("lines", "points")]
    return f"""# Super-resolution of turned images

`python benchmarks/dps_turns.py --out dps_turns.md`

Scenes and scores are those of [the benchmark of `dps`](dps.md), structures that no
training saw.

Turned: largest difference between the result and that of the image flipped or turned
by quarters, turned back, at any pixel, of the range. Spread: standard deviation over
the eight orientations over the [uncertainty](../stages/dps.md#uncertainty) that is
stated, median of the brightest tenth of the pixels. Within 2σ: share of the pixels
whose result differs from the truth, seen through the PSF of the result, by less than
two stated standard deviations. One field of 128² of each of {len(CLASSES)} structures.

{table(header, turns, text_columns=1)}

PSNR in dB / SSIM against the truth at half the width of the PSF, {seeds} fields of each
structure:

{table(["", *levels], similar)}

Separation in nm of lines and points told apart at a dip of 26 %, by photons:

{table(["", *pairs], resolved)}

CPU seconds of one thread, 256² pixels:

{table(["", "s"], seconds)}

{machine("torch")}.
"""


def main() -> None:
    """Print the report, and write it if asked to."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="fields of each structure")
    parser.add_argument(
        "--weights", nargs="+", default=["oriented", "hybrid"], metavar="NAME|FILE"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    publish(report(chosen.weights, chosen.seeds), chosen.out)


if __name__ == "__main__":
    main()

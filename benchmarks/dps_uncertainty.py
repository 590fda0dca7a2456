"""Does `dps` err as it states? With raw frames, without them, and on plain images.

``python benchmarks/dps_uncertainty.py --out docs/benchmarks/dps_uncertainty.md``
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache

import dps_frames
import numpy as np
import torch
from dps_methods import stage
from dps_protocol import BACKGROUND, record, structure
from numpy.typing import NDArray
from page import machine, options, publish, table

from napari_dps.core import ImageStack, InputError, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.by_network import SHIPPED_WEIGHTS
from napari_dps.methods.dps.input import change_width
from napari_dps.methods.dps.methods import METHODS
from napari_dps.methods.dps.recording import recording_behind
from napari_dps.methods.dps.target import CAUTIOUS_WIDTH, SHARP_WIDTH, target_of
from napari_dps.methods.dps.uncertainty import FRAME_DRAWS, around, spread_steps
from napari_dps.train.objects import TRAINING_CLASSES

Image = NDArray[np.float32]
Within = tuple[float, float]
"""Shares of pixels within two stated deviations: of all, of the brightest tenth."""
LEVELS = (50, 200, 1000)
PLAIN_LEVELS = (40, 200, 2000)
TRAINED = [name for name in TRAINING_CLASSES if name != "point_pairs"]
"""The constants were chosen on these; of points in pairs no patterns are found."""
SEED, TRAINED_SEEDS, PLAIN_SEED = 4100, range(9001, 9012), 1007
RIM_PX, PLAIN_RIM_PX = 16, 8
BRIGHT = 90
"""Percentile of the result from which pixels are called bright."""
WIDTH = (CAUTIOUS_WIDTH + SHARP_WIDTH) / 2


def within(result: ImageStack, error: Image, rim_px: int) -> Within:
    """Return the shares within two deviations."""
    inside = np.s_[rim_px:-rim_px, rim_px:-rim_px]
    is_within = (np.abs(error) < 2 * result.maps["uncertainty"])[inside]
    light = result.data[inside]
    is_bright = light > np.percentile(light, BRIGHT)
    return float(is_within.mean()), float(is_within[is_bright].mean())


def chain_case(
    name: str, photons: float, seed: int, *, has_frames: bool, method: str = "network"
) -> Within:
    """Look at a result of the chain.

    The truth has no even light: it is brought to that of the result.
    """
    raw, truth = dps_frames.recorded(name, photons, seed)  # type: ignore[arg-type]
    image = dps_frames.reconstructed(raw)
    if not has_frames:
        image = replace(image, frames=None)
    result = dps_frames.sharpened(image, uncertainty=True, method=method)
    fit = np.polynomial.Polynomial.fit(truth.ravel(), result.data.ravel(), 1)
    error = result.data - fit(truth)
    inside = np.s_[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    return within(result, error - np.median(error[inside]), RIM_PX)


def plain_case(name: str, photons: float, method: str) -> Within:
    """Look at the result of an image of a camera."""
    scene = structure(name, PLAIN_SEED)
    image = record(scene.clean, photons, PLAIN_SEED)
    result = stage(method=method, uncertainty=True)(image)
    emitters = torch.from_numpy(np.ascontiguousarray(scene.truth.data))
    truth = photons * (change_width(emitters, 0, WIDTH).numpy() + BACKGROUND)
    return within(result, result.data - truth, PLAIN_RIM_PX)


def cell(found: Sequence[Within]) -> str:
    """Return the means of shares, in a cell."""
    return " / ".join(f"{100 * share:.0f} %" for share in np.mean(found, axis=0))


def spans(found: Sequence[Within]) -> str:
    """Return means of shares, each with its least and most, in a cell."""
    columns = 100 * np.array(found).T
    return " / ".join(
        f"{one.mean():.0f} % ({one.min():.0f}–{one.max():.0f})" for one in columns
    )


def rows_of(
    names: Sequence[str],
    levels: Sequence[int],
    case: Callable[[str, int], list[Within]],
    title: str,
) -> list[list[str]]:
    """Return a row for each structure."""
    rows = []
    for name in names:
        cells = [cell(case(name, photons)) for photons in levels]
        rows.append([f"{name}, {title}", *cells])
        print(rows[-1], flush=True)
    return rows


def chain_rows(seeds: int) -> list[list[str]]:
    """Return rows of the chain's results on held-out structures."""
    rows = []
    for title, has_frames, method in (
        ("raw frames", True, "network"),
        ("raw frames, `joint`", True, "joint"),
        ("without", False, "network"),
    ):

        def case(
            name: str, photons: int, has: bool = has_frames, by: str = method
        ) -> list[Within]:
            return [
                chain_case(name, photons, SEED + seed, has_frames=has, method=by)
                for seed in range(seeds)
            ]

        rows += rows_of(dps_frames.CLASSES, LEVELS, case, title)
    return rows


@cache
def usable_seed(name: str, photons: float) -> int:
    """Return the first field of a structure whose patterns are found and agree."""
    for seed in TRAINED_SEEDS:
        raw, _ = dps_frames.recorded(name, photons, seed)  # type: ignore[arg-type]
        with suppress(InputError):
            dps_frames.sharpened(dps_frames.reconstructed(raw), method="joint")
            return seed
    raise ValueError(f"no patterns in any field of {name} at {photons} photons")


def trained_rows() -> list[list[str]]:
    """Return rows of the chain's results on structures of the training."""
    rows = []
    for title, has_frames, method in (
        ("raw frames", True, "network"),
        ("raw frames, `joint`", True, "joint"),
        ("without", False, "network"),
    ):
        cells = []
        for photons in LEVELS:
            found = [
                chain_case(
                    name,
                    photons,
                    usable_seed(name, photons),
                    has_frames=has_frames,
                    method=method,
                )
                for name in TRAINED
            ]
            cells.append(spans(found))
        rows.append([title, *cells])
        print(rows[-1], flush=True)
    return rows


def made_of_rows() -> list[list[str]]:
    """Return what the error in the brightest tenth is of what may tell it."""
    ratios: dict[str, list[float]] = {}
    for name in TRAINED:
        for photons in LEVELS:
            for key, ratio in error_over(name, photons).items():
                ratios.setdefault(key, []).append(ratio)
    rows = []
    for key, found in ratios.items():
        scatter = 100 * np.expm1(np.std(np.log(found)))
        span = f"{min(found):.2f}–{max(found):.2f}"
        rows.append([key, f"{np.median(found):.2f}", span, f"{scatter:.0f} %"])
    return rows


def error_over(name: str, photons: float) -> dict[str, float]:
    """Return the error in the brightest tenth over root mean squares there.

    Of the error half of what 95 % of the pixels stay below.
    """
    seed = usable_seed(name, photons)
    raw, truth = dps_frames.recorded(name, photons, seed)  # type: ignore[arg-type]
    image = dps_frames.reconstructed(raw)
    frames = recording_behind(image)
    weights = SHIPPED_WEIGHTS[0]
    target = target_of(image, Context("cpu"), weights=weights, raw_frames=frames)
    result = finish(METHODS["network"](target))
    spread = finish(spread_steps(METHODS["network"], target, result, FRAME_DRAWS))
    cutoff = target.optics.cutoff_per_pixel * target.optics.modulation_factor
    fit = np.polynomial.Polynomial.fit(truth.ravel(), result.ravel(), 1)
    inside = np.s_[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    light, error = result[inside], (result - fit(truth))[inside]
    is_bright = light > np.percentile(light, BRIGHT)
    least = float(np.percentile(np.abs(error - np.median(error))[is_bright], 95)) / 2
    tell = {
        "what noise moves": spread,
        "what was added": result - around(result, cutoff),
        "difference to `joint`": finish(METHODS["joint"](target)) - result,
        "light": result,
    }
    return {
        key: least / float(np.sqrt(np.mean(one[inside][is_bright] ** 2)))
        for key, one in tell.items()
    }


def plain_rows() -> list[list[str]]:
    """Return rows of plain images of held-out structures."""
    rows = []
    for method in ("network", "rl", "sparse"):

        def case(name: str, photons: int, by: str = method) -> list[Within]:
            return [plain_case(name, photons, by)]

        rows += rows_of(dps_frames.CLASSES, PLAIN_LEVELS, case, f"`{method}`")
    return rows


def main() -> None:
    """Measure, and write the page."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="fields of each case")
    parser.add_argument(
        "--trained-only", action="store_true", help="no structure that is held out"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    header = ["all / bright", *(f"{photons} photons" for photons in LEVELS)]
    trained = table(header, trained_rows())
    if asked.trained_only:
        publish(trained, None)
        return
    plain = ["all / bright", *(f"{photons} photons" for photons in PLAIN_LEVELS)]
    page = PAGE.format(
        seeds=asked.seeds,
        machine=machine("torch"),
        chain=table(header, chain_rows(asked.seeds)),
        trained=trained,
        count=len(TRAINED),
        made_of=table(["error over", "median", "span", "scatter"], made_of_rows()),
        plain=table(plain, plain_rows()),
    )
    publish(page, asked.out)


PAGE = """# The uncertainty of `dps`

`python benchmarks/dps_uncertainty.py --seeds {seeds} --out
docs/benchmarks/dps_uncertainty.md` ({machine})

Pixels of a result within two [stated](../stages/dps.md#uncertainty) standard deviations
of the truth, of all and of the brightest tenth. 90 to 98 % are wanted of both: fewer,
and the uncertainty is too small; more, and it says too little.

## After `reconstruct`

Structures that no training saw; {seeds} fields of each. The shares were fitted to
structures of the training alone, but not blindly: these here were looked at four times
on the way, and what was missed on them made the search go on. Of other structures
expect somewhat less. Raw frames of [this kind](dps_frames.md), at hand or not.

{chain}

## Structures of the training

Means over {count} structures, in brackets the least and the most of one. The shares
were fitted to these, and to more fields of them.

{trained}

What tells the error, with raw frames: half of what the error of 95 % of the brightest
tenth stays below, over the root mean square of other things there. What scatters less
over structures and light is the better measure; none is a good one. What noise moves
fails where lines lie in pairs closer than the frames resolve, what was added where
points lie alone.

{made_of}

## Plain images

Structures that no training saw; one field of each. Their pixels are those of a
reconstruction, their noise that of a camera.

{plain}
"""

if __name__ == "__main__":
    main()

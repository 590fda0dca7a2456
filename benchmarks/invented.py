"""What the map "invented?" of `dps` finds: faults by hand, and those of networks.

``python benchmarks/invented.py --out docs/benchmarks/invented.md``
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import dps_frames
import numpy as np
import torch
from dps_methods import stage
from dps_protocol import (
    BACKGROUND,
    CELL_PX,
    CLASSES,
    FINE,
    FINE_NM,
    OPTICS,
    Image,
    canonical_microscope,
    enlarged,
    record,
    structure,
)
from numpy.typing import NDArray
from page import machine, options, publish, table
from scipy.ndimage import zoom
from scipy.stats import rankdata

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.by_network import SHIPPED_WEIGHTS
from napari_dps.methods.dps.input import change_width
from napari_dps.methods.dps.invented import Compared, compared_steps
from napari_dps.methods.dps.maps import unsupported
from napari_dps.methods.dps.recording import recording_behind
from napari_dps.methods.dps.target import target_of
from napari_dps.metrics.error_map import error_map
from napari_dps.physics.phantoms.canvas import Canvas

LEVELS = (20, 200, 2000)
FRAMES_LEVELS = (20, 50, 200, 1000)
CELLS = (3, 3)
"""One fault in each, at a direction and a place between the pixels of its own."""
REACH_NM = 500.0
WIDTH = 0.45
"""Of the PSF of a result of the network by default, of the image's."""
FALSE_AREA = 0.005
"""Share of the pixels of a right result in which a map may be above the threshold."""
SEEN = 0.25
"""Share of a fault's core above the threshold from which on it is found."""
PSF_NM = 83.7
"""As many points of a line give a spot of the line's brightness."""
RIM_PX = 8
LIT, WRONG, RIGHT = 0.1, 0.5, 0.2
"""Pixels of a network's result count that are brighter than `LIT` of the brightest;
wrong are those of whose light more than `WRONG` is not in the truth, right those with
less than `RIGHT`."""
FAULTS: dict[str, tuple[float, ...]] = {
    "rod added, of the brightness": (0.05, 0.15, 0.4),
    "spot added, of the brightness": (0.15, 0.5),
    "gap cut, nm": (20, 40, 80),
    "gap closed, nm": (20, 40, 80),
    "pair merged into one, nm apart": (20, 35, 50, 70),
    "one split into a pair, nm apart": (20, 35, 50, 70),
}
TRAINED = ("microtubules", "er")


class Drawn(NamedTuple):
    """Expected photons over the brightest, and the emitters on the 2× grid."""

    clean: Image
    emitters: Image


def faulty(kind: str, size: float, seed: int) -> tuple[Image, Image]:
    """Return emitters on the fine grid: those that are there, those that are shown."""
    fields = []
    for is_wrong in (False, True):
        rng = np.random.default_rng(seed)
        shape = (CELLS[0] * CELL_PX * FINE, CELLS[1] * CELL_PX * FINE)
        canvas = Canvas(shape, FINE_NM, rng, 80.0)
        raster = np.stack(np.meshgrid(*map(np.arange, CELLS), indexing="ij"), -1)
        middles = (raster.reshape(-1, 2) + 0.5) * CELL_PX * OPTICS.pixel_size_nm
        middles += rng.uniform(-0.5, 0.5, middles.shape) * OPTICS.pixel_size_nm
        turn = rng.uniform(0, np.pi, len(middles))
        across = np.stack([np.sin(turn), np.cos(turn)], -1)
        for line, apart, times in _lines(kind, size, is_wrong):
            along = np.stack([-across[:, 1], across[:, 0]], -1)
            places = middles[:, None] + apart * across[:, None]
            for _ in range(times):
                canvas.add(places + line[:, None] * along[:, None])
        fields.append(canvas.image())
    return fields[0], fields[1]


def _lines(
    kind: str, size: float, is_wrong: bool
) -> list[tuple[NDArray[np.float64], float, int]]:
    """Return places along, offset across, and brightness of the lines of a cell."""
    whole = np.linspace(-REACH_NM, REACH_NM, 1001)
    gap = whole[np.abs(whole) > size / 2]
    pair = [(whole, -size / 2, 1), (whole, size / 2, 1)]
    if kind.startswith("gap"):
        return [(gap if is_wrong == kind.startswith("gap cut") else whole, 0, 1)]
    if kind.startswith("pair"):
        return [(whole, 0, 2)] if is_wrong else pair
    if kind.startswith("one"):
        return pair if is_wrong else [(whole, 0, 2)]
    lines = [(whole, -200.0, 20)]
    if is_wrong and kind.startswith("rod"):
        lines.append((whole[np.abs(whole) < 150], 150.0, max(round(20 * size), 1)))
    elif is_wrong:
        lines.append((np.zeros(1), 150.0, round(20 * size * PSF_NM)))
    return lines


def drawn(emitters: Image, scale: float | None = None) -> tuple[Drawn, float]:
    """Image emitters; the brightest pixel of the first is 1."""
    microscope = canonical_microscope(emitters.shape)
    clean = microscope.image(microscope.order(emitters, (0.0, 0.0)))
    scale = scale or 1 / float(clean.max())
    half = FINE // 2
    rows, columns = (side // half for side in emitters.shape)
    thing = emitters.reshape(rows, half, columns, half).sum(axis=(1, 3))
    clean = np.maximum(clean * scale, 0) + BACKGROUND
    return Drawn(
        clean.astype(np.float32), (4 * scale * thing).astype(np.float32)
    ), scale


def seen(emitters: Image, photons: float) -> Image:
    """Return emitters as a right result shows them."""
    thing = torch.from_numpy(np.ascontiguousarray(emitters))
    return photons * (change_width(thing, 0, WIDTH).numpy() + np.float32(BACKGROUND))


def compared(image: ImageStack, result: Image) -> Compared:
    """Return what the map is made of."""
    raw_frames = recording_behind(image)
    target = target_of(
        image, Context("cpu"), weights=SHIPPED_WEIGHTS[0], raw_frames=raw_frames
    )
    return finish(compared_steps(target, result, target.width))


def rivals(image: ImageStack, result: Image) -> dict[str, Image]:
    """Return other maps of what may be wrong, none of them signed."""
    fine = image.refine(result)
    error = error_map(fine, image).error.data
    finer = len(result) / len(error)
    return {
        "error map": zoom(error, finer, order=1, mode="grid-mirror", grid_mode=True),
        "result − input": np.abs(result - enlarged(image)),
    }


def hits(kind: str, size: float, photons: float, seed: int) -> dict[str, float]:
    """Return the share of the faults that each map finds.

    At a threshold that `FALSE_AREA` of the right result is above; and, last, where the
    map is not 0.
    """
    there, shown = faulty(kind, size, seed)
    truth, scale = drawn(there)
    wrong, _ = drawn(shown, scale)
    image = record(truth.clean, photons, seed)
    right_result, wrong_result = (seen(x.emitters, photons) for x in (truth, wrong))
    fault = wrong_result - right_result
    found = {}
    maps = [_maps(image, one) for one in (right_result, wrong_result)]
    for name, right in maps[0].items():
        signed = name in ("invented?", "as shown")
        least = 0.0 if name == "as shown" else np.quantile(abs(right), 1 - FALSE_AREA)
        values = maps[1][name] * (np.sign(fault) if signed else 1)
        found[name] = float(
            np.mean([_is_found(v > least, f) for v, f in _cells(values, fault)])
        )
    return found


def _maps(image: ImageStack, result: Image) -> dict[str, Image]:
    both = compared(image, result)
    signed = {"invented?": both.difference, "as shown": both.beyond_noise}
    return signed | rivals(image, result)


def _cells(*images: Image) -> list[tuple[Image, ...]]:
    """Cut images into cells."""
    side = 2 * CELL_PX
    return [
        tuple(x[i * side : (i + 1) * side, j * side : (j + 1) * side] for x in images)
        for i in range(CELLS[0])
        for j in range(CELLS[1])
    ]


def _is_found(above: NDArray[np.bool_], fault: Image) -> bool:
    core = np.abs(fault) > 0.5 * np.abs(fault).max()
    return bool(above[core].mean() > SEEN)


def area(score: Image, wrong: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: 0.5 tells nothing, 1 all."""
    ranks = rankdata(score)
    count = int(wrong.sum())
    others = wrong.size - count
    if not count or not others:
        return float("nan")
    return float((ranks[wrong].sum() - count * (count + 1) / 2) / (count * others))


def told(
    image: ImageStack, result: Image, truth: Image, rim_px: int = RIM_PX
) -> dict[str, float]:
    """Return how well maps tell wrong bright pixels of a network's result from right.

    Parameters
    ----------
    image, result : ImageStack, array
        What the network was given, with the optics that it was told, and gave.
    truth : array
        On the same grid, under the PSF of the result, in its counts.
    rim_px : int
        That does not count.
    """
    inside = np.s_[rim_px:-rim_px, rim_px:-rim_px]
    dark = float(np.percentile(truth, 5))
    light, excess = (result - dark)[inside], (result - truth)[inside]
    is_lit = light > LIT * (np.percentile(truth, 99.9) - dark)
    wrong, right = excess > WRONG * light, excess < RIGHT * light
    used = is_lit & (wrong | right)
    both = compared(image, result)
    maps = {"invented?": both.difference, **rivals(image, result)}
    maps["less data-only object"] = result - both.explained
    scores = {name: area(m[inside][used], wrong[used]) for name, m in maps.items()}
    scores["wrong"] = float(wrong[is_lit].mean())
    mapped = image.refine(result, maps={"invented": both.beyond_noise})
    scores["called"] = float(unsupported(mapped)["invented"]["share"])
    return scores


def network_case(name: str, photons: float, na: float, seed: int) -> dict[str, float]:
    """Score the maps of the network's result, told a wrong NA."""
    scene = structure(name, 1000 + seed)
    image = record(scene.clean, photons, seed)
    factor = OPTICS.modulation_factor * na
    optics = OPTICS.model_copy(update={"modulation_factor": factor})
    told_wrong = image.derive(image.data, optics=optics)
    result = stage()(told_wrong).data
    return told(told_wrong, result, seen(scene.truth.data, photons))


def frames_case(name: str, photons: float, seed: int) -> dict[str, float]:
    """Score the maps of the chain's result."""
    raw, truth = dps_frames.recorded(name, photons, 4000 + seed)  # type: ignore[arg-type]
    image = dps_frames.reconstructed(raw)
    result = dps_frames.sharpened(image).data
    fit = np.polynomial.Polynomial.fit(truth.ravel(), result.ravel(), 1)
    return told(image, result, fit(truth).astype(np.float32), rim_px=30)


def mean_of(case: Callable[..., dict[str, float]], *asked: object) -> dict[str, float]:
    """Return the means of scores over the held-out structures."""
    found = [case(name, *asked) for name in CLASSES]
    return {key: float(np.nanmean([one[key] for one in found])) for key in found[0]}


MAPS = ("invented?", "error map", "result − input")
OF_NETWORKS = (*MAPS, "less data-only object")


def fault_rows(seeds: int) -> list[list[str]]:
    """Return a row for each fault."""
    rows = []
    for kind, sizes in FAULTS.items():
        for size in sizes:
            cells = {name: [] for name in (*MAPS, "as shown")}
            for photons in LEVELS:
                found = [hits(kind, size, photons, seed) for seed in range(seeds)]
                for name, texts in cells.items():
                    texts.append(f"{100 * np.mean([f[name] for f in found]):.0f}")
            share = f"{100 * size:.0f} %" if "bright" in kind else f"{size:.0f}"
            rows.append([f"{kind}: {share}", *(" / ".join(c) for c in cells.values())])
            print(rows[-1], flush=True)
    return rows


def network_rows(seeds: int) -> list[list[str]]:
    """Return a row for each error of the NA and level of light."""
    rows = []
    for title, na in (("NA right", 1.0), ("NA ¼ high", 1.25), ("NA ¼ low", 0.75)):
        for photons in LEVELS:
            scores = [mean_of(network_case, photons, na, s) for s in range(seeds)]
            rows.append([f"{title}, {photons}", *_cells_of(scores)])
            print(rows[-1], flush=True)
    for photons in FRAMES_LEVELS:
        scores = [mean_of(frames_case, photons, s) for s in range(seeds)]
        rows.append([f"raw frames, {photons}", *_cells_of(scores)])
        print(rows[-1], flush=True)
    return rows


def _cells_of(scores: list[dict[str, float]]) -> list[str]:
    means = {key: float(np.mean([s[key] for s in scores])) for key in scores[0]}
    areas = [f"{means[name]:.2f}" for name in OF_NETWORKS]
    return [*areas, f"{100 * means['wrong']:.0f} %", f"{100 * means['called']:.2f} %"]


def quiet_rows() -> list[list[str]]:
    """Return what is called invented where the result is right, or noise alone."""
    rows = []
    ways: dict[str, dict[str, object]] = {
        "`network` (default)": {},
        "`rl`": {"method": "rl"},
        "`sparse`": {"method": "sparse"},
    }
    for name, parameters in ways.items():
        run = stage(**parameters, invented=True)
        cells = []
        for photons in LEVELS:
            fields = [record(structure(s, 77).clean, photons, 3) for s in TRAINED]
            found = [unsupported(run(image))["invented"] for image in fields]
            shares = (np.mean([f[key] for f in found]) for key in ("share", "lost"))
            cells.append(" / ".join(f"{100 * share:.2f} %" for share in shares))
        noise = record(np.ones((128, 128), np.float32), 5, 9)
        alone = unsupported(run(noise))["invented"]
        rows.append([name, *cells, f"{100 * alone['share']:.2f} %"])
        print(rows[-1], flush=True)
    for title, width in (
        ("the truth itself", 1.0),
        ("the truth, PSF stated 5 % too narrow", 1.05),
        ("the truth, PSF stated 5 % too wide", 0.95),
    ):
        cells = [_of_truth(photons, width) for photons in LEVELS]
        rows.append([title, *cells, ""])
        print(rows[-1], flush=True)
    return rows


def _of_truth(photons: float, factor: float) -> str:
    """Return what is called invented and missing of the truth, in a cell."""
    shares = []
    optics = OPTICS.model_copy(
        update={"modulation_factor": factor * OPTICS.modulation_factor}
    )
    for name in TRAINED:
        scene = structure(name, 77)
        image = record(scene.clean, photons, 3)
        image = image.derive(image.data, optics=optics)
        result = seen(scene.truth.data, photons)
        both = compared(image, result).beyond_noise
        found = unsupported(image.refine(result, maps={"invented": both}))
        shares.append([found["invented"][key] for key in ("share", "lost")])
    return " / ".join(f"{100 * s:.2f} %" for s in np.mean(shares, axis=0))


def main() -> None:
    """Measure, and write the page."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="fields of each case")
    asked: argparse.Namespace = parser.parse_args()
    torch.set_num_threads(1)
    levels = " / ".join(map(str, LEVELS))
    page = PAGE.format(
        seeds=asked.seeds,
        faults=table(
            [f"fault, found in % at {levels} photons", *MAPS, "as shown"],
            fault_rows(asked.seeds),
        ),
        networks=table(
            ["", *OF_NETWORKS, "wrong of what is lit", "called invented"],
            network_rows(asked.seeds),
        ),
        quiet=table(
            ["more / less", *(f"{p} photons" for p in LEVELS), "noise alone"],
            quiet_rows(),
        ),
        machine=machine("torch"),
        false=f"{100 * FALSE_AREA:g} %",
        seen=f"{100 * SEEN:.0f} %",
    )
    publish(page, asked.out)


PAGE = """# What the map "invented?" finds

`python benchmarks/invented.py --seeds {seeds} --out docs/benchmarks/invented.md`
({machine})

The [map](../stages/dps.md#invented) of what a result of `dps` shows and its data do not
support, beside the [error map](../stages/dps.md#error-map) and the plain difference of
result and input.

## Faults made by hand

Nine faults a field, {seeds} fields, of lines 1 µm long; PSF 84 nm, known exactly;
2 % background. The result is the faulty object under 0.45 of the PSF's width, the image
a recording of the right one. Found: {seen} of the pixels of the fault's core are above
the threshold that {false} of the pixels of a right result exceed, of the signed map
with the right sign. *As shown*: the map is not 0 there, as in the file, where noise of
less than two standard deviations is 0.

{faults}

## Inventions of networks

Held-out structures by the default network, told the right NA or one a quarter too high
or too low; and from raw frames. Area under the ROC curve: of the bright pixels of the
result (a tenth of the brightest and more), those of whose light more than half is not
in the truth, against those of whose less than a fifth is not. 0.5 is a guess. *Less
data-only object*: the result less the object that the map compares with, under the same
width, which tells how sharp a place was made, not whether that was right.

{networks}

What the map calls invented is little of what is wrong: most errors of a network lie in
what no data of this kind show, or follow the noise that is in the data.

## Right results

Light that is called invented, and that is called missing, over all light; structures of
the training, and an image of noise alone, 5 photons everywhere.

{quiet}
"""

if __name__ == "__main__":
    main()

"""Images without a history: which are known as SIM images, and what that changes.

``python benchmarks/plain_images.py --out docs/benchmarks/plain_images.md``
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
import torch
from page import machine, options, publish, table
from plain_scenes import (
    FILTERS,
    OTHERS,
    STORED,
    STRUCTURES,
    WIENER,
    Seen,
    confocal,
    reconstruction,
    sim_truth,
    widefield,
)
from real_data import (
    ER_OPTICS,
    MICROTUBULES_OPTICS,
    MITOCHONDRIA_OPTICS,
    data_folder,
    mitochondria,
    reticulum,
)

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.core.info import HistoryEntry
from napari_dps.methods.effective_psf.sim_image import sim_edge
from napari_dps.methods.effective_psf.spectral_edge import spectral_edge
from napari_dps.metrics.reference import fit_intensity, psnr_db
from napari_dps.physics.phantoms import StructureId
from napari_dps.physics.sim.wiener import WienerSettings
from napari_dps.stages import artifacts, dps

SEED = 500
"""Of the first field; those that chose the limits have smaller ones."""
LIGHTS = (8.0, 40.0, 200.0, 2000.0)
CAMERA_LIGHTS = (5.0, 20.0, 100.0, 500.0, 2000.0)
SHARPENED = ("vesicles", "microtubules", "er", "glyphs", "mitochondria", "actin")
RIM_PX = 8
SIM_EXTENSION = 1.85
"""Edge of real SIM images without optics over the cut-off that is assumed for them."""
SETS = ("ccp", "er", "factin", "microtubules_a", "microtubules_b", "microtubules_c")
MADE = (HistoryEntry("reconstruct", {}, "0", 0.0),)


def is_sim(image: Seen) -> bool:
    """Whether the decision of `dps` calls an image a SIM reconstruction."""
    return sim_edge(image.data, image.optics.cutoff_per_pixel) is not None


def share(images: list[Seen]) -> list[str]:
    """Return how many images there are, and how many are called reconstructions."""
    return [f"{len(images)}", f"{sum(map(is_sim, images))}"]


def known_rows(seeds: range) -> list[list[str]]:
    """Return a row for each way in which a reconstruction is stored."""
    rows = []
    for title, stored in STORED.items():
        images = [
            reconstruction(kind, seed, light, number + seed + n)
            for number, kind in enumerate(STRUCTURES)
            for seed in seeds
            for n, light in enumerate(LIGHTS)
        ]
        rows.append([title, *share([stored(one) for one in images])])
    return rows


def mistaken_rows(seeds: range) -> list[list[str]]:
    """Return a row for each kind of image that is no reconstruction."""
    found: dict[str, list[Seen]] = {}
    for number, kind in enumerate(STRUCTURES):
        for seed in seeds:
            rng = np.random.default_rng([8, number, seed])
            for title, make in OTHERS.items():
                found.setdefault(title, []).extend(make(kind, seed, rng))
    return [[title, *share(images)] for title, images in found.items()]


def real_rows(folder: Path) -> list[list[str]]:
    """Return a row for each real image or set: how many are called reconstructions."""

    def read(name: str) -> np.ndarray:
        return np.asarray(tifffile.imread(folder / name))

    half = ER_OPTICS.at_pixel_size(ER_OPTICS.pixel_size_nm / 2)
    rows = []

    def row(title: str, images: list[np.ndarray], optics: list[Optics]) -> None:
        seen = [Seen(*pair) for pair in zip(images, optics, strict=True)]
        called = sum(map(is_sim, seen))
        rows.append([title, f"{called} of {len(seen)}"])

    for name in SETS:
        images = list(read(f"train_sim_images/{name}.tif"))
        edges = [spectral_edge(one) or 0.3 for one in images]
        lens = float(np.median(edges)) / SIM_EXTENSION
        pixel_nm = lens * ER_OPTICS.cutoff_period_nm
        stated = ER_OPTICS.at_pixel_size(pixel_nm)
        row(f"SIM: {name.replace('_', ' ')}", images, [stated] * len(images))
    levels = [f"wf_sim_er/{{}}_level_0{n}.tif" for n in (1, 3, 5)]
    sims = [read(name.format("sim_gt")) for name in levels]
    row("SIM: ER at three exposures", sims, [half] * 3)
    row("SIM: ER, one of a time-lapse", [read("sim9_er_timelapse/sim_gt.tif")], [half])
    pair = [read(f"sim15_microtubules_pair/{x}_sim.tif") for x in ("he", "le")]
    row("SIM: microtubules, two exposures", pair, [MICROTUBULES_OPTICS] * 2)
    fields = [read(name.format("wf")) for name in levels]
    row("widefield: ER at three exposures", fields, [ER_OPTICS] * 3)
    means = [
        np.mean(load(folder).data, axis=(0, 1)) for load in (mitochondria, reticulum)
    ]
    row("means of raw frames", means, [MITOCHONDRIA_OPTICS, ER_OPTICS])
    frames = [read(f"sim15_microtubules_pair/{x}_frames.tif")[0] for x in ("he", "le")]
    row("raw frames enlarged by their source", frames, [MICROTUBULES_OPTICS] * 2)
    cell = read("confocal_microtubules/cell5.tif")
    sizes = (40, 60, 80, 110)
    optics = [ER_OPTICS.at_pixel_size(nm) for nm in sizes]
    row("confocal: microtubules, as of four pixel sizes", [cell] * 4, optics)
    return rows


def sharpened(image: ImageStack, **parameters: object) -> np.ndarray:
    """Return the result of `dps`, as in a run."""
    wanted = dps.DpsParameters(**parameters)  # type: ignore[arg-type]
    context = Context("cpu")
    seen = finish(dps.inspect(image, wanted, context))
    return finish(dps.STAGE.run(seen, wanted, context)).data


def score(result: np.ndarray, target: np.ndarray) -> float:
    """Return the PSNR in dB after a fit of the intensity, without the rim."""
    inside = (slice(RIM_PX, -RIM_PX),) * 2
    result, target = result[inside], target[inside]
    fitted = fit_intensity(result, target)
    return psnr_db(fitted, target, float(np.ptp(target)))


def dps_scores(
    kind: StructureId, seed: int, light: float, wiener: WienerSettings | None = None
) -> list[float]:
    """Return the PSNR with the PSF stated, by default, and with factor and history."""
    image, target, factor = sim_truth(kind, seed, light, wiener)
    optics = image.require_optics("benchmark")
    known = optics.model_copy(update={"modulation_factor": factor})
    told = replace(image, optics=known, history=MADE)
    results = sharpened(image, psf="stated"), sharpened(image), sharpened(told)
    return [score(result, target) for result in results]


def dps_rows(seeds: range) -> list[list[str]]:
    """Return a row for each structure: PSNR stated, by default, with its history."""
    rows, every = [], []
    for kind in SHARPENED:
        row = [kind]
        for light in (20.0, 200.0, 2000.0):
            found = [dps_scores(kind, seed, light) for seed in seeds]
            row.append(_three(np.mean(found, axis=0)))
            every.append(found)
        rows.append(row)
    means = np.mean(every, axis=1).reshape(len(SHARPENED), -1, 3).mean(axis=0)
    return [*rows, ["**mean**", *map(_three, means)]]


def filter_rows(seeds: range) -> list[list[str]]:
    """Return a row for each filter, the mean of all structures."""
    rows = []
    for title, wiener in WIENER.items():
        row = [title]
        for light in (50.0, 500.0):
            found = [
                dps_scores(kind, seed, light, wiener)
                for kind in SHARPENED
                for seed in seeds
            ]
            worst = min(after - before for before, after, _ in found)
            row.append(f"{_three(np.mean(found, axis=0))} / {worst:+.1f}")
        rows.append(row)
    return rows


def _three(values: np.ndarray) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def unchanged(seeds: range) -> str:
    """Say how many results of camera images are those of the stated optics."""
    same, count = 0, 0
    for kind in SHARPENED:
        for seed in seeds:
            rng = np.random.default_rng([9, seed])
            for light in (5.0, 100.0, 2000.0):
                for make in (widefield, confocal):
                    seen = make(kind, seed, 0.3, side=96).with_noise(light, rng)
                    image = seen.stack()
                    one, other = sharpened(image), sharpened(image, psf="stated")
                    same += np.array_equal(one, other)
                    count += 1
    return f"{same} of {count}"


def artifacts_rows(seeds: range) -> list[list[str]]:
    """Return PSNR of the image, and after `artifacts`, by light and microscope."""
    rows = []
    for title, make in (("widefield", widefield), ("confocal", confocal)):
        row = [title]
        for light in (5.0, 20.0, 100.0, 1000.0):
            found = []
            for number, kind in enumerate(SHARPENED):
                for seed in seeds:
                    clean = make(kind, seed, (0.2, 0.35)[seed % 2], side=128)
                    rng = np.random.default_rng([7, number, seed])
                    image = clean.with_noise(light, rng).stack()
                    wanted = artifacts.ArtifactsParameters()
                    result = finish(artifacts.STAGE.run(image, wanted, Context("cpu")))
                    right = light * clean.data
                    span = float(np.ptp(right))
                    pair = image.data, result.data
                    found.append([psnr_db(one, right, span) for one in pair])
            before, after = np.mean(found, axis=0)
            least = min(b - a for a, b in found)
            row.append(f"{before:.1f} / {after:.1f} / {least:+.1f}")
        rows.append(row)
    return rows


def report(seeds: int, folder: Path | None) -> str:
    """Run everything and write the page."""
    fields = range(SEED, SEED + seeds)
    real = "" if folder is None else table(["image", "known"], real_rows(folder))
    lights = ["structure", "20 photons", "200", "2000"]
    levels = ["image", "5 photons", "20", "100", "1000"]
    return PAGE.format(
        seeds=seeds,
        known=table(["stored as", "images", "known"], known_rows(fields)),
        mistaken=table(["image", "images", "taken for SIM"], mistaken_rows(fields)),
        real=real,
        dps=table(lights, dps_rows(fields[:2])),
        by_filter=table(
            ["filter, Wiener parameter", "50 photons", "500"], filter_rows(fields[2:3])
        ),
        same=unchanged(fields[:1]),
        artifacts=table(levels, artifacts_rows(fields[:2])),
        filters=len(FILTERS),
        structures=", ".join(STRUCTURES).replace("_", " "),
        machine=machine("torch"),
    )


PAGE = """# Images without a history

`python benchmarks/plain_images.py --out docs/benchmarks/plain_images.md` ({machine})

Images that other programs made say nothing of how. By default `dps` takes one for as
sharp as its optics say, unless
[its spectrum](../stages/dps.md#images-of-other-programs) is that of a SIM
reconstruction. Here fields, lenses, filters and noise are others than those that chose
the limits: {structures}, {seeds} fields each.

## SIM reconstructions that are known

8, 40, 200 and 2000 photons, {filters} filters (this project's, and plain ones without
apodisation and with a triangular one), Wiener parameter 0.01 to 1 of a sensible one,
haze in half of them.

{known}

## Other images that are taken for one

{mistaken}

Images without any noise, and those that were deconvolved, are sharper than their lens.

## Real images

SIM images whose source states no optics are taken for those of NA 1.41 and 525 nm whose
median edge is at 1.85 times the cut-off; so they test all of the decision but that.

{real}

## What `dps` gains

PSNR in dB against the truth under a PSF of half the width of an ideal reconstruction's:
with the PSF stated / by default / with modulation factor and history known.
Reconstructions of this project with its Wiener filter, two fields of each.

{dps}

The same of other filters, the mean of all structures, and the worst change of one image
from the first to the second. Large Wiener parameters leave images hardly sharper than
their lens.

{by_filter}

Of widefield and confocal images (5, 100 and 2000 photons) {same} results are those of
the stated optics to the bit.

## What `artifacts` does to images that are no reconstructions

PSNR in dB of the image against the one without noise / after the stage / the worst
change of one image.

{artifacts}
"""


def main() -> None:
    """Measure, and write the page."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=4, help="fields of each structure")
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of real images"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    publish(report(chosen.seeds, chosen.data), chosen.out)


if __name__ == "__main__":
    main()

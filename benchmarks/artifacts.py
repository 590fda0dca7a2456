"""Artefact removal on held-out structures and artefacts, and on real images.

``python benchmarks/artifacts.py --out docs/benchmarks/artifacts.md``
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
from artifacts_low_light import clean_db, low_light_table
from artifacts_noise import noise_table
from artifacts_real import load, real_tables, reconstruct
from artifacts_sharpness import section
from page import machine, options, publish, table, take_turns
from real_data import data_folder
from skimage.restoration import denoise_nl_means

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.methods.artifacts.network import noise_level
from napari_dps.metrics.reference import psnr_db, ssim
from napari_dps.physics.canonical import CANONICAL_OPTICS
from napari_dps.stages.artifacts import STAGE, ArtifactsParameters
from napari_dps.train.artifacts.data import held_out_cases, held_out_pairs
from napari_dps.train.artifacts.faults import KINDS
from napari_dps.train.artifacts.pairs import Pair, make_pair
from napari_dps.train.artifacts.scenes import PairSettings, draw_scene

Image = np.ndarray
Method = Callable[[Image], Image]

SETTINGS = PairSettings(field_px=128)
OURS = "**artifacts**"
CONTEXT = Context("cpu")


def ours(image: Image) -> Image:
    """Return the result of the stage."""
    stack = ImageStack(image, "YX", pixel_size_nm=32.5, optics=CANONICAL_OPTICS)
    return finish(STAGE.run(stack, ArtifactsParameters(), CONTEXT)).data


def gaussian(sigma_px: float) -> Method:
    """Return a Gaussian blur."""
    return lambda image: scipy.ndimage.gaussian_filter(image, sigma_px)


def median(size_px: int) -> Method:
    """Return a median filter."""
    return lambda image: scipy.ndimage.median_filter(image, size_px)


def nlm(strength: float) -> Method:
    """Return non-local means of scikit-image, told the noise as the network is."""

    def method(image: Image) -> Image:
        h = max(strength * noise_level(image), 1e-6 * float(np.ptp(image)))
        return denoise_nl_means(image, 5, 7, h=h, fast_mode=True)

    return method


PEERS: dict[str, dict[str, Method]] = {
    "Gaussian": {f"σ {s} px": gaussian(s) for s in (0.5, 0.7, 1.0, 1.4)},
    "median": {f"{s} × {s}": median(s) for s in (3, 5)},
    "NLM": {f"h {s} σ": nlm(s) for s in (3, 8, 20)},
}


def scores(method: Method, pairs: list[Pair]) -> Image:
    """Return SSIM and PSNR (N, 2) against the right reconstructions."""
    rows = []
    for pair in pairs:
        result, truth = method(pair.image), pair.target.astype(np.float64)
        rows.append((ssim(result, truth), min(psnr_db(result, truth), 99.0)))
    return np.array(rows)


def best_of(methods: dict[str, Method], pairs: list[Pair]) -> tuple[str, Image]:
    """Return name and scores of the setting with the best mean SSIM on spoilt pairs."""
    spoilt = np.array([bool(pair.kinds) for pair in pairs])
    found = {name: scores(method, pairs) for name, method in methods.items()}
    name = max(found, key=lambda key: float(found[key][spoilt, 0].mean()))
    return name, found[name]


def quality(seeds: int) -> str:
    """Return the table of artefacts by method."""
    pairs = held_out_pairs(SETTINGS, seeds=seeds)
    columns = {"input": scores(lambda image: image, pairs), OURS: scores(ours, pairs)}
    for name, methods in PEERS.items():
        setting, found = best_of(methods, pairs)
        columns[f"{name}, {setting}"] = found
    cases = held_out_cases()
    trained = 1 + len(KINDS)
    groups = {
        **{(" + ".join(case) or "none"): [i] for i, case in enumerate(cases)},
        "mean of the kinds trained on": list(range(1, trained)),
        "**mean of those never trained on**": list(range(trained, len(cases))),
    }
    rows = []
    for title, chosen in groups.items():
        mark = " †" if trained <= chosen[0] and len(chosen) == 1 else ""
        row = [title.replace("_", " ") + mark]
        for found in columns.values():
            by_case = found.reshape(-1, len(cases), 2)[:, chosen]
            similarity, peak = by_case.mean(axis=(0, 1))
            row.append(f"{similarity:.3f} / {peak:.1f}")
        rows.append(row)
    return table(["artefact", *columns], rows)


def kept(what: str, kinds: tuple[str, ...], seeds: int) -> tuple[float, float]:
    """Return how much of added points, or cut gaps, input and result show.

    The same scene is made twice, with them and without; the difference of the two
    images is compared with that of the two right reconstructions by least squares.
    """
    sums = np.zeros(3)
    for seed in range(seeds):
        plain = draw_scene(
            SETTINGS.model_copy(update={"planted": 0.0, "haze": 0.0}),
            np.random.default_rng([99, seed]),
            structure="microtubules",
        )
        rng = np.random.default_rng([98, seed])
        changed = np.array(plain.emitters)
        fine_nm = plain.settings.pixel_size_nm / plain.settings.oversampling
        resolved_px = plain.settings.optics.cutoff_period_nm / 2 / fine_nm
        if what == "points":
            rows, columns = rng.integers(0, len(changed), (2, 40))
            changed[rows, columns] += (
                0.5 * changed.sum() / len(changed) ** 2 * (resolved_px**2) * 10
            )
        else:
            rows, columns = np.nonzero(changed > np.percentile(changed, 97))
            y, x = np.mgrid[: len(changed), : len(changed)]
            for index in rng.integers(0, len(rows), 25):
                far = np.hypot(y - rows[index], x - columns[index]) / resolved_px
                changed *= 1 - np.exp(-(far**4))
        with_it, without = (
            make_pair(scene, kinds, SETTINGS, np.random.default_rng([97, seed]))
            for scene in (replace(plain, emitters=changed), plain)
        )
        wanted = with_it.target - without.target
        given = with_it.image - without.image
        result = ours(with_it.image) - ours(without.image)
        sums += [
            np.vdot(wanted, wanted),
            np.vdot(wanted, given),
            np.vdot(wanted, result),
        ]
    return float(sums[1] / sums[0]), float(sums[2] / sums[0])


def planted(seeds: int) -> str:
    """Return the table of points and gaps."""
    rows = []
    for kinds in ((), ("noise",), ("phase",), ("motion",), ("smoothed",), ("swapped",)):
        row = [" + ".join(kinds) or "none"]
        for what in ("points", "gaps"):
            row += [f"{value:.2f}" for value in kept(what, kinds, seeds)]
        rows.append(row)
    return table(["artefact", "points: input", "result", "gaps: input", "result"], rows)


def invented(levels: tuple[float, ...] = (0.02, 0.1, 0.5)) -> str:
    """Return what comes of coloured noise on an even field: the greatest value."""
    rng = np.random.default_rng(0)
    white = rng.standard_normal((256, 256))
    soft = scipy.ndimage.gaussian_filter(white, 0.8)
    soft /= soft.std()
    rows = []
    for level in levels:
        image = (100 * (1 + level * soft)).astype(np.float32)
        result = ours(image)
        rows.append(
            [
                f"{level:g}",
                f"{image.max() / 100 - 1:.2f}",
                f"{result.max() / 100 - 1:.2f}",
                f"{result.std() / 100:.3f}",
                f"{result.mean() / image.mean():.4f}",
            ]
        )
    return table(["std / mean", "peak before", "after", "std after", "mean kept"], rows)


def speed() -> str:
    """Return CPU seconds of one thread for an image of 1024²."""
    image = np.random.default_rng(0).random((1024, 1024), np.float32)
    ours(image[:128, :128])
    seconds = take_turns({OURS: lambda: ours(image)}, rounds=3)
    return f"{min(seconds[OURS]):.2f}"


def report(seeds: int, data: Path | None, figure: Path | None) -> str:
    """Run everything and write the page."""
    return f"""# Artefact removal

`python benchmarks/artifacts.py --out docs/benchmarks/artifacts.md`

## Held-out structures

SSIM / PSNR in dB against the Wiener reconstruction of frames without any fault: nuclear
pores, mitochondria and glyphs, none of which was trained on, {seeds} fields of
{SETTINGS.field_px}² each. Kinds marked † were not trained on either (a mixture: not
together). Of each peer that setting is shown which is best over all these images.

{quality(seeds)}

## Nothing vanishes, nothing appears

Isolated points put beside filaments, and gaps cut into them: how much of them the image
shows, by least squares against the right reconstruction (1: all; mean of
{4 * seeds} fields).

{planted(4 * seeds)}

An even field with the noise of a reconstruction:

{invented()}

## Low light, images without a history

SSIM / r against the reconstruction of frames without noise, as it is, then SSIM / r
after a radial gain fit: nuclear pores, mitochondria and glyphs, {seeds} fields each,
that say of themselves nothing but their lens and pixels. Of each peer the setting with
the best SSIM of the row. Wiener parameters are 10 to 1000 times too small; plain
filters trust all orders alike and do not extend the edges.

{low_light_table(ours_on_stack, seeds)}

Right reconstructions against themselves: {_range(clean_db(ours_on_stack, seeds))} dB.

## Noise of images full of structure

Noise that is measured in the image over the true one, by frequency over the edge of
the spectrum: median, least and most of actin, ER, microtubules, clathrin, mitochondria
and nuclear pores, each by three filters. The noise of the darker parts is meant, which
is less than the mean that it is compared with.

{noise_table()}

{section(100, data, known_reconstructions)}
{real_tables(ours_on_stack, data, figure)}

## Time

1024² pixels of noise at canonical sampling, for which the second network is taken, one
thread: {speed()} CPU seconds.

{machine("torch")}.
"""


def known_reconstructions(folder: Path) -> dict[str, ImageStack]:
    """Return reconstructions of shared raw frames, with their patterns."""
    return {name: reconstruct(stack) for name, stack in load(folder).items()}


def _range(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


def ours_on_stack(stack: ImageStack) -> ImageStack:
    """Return the result of the stage on an image with its optics."""
    return finish(STAGE.run(stack, ArtifactsParameters(), CONTEXT))


def main() -> None:
    """Print the report, and write it if asked to."""
    parser = options(__doc__)
    parser.add_argument("--figure", type=Path, help="picture of the real images")
    parser.add_argument("--seeds", type=int, default=2, help="fields of each structure")
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of real images"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    publish(report(chosen.seeds, chosen.data, chosen.figure), chosen.out)


if __name__ == "__main__":
    main()

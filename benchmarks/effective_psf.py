r"""The effective PSF from one image: errors, refusals, and the real images.

Fresh simulated images (other seeds than the training's; two structures and one PSF that
the networks have never seen), scored by |ln(k/k_true)|; decorrelation analysis beside
it, freed of its own bias on these images. Real images have no truth: what is measured
is set beside the optics that their source states, where it does.

    python benchmarks/effective_psf.py --by-structure --data ../shared/data \
        --out docs/benchmarks/effective_psf.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage
import tifffile
from effective_psf_images import BLOBS, NEVER_SEEN, NEVER_SEEN_PSF, Sample, draw

from napari_dps.core import Optics
from napari_dps.methods.effective_psf.estimate import EffectivePsf, effective_psf
from napari_dps.metrics.decorrelation import decorrelation


@dataclass(frozen=True)
class Answer:
    """One image and what was said about it."""

    sample: Sample
    psf: EffectivePsf
    decorrelation: float
    seconds: float

    @property
    def error(self) -> float:
        """|ln(k/k_true)|; infinite without an estimate."""
        k = self.psf.cutoff_per_pixel
        return np.inf if k is None else abs(np.log(k / self.sample.cutoff))


def ask(samples: Iterator[Sample]) -> list[Answer]:
    """Measure all images."""
    answers = []
    for sample in samples:
        started = time.thread_time()
        psf = effective_psf(sample.image)
        seconds = time.thread_time() - started
        peer = decorrelation(sample.image).cutoff_per_pixel
        answers.append(Answer(sample, psf, peer or np.nan, seconds))
    return answers


def quantiles(errors: np.ndarray) -> str:
    """Median / 90 % / share beyond 25 %, in per cent."""
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return "– | – | –"
    median, ninety = 100 * np.percentile(errors, (50, 90))
    return f"{median:.1f} | {ninety:.1f} | {100 * np.mean(errors > 0.25):.1f}"


def errors_of(answers: list[Answer]) -> str:
    """Quantiles of the errors of some answers."""
    return quantiles(np.array([answer.error for answer in answers]))


def row(name: str, answers: list[Answer]) -> list[str]:
    """Rows of the table for all, the identifiable, and the accepted images."""
    kinds = {
        "all": answers,
        "identifiable": [a for a in answers if a.sample.identifiable],
        "accepted": [a for a in answers if a.psf.accepted],
    }
    return [
        f"| {name}, {kind} | {len(some)} | {errors_of(some)} |"
        for kind, some in kinds.items()
        if some
    ]


def peer_rows(answers: list[Answer]) -> list[str]:
    """Decorrelation analysis on the identifiable images, its median bias removed."""
    some = [a for a in answers if a.sample.identifiable]
    ratio = np.log([a.decorrelation / a.sample.cutoff for a in some])
    bias = np.nanmedian(ratio)
    name = f"decorrelation, bias of {100 * bias:+.0f} % removed, identifiable"
    return [f"| {name} | {len(some)} | {quantiles(np.abs(ratio - bias))} |"]


def spoilt(seed: int) -> dict[str, Iterator[Sample]]:
    """Images that must not be believed."""
    return {
        "noise alone": draw(60, seed, flaws=(("noise only", 1.0),)),
        "resampled 1.2–2.2×, coloured noise": draw(
            60, seed + 1, flaws=(("resampled", 1.0),)
        ),
        "under-sampled": draw(60, seed + 2, flaws=(("under-sampled", 1.0),)),
        "saturated at the 97th percentile": (
            changed(s, np.minimum(s.image, np.percentile(s.image, 97)))
            for s in draw(60, seed + 3)
        ),
        "gamma 2": (
            changed(s, np.maximum(s.image, 0) ** 2) for s in draw(60, seed + 4)
        ),
        "sharpened (unsharp mask)": (
            changed(
                s, s.image + 2 * (s.image - scipy.ndimage.gaussian_filter(s.image, 2))
            )
            for s in draw(60, seed + 5)
        ),
    }


def changed(sample: Sample, image: np.ndarray) -> Sample:
    """Return the sample with other pixels."""
    return Sample(
        image, sample.cutoff, sample.structure, sample.psf, sample.photons, "changed"
    )


def real_images(folder: Path) -> Iterator[tuple[str, np.ndarray, Optics | None]]:
    """Real images, and the optics their source states."""
    raw = tifffile.imread(folder / "sim9_hela_mito" / "raw.tif").astype(np.float32)
    optics = Optics(na=1.3, emission_nm=660, pixel_size_nm=65)
    yield "HeLa mitochondria, mean of the raw frames", raw.mean(axis=0), optics
    confocal = tifffile.imread(folder / "confocal_microtubules" / "cell5.tif")
    yield "confocal microtubules", confocal, None
    for level in ("01", "03", "05"):
        for kind in ("wf", "sim_gt"):
            name = f"{kind}_level_{level}.tif"
            yield f"ER, {name}", tifffile.imread(folder / "wf_sim_er" / name), None
    raw = tifffile.imread(folder / "sim9_er_timelapse" / "raw.tif")
    first = raw.reshape(-1, *raw.shape[-2:])[:9]
    yield "ER time lapse, mean of the raw frames", first.mean(axis=0), None
    pair = folder / "sim15_microtubules_pair"
    for name in ("he_frames", "le_frames"):
        frames = tifffile.imread(pair / f"{name}.tif")
        yield f"microtubules, mean of {name} (interpolated 2×)", frames.mean(0), None
    for path in sorted((folder / "train_sim_images").glob("*.tif")):
        stack = tifffile.imread(path)
        for index in (0, 17, 34):
            yield f"SIM image {path.stem} {index}", stack[index], None


def real_rows(folder: Path) -> list[str]:
    """Rows of the table of real images."""
    rows = []
    for name, image, optics in real_images(folder):
        psf = effective_psf(image)
        verdict = "yes" if psf.accepted else psf.reason
        if optics is not None:
            stated = optics.cutoff_per_pixel
            verdict += f"; the stated optics say {stated:.3f}"
        rows.append(
            f"| {name} | {psf.cutoff_per_pixel or 0:.3f} | {psf.fwhm_px or 0:.2f} | "
            f"{100 * (psf.relative_sd or 0):.0f} % | {verdict} |"
        )
    return rows


def report(options: argparse.Namespace) -> list[str]:
    """Return the tables in Markdown."""
    seed = options.seed
    sets = {
        "structures and PSFs as in training": draw(options.images, seed),
        f"structures never seen ({', '.join(NEVER_SEEN)})": draw(
            options.images * 2 // 5, seed + 1, structures=NEVER_SEEN
        ),
        f"PSF never seen ({NEVER_SEEN_PSF})": draw(
            options.images * 2 // 5, seed + 2, psfs=(NEVER_SEEN_PSF,)
        ),
    }
    lines = [
        "| images | number | median % | 90 % below, % | more than a quarter wrong, % |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    answers = {name: ask(samples) for name, samples in sets.items()}
    for name, some in answers.items():
        lines += row(name, some)
    first = next(iter(answers.values()))
    lines += peer_rows(first)
    if options.by_structure:
        for structure in dict.fromkeys(a.sample.structure for a in first):
            lines += row(
                structure, [a for a in first if a.sample.structure == structure]
            )
        for psf in dict.fromkeys(a.sample.psf for a in first):
            lines += row(psf, [a for a in first if a.sample.psf == psf])
    accepted = np.mean([a.psf.accepted for a in first])
    milliseconds = 1000 * np.median([a.seconds for a in first])
    lines += [
        "",
        f"Accepted of the first set: {100 * accepted:.0f} %. "
        f"{milliseconds:.0f} ms of one thread an image (median).",
        "",
        "| images that mislead | number | accepted % | error of the accepted, "
        "median % | 90 % below, % | more than a quarter wrong, % |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, samples in spoilt(seed + 10).items():
        some = ask(samples)
        kept = [a for a in some if a.psf.accepted]
        lines.append(
            f"| {name} | {len(some)} | {100 * len(kept) / len(some):.0f} "
            f"| {errors_of(kept)} |"
        )
    if options.data is not None:
        lines += [
            "",
            "| real image | k, cycles/px | FWHM, px | sd | accepted |",
            "| --- | ---: | ---: | ---: | --- |",
            *real_rows(options.data),
        ]
    return lines


def main() -> None:
    """Print the tables, and write them where told."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--by-structure", action="store_true")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = report(options)
    print("\n".join(lines))
    if options.out is not None:
        title = [
            "# The effective PSF from one image",
            "",
            "Written by `python benchmarks/effective_psf.py --by-structure`. Errors "
            "are |ln(k/k_true)| of the Airy-equivalent cut-off. Identifiable: 100 "
            f"photons or more and none of {', '.join(BLOBS)}. Half of the images have "
            "350 photons or fewer, most have haze.",
            "",
        ]
        options.out.write_text("\n".join([*title, *lines]) + "\n", "utf-8")


if __name__ == "__main__":
    main()

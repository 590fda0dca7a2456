r"""The effective PSF from one image: errors, refusals, and the real images.

Fresh simulated images (other seeds than the training's; two structures and one PSF that
the networks have never seen), scored by |ln(k/k_true)|; decorrelation analysis beside
it, freed of its own bias on these images. Real images have no truth: what is measured
is set beside the optics that their source states, where it does.

    python benchmarks/effective_psf.py --by-structure \
        --out docs/benchmarks/effective_psf.md
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import real_data
import scipy.ndimage
import tifffile
from page import options, publish, table

from napari_dps.core import Optics
from napari_dps.methods.effective_psf.estimate import EffectivePsf, effective_psf
from napari_dps.metrics.decorrelation import decorrelation
from napari_dps.train.effective_psf.images import (
    NEVER_SEEN,
    NEVER_SEEN_PSF,
    Sample,
    draw,
)

PAGE = "docs/benchmarks/effective_psf.md"
COMMAND = f"python benchmarks/effective_psf.py --by-structure --out {PAGE}"
Rows = list[list[str]]
BLOBS = ("vesicles", "texture", "patches", "thick")
"""Structures without detail finer than the PSF: nothing tells it from them."""
ERRORS = ("median %", "90 % below, %", "more than a quarter wrong, %")


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


def quantiles(errors: np.ndarray) -> list[str]:
    """Median, 90 % and share beyond 25 %, in per cent."""
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return ["–"] * 3
    median, ninety = 100 * np.percentile(errors, (50, 90))
    return [f"{median:.1f}", f"{ninety:.1f}", f"{100 * np.mean(errors > 0.25):.1f}"]


def errors_of(answers: list[Answer]) -> list[str]:
    """Quantiles of the errors of some answers."""
    return quantiles(np.array([answer.error for answer in answers]))


def is_identifiable(sample: Sample) -> bool:
    """Whether an image can tell its PSF: 100 photons or more, and no blobs."""
    is_bright = not sample.flaw and sample.photons >= 100
    return is_bright and sample.structure not in BLOBS


def rows_of(name: str, answers: list[Answer]) -> Rows:
    """Rows of the table for all, the identifiable, and the accepted images."""
    kinds = {
        "all": answers,
        "identifiable": [a for a in answers if is_identifiable(a.sample)],
        "accepted": [a for a in answers if a.psf.accepted],
    }
    return [
        [f"{name}, {kind}", str(len(some)), *errors_of(some)]
        for kind, some in kinds.items()
        if some
    ]


def peer_row(answers: list[Answer]) -> list[str]:
    """Decorrelation analysis on the identifiable images, its median bias removed."""
    some = [a for a in answers if is_identifiable(a.sample)]
    ratio = np.log([a.decorrelation / a.sample.cutoff for a in some])
    bias = np.nanmedian(ratio)
    name = f"decorrelation, bias of {100 * bias:+.0f} % removed, identifiable"
    return [name, str(len(some)), *quantiles(np.abs(ratio - bias))]


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
    cell = real_data.mitochondria(folder)
    mean = cell.data.mean(axis=(0, 1))
    yield "HeLa mitochondria, mean of the raw frames", mean, cell.optics
    confocal = tifffile.imread(folder / "confocal_microtubules" / "cell5.tif")
    yield "confocal microtubules", confocal, None
    for level in ("01", "03", "05"):
        for kind in ("wf", "sim_gt"):
            name = f"{kind}_level_{level}.tif"
            yield f"ER, {name}", tifffile.imread(folder / "wf_sim_er" / name), None
    mean = real_data.reticulum(folder).data.mean(axis=(0, 1))
    yield "ER time lapse, mean of the raw frames", mean, None
    pair = folder / "sim15_microtubules_pair"
    for name in ("he_frames", "le_frames"):
        frames = tifffile.imread(pair / f"{name}.tif")
        yield f"microtubules, mean of {name} (interpolated 2×)", frames.mean(0), None
    for path in sorted((folder / "train_sim_images").glob("*.tif")):
        stack = tifffile.imread(path)
        for index in (0, 17, 34):
            yield f"SIM image {path.stem} {index}", stack[index], None


def real_rows(folder: Path) -> Rows:
    """Rows of the table of real images."""
    rows = []
    for name, image, optics in real_images(folder):
        psf = effective_psf(image)
        verdict = "yes" if psf.accepted else psf.reason
        if optics is not None:
            verdict += f"; the stated optics say {optics.cutoff_per_pixel:.3f}"
        cutoff, width = psf.cutoff_per_pixel or 0, psf.fwhm_px or 0
        deviation = f"{100 * (psf.relative_sd or 0):.0f} %"
        rows.append([name, f"{cutoff:.3f}", f"{width:.2f}", deviation, verdict])
    return rows


def accuracy(answers: dict[str, list[Answer]], *, by_structure: bool) -> str:
    """Return the table of errors by set of images."""
    rows = [row for name, some in answers.items() for row in rows_of(name, some)]
    first = next(iter(answers.values()))
    rows.append(peer_row(first))
    if by_structure:
        for structure in dict.fromkeys(a.sample.structure for a in first):
            same = [a for a in first if a.sample.structure == structure]
            rows += rows_of(structure, same)
        for psf in dict.fromkeys(a.sample.psf for a in first):
            rows += rows_of(psf, [a for a in first if a.sample.psf == psf])
    return table(["images", "number", *ERRORS], rows)


def refusals(seed: int) -> str:
    """Return the table of images that mislead."""
    rows = []
    for name, samples in spoilt(seed).items():
        some = ask(samples)
        kept = [a for a in some if a.psf.accepted]
        share = f"{100 * len(kept) / len(some):.0f}"
        rows.append([name, str(len(some)), share, *errors_of(kept)])
    median, *others = ERRORS
    header = ["images that mislead", "number", "accepted %"]
    return table([*header, f"error of the accepted, {median}", *others], rows)


def report(images: int, seed: int, *, by_structure: bool, data: Path | None) -> str:
    """Return the page."""
    answers = {
        "structures and PSFs as in training": ask(draw(images, seed)),
        f"structures never seen ({', '.join(NEVER_SEEN)})": ask(
            draw(images * 2 // 5, seed + 1, structures=NEVER_SEEN)
        ),
        f"PSF never seen ({NEVER_SEEN_PSF})": ask(
            draw(images * 2 // 5, seed + 2, psfs=(NEVER_SEEN_PSF,))
        ),
    }
    first = next(iter(answers.values()))
    accepted = np.mean([a.psf.accepted for a in first])
    milliseconds = 1000 * np.median([a.seconds for a in first])
    real = ""
    if data is not None:
        header = ["real image", "k, cycles/px", "FWHM, px", "sd", "accepted"]
        real = table(header, real_rows(data))
    return f"""# The effective PSF from one image

`{COMMAND}`

Errors are |ln(k/k_true)| of the Airy-equivalent cut-off. Identifiable: 100 photons or
more and none of {", ".join(BLOBS)}. Half of the images have 350 photons or fewer, most
have haze.

{accuracy(answers, by_structure=by_structure)}

Accepted of the first set: {100 * accepted:.0f} %.
{milliseconds:.0f} ms of one thread an image (median).

{refusals(seed + 10)}

{real}
"""


def main() -> None:
    """Print the tables, and write them where told."""
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--by-structure", action="store_true")
    parser.add_argument(
        "--data", type=Path, default=real_data.data_folder(), help="real images"
    )
    chosen = parser.parse_args()
    text = report(
        chosen.images, chosen.seed, by_structure=chosen.by_structure, data=chosen.data
    )
    publish(text, chosen.out)


if __name__ == "__main__":
    main()

"""The lowest light: a reconstruction beside the widefield mean with the best filter.

    python benchmarks/lowest_light.py --out docs/benchmarks/lowest_light.md

Simulated 3 × 3 frames as those of `dps_frames`, of 2 to 30 photons in the brightest
structure; patterns are found on them.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch
from dps_frames import SETTINGS, SHARE_OF_CUTOFF, recorded
from numpy.typing import NDArray
from page import machine, options, publish, table
from scipy.ndimage import gaussian_filter
from skimage.restoration import denoise_nl_means

from napari_dps import pipeline
from napari_dps.core import ImageStack, finish
from napari_dps.metrics.reference import fit_intensity, fit_radial_gain, psnr_db
from napari_dps.physics.otf import otf_2d
from napari_dps.physics.phantoms import StructureId
from napari_dps.physics.resampling import resample

Image = NDArray[np.float32]
STRUCTURES: tuple[StructureId, ...] = (
    "nuclear_pores",
    "mitochondria",
    "glyphs",
    "microtubules",
    "er",
)
LEVELS = (2, 4, 8, 15, 30)
SIGMAS_PX = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
STRENGTHS = (0.5, 1.0, 2.0, 4.0)
WAYS = ("widefield, best filter", "reconstruct", "**denoise, reconstruct**")


def as_ideal_image(truth: Image) -> Image:
    """Return an object through half the PSF of an ideal SIM image through all of it."""
    cutoff = SETTINGS.optics.cutoff_per_pixel / SETTINGS.oversampling
    cutoff *= 1 + SHARE_OF_CUTOFF
    wide, fine = (otf_2d(truth.shape, n * cutoff, half_plane=True) for n in (1, 2))
    passed = np.divide(wide, fine, out=np.zeros_like(wide), where=wide > 0)
    shown = scipy.fft.irfft2(scipy.fft.rfft2(truth) * passed, s=truth.shape)
    return shown.astype(np.float32)


def scores(image: Image, truth: Image) -> tuple[float, float]:
    """Return the PSNR (dB) after an affine fit, and after one of the radial gain."""
    span = float(np.ptp(truth))
    fine = resample(np.asarray(image, np.float32), truth.shape)
    fits = fit_intensity(fine, truth), fit_radial_gain(fine, truth)
    affine, radial = (psnr_db(fit, truth, span) for fit in fits)
    return affine, radial


def filtered_widefield(raw: ImageStack, truth: Image) -> tuple[float, float]:
    """Return the scores of the mean of the frames, each with the best filter."""
    mean = raw.data.reshape(-1, *raw.data.shape[-2:]).mean(axis=0)
    sigma = float(np.std(mean - gaussian_filter(mean, 1.0)))
    ways = [gaussian_filter(mean, s) for s in SIGMAS_PX]
    ways += [
        denoise_nl_means(mean, 5, 7, h=h * sigma, fast_mode=True) for h in STRENGTHS
    ]
    affine, radial = np.max([scores(way, truth) for way in ways], axis=0)
    return float(affine), float(radial)


def reconstructed(raw: ImageStack, stages: list[str]) -> Image:
    """Return the last image of stages with their defaults."""
    steps = pipeline.choose_steps(raw, stages)
    return np.asarray(finish(pipeline.run(raw, steps)).images[-1].data)


def rows_of(photons: float, seeds: int) -> list[list[str]]:
    """Return a row for each structure, and one of the means."""
    found = []
    for structure in STRUCTURES:
        by_seed = []
        for seed in range(seeds):
            raw, fine = recorded(structure, photons, 4200 + seed)
            truth = as_ideal_image(fine)
            by_seed.append(
                [
                    filtered_widefield(raw, truth),
                    scores(reconstructed(raw, ["reconstruct"]), truth),
                    scores(reconstructed(raw, ["denoise", "reconstruct"]), truth),
                ]
            )
        found.append(np.mean(by_seed, axis=0))
        print(photons, structure, found[-1].tolist(), flush=True)
    titles = [*STRUCTURES, "**mean**"]
    return [
        [
            f"{title}, {photons:g}".replace("_", " "),
            *map(_text, row),
            _text(row[2] - row[0]),
        ]
        for title, row in zip(titles, [*found, np.mean(found, axis=0)], strict=True)
    ]


def _text(pair: NDArray[np.float64]) -> str:
    return f"{pair[0]:.1f} / {pair[1]:.1f}"


def main() -> None:
    """Measure, and write the page."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for photons in LEVELS for row in rows_of(photons, asked.seeds)]
    head = ["structure, photons", *WAYS, "gain over widefield"]
    publish(
        PAGE.format(
            seeds=asked.seeds, machine=machine("torch"), table=table(head, rows)
        ),
        asked.out,
    )


PAGE = """# The lowest light

`python benchmarks/lowest_light.py --seeds {seeds}
--out docs/benchmarks/lowest_light.md`
({machine}).

Simulated 3 × 3 raw frames of 128² (NA 1.3, 525 nm, 65 nm pixels, stripes at 0.9 of the
cut-off, modulation 0.8, read noise 1.5 e-, which is more than all light at 2 photons),
patterns found on them, {seeds} stack(s) a row. PSNR in dB against the object through
the PSF of an ideal SIM image, after an affine fit / after the radial gain that suits
the truth best, which is the best linear filter there is. *Widefield*: the mean of the
nine frames with the best of eight Gaussians and four strengths of non-local means, each
number for itself. The others are defaults.

{table}
"""

if __name__ == "__main__":
    main()

"""Real images through the stage `dps`: figures where there is a reference, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from dps_methods import (
    Candidates,
    interpolation,
    richardson_lucy_candidates,
    sparse_candidates,
    stage,
    wiener_candidates,
)
from dps_protocol import Image, Method
from real_data import OFFSET_COUNTS, mitochondria, raw_stack
from scipy.ndimage import zoom

from napari_dps.core import ImageStack, Optics, finish
from napari_dps.core.context import Context
from napari_dps.methods.effective_psf.estimate import effective_psf
from napari_dps.metrics.error_map import error_map
from napari_dps.metrics.reference import fit_radial_gain, pearson
from napari_dps.metrics.registration import find_shift, shift_onto
from napari_dps.stages import background, reconstruct

ER_OPTICS = Optics(na=1.41, emission_nm=525, pixel_size_nm=62.6)
"""Assumed: the files state none."""
ER_LEVELS = ("01", "03", "05")
ER_METHODS: dict[str, Method | Candidates] = {
    "input, interpolated": interpolation,
    "Wiener, best parameter": wiener_candidates,
    "RL, best of 5 to 200 iterations": richardson_lucy_candidates,
    "`rl`": stage(method="rl"),
    "`sparse`, best strength": sparse_candidates,
    "`sparse`": stage(method="sparse"),
    "`network`, strength 0.25": stage(strength=0.25),
    "**`network`** (default)": stage(),
    "`network`, strength 0.75": stage(strength=0.75),
    "`network`, PSF measured": stage(psf="measured"),
}


def er_image(folder: Path, level: str) -> ImageStack:
    """Return the widefield image of an exposure."""
    data = tifffile.imread(folder / "wf_sim_er" / f"wf_level_{level}.tif")
    return ImageStack(
        data.astype(np.float32), "YX", pixel_size_nm=62.6, optics=ER_OPTICS
    )


def er_sim(folder: Path, level: str) -> Image:
    """Return the SIM image of the same field and exposure, on the 2× grid."""
    data = tifffile.imread(folder / "wf_sim_er" / f"sim_gt_level_{level}.tif")
    return np.asarray(data, dtype=np.float32)


def agreement(result: Image, sim: Image) -> tuple[float, float]:
    """Return the correlation with the SIM image, registered: plain, and gain-fitted.

    The second after the isotropic filter that fits best: how much each has sharpened
    does not count, only what is there.
    """
    moved, reference = shift_onto(result, sim, find_shift(result, sim))
    fitted = fit_radial_gain(moved, reference)
    return pearson(moved, reference), pearson(fitted, reference)


def er_rows(folder: Path) -> list[list[str]]:
    """Correlate every method's result with the SIM image, at each exposure."""
    rows = []
    for name, method in ER_METHODS.items():
        cells = []
        for level in ER_LEVELS:
            results = method(er_image(folder, level))
            if isinstance(results, ImageStack):
                results = {"": results.data}
            sim = er_sim(folder, level)
            scores = [agreement(result, sim) for result in results.values()]
            plain, fitted = np.max(scores, axis=0)
            cells.append(f"{plain:.3f} / {fitted:.3f}")
        rows.append([name, *cells])
        print(rows[-1], flush=True)
    return rows


@dataclass(frozen=True)
class Sample:
    """A real image, what the stage makes of it, and the window to look at."""

    name: str
    panels: tuple[tuple[str, Image], ...]
    window: tuple[slice, slice]
    rsp: float = float("nan")
    notes: tuple[str, ...] = ()


def sim_sample(name: str, stack: ImageStack, truth: np.ndarray | None = None) -> Sample:
    """Reconstruct raw SIM frames (A, P, Y, X) and sharpen the result."""
    context = Context("cpu")
    image = finish(
        reconstruct.STAGE.run(stack, reconstruct.ReconstructParameters(), context)
    )
    image = finish(
        background.STAGE.run(image, background.BackgroundParameters(), context)
    )
    result = stage()(image)
    mean = stack.data.mean(axis=(0, 1))
    panels = (
        ("widefield (mean)", zoom(mean, 4, order=0)),
        ("reconstruct, background", zoom(image.data, 2, order=0)),
        ("dps", result.data),
    )
    if truth is not None:
        panels = (*panels, ("truth", zoom(truth, 2, order=0)))
    rsp = error_map(result, image).rsp
    window = _brightest(result.data, 280)
    return Sample(name, panels, window, rsp, tuple(context.warnings))


def confocal_sample(folder: Path) -> Sample:
    """Sharpen a confocal image; its optics are unknown, its PSF is measured."""
    data = tifffile.imread(folder / "confocal_microtubules" / "cell5.tif")
    found = effective_psf(data)
    # Any lens will do whose PSF has the measured width in pixels.
    optics = Optics(
        na=1.3, emission_nm=520, pixel_size_nm=200 * (found.cutoff_per_pixel or 0.3)
    )
    image = ImageStack(
        data.astype(np.float32), "YX", pixel_size_nm=optics.pixel_size_nm, optics=optics
    )
    result = stage()(image)
    panels = (
        ("confocal", zoom(image.data, 2, order=0)),
        ("rl", stage(method="rl")(image).data),
        ("dps", result.data),
    )
    window = _brightest(result.data, 220)
    rsp = error_map(result, image).rsp
    told = f"PSF measured: {found.fwhm_px or 0:.2f} pixels wide. {found.reason}".strip()
    return Sample("confocal microtubules", panels, window, rsp, (told,))


def er_samples(folder: Path) -> list[Sample]:
    """Sharpen the dimmest and the brightest exposure of the widefield image."""
    samples = []
    for level in (ER_LEVELS[0], ER_LEVELS[-1]):
        image, sim = er_image(folder, level), er_sim(folder, level)
        lucy = richardson_lucy_candidates(image)
        best = max(lucy, key=lambda key: agreement(lucy[key], sim)[0])
        result = stage()(image)
        panels = (
            ("widefield", zoom(image.data, 2, order=0)),
            ("RL, its best", lucy[best]),
            ("dps", result.data),
            ("SIM image", sim),
        )
        window = (slice(180, 360), slice(180, 360))
        rsp = error_map(result, image).rsp
        samples.append(Sample(f"widefield ER, exposure {level}", panels, window, rsp))
    return samples


def _brightest(image: Image, size: int) -> tuple[slice, slice]:
    """Return the window that holds most light, away from the edges."""
    side = min(size, *(n - 16 for n in image.shape))
    total = np.pad(image.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    light = (
        total[side:, side:]
        - total[:-side, side:]
        - total[side:, :-side]
        + total[:-side, :-side]
    )
    inner = light[8:-8, 8:-8]
    y, x = np.unravel_index(int(inner.argmax()), inner.shape)
    return slice(int(y) + 8, int(y) + 8 + side), slice(int(x) + 8, int(x) + 8 + side)


def picture(samples: Sequence[Sample], path: Path) -> None:
    """Draw windows at full zoom: two screen pixels a pixel of the result."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    side = samples[0].window[0].stop - samples[0].window[0].start
    columns = len(samples[0].panels)
    inches = 2 * side / 100
    figure, axes = plt.subplots(
        len(samples),
        columns,
        figsize=(columns * inches, len(samples) * (inches + 0.2)),
        dpi=100,
        squeeze=False,
    )
    for line, sample in zip(axes, samples, strict=True):
        for axis, (title, image) in zip(line, sample.panels, strict=True):
            part = image[sample.window]
            low, high = np.percentile(part, [0.5, 99.8])
            axis.imshow(part, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axis.set_title(title, fontsize=9, pad=3)
            axis.axis("off")
    figure.subplots_adjust(0, 0, 1, 0.97, 0.01, 0.08)
    figure.savefig(path, pil_kwargs={"optimize": True})
    plt.close(figure)


def all_samples(folder: Path) -> dict[str, list[Sample]]:
    """Return the samples of each picture by the picture's name."""
    simulated = folder / "sim9_line_pairs_simulated"
    pairs = raw_stack(
        tifffile.imread(simulated / "raw_images.tif"),
        Optics(na=1.49, emission_nm=500, pixel_size_nm=60),
        offset=OFFSET_COUNTS,
    )
    truth = tifffile.imread(simulated / "ground_truth.tif")
    return {
        "dps_er": er_samples(folder),
        "dps_mitochondria": [
            sim_sample("HeLa mitochondria, SIM", mitochondria(folder)),
        ],
        "dps_line_pairs": [
            sim_sample("line pairs (simulated by others), SIM", pairs, truth),
        ],
        "dps_confocal": [confocal_sample(folder)],
    }

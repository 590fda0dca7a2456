"""Denoising on real raw SIM frames, with pictures.

``python benchmarks/denoise_real.py --out docs/benchmarks/denoise_real.md``
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
import torch
from denoise import table
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Optics, Pattern, finish, refined_grid
from napari_dps.core.context import Context
from napari_dps.metrics.error_map import error_map
from napari_dps.metrics.reference import fit_radial_gain, pearson
from napari_dps.metrics.registration import find_shift, shift_onto
from napari_dps.stages import denoise, reconstruct
from napari_dps.stages.denoise import DenoiseParameters
from napari_dps.stages.reconstruct import ReconstructParameters

DATA = Path(os.environ.get("NAPARI_DPS_DATA", "../shared/data"))
RIM_PX = 12
Image = NDArray[np.float32]


def stack(path: str, phases: int, offset: float, optics: Optics) -> ImageStack:
    """Read angle-major frames of three angles."""
    frames = tifffile.imread(DATA / path).astype(np.float32) - offset
    return ImageStack(
        frames.reshape(3, phases, *frames.shape[-2:]),
        "APYX",
        pixel_size_nm=optics.pixel_size_nm,
        optics=optics,
    )


def denoised(raw: ImageStack) -> ImageStack:
    """Run the stage; say what it warns of."""
    context = Context("cpu")
    result = finish(denoise.STAGE.run(raw, DenoiseParameters(), context))
    for warning in context.warnings:
        print("  warning:", warning)
    return result


def image_of(frames: ImageStack, **parameters: object) -> ImageStack:
    """Reconstruct."""
    chosen = ReconstructParameters(**parameters)
    return finish(reconstruct.STAGE.run(frames, chosen, Context("cpu")))


def likeness(image: Image, reference: Image) -> tuple[float, float]:
    """Return Pearson's r after registration, plain and after a radial gain fit."""
    pair = shift_onto(image, reference, find_shift(image, reference))
    moved, still = (one[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] for one in pair)
    return pearson(moved, still), pearson(fit_radial_gain(moved, still), still)


def agreement(
    image: Image, wide: Image, *, pixel_nm: float, registered: bool = True
) -> tuple[str, str]:
    """Return RSP and RSE (counts) against a widefield image of the same field."""
    finer = image.shape[0] // wide.shape[0]
    if not registered:
        pair = shift_onto(image, wide, find_shift(image, wide))
        image, wide = (one[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] for one in pair)
    finer_nm, origin = refined_grid(pixel_nm, (0.0, 0.0), finer)
    found = error_map(
        ImageStack(image, "YX", pixel_size_nm=finer_nm, origin_nm=origin),
        ImageStack(wide, "YX", pixel_size_nm=pixel_nm),
    )
    return f"{found.rsp:.4f}", f"{found.rse:.2f}"


def ways(raw: ImageStack, clean: ImageStack) -> dict[str, Image]:
    """Reconstruct raw and denoised frames by both methods."""
    return {
        "Wiener": image_of(raw).data,
        "network": image_of(raw, method="network").data,
        "denoise + Wiener": image_of(clean).data,
        "denoise + network": image_of(clean, method="network").data,
    }


def halved(image: Image) -> Image:
    """Return means over 2 × 2 pixels."""
    height, width = (n // 2 for n in image.shape)
    return image.reshape(height, 2, width, 2).mean(axis=(1, 3))


def exposures() -> tuple[str, dict[str, Image]]:
    """Compare the low exposure of the microtubules with the source's high one."""
    folder = "sim15_microtubules_pair"
    # NA and wavelength are not stated: usual ones. Offset: the mode of dark pixels.
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=30)
    high, low = (
        stack(f"{folder}/{name}_frames.tif", 5, 100, optics) for name in ("he", "le")
    )
    ours, theirs = (
        tifffile.imread(DATA / folder / f"{name}_sim.tif").astype(np.float32)
        for name in ("he", "le")
    )
    calibrated: tuple[Pattern, ...] = tuple(
        p.as_given() for p in image_of(high).patterns
    )
    told = replace(low, patterns=calibrated)
    clean, clean_told = denoised(low), denoised(told)
    images = {
        "source's SIM image of the low exposure": theirs,
        "widefield, low": low.data.mean(axis=(0, 1)),
        "Wiener, high exposure": halved(image_of(high).data),
        "Wiener, low": halved(image_of(low).data),
        "Wiener, low, patterns of the high one": halved(image_of(told).data),
        "denoise + Wiener, low": halved(image_of(clean).data),
        "denoise + Wiener, low, patterns of the high one": halved(
            image_of(clean_told).data
        ),
        "network, low": halved(image_of(low, method="network").data),
        "denoise + network, low": halved(image_of(clean, method="network").data),
        "network, high exposure": halved(image_of(high, method="network").data),
    }
    wide = high.data.mean(axis=(0, 1))
    rows = [
        [
            name,
            *(f"{r:.3f}" for r in likeness(image, ours)),
            *agreement(image, wide, pixel_nm=30, registered=False),
        ]
        for name, image in images.items()
    ]
    shown = {"source, high exposure": ours, **images}
    return table(["image", "r", "r, radial gain fitted", "RSP", "RSE"], rows), shown


def reticulum() -> str:
    """Compare reconstructions of the ER with the source's, and with the widefield."""
    optics = Optics(na=1.41, emission_nm=525, pixel_size_nm=65)
    frames = tifffile.imread(DATA / "sim9_er_timelapse/raw.tif").astype(np.float32)
    raw = ImageStack(
        frames.reshape(3, 3, 3, *frames.shape[-2:])[0],
        "APYX",
        pixel_size_nm=65,
        optics=optics,
    )
    theirs = tifffile.imread(DATA / "sim9_er_timelapse/sim_gt.tif").astype(np.float32)
    wide = raw.data.mean(axis=(0, 1))
    rows = [
        [
            name,
            *(f"{r:.3f}" for r in likeness(image, theirs)),
            *agreement(image, wide, pixel_nm=65),
        ]
        for name, image in ways(raw, denoised(raw)).items()
    ]
    return table(["image", "r", "r, radial gain fitted", "RSP", "RSE"], rows)


def mitochondria() -> tuple[str, dict[str, Image]]:
    """Compare reconstructions of live mitochondria with their widefield image."""
    optics = Optics(na=1.3, emission_nm=660, pixel_size_nm=65)
    raw = stack("sim9_hela_mito/raw.tif", 3, 100, optics)
    wide = raw.data.mean(axis=(0, 1))
    clean = denoised(raw)
    results = {
        "Wiener, not adapted to the noise": image_of(raw, adapt_to_noise=False).data,
        **ways(raw, clean),
    }
    rows = [
        [name, *agreement(image, wide, pixel_nm=65)] for name, image in results.items()
    ]
    shown = {
        "raw frame": raw.data[0, 0],
        "denoised frame": clean.data[0, 0],
        **results,
    }
    return table(["image", "RSP", "RSE, counts"], rows), shown


def picture(path: Path, images: dict[str, Image], columns: int) -> None:
    """Draw images at full zoom."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(4 * columns, 4.25 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns).flat:
        axes.set_axis_off()
    for axes, (name, image) in zip(figure.axes, images.items(), strict=False):
        part = image[:120, :120] if image.shape[0] == 256 else image
        low, high = np.quantile(part, [0.005, 0.998])
        axes.imshow(part, "inferno", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(name, fontsize=9)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Print the tables, and write page and pictures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--pictures", type=Path, help="folder for pictures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pair, pair_images = exposures()
    er = reticulum()
    cell, cell_images = mitochondria()
    text = f"""# Denoising real frames

`python benchmarks/denoise_real.py --out docs/benchmarks/denoise_real.md`

## Live HeLa mitochondria, 3 × 3 frames (LabPresse/B-SIM, MIT)

Resolution-scaled Pearson coefficient (RSP) and error (RSE, counts) against the
widefield image. It shows the haze, which the images of *network*
(`--reconstruct.method network`) leave out.

{cell}

## Endoplasmic reticulum, 3 × 3 frames (Timothiy/DL-SIM)

The first time point; NA, wavelength and pixel size are assumed (1.41, 525 nm, 65 nm).
Pearson's r with the source's SIM image, RSP and RSE against the widefield image.

{er}

## Microtubules at low exposure, 3 × 5 frames (drbeiliu/DeepLearning, MIT)

Pearson's r with the source's SIM image of the high exposure, after registration. The
source interpolated the frames 2×. The median pixel of the low exposure holds some
{np.median(pair_images["widefield, low"]):.0f} counts above the camera's offset. Only
the first orders rise above its noise; the source's own image of it has detail that
these 15 frames do not give us, with or without the patterns of the high exposure.
RSP and RSE: against the widefield image of the high exposure, after registration.

{pair}
"""
    print(text)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
    if options.pictures is not None:
        picture(options.pictures / "denoise_mitochondria.png", cell_images, 3)
        picture(options.pictures / "denoise_microtubules.png", pair_images, 3)


if __name__ == "__main__":
    main()

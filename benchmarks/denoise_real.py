"""Denoising on real raw SIM frames, with pictures.

``python benchmarks/denoise_real.py --out docs/benchmarks/denoise_real.md``
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import real_data
import tifffile
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from page import options, publish, table

from napari_dps.core import ImageStack, Pattern, finish, refined_grid
from napari_dps.core.context import Context
from napari_dps.metrics.error_map import error_map
from napari_dps.metrics.reference import fit_radial_gain, pearson
from napari_dps.metrics.registration import find_shift, shift_onto
from napari_dps.stages import denoise, reconstruct
from napari_dps.stages.denoise import DenoiseParameters
from napari_dps.stages.reconstruct import ReconstructParameters

RIM_PX = 12
Image = NDArray[np.float32]


def sim_image(path: Path) -> Image:
    """Read the source's SIM image."""
    return tifffile.imread(path).astype(np.float32)


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


def exposures(folder: Path) -> tuple[str, dict[str, Image]]:
    """Compare the low exposure of the microtubules with the source's high one."""
    high, low = (
        real_data.microtubules(folder, name, offset=real_data.OFFSET_COUNTS)
        for name in ("he", "le")
    )
    ours, theirs = (
        sim_image(folder / "sim15_microtubules_pair" / f"{name}_sim.tif")
        for name in ("he", "le")
    )
    calibrated: tuple[Pattern, ...] = tuple(
        p.only_wave_vectors() for p in image_of(high).patterns
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


def reticulum(folder: Path) -> str:
    """Compare reconstructions of the ER with the source's, and with the widefield."""
    raw = real_data.reticulum(folder)
    theirs = sim_image(folder / "sim9_er_timelapse" / "sim_gt.tif")
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


def mitochondria(folder: Path) -> tuple[str, dict[str, Image]]:
    """Compare reconstructions of live mitochondria with their widefield image."""
    raw = real_data.mitochondria(folder)
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
    parser = options(__doc__)
    parser.add_argument("--pictures", type=Path, help="folder for pictures")
    chosen = parser.parse_args()
    folder = real_data.data_folder()
    if folder is None:
        raise SystemExit("no real data: name their folder in NAPARI_DPS_DATA")
    torch.set_num_threads(1)
    pair, pair_images = exposures(folder)
    er = reticulum(folder)
    cell, cell_images = mitochondria(folder)
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
    publish(text, chosen.out)
    if chosen.pictures is not None:
        picture(chosen.pictures / "denoise_mitochondria.png", cell_images, 3)
        picture(chosen.pictures / "denoise_microtubules.png", pair_images, 3)


if __name__ == "__main__":
    main()

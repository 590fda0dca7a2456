"""The pictures of docs/gallery.md: one for each thing that napari-dps does.

    NAPARI_DPS_DATA=... python benchmarks/gallery.py --out docs/_static/gallery

Simulated stacks, and two real ones whose licence allows it where the data are there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from dps_frames import reconstructed, sharpened
from invented import compared
from PIL import Image

import napari_dps
from napari_dps.core import ImageStack
from napari_dps.figures import Panel, save_figure, side_by_side
from napari_dps.metrics.error_map import error_map
from napari_dps.physics.simulate import blur_truth

DATA = Path(os.environ.get("NAPARI_DPS_DATA", "../shared/data"))
WIDTH_PX = 1600
SIZE = {"height_px": 256, "width_px": 256}


def widefield(raw: ImageStack, offset: float = 0.0) -> ImageStack:
    """Return the mean of raw frames."""
    mean = raw.data.astype(np.float32).mean(axis=(0, 1)) - offset
    return ImageStack(mean, "YX", pixel_size_nm=raw.pixel_size_nm)


def ideal(simulation: napari_dps.api.Simulation, gain: float) -> Panel:
    """Return the truth as an ideal instrument would show it."""
    return Panel("Truth", blur_truth(simulation.truth, modulation_factor=gain))


def every_stage() -> list[Panel]:
    """From noisy stripes to super-resolution."""
    made = napari_dps.simulate(structure="er", photons=80, seed=11, **SIZE)
    result = napari_dps.run(made.raw, camera_offset=100)
    panels = [Panel("Widefield", widefield(made.raw, 100))]
    panels += [
        Panel(output.step.stage.title, output.image)
        for output in result.outputs
        if output.step.stage.id in ("reconstruct", "dps")
    ]
    return [*panels, ideal(made, 3.8)]


def low_light() -> list[Panel]:
    """Raw frames of few photons, with the denoiser and without."""
    made = napari_dps.simulate(structure="microtubules", photons=15, seed=12, **SIZE)
    panels = [Panel("Widefield", widefield(made.raw, 100))]
    for title, stages in (
        ("SIM alone", ["reconstruct"]),
        ("Denoise, then SIM", ["denoise", "reconstruct"]),
    ):
        result = napari_dps.run(made.raw, stages, camera_offset=100)
        panels.append(Panel(title, result.images[-1]))
    return [*panels, ideal(made, 1.9)]


def hexagonal() -> list[Panel]:
    """Seven frames of a hexagonal pattern."""
    settings = {"pattern": "hexagonal", "angles": 1, "phases": 7, "photons": 300}
    made = napari_dps.simulate(structure="mitochondria", seed=13, **settings, **SIZE)
    result = napari_dps.run(made.raw, ["reconstruct", "dps"], camera_offset=100)
    panels = [Panel("Widefield", widefield(made.raw, 100))]
    panels += [
        Panel(title, image)
        for title, image in zip(("SIM", "Super-resolution"), result.images, strict=True)
    ]
    return [*panels, ideal(made, 3.8)]


def real_mitochondria() -> list[Panel]:
    """Live HeLa mitochondria, from B-SIM (MIT)."""
    raw = napari_dps.load(
        DATA / "sim9_hela_mito" / "raw.tif",
        angles=3,
        phases=3,
        na=1.3,
        emission_nm=660,
        pixel_size_nm=65,
    )
    result = napari_dps.run(raw, camera_offset=100)
    chosen = ("reconstruct", "background", "dps")
    return [Panel("Widefield", widefield(raw, 100))] + [
        Panel(output.step.stage.title, output.image)
        for output in result.outputs
        if output.step.stage.id in chosen
    ]


def real_confocal() -> list[Panel]:
    """Confocal microtubules (MIT); the PSF is measured, 80 nm a pixel are assumed."""
    pixels = tifffile.imread(DATA / "confocal_microtubules" / "cell5.tif")[
        200:456, 200:456
    ]
    image = ImageStack(pixels, "YX", pixel_size_nm=80)
    optics = {"na": 1.4, "emission_nm": 580, "pixel_size_nm": 80}
    panels = [Panel("Confocal", image)]
    for title, method in (("Richardson–Lucy", "rl"), ("Network", "network")):
        settings = {"method": method, "psf": "measured"}
        result = napari_dps.run(image, ["dps"], dps=settings, **optics)
        panels.append(Panel(title, result.images[-1]))
    return panels


def wrong_place() -> list[Panel]:
    """Error maps of a result of dps, and of one with an invented filament."""
    made = napari_dps.simulate(structure="microtubules", photons=300, seed=14, **SIZE)
    given, right = napari_dps.run(
        made.raw, ["reconstruct", "dps"], camera_offset=100
    ).images
    wrong = np.array(right.data)
    edge = len(wrong)
    y, x = np.mgrid[:edge, :edge]
    across = (y - 0.28 * edge) - 0.35 * (x - 0.3 * edge)
    along = np.abs(x - 0.3 * edge) < 0.1 * edge
    wrong += 0.4 * wrong.max() * np.exp(-((across / 3) ** 2) / 2) * along
    lost = np.hypot(y - 0.7 * edge, x - 0.65 * edge) < 0.06 * edge
    wrong[lost] = 0
    faulty = right.derive(wrong)
    return [
        Panel("What dps was given", given),
        Panel("Its result, spoilt by hand", faulty, "a filament added, a disc emptied"),
        Panel("Error map", error_map(faulty, given).error, "of the spoilt result"),
        Panel("Error map", error_map(right, given).error, "of the result as it was"),
    ]


def invented() -> list[Panel]:
    """Spoil a result of dps by two small faults, and map what data do not support."""
    settings = {"structure": "microtubules", "photons": 300, "seed": 14}
    raw = napari_dps.simulate(**settings, **SIZE).raw
    given = reconstructed(raw.derive(raw.data.astype(np.float32) - 100))
    right = sharpened(given, invented=True)
    wrong = np.array(right.data)
    edge = len(wrong)
    bright = float(np.percentile(wrong, 99.8))
    y, x = np.mgrid[:edge, :edge] / edge
    across = edge * ((y - 0.28) - 0.35 * (x - 0.3))
    rod = np.exp(-((across / 1.6) ** 2) / 2) * (np.abs(x - 0.3) < 0.04)
    dimmed = np.exp(-((edge * np.hypot(y - 0.405, x - 0.388) / 16) ** 4))
    wrong = wrong * (1 - 0.5 * dimmed) + 0.25 * bright * rod
    faulty = right.derive(wrong.astype(np.float32))
    found = right.derive(compared(given, faulty.data).beyond_noise)
    as_it_was = right.derive(right.maps["invented"])
    return [
        Panel("dps was given", given),
        Panel("Spoilt result", faulty, "a faint rod, a dimmed piece"),
        Panel("Error map", error_map(faulty, given).error, "of the spoilt result"),
        Panel("Invented?", as_it_was, "of the result as it was", reach=bright / 12),
        Panel("Invented?", found, "of the spoilt result", reach=bright / 12),
    ]


PICTURES: dict[str, tuple[Callable[[], list[Panel]], str]] = {
    "every_stage": (every_stage, ""),
    "low_light": (low_light, ""),
    "hexagonal": (hexagonal, ""),
    "wrong_place": (wrong_place, ""),
    "invented": (invented, ""),
    "real_mitochondria": (real_mitochondria, "sim9_hela_mito"),
    "real_confocal": (real_confocal, "confocal_microtubules"),
}


def _make_small(file: Path, *, coloured: bool) -> None:
    """Bring a picture to the width of a page, in few colours."""
    picture = Image.open(file).convert("RGB")
    height = round(picture.height * WIDTH_PX / picture.width)
    picture = picture.resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
    # The usual way of counting colours has none left for a few coloured pixels.
    way = Image.Quantize.FASTOCTREE if coloured else None
    few = picture.quantize(256 if coloured else 128, way)
    few.save(file, optimize=True)


def main() -> None:
    """Draw the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or PICTURES:
        make, folder = PICTURES[name]
        if folder and not (DATA / folder).is_dir():
            print(f"{name}: no {DATA / folder}")
            continue
        file = options.out / f"{name}.png"
        panels = make()
        save_figure(side_by_side(panels, heading=make.__doc__), file)
        _make_small(file, coloured=any(panel.reach for panel in panels))
        print(name)


if __name__ == "__main__":
    main()

"""How well the edge of the spectrum tells how sharp a reconstruction is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from artifacts_low_light import filter_of, low_light_field
from page import table

from napari_dps.core import ImageStack
from napari_dps.methods.effective_psf.spectral_edge import spectral_edge
from napari_dps.train.artifacts.faults import Faults, draw_ratio
from napari_dps.train.objects import HELD_OUT_CLASSES

TOLERANCE = 0.1
SEED = 3000
LIGHTS = {"3 to 30 photons": (3, 30), "30 to 1000": (30, 1000), "no noise": None}
SETS = ("ccp", "er", "factin", "microtubules_a", "microtubules_b", "microtubules_c")
GIVEN = {
    "SIM image of the ER time-lapse": "sim9_er_timelapse/sim_gt.tif",
    "SIM image of microtubules, high exposure": "sim15_microtubules_pair/he_sim.tif",
    "SIM image of microtubules, low exposure": "sim15_microtubules_pair/le_sim.tif",
    "SIM image of the ER, BioSR": "wf_sim_er/sim_gt_level_01.tif",
}


def simulated(seeds: int) -> str:
    """Return the table of simulated reconstructions, of structures never trained on."""
    rows = []
    for title, light in LIGHTS.items():
        ratios = []
        for seed in range(seeds):
            rng = np.random.default_rng([SEED, seed, len(title)])
            faults = Faults(wiener_ratio=draw_ratio(rng, 3e-4, 1), haze=_haze(rng))
            if light is not None:
                faults = replace(faults, photons=draw_ratio(rng, *light))
            faults = replace(faults, **filter_of(int(rng.integers(3))))
            structure = int(rng.integers(len(HELD_OUT_CLASSES)))
            field = low_light_field(structure, SEED + seed, faults)
            image = field.image.data
            if rng.random() < 0.3:
                image = _eight_bits(image)
            ratios.append((spectral_edge(image) or 0) / field.edge_per_px)
        errors = np.abs(np.array(ratios) - 1)
        shares = f"{100 * np.mean(errors <= TOLERANCE):.0f} %"
        typical = f"{100 * np.median(errors):.1f} %"
        rows.append([title, f"{seeds}", shares, typical, f"{np.median(ratios):.3f}"])
    head = ["light", "images", "within 10 %", "median error", "median of found / true"]
    return table(head, rows)


def real(stacks: dict[str, ImageStack], folder: Path) -> str:
    """Return the table of real images.

    Parameters
    ----------
    stacks : dict of ImageStack
        Reconstructions with their patterns, which tell where the spectrum ends.
    folder : Path
        Of the shared images; nothing tells where the spectra of those end, but images
        of a set are of one microscope.
    """
    rows = []
    for title, image in stacks.items():
        known = _known_edge(image)
        found = spectral_edge(image.data)
        rows.append([title, _text(found), f"{known:.3f}", _ratio(found, known)])
    for title, name in GIVEN.items():
        rows.append([title, _text(spectral_edge(_read(folder / name))), "–", "–"])
    for name in SETS:
        found = [spectral_edge(one) for one in tifffile.imread(_of_set(folder, name))]
        known = float(np.median([edge or 0 for edge in found]))
        near = np.mean([abs((e or 0) / known - 1) <= TOLERANCE for e in found])
        share = f"{100 * near:.0f} % of {len(found)} within 10 %"
        rows.append([name.replace("_", " "), _text(known), "median", share])
    head = ["image", "edge found, cycles/px", "patterns", "found / patterns"]
    return table(head, rows)


def section(
    seeds: int, folder: Path | None, stacks: Callable[[Path], dict[str, ImageStack]]
) -> str:
    """Return the section of the page."""
    text = f"""## Sharpness of images without a history

Edge of the spectrum found against the true one: nuclear pores, mitochondria, glyphs;
this project's filter and plain ones, Wiener parameter 0.0003 to 1 of a sensible one,
haze to 75 % in half of them, 8 bits in a third.

{simulated(seeds)}
"""
    if folder is None:
        return text
    return f"""{text}
Real images: reconstructions of shared raw frames, whose patterns say where the
spectrum ends; SIM images that come without; sets of one microscope each.

{real(stacks(folder), folder)}
"""


def _haze(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 0.75)) if rng.random() < 0.5 else 0.0


def _eight_bits(image: np.ndarray) -> np.ndarray:
    return np.round(255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)


def _known_edge(image: ImageStack) -> float:
    """Return the finest frequency that the patterns bring into reach, cycles/px."""
    lens = image.require_optics("edge").cutoff_per_pixel
    longest = max(
        (image.pixel_size_nm or 0) / order.period_nm
        for pattern in image.patterns
        for order in pattern.orders
        if order.is_usable and order.period_nm
    )
    return lens + longest


def _read(path: Path) -> np.ndarray:
    image = tifffile.imread(path)
    return image if image.ndim == 2 else image[0]


def _of_set(folder: Path, name: str) -> Path:
    return folder / "train_sim_images" / f"{name}.tif"


def _text(edge: float | None) -> str:
    return "none" if edge is None else f"{edge:.3f}"


def _ratio(found: float | None, known: float) -> str:
    return "–" if found is None else f"{found / known:.3f}"

"""Held-out reconstructions at low light, without a history, beside usual denoisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product

import numpy as np
import scipy.ndimage
from page import table
from skimage.restoration import denoise_nl_means

from napari_dps.core import ImageStack
from napari_dps.metrics.reference import fit_radial_gain, psnr_db, ssim
from napari_dps.metrics.snr import noise_std
from napari_dps.train.artifacts.faults import Faults
from napari_dps.train.artifacts.pairs import counts_of
from napari_dps.train.artifacts.scenes import PairSettings, draw_scene
from napari_dps.train.objects import HELD_OUT_CLASSES

Image = np.ndarray
Method = Callable[[Image], Image]
OnStack = Callable[[ImageStack], ImageStack]

SETTINGS = PairSettings(field_px=128, planted=0.0)
PHOTONS = (5.0, 10.0, 20.0, 50.0)
WIENER_RATIOS = (0.1, 0.01, 0.001)
OURS = "**artifacts**"
SEED = 900
"""Of the first scene; those that chose a step or a design have smaller ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A reconstruction and the right one, in counts on the 2× grid."""

    image: ImageStack
    truth: Image
    edge_per_px: float


def low_light_field(number: int, seed: int, faults: Faults) -> Field:
    """Return a reconstruction that says of itself nothing but its lens and pixels."""
    rng = np.random.default_rng([4711, number, seed])
    scene = draw_scene(SETTINGS, rng, structure=HELD_OUT_CLASSES[number])
    image, truth = counts_of(scene, faults, rng)
    optics = scene.settings.optics.at_pixel_size(scene.settings.pixel_size_nm / 2)
    stack = ImageStack(image, "YX", pixel_size_nm=optics.pixel_size_nm, optics=optics)
    return Field(stack, truth.astype(np.float64), scene.edge_per_px)


def filter_of(number: int) -> dict[str, object]:
    """Return this project's Wiener filter, or a plain one with another apodisation."""
    plain = {"attenuation": 0.0, "padding_px": 0}
    ways = ({}, {**plain, "apodisation": "none"}, {**plain, "apodisation": "triangle"})
    return dict(ways[number % len(ways)])


def gaussian(sigma_px: float) -> Method:
    """Return a Gaussian blur."""
    return lambda image: scipy.ndimage.gaussian_filter(image, sigma_px)


def nlm(strength: float) -> Method:
    """Return non-local means; the noise is measured after a blur of half a pixel."""

    def method(image: Image) -> Image:
        h = max(strength * noise_std(image), 1e-6 * float(np.ptp(image)))
        return denoise_nl_means(image, 5, 7, h=h, fast_mode=True)

    return method


def bm3d_with(strength: float) -> Method:
    """Return BM3D (non-commercial licence; only if it is installed)."""
    from bm3d import bm3d

    return lambda image: bm3d(image, strength * noise_std(image))


PEERS: dict[str, dict[float, Method]] = {
    "Gaussian": {s: gaussian(s) for s in (0.7, 1.0, 1.5, 2.0, 3.0, 4.0)},
    "NLM": {s: nlm(s) for s in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)},
}
if find_spec("bm3d"):
    PEERS["BM3D"] = {s: bm3d_with(s) for s in (1.0, 3.0, 8.0)}


def likeness(result: Image, truth: Image) -> list[float]:
    """Return SSIM and r as it is, and after a radial gain fit."""
    values = []
    for image in (result, fit_radial_gain(result, truth)):
        image = np.asarray(image, dtype=np.float64)
        values += [ssim(image, truth), correlation(image, truth)]
    return values


def correlation(image: Image, truth: Image) -> float:
    """Return Pearson's correlation."""
    return float(np.corrcoef(image.ravel(), truth.ravel())[0, 1])


def low_light_table(ours: OnStack, seeds: int) -> str:
    """Return the table of levels of light and Wiener parameters by method."""
    rows = []
    for number, (photons, ratio) in enumerate(product(PHOTONS, WIENER_RATIOS)):
        faults = replace(
            Faults(photons=photons, wiener_ratio=ratio), **filter_of(number)
        )
        fields = [
            low_light_field(structure, SEED + seed, faults)
            for structure in range(len(HELD_OUT_CLASSES))
            for seed in range(seeds)
        ]
        columns = [
            np.mean([likeness(f.image.data, f.truth) for f in fields], axis=0),
            np.mean([likeness(ours(f.image).data, f.truth) for f in fields], axis=0),
        ]
        columns += [best_of(methods, fields) for methods in PEERS.values()]
        kind = f"{faults.apodisation}" + ("" if faults.attenuation else ", plain")
        head = [f"{photons:g}", f"1/{1 / ratio:g}", kind]
        rows.append(head + [" / ".join(f"{v:.2f}" for v in c) for c in columns])
    head = ["photons", "w over a sensible one", "filter", "input", OURS, *PEERS]
    return table(head, rows, text_columns=3)


def best_of(methods: dict[float, Method], fields: list[Field]) -> Image:
    """Return the scores of the setting with the best mean SSIM as it is."""
    found = [
        np.mean([likeness(method(f.image.data), f.truth) for f in fields], axis=0)
        for method in methods.values()
    ]
    return max(found, key=lambda scores: float(scores[0]))


def clean_db(ours: OnStack, seeds: int) -> list[float]:
    """Return the PSNR of right reconstructions against themselves after the stage."""
    found = []
    for structure in range(len(HELD_OUT_CLASSES)):
        for seed in range(seeds):
            field = low_light_field(structure, SEED + seed, Faults())
            found.append(psnr_db(ours(field.image).data, field.truth))
    return found

"""Noise measured in reconstructions full of structure against the true noise."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import torch
from page import table

from napari_dps.methods.reconstruction_noise import (
    CANONICAL_EDGE_PER_PX,
    canonical_shape,
    noise_spectra,
)
from napari_dps.physics.phantoms import StructureId
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.noise import noise_to_signal
from napari_dps.train.artifacts.faults import Faults
from napari_dps.train.artifacts.pairs import frames_of, reconstructed
from napari_dps.train.artifacts.scenes import PairSettings, draw_scene

STRUCTURES: tuple[StructureId, ...] = (
    "actin",
    "er",
    "microtubules",
    "clathrin",
    "mitochondria",
    "nuclear_pores",
)
PHOTONS = (5.0, 30.0, 200.0, 2000.0)
FILTERS = (
    {"adapts": True},
    {"wiener_ratio": 0.01, "attenuation": 0.0, "padding_px": 0, "apodisation": "none"},
    {"wiener_ratio": 0.1, "attenuation": 0.0, "apodisation": "triangle"},
)
RINGS = ((0.15, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9))
"""Frequencies over the edge."""
SETTINGS = PairSettings(field_px=144, planted=0, haze=0)


def found_over_true(structure: StructureId, faults: Faults, seed: int) -> list[float]:
    """Return noise that is found over the true one, in rings of frequencies."""
    rng = np.random.default_rng([5151, seed])
    scene = draw_scene(SETTINGS, rng, structure=structure)
    noisy = frames_of(scene, faults, rng)
    expected = frames_of(scene, Faults(), np.random.default_rng(1))
    expected *= np.float32(noisy.mean() / expected.mean())
    if faults.adapts:
        # The same filter for both, so that their difference is the noise.
        ratio = noise_to_signal(torch.from_numpy(noisy), scene.settings.optics)
        wiener = replace(
            scene.wiener,
            noise_at_cutoff=ratio.at_cutoff,
            noise_exponent=ratio.exponent,
        )
        scene, faults = replace(scene, wiener=wiener), replace(faults, adapts=False)
    shape = canonical_shape((2 * noisy.shape[-2],) * 2, scene.edge_per_px)
    image, clean = (
        resample(reconstructed(frames, scene, faults, np.random.default_rng(2)), shape)
        for frames in (noisy, expected)
    )
    found, true = noise_spectra(image).noise, noise_spectra(image - clean).power
    radius = np.hypot(*np.meshgrid(*(2 * [np.fft.fftfreq(len(true))])))
    shares = radius / CANONICAL_EDGE_PER_PX
    rings = [(shares >= low) & (shares < high) for low, high in RINGS]
    return [float(found[ring].mean() / true[ring].mean()) for ring in rings]


def noise_table() -> str:
    """Return the table of light by frequency: median, least and most over true."""
    rows = []
    for photons in PHOTONS:
        ratios = np.array(
            [
                found_over_true(
                    structure, Faults(photons=photons, **filter_), round(photons) + n
                )
                for n, (structure, filter_) in enumerate(product(STRUCTURES, FILTERS))
            ]
        )
        cells = [
            f"{np.median(ring):.2f} ({ring.min():.2f} to {ring.max():.2f})"
            for ring in ratios.T
        ]
        rows.append([f"{photons:g}", *cells])
    return table(["photons", *(f"{low} to {high}" for low, high in RINGS)], rows)

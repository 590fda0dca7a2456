"""The fall of the OTF, measured on raw frames: how well, and what it does to images.

Simulated frames of known modulation through a known Gaussian blur; real frames against
the SIM image that their authors made.

    python benchmarks/otf_fall.py --out docs/benchmarks/otf_fall.md
"""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import numpy as np
import tifffile
import torch
from page import machine, options, publish, table
from real_data import data_folder, microtubules, mitochondria, reticulum
from scipy.ndimage import gaussian_filter

from napari_dps.core import ImageStack, Pattern, finish
from napari_dps.core.context import Context
from napari_dps.metrics.reference import fit_radial_gain, pearson
from napari_dps.physics.sim.estimate import PatternEstimator
from napari_dps.physics.sim.otf_fall import with_otf_fall
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.stages.reconstruct import STAGE

STRUCTURES = ("microtubules", "er", "mitochondria")
FALLS, PHOTONS, HAZE = (0.0, 1.0, 2.0), (30, 1000), (0.0, 0.5)
MODULATION = 0.7
BRIGHT = 1e4
"""Photons that are simulated, before blur and noise."""
OFFSET = 100


def recorded(structure: str, fall: float, photons: float, haze: float) -> ImageStack:
    """Return raw frames, counts above the offset, whose OTF falls faster."""
    settings = SimulationSettings.model_validate(
        {
            "structure": structure,
            "height_px": 192,
            "width_px": 192,
            "photons": BRIGHT,
            "background_photons": 0.03 * BRIGHT,
            "read_noise_e": 0,
            "haze_fraction": haze,
            "modulation": MODULATION,
            "seed": 11,
        }
    )
    raw = simulate(settings).raw
    # exp(−fall · r²) is the transform of a Gaussian.
    sigma_px = math.sqrt(fall / 2) / math.pi / settings.optics.cutoff_per_pixel
    light = (raw.data.astype(np.float64) - OFFSET) * photons / BRIGHT
    light = gaussian_filter(light, (0, 0, sigma_px, sigma_px), mode="reflect")
    rng = np.random.default_rng(5)
    frames = rng.poisson(np.maximum(light, 0)) + rng.normal(0, 1.5, light.shape)
    return raw.derive(frames.astype(np.float32))


def found(raw: ImageStack) -> tuple[list[Pattern], tuple[Pattern, ...], float]:
    """Return patterns for the ideal OTF, for the measured one, and CPU s of that."""
    frames, optics = torch.from_numpy(raw.data), raw.require_optics("this")
    estimator = PatternEstimator(frames, optics)
    for angle in range(estimator.angles):
        estimator.search(angle)
    ideal = estimator.patterns()
    began = time.process_time()
    measured = with_otf_fall(frames, ideal, optics)
    return ideal, measured, time.process_time() - began


def mean_modulation(patterns: list[Pattern] | tuple[Pattern, ...]) -> str:
    """Return the mean of the first orders, as text."""
    values = [p.modulation for p in patterns if p.is_usable]
    return f"{np.mean(values):.2f}" if values else "–"


def simulated_rows() -> list[list[str]]:
    """Return what is measured on frames of known OTF."""
    rows = []
    for case in itertools.product(STRUCTURES, FALLS, PHOTONS, HAZE):
        structure, fall, photons, haze = case
        ideal, measured, _ = found(recorded(structure, fall, photons, haze))
        told = max(p.otf_fall for p in measured)
        texts = [structure, f"{fall:g}", f"{photons}", f"{haze:g}", f"{told:.2f}"]
        rows.append([*texts, mean_modulation(ideal), mean_modulation(measured)])
        print(rows[-1], flush=True)
    return rows


def real_rows(folder: Path) -> list[list[str]]:
    """Return what is measured on real frames, and how like the authors' image."""
    stacks = {
        "mitochondria": (mitochondria(folder), None),
        "ER": (reticulum(folder), "sim9_er_timelapse/sim_gt.tif"),
        "microtubules": (
            microtubules(folder, "he"),
            "sim15_microtubules_pair/he_sim.tif",
        ),
    }
    rows = []
    for name, (raw, reference) in stacks.items():
        ideal, measured, seconds = found(raw)
        cells = [name, f"{max(p.otf_fall for p in measured):.2f}"]
        cells += [mean_modulation(ideal), mean_modulation(measured)]
        for patterns in (ideal, measured):
            cells.append(_likeness(raw, tuple(patterns), folder, reference))
        rows.append([*cells, f"{seconds:.2f}"])
        print(rows[-1], flush=True)
    return rows


def _likeness(
    raw: ImageStack, patterns: tuple[Pattern, ...], folder: Path, reference: str | None
) -> str:
    if reference is None:
        return "–"
    stack = raw.derive(raw.data, patterns=patterns)
    image = finish(STAGE.run(stack, STAGE.parameters(), Context("cpu"))).data
    wanted = tifffile.imread(folder / reference).astype(np.float32)
    coarser = image.shape[0] // wanted.shape[0]
    rows, columns = wanted.shape
    image = image.reshape(rows, coarser, columns, coarser).mean(axis=(1, 3))
    fitted = pearson(fit_radial_gain(image, wanted), wanted)
    return f"{pearson(image, wanted):.3f} / {fitted:.3f}"


def main() -> None:
    """Measure, and write the page."""
    asked = options(__doc__).parse_args()
    torch.set_num_threads(1)
    folder = data_folder()
    header = [
        "frames",
        "fall",
        "photons",
        "haze",
        "measured",
        "m, ideal",
        "m, measured",
    ]
    real = ["frames", "fall", "m, ideal", "m, measured"]
    real += ["r, ideal", "r, measured", "CPU s"]
    text = PAGE.format(
        machine=machine("torch"),
        simulated=table(header, simulated_rows()),
        real=table(real, real_rows(folder)) if folder else "No real data here.",
    )
    publish(text, asked.out)


PAGE = """# The fall of the OTF

`python benchmarks/otf_fall.py --out docs/benchmarks/otf_fall.md`
({machine}).

What [`reconstruct`](../stages/reconstruct.md#the-wiener-filter) measures where orders
overlap, and the modulation *m* of the first orders by the ideal OTF and by the measured
one. Simulated: 3 × 3 frames of 192², modulation 0.7, blurred by a Gaussian whose OTF
is exp(−fall · r²); pixels add about 0.2 to it. Below 0.35, or where that is not sure,
no fall is taken.

{simulated}

Real frames, the Wiener image without `denoise` against the SIM image that their authors
made: correlation / after the isotropic filter that fits best. Optics that the
sources do not state are assumed; which time point the authors' image of ER shows is
not stated.

{real}
"""

if __name__ == "__main__":
    main()

"""What adapting the Wiener parameter to the measured noise is worth.

Simulated stacks (4 structures × modulation 0.2, 0.5, 0.85 × 20–3000 photons, patterns
known), reconstructed with fixed Wiener parameters and with the adapted one, against
the truth blurred to 1/1.9 of the widefield PSF after a fit of scale and offset.

    python benchmarks/wiener_parameter.py --out docs/benchmarks/wiener_parameter.md
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from page import options, publish, table
from scipy.ndimage import zoom

from napari_dps.metrics.reference import fit_intensity, pearson, psnr_db
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.noise import noise_to_signal
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import blur_truth, simulate
from napari_dps.physics.simulate_settings import SimulationSettings

STRUCTURES = ("microtubules", "er", "mitochondria", "actin")
MODULATIONS = (0.2, 0.5, 0.85)
PHOTONS = (20, 100, 500, 3000)
FIXED = (0.01, 0.05, 0.2)
INNER = (slice(16, -16), slice(16, -16))


def score(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """PSNR in dB and correlation inside the border."""
    image, truth = image[INNER], truth[INNER]
    data_range = float(np.ptp(np.percentile(truth, [0.1, 99.9])))
    fitted = fit_intensity(image, truth)
    return psnr_db(fitted, truth, data_range=data_range), pearson(image, truth)


def reconstructions(settings: SimulationSettings) -> dict[str, tuple[float, float]]:
    """Scores of all variants on one stack."""
    simulation = simulate(settings)
    frames = simulation.raw.data.astype(np.float32) - settings.offset_counts
    truth = blur_truth(simulation.truth, modulation_factor=1.9).data
    wide = zoom(frames.mean((0, 1)), 2, order=3, mode="grid-mirror", grid_mode=True)
    tensor = torch.from_numpy(frames)
    noise = noise_to_signal(tensor, settings.optics)
    variants = {f"fixed {w:g}": WienerSettings(wiener_parameter=w) for w in FIXED}
    variants["adapted (default)"] = WienerSettings(
        noise_at_cutoff=noise.at_cutoff, noise_exponent=noise.exponent
    )
    solver = WienerSolver(frames.shape[-2:], simulation.patterns, settings.optics)
    orders = solver.separate(tensor, equalisation(tensor))
    scores = {"widefield": score(wide, truth)}
    for name, chosen in variants.items():
        image = solver.with_settings(chosen).combine(orders)
        scores[name] = score(image.numpy(), truth)
    return scores


def main() -> None:
    """Run the comparison."""
    chosen = options(__doc__).parse_args()
    torch.set_num_threads(1)
    results: dict[int, list[dict[str, tuple[float, float]]]] = {}
    cases = itertools.product(STRUCTURES, MODULATIONS, PHOTONS)
    for seed, (structure, modulation, photons) in enumerate(cases):
        settings = SimulationSettings(
            structure=structure,
            height_px=256,
            width_px=256,
            modulation=modulation,
            photons=photons,
            background_photons=0.05 * photons,
            haze_fraction=0.25,
            seed=500 + seed,
        )
        results.setdefault(photons, []).append(reconstructions(settings))
    names = list(results[PHOTONS[0]][0])
    lines = []
    everything = [row for rows in results.values() for row in rows]
    for label, rows in [*results.items(), ("all", everything)]:
        means = [np.mean([row[name] for row in rows], axis=0) for name in names]
        cells = [f"{decibel:.1f} / {r:.3f}" for decibel, r in means]
        lines.append([str(label), *cells])
    text = f"""# Wiener parameter

`python benchmarks/wiener_parameter.py --out docs/benchmarks/wiener_parameter.md`

{len(everything)} simulated stacks of 256² × 9, patterns known: PSNR in dB / correlation
with the truth blurred to 1/1.9 of the widefield PSF.

{table(["photons", *names], lines)}
"""
    publish(text, chosen.out)


if __name__ == "__main__":
    main()

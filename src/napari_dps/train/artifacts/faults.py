"""What can be wrong with a SIM stack and its reconstruction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a stack and its reconstruction.

    Attributes
    ----------
    photons : float
        At the 99.9th percentile; infinite: no noise.
    wiener_ratio : float
        Wiener parameter over a sensible one.
    adapts : bool
        Whether the Wiener parameter follows the measured noise.
    phase_deg : float
        Standard deviation of the error of the phases.
    wave_bins : float
        Error of the wave vectors: stripes too many over the field.
    modulation_ratio : float
        Assumed modulation depth over the true one.
    haze, attenuation : float
        Out-of-focus light and how far it is suppressed.
    motion : float
        Move from frame to frame over the period of the cut-off.
    bleaching, jitter : float
        Loss of light from frame to frame, and its random changes; not equalised.
    smoothing_px : float
        Gaussian blur of the frames, as after a denoiser that smooths.
    cutoff_ratio : float
        Assumed cut-off of the lens over the true one.
    is_swapped : bool
        Whether two frames of an angle changed places.
    apodisation : str
        Of the filter; see `napari_dps.physics.sim.wiener_weights.WienerSettings`.
    padding_px : int
        By which the filter extends the edges; 0: they meet across the borders, which
        leaves a cross in the spectrum and lines in the image.
    first_offset_deg : float
        Error of the phase of the first order against the second, where there are two:
        stripes of three-beam stacks that are reconstructed slice by slice.
    halo : float
        Light missing around structures: share of the coarse light that is taken away.
    """

    photons: float = math.inf
    wiener_ratio: float = 1.0
    adapts: bool = False
    phase_deg: float = 0.0
    wave_bins: float = 0.0
    modulation_ratio: float = 1.0
    haze: float = 0.0
    attenuation: float = 0.9
    motion: float = 0.0
    bleaching: float = 0.0
    jitter: float = 0.0
    smoothing_px: float = 0.0
    cutoff_ratio: float = 1.0
    is_swapped: bool = False
    apodisation: str = "cosine"
    padding_px: int = 14
    first_offset_deg: float = 0.0
    halo: float = 0.0


def draw_ratio(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw from a range, evenly in the logarithm."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _either(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a ratio between low and high, or one over it."""
    ratio = draw_ratio(rng, low, high)
    return ratio if rng.random() < 0.5 else 1 / ratio


Kind = Callable[[Faults, np.random.Generator], Faults]

KINDS: dict[str, Kind] = {
    "noise": lambda f, g: replace(f, photons=draw_ratio(g, 8, 200)),
    "wiener": lambda f, g: replace(
        f,
        photons=min(f.photons, draw_ratio(g, 50, 2000)),
        wiener_ratio=draw_ratio(g, 0.003, 0.15),
    ),
    "phase": lambda f, g: replace(f, phase_deg=g.uniform(5, 45)),
    "wave_vector": lambda f, g: replace(f, wave_bins=g.uniform(0.3, 2)),
    "modulation": lambda f, g: replace(f, modulation_ratio=_either(g, 1.6, 5)),
    "haze": lambda f, g: replace(
        f, haze=g.uniform(0.3, 0.8), attenuation=g.uniform(0, 0.6)
    ),
    "motion": lambda f, g: replace(f, motion=draw_ratio(g, 0.05, 0.35)),
    "intensity": lambda f, g: replace(
        f, bleaching=g.uniform(0, 0.08), jitter=g.uniform(0.05, 0.3)
    ),
    "smoothed": lambda f, g: replace(
        f,
        photons=min(f.photons, draw_ratio(g, 20, 500)),
        smoothing_px=g.uniform(0.6, 1.3),
    ),
}
"""Artefacts that are trained on: each adds a fault."""

HELD_OUT_KINDS: dict[str, Kind] = {
    "optics": lambda f, g: replace(f, cutoff_ratio=_either(g, 1.12, 1.3)),
    "swapped": lambda f, _: replace(f, is_swapped=True),
}
"""Artefacts that are never trained on."""

HELD_OUT_MIXTURES: tuple[tuple[str, str], ...] = (
    ("phase", "noise"),
    ("haze", "motion"),
    ("intensity", "wiener"),
)
"""Artefacts that are never trained on together."""

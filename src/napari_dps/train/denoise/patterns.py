"""Illumination patterns at random: the true ones, and those an estimator would find."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.train.denoise.settings import DenoiseData


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Angles, phases, and waves at each angle of a stack."""

    angles: int
    phases: int
    waves: int = 1


ACQUISITIONS: dict[Acquisition, float] = {
    Acquisition(3, 3): 0.5,
    Acquisition(3, 5, 2): 0.12,
    Acquisition(1, 3): 0.08,
    Acquisition(2, 3): 0.05,
    Acquisition(5, 3): 0.05,
    Acquisition(1, 7, 3): 0.1,
    Acquisition(1, 9, 0): 0.06,
    Acquisition(1, 3, 0): 0.04,
}
"""How often each acquisition is trained on; without waves no pattern is known."""


class Waves(NamedTuple):
    """The waves of the patterns of B stacks.

    Attributes
    ----------
    vectors : array (B, A, N, 2)
        Wave vectors (y, x), cycles per pixel of the frames.
    phases : array (B, A, N, P)
        In each frame, radians.
    modulation : array (B, A, N)
        Modulation depth.
    """

    vectors: NDArray[np.float64]
    phases: NDArray[np.float64]
    modulation: NDArray[np.float64]

    @property
    def mixing(self) -> NDArray[np.float64]:
        """Matrices (B, A, P, 1 + 2 N), each as `separate.mixing_matrix` makes it."""
        size, angles, waves, count = self.phases.shape
        pairs = np.stack([np.cos(self.phases), -np.sin(self.phases)], axis=3)
        pairs = pairs.reshape(size, angles, 2 * waves, count)
        ones = np.ones((size, angles, 1, count))
        return np.concatenate([ones, pairs], axis=2).swapaxes(-1, -2)


def draw_acquisition(rng: np.random.Generator) -> Acquisition:
    """Draw one as often as `ACQUISITIONS` says."""
    weights = np.array([*ACQUISITIONS.values()])
    return list(ACQUISITIONS)[rng.choice(len(weights), p=weights / weights.sum())]


def draw_waves(
    size: int, acquisition: Acquisition, data: DenoiseData, rng: np.random.Generator
) -> Waves:
    """Draw the waves of ``size`` stacks of one acquisition."""
    a, p, n = acquisition.angles, acquisition.phases, acquisition.waves
    length = CANONICAL_CUTOFF_PER_PIXEL * rng.uniform(*data.wavevector, (size, 1, 1))
    length = length * (1 + 0.02 * rng.standard_normal((size, a, n)))
    first = rng.uniform(0, math.pi, (size, 1, 1))
    turn = np.pi / a * np.arange(a)[None, :, None] + 0.05 * rng.standard_normal(
        (size, a, 1)
    )
    number = np.arange(1, n + 1)
    if acquisition.waves == 3:  # hexagonal: three directions in the same frames
        turn = turn + np.pi / 3 * np.arange(3)
        step = np.array([1, 3, 2])
    else:  # stripes and their harmonics
        length = length[..., :1] * number / max(n, 1)
        step = number
        turn = np.broadcast_to(turn, (size, a, n))
    angle = first + turn
    k = np.stack([np.sin(angle) * length, np.cos(angle) * length], axis=-1)
    phases = (
        rng.uniform(0, 2 * np.pi, (size, a, n, 1))
        + 2 * np.pi * step[:, None] * np.arange(p) / p
        + np.radians(data.phase_error_deg) * rng.standard_normal((size, a, n, p))
    )
    modulation = rng.uniform(*data.modulation, (size, 1, 1))
    modulation = modulation * np.clip(rng.lognormal(0, 0.15, (size, a, n)), 0.5, 1.5)
    limit = 0.65 if n > 1 else 1.0
    return Waves(k, phases, np.minimum(modulation, limit))


def misjudged(waves: Waves, data: DenoiseData, rng: np.random.Generator) -> Waves:
    """Return waves as an estimator would find them, or quite other ones."""
    k, phases, modulation = waves
    k = k + data.wavevector_error * rng.standard_normal(k.shape)
    spread = np.radians(data.phase_error_deg) * np.abs(
        rng.standard_normal((len(k), 1, 1, 1))
    )
    phases = phases + 0.7 * spread * rng.standard_normal(phases.shape)
    modulation = modulation * rng.lognormal(0, data.modulation_error, modulation.shape)
    wrong = rng.random(len(k)) < data.wrong
    turn = rng.uniform(0.2, 1.3, wrong.sum())[:, None, None]
    other = np.stack(
        [
            k[wrong][..., 0] * np.cos(turn) + k[wrong][..., 1] * np.sin(turn),
            k[wrong][..., 1] * np.cos(turn) - k[wrong][..., 0] * np.sin(turn),
        ],
        axis=-1,
    )
    k[wrong] = other
    modulation[wrong] = rng.uniform(0.02, 0.2, modulation[wrong].shape)
    return Waves(k, phases, np.minimum(modulation, 1.2))

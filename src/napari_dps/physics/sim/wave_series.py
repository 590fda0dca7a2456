"""Known wave vectors in a series of raw stacks of one microscope, dim ones too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Pattern
from napari_dps.physics.sim.correlation import Correlation
from napari_dps.physics.sim.drift import Amplitudes, Drift, follow, levelled, totals
from napari_dps.physics.sim.estimate import (
    EstimationSettings,
    PatternEstimator,
    vectors_of,
)
from napari_dps.physics.sim.known_waves import (
    KNOWN_SHARE,
    Offer,
    Vector,
    confirmed,
    surprise,
    together_confidence,
)
from napari_dps.physics.sim.search import SINGLE_CONFIDENCE, Key
from napari_dps.physics.sim.separate import mixing_matrix, separation_matrix

if TYPE_CHECKING:
    import torch

AROUND_BINS = np.arange(-8, 9, 2)
"""Offsets along y and x, in bins, of the wave vectors that a known one is compared
with; those within 3 bins are left out, where its own peak is."""
NEAR_BINS = 3.0


@dataclass(frozen=True)
class Assignment:
    """Which known wave vector of an angle is in which harmonic, and its sign."""

    angle: int
    vectors: tuple[tuple[int, Vector], ...]


@dataclass(frozen=True)
class SeriesFindings:
    """What a series shows of known wave vectors.

    Attributes
    ----------
    known : dict
        By angle and harmonic: wave vector, and its confidence.
    evidence : float
        Highest confidence of all angles together, confirmed or not.
    drifts : dict
        By angle, of the coarsest known wave vector: how its phase drifts. Angles whose
        phases stay are not in it.
    count : int
        Stacks of the series.
    """

    known: Mapping[int, Mapping[int, tuple[Vector, float]]]
    evidence: float
    drifts: Mapping[int, Drift]
    count: int


class WaveSeries:
    """Sums what a series of raw stacks shows of known wave vectors.

    Of each stack a few numbers are kept. The object is that of their mean.

    Parameters
    ----------
    average : tensor (A, P, Y, X), float32
        Mean of the series, camera offset subtracted.
    optics : Optics
        Of the detection.
    settings : EstimationSettings
        Of the search.
    given : mapping of int to sequence of Pattern
        By angle, with the wave vectors that are known.
    """

    def __init__(
        self,
        average: torch.Tensor,
        optics: Optics,
        settings: EstimationSettings,
        given: Mapping[int, Sequence[Pattern]],
    ) -> None:
        self._optics, self._settings = optics, settings
        mean = PatternEstimator(average, optics, settings)
        self._template = mean.template
        self._phases = mean.phases
        harmonics = list(mean.harmonics)
        self._assignments = {
            angle: _assignments(angle, vectors_of(some, optics), harmonics)
            for angle, some in given.items()
        }
        self._seen: dict[tuple[int, int, Vector], list[Amplitudes]] = {}
        self._of_mean = {angle: mean.correlations(angle) for angle in given}
        self._best_of_mean = {
            (angle, harmonic): correlation.best()
            for angle, some in self._of_mean.items()
            for harmonic, correlation in some.items()
        }
        self._maps: dict[Key, NDArray[np.float32]] = {}

    def add(self, frames: torch.Tensor) -> None:
        """Look at a stack (A, P, Y, X); stacks come in the order of time."""
        stack = PatternEstimator(frames, self._optics, self._settings, self._template)
        for angle, assignments in self._assignments.items():
            correlations = stack.correlations(angle)
            pairs = {pair for one in assignments for pair in one.vectors}
            for harmonic, vector in pairs:
                seen = self._seen.setdefault((angle, harmonic, vector), [])
                seen.append(_around(correlations[harmonic], vector))
            for harmonic in {harmonic for harmonic, _ in pairs}:
                key, statistic = (angle, harmonic), correlations[harmonic].statistic
                before = self._maps.get(key)
                self._maps[key] = statistic if before is None else before + statistic

    def judge(self) -> SeriesFindings:
        """Return which wave vectors the series confirms, and how their phases drift."""
        by_angle = [self._offers(some) for some in self._assignments.values()]
        offers = [
            list(chain.from_iterable(some)) for some in zip(*by_angle, strict=True)
        ]
        ways = len(offers)
        results = [confirmed(some, ways) for some in offers]
        evidence = [_together(some, ways) for some in offers]
        best = max(range(ways), key=lambda n: (len(results[n]), evidence[n]))
        known: dict[int, dict[int, tuple[Vector, float]]] = {}
        for offer in offers[best]:
            if (key := (offer.angle, offer.harmonic)) in results[best]:
                found = known.setdefault(offer.angle, {})
                found[offer.harmonic] = offer.wavevector, results[best][key]
        drifts = {a: d for a, some in known.items() if (d := self._drift(a, some))}
        count = len(next(iter(self._seen.values())))
        return SeriesFindings(known, max(evidence), drifts, count)

    def _offers(self, assignments: Sequence[Assignment]) -> list[list[Offer]]:
        """Return the offers of an angle: of each way to sum, the assignment seen best.

        A way is a place in `totals`.
        """
        by_assignment = []
        for one in assignments:
            summed = [self._summed(one, pair, len(assignments)) for pair in one.vectors]
            by_assignment.append(list(zip(*summed, strict=True)))
        return [
            list(max(some, key=lambda offers: sum(offer.value for offer in offers)))
            for some in zip(*by_assignment, strict=True)
        ]

    def _summed(
        self, one: Assignment, pair: tuple[int, Vector], choices: int
    ) -> list[Offer]:
        """Return the offers of a wave vector, summed over the series in all ways."""
        harmonic, vector = pair
        seen = np.array(self._seen[one.angle, harmonic, vector])
        is_outdone = self._is_outdone(one.angle, harmonic, vector)
        return [
            Offer(
                one.angle,
                harmonic,
                vector,
                levelled(total, around),
                choices,
                total.degrees,
                is_outdone=is_outdone,
            )
            for total, around in zip(
                totals(seen[:, :1]), totals(seen[:, 1:]), strict=True
            )
        ]

    def _is_outdone(self, angle: int, harmonic: int, vector: Vector) -> bool:
        """Whether the series shows other stripes much better, in its mean or apart."""
        mean = self._of_mean[angle][harmonic]
        y, x = (np.array([k]) for k in vector)
        _, highest, confidence = self._best_of_mean[angle, harmonic]
        if (
            confidence >= SINGLE_CONFIDENCE
            and float(mean.at(y, x)[0, 0]) < KNOWN_SHARE * highest
        ):
            return True
        seen = np.array(self._seen[angle, harmonic, vector])[:, 0]
        value, degrees = float((np.abs(seen) ** 2).sum()), len(seen)
        highest = float(self._maps[angle, harmonic].max())
        is_called = (
            surprise(highest, degrees) - math.log(mean.cells) >= SINGLE_CONFIDENCE
        )
        return is_called and value - degrees < KNOWN_SHARE * (highest - degrees)

    def _drift(
        self, angle: int, known: Mapping[int, tuple[Vector, float]]
    ) -> Drift | None:
        """Follow the order that is seen best; return the drift of the coarsest."""
        seen = {
            (harmonic, vector): np.array(self._seen[angle, harmonic, vector])[:, 0]
            for harmonic, (vector, _) in known.items()
        }
        harmonic, vector = max(seen, key=lambda key: float(np.abs(seen[key]).sum()))
        drift = follow(seen[harmonic, vector])
        order = _order_of(vector, [vector for vector, _ in known.values()])
        if drift is None or order == 1:
            return drift
        return Drift(drift.phases_rad / order, drift.error_rad / order)


def steadied(
    frames: NDArray[np.float32],
    known: Mapping[int, Mapping[int, tuple[Vector, float]]],
    turns_rad: Mapping[int, float],
) -> NDArray[np.float32]:
    """Return frames whose stripes are turned back in phase.

    The orders that equal phase steps separate are turned, so that frames of a series
    whose phases drift can be averaged. Phases that are not equal keep their deviations
    as far as they are the same in all stacks.

    Parameters
    ----------
    frames : array (A, P, Y, X)
        Of one stack.
    known : mapping
        As of `SeriesFindings`.
    turns_rad : mapping of int to float
        By angle, the phase of the coarsest wave vector that is to be taken off.
    """
    phases = frames.shape[1]
    steps = 2 * np.pi * np.arange(phases) / phases
    result = frames.copy()
    for angle, turn in turns_rad.items():
        harmonics = list(known[angle])
        vectors = [known[angle][harmonic][0] for harmonic in harmonics]
        nominal = [harmonic * steps for harmonic in harmonics]
        orders = [_order_of(vector, vectors) for vector in vectors]
        turned = [
            phase - order * turn for phase, order in zip(nominal, orders, strict=True)
        ]
        mixed = (mixing_matrix(turned) - mixing_matrix(nominal)) @ separation_matrix(
            nominal
        )
        matrix = (np.eye(phases) + mixed).astype(np.float32)
        result[angle] = np.tensordot(matrix, frames[angle], axes=1)
    return result


def _together(offers: Sequence[Offer], models: int) -> float:
    """Return the confidence of all angles together, whether or not they are alike."""
    choices = {offer.angle: offer.choices for offer in offers}
    return together_confidence(offers, choices.values()) - math.log(models)


def _order_of(vector: Vector, vectors: Sequence[Vector]) -> int:
    """Return how many times as long a wave vector is as the shortest."""
    shortest = min(math.hypot(*other) for other in vectors)
    return max(1, round(math.hypot(*vector) / shortest))


def _assignments(
    angle: int, vectors: Sequence[Vector], harmonics: Sequence[int]
) -> list[Assignment]:
    """Return all ways to give harmonics the vectors, with either sign."""
    count = min(len(vectors), len(harmonics))
    return [
        Assignment(
            angle,
            tuple(
                (harmonic, (sign * y, sign * x))
                for harmonic, (y, x) in zip(chosen, vectors[:count], strict=True)
            ),
        )
        for chosen in permutations(harmonics, count)
        for sign in (1, -1)
    ]


def _around(correlation: Correlation, vector: Vector) -> Amplitudes:
    """Return the amplitude at a wave vector, first, and at others around it."""
    fy, fx = (
        k + AROUND_BINS / size
        for k, size in zip(vector, correlation.grid.size, strict=True)
    )
    grid = correlation.amplitudes(fy, fx)
    far = np.hypot(AROUND_BINS[:, np.newaxis], AROUND_BINS) > NEAR_BINS
    middle = grid[len(AROUND_BINS) // 2, len(AROUND_BINS) // 2]
    return np.append(middle, grid[far])

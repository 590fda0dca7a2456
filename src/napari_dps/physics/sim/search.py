"""The search for the stripes of one angle, in each harmonic of its phases."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core.patterns import Status
from napari_dps.physics.sim.bands import Band
from napari_dps.physics.sim.correlation import Correlation
from napari_dps.physics.sim.joint import near
from napari_dps.physics.sim.known_waves import KNOWN_SHARE, Offer, Vector
from napari_dps.physics.sim.plain_peaks import (
    deconvolved_power,
    is_faint,
    plain_peak,
)

if TYPE_CHECKING:
    import torch

SINGLE_CONFIDENCE = 8.0
"""A peak above this is found: p < e^−8 over the whole search."""
OUTSIDE_CONFIDENCE = 18.0
"""A peak outside the range of the search above this speaks against those within."""
PLAIN_CONFIDENCE = 14.0
"""A peak of the band's own spectrum above this is found, where no other is."""
LEAK_BINS = 2.0
"""Distance in bins within which two harmonics of an angle show the same stripes."""
REPEATS, REPEATS_FROM = 0.5, 40.0
"""A distant peak as high as this share of the best, both far above chance, says that
the object repeats itself: several wave vectors fit."""
PERIODIC, PERIODIC_SHARE = 300.0, 0.05
"""The object is a grating or lattice if its spectrum has a peak of so many times what
is usual there (simulated structures with up to 20000 photons: up to 200, lattices of
96² px: from 350 on, of 192²: from 3000). Then peaks of this share count."""
SURPASS, SURPASS_FAINT = 1.3, 2.5
"""So many times the others must the band's own power be to tell which of them fits;
the latter where the OTF passes so little that leakage of other peaks is as strong."""
OUTWEIGH = 2.0
"""A peak outside the range speaks against one within if its T is so much larger."""
HARMONIC = 0.1
"""Stripes coarser than the range of the search are not told by their harmonics, if
they themselves have this share of the harmonics' T."""

Key = tuple[int, int]
"""Angle and harmonic."""


def near_bands(correlation: Correlation, bands: Sequence[Band]) -> NDArray[np.bool_]:
    """Return the cells where a harmonic would show the stripes of others."""
    wavevectors = [band.wavevector for band in bands if band.is_usable]
    return near(correlation, wavevectors, LEAK_BINS)


class AngleSearch:
    """The bands of one angle.

    Parameters
    ----------
    correlations : mapping of int to Correlation
        One a harmonic.
    band_image : callable
        Returns the windowed band (Y, X), complex64, of a harmonic: needed now and then.
    is_periodic : bool
        Whether the object is a grating or lattice.
    is_even : bool
        Whether the object has no structure.
    """

    def __init__(
        self,
        correlations: Mapping[int, Correlation],
        band_image: Callable[[int], torch.Tensor],
        *,
        is_periodic: bool,
        is_even: bool,
    ) -> None:
        self._is_even = is_even
        self._share = PERIODIC_SHARE if is_periodic else REPEATS
        self._correlations = correlations
        self._band_image = band_image

    def search(self) -> dict[int, Band]:
        """Look for the stripes in all harmonics."""
        harmonics = list(self._correlations)
        bands = {h: self._search_harmonic(h, None) for h in harmonics}
        # Errors of the phase steps leak a strong harmonic into the others, where its
        # wave vector would be found again.
        ranked = sorted(harmonics, key=lambda h: -bands[h].confidence)
        for n, harmonic in enumerate(ranked):
            correlation = self._correlations[harmonic]
            taken = near_bands(correlation, [bands[h] for h in ranked[:n]])
            row, column = correlation.grid.cell(bands[harmonic].wavevector)
            if correlation.grid.holds(row, column) and taken[row, column]:
                bands[harmonic] = self._search_harmonic(harmonic, ~taken)
        return bands

    def offers(self, angle: int, vectors: Sequence[Vector]) -> list[Offer]:
        """Return the harmonics in which frames show known wave vectors best.

        Which harmonic has which wave vector, and which way its phases step, is not
        part of a given pattern: the frames tell.
        """
        evidence = [
            (float(c.at(sign * y, sign * x)[0, 0]), h, n, sign)
            for h, c in self._correlations.items()
            for n, (y, x) in enumerate(np.array(vectors).reshape(-1, 2, 1))
            for sign in (1, -1)
        ]
        offers: dict[int, Offer] = {}
        used: set[int] = set()
        for value, harmonic, n, sign in sorted(evidence, reverse=True):
            if harmonic in offers or n in used:
                continue
            used.add(n)
            _, highest, confidence = self._correlations[harmonic].best()
            offers[harmonic] = Offer(
                angle,
                harmonic,
                (sign * vectors[n][0], sign * vectors[n][1]),
                value,
                len(evidence),
                is_outdone=value < KNOWN_SHARE * highest
                and confidence >= SINGLE_CONFIDENCE,
            )
        return list(offers.values())

    def use(self, known: Mapping[int, tuple[Vector, float]]) -> dict[int, Band]:
        """Take known wave vectors by harmonic, with their confidence.

        In the other harmonics the stripes that the frames show are searched.
        """
        bands = {
            harmonic: Band(harmonic, wavevector, confidence, "given")
            for harmonic, (wavevector, confidence) in known.items()
        }
        for harmonic, correlation in self._correlations.items():
            if harmonic not in bands:
                taken = near_bands(correlation, list(bands.values()))
                bands[harmonic] = self._search_harmonic(harmonic, ~taken)
        return bands

    def _search_harmonic(self, harmonic: int, where: NDArray[np.bool_] | None) -> Band:
        """Return the highest peak of a harmonic, and whether it is called."""
        correlation = self._correlations[harmonic]
        wavevector, value, confidence = correlation.best(where)
        if where is not None:
            status: Status = "found" if confidence >= SINGLE_CONFIDENCE else "not found"
            return Band(harmonic, wavevector, confidence, status)
        if self._is_even:
            return self._search_plain(harmonic, wavevector, confidence)
        outside, beyond = correlation.highest_outside()
        cells, size = math.log(correlation.cells), correlation.grid.size
        if beyond - cells >= OUTSIDE_CONFIDENCE and (
            beyond > OUTWEIGH * value
            or (beyond > HARMONIC * value and _is_multiple(wavevector, outside, size))
        ):
            return Band(harmonic, outside, beyond - cells, "doubtful", doubt="outside")
        if confidence < SINGLE_CONFIDENCE:
            return self._search_plain(harmonic, wavevector, confidence)
        if self._is_beyond_rim(correlation, wavevector) or correlation.is_flank(
            wavevector
        ):
            return Band(harmonic, wavevector, confidence, "doubtful", doubt="outside")
        least = max(self._share * value, REPEATS_FROM / 2)
        if value > REPEATS_FROM and correlation.runner_up(wavevector) > least:
            return self._choose(harmonic, correlation.peaks(least))
        return Band(harmonic, wavevector, confidence, "found")

    def _is_beyond_rim(
        self, correlation: Correlation, wavevector: tuple[float, float]
    ) -> bool:
        search = correlation.grid.search
        return not search.shortest <= math.hypot(*wavevector) <= search.longest

    def _search_plain(
        self, harmonic: int, wavevector: tuple[float, float], confidence: float
    ) -> Band:
        """Look for a peak of the band's own spectrum."""
        search = self._correlations[harmonic].grid.search
        plain, surer = plain_peak(self._band_image(harmonic), search)
        if surer < PLAIN_CONFIDENCE:
            confidence = min(confidence, surer) if self._is_even else confidence
            return Band(harmonic, wavevector, confidence, "not found")
        return Band(harmonic, plain, surer, "found", is_plain=True)

    def _choose(
        self, harmonic: int, rivals: Sequence[tuple[float, tuple[float, float]]]
    ) -> Band:
        """Choose among the wave vectors that fit an object that repeats itself."""
        correlation = self._correlations[harmonic]
        image = self._band_image(harmonic)
        cutoff = correlation.grid.search.cutoff
        noise = correlation.noise
        powers = [deconvolved_power(image, k, cutoff, noise) for _, k in rivals]
        order = np.argsort(powers)[::-1]
        value, wavevector = rivals[order[0]]
        wavevector = correlation.polish(wavevector)
        confidence = value - math.log(correlation.cells)
        surpass = SURPASS_FAINT if is_faint(wavevector, cutoff) else SURPASS
        if len(rivals) == 1 or powers[order[0]] > surpass * powers[order[1]]:
            return Band(harmonic, wavevector, confidence, "found")
        return Band(harmonic, wavevector, confidence, "doubtful", doubt="repeats")


def _is_multiple(
    wavevector: tuple[float, float],
    coarse: tuple[float, float],
    size: tuple[int, int],
) -> bool:
    """Whether a wave vector is two or three times another, within two bins of it."""
    times = math.hypot(*wavevector) / max(math.hypot(*coarse), 1e-12)
    factor = round(times)
    if factor not in (2, 3):
        return False
    distances = [
        math.hypot(
            *(
                (k - sign * factor * c) * n
                for k, c, n in zip(wavevector, coarse, size, strict=True)
            )
        )
        for sign in (1, -1)
    ]
    return min(distances) < 2 * factor

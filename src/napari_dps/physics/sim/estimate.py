"""Pattern estimation: from raw frames to wave vectors, phases and modulation depths.

How it decides is in `matched_filter`: a peak counts when chance would make it less than
once in e^8 ≈ 3000 searches. Stripes too faint for that may still be called when the
angles support one another, and are then marked tentative: equal |k| and directions
180°/A apart, which all common SIM microscopes have (Gustafsson 2000,
doi:10.1046/j.1365-2818.2000.00710.x).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from napari_dps.core import InputError, Optics, Pattern, PatternOrder
from napari_dps.core.patterns import Status
from napari_dps.physics.sim.correlation import Correlation, SearchRange
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.joint import joint_search, near, turn
from napari_dps.physics.sim.matched_filter import Template
from napari_dps.physics.sim.noise import DIFFERENCE_RINGS
from napari_dps.physics.sim.phases import BandFit, BandRegression
from napari_dps.physics.sim.separate import (
    WORST_CONDITION,
    mixing_matrix,
    separation_matrix,
)
from napari_dps.physics.sim.spectrum import FloatArray, edge_window

if TYPE_CHECKING:
    import torch

Layout = Literal["auto", "linear", "hexagonal"]

SINGLE_CONFIDENCE = 8.0
"""A peak above this is found: p < e^−8 over the whole search."""
JOINT_CONFIDENCE = 8.0
"""All angles together above this are tentative."""
NEAR_CONFIDENCE = 6.0
"""A peak where another angle's stripes let it be expected is tentative above this."""
GIVEN_CONFIDENCE = 4.0
"""A given wave vector with less evidence than this in the frames is not used."""
GIVEN_SHARE = 0.3
"""Nor one whose T is a smaller share of the highest: the stripes are elsewhere. Half a
bin off leaves 0.4."""
LARGEST_MODULATION = 1.5
"""Three beams of equal strength make a first order of 4/3 (Gustafsson et al. 2008,
doi:10.1529/biophysj.107.120345); more is a wrong fit."""
SMALLEST_FIELD_PX = 24
"""Smaller frames have too few wave vectors for the statistic to keep its word."""
LEAK_BINS = 2.0
"""Distance in bins within which two harmonics of an angle show the same stripes."""
AMBIGUOUS, AMBIGUOUS_FROM = 0.75, 40.0
"""A distant peak as high as this share of the best, both far above chance, says that
the object repeats itself: several wave vectors fit, and the others must decide."""


@dataclass(frozen=True)
class EstimationSettings:
    """How patterns are looked for.

    Attributes
    ----------
    shortest, longest : float
        Length of the wave vectors searched, in units of the detection cut-off. In
        TIRF-SIM the stripes are finer than the detection resolves: up to 1.15.
    layout : {"auto", "linear", "hexagonal"}
        Whether the harmonics of one angle are orders of one direction, or one
        direction each (7 phases at a single angle; auto takes that for hexagonal).
    """

    shortest: float = 0.2
    longest: float = 1.15
    layout: Layout = "auto"

    def is_hexagonal(self, angles: int, phases: int) -> bool:
        """Whether each harmonic is a direction of its own."""
        if self.layout == "auto":
            return angles == 1 and phases == 7
        return self.layout == "hexagonal"


@dataclass(frozen=True)
class Band:
    """What was found of one harmonic of one angle."""

    harmonic: int
    wavevector: tuple[float, float]
    confidence: float
    status: Status
    fit: BandFit | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it has stripes."""
        return self.status != "not found"

    @property
    def length(self) -> float:
        """Length of the wave vector in cycles per pixel."""
        return math.hypot(*self.wavevector)


class PatternEstimator:
    """Finds the illumination patterns of one raw stack.

    Call `search` for each angle (the slow part, so that a caller can report progress
    and stop between them), then `patterns`.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Raw frames, camera offset subtracted.
    optics : Optics
        For the OTF; its pixel size is that of the frames.
    settings : EstimationSettings
        Search range and layout.

    Raises
    ------
    InputError
        With fewer than three phases, tiny frames, or frames without signal.
    """

    def __init__(
        self,
        frames: torch.Tensor,
        optics: Optics,
        settings: EstimationSettings | None = None,
    ) -> None:
        import torch

        self.settings = settings or EstimationSettings()
        self.optics = optics
        self.angles, self.phases = int(frames.shape[0]), int(frames.shape[1])
        if self.phases < 3:
            raise InputError("phases per angle", got=self.phases, allowed="3 or more")
        if min(frames.shape[-2:]) < SMALLEST_FIELD_PX:
            raise InputError(
                "size of the raw frames, px",
                got=f"{frames.shape[-2]} x {frames.shape[-1]}",
                allowed=f"{SMALLEST_FIELD_PX} x {SMALLEST_FIELD_PX} or larger",
            )
        self._frames = frames.flatten(-2)
        self._equalisation = equalisation(frames)
        self._shape = (int(frames.shape[-2]), int(frames.shape[-1]))
        self._window = torch.from_numpy(edge_window(self._shape)).to(frames.device)
        cutoff = optics.cutoff_per_pixel
        # Stripes finer than two pixels are not to be told from coarser ones.
        longest = min(self.settings.longest * cutoff, 0.5)
        shortest = min(self.settings.shortest * cutoff, 0.5 * longest)
        self._search = SearchRange(cutoff, shortest, longest)
        same = np.full((1, self.phases), 1 / self.phases)
        means = [self._combine(angle, same)[0] for angle in range(self.angles)]
        mean = torch.stack(means).mean(dim=0)
        mean_spectrum = torch.fft.fft2((mean - mean.mean()) * self._window)
        self._difference_noise = self._between_angles(torch.stack(means) - mean)
        self._template = Template(mean_spectrum, self._search)
        self._correlations: dict[tuple[int, int], Correlation] = {}
        self._bands: dict[tuple[int, int], Band] = {}

    @cached_property
    def is_hexagonal(self) -> bool:
        """Whether each harmonic is a direction of its own."""
        return self.settings.is_hexagonal(self.angles, self.phases)

    @cached_property
    def harmonics(self) -> range:
        """Harmonics of the phase that the frames of an angle can separate."""
        most = 3 if self.is_hexagonal else 2
        return range(1, 1 + min(most, (self.phases - 1) // 2))

    def _nominal(self, harmonic: int) -> FloatArray:
        """Equal phase steps of a harmonic, in radians."""
        return 2 * np.pi * harmonic * np.arange(self.phases) / self.phases

    def search(self, angle: int) -> None:
        """Look for the stripes of one angle in all its harmonics."""
        self._correlate(angle)
        for harmonic in self.harmonics:
            self._bands[angle, harmonic] = self._search_harmonic(angle, harmonic, None)
        # Errors of the phase steps leak a strong harmonic into the others, where its
        # wave vector would be found again.
        ranked = sorted(self.harmonics, key=lambda h: -self._bands[angle, h].confidence)
        for n, harmonic in enumerate(ranked):
            correlation = self._correlations[angle, harmonic]
            stronger = [self._bands[angle, h] for h in ranked[:n]]
            taken = self._near_bands(angle, harmonic, stronger)
            if taken[correlation.grid.cell(self._bands[angle, harmonic].wavevector)]:
                self._bands[angle, harmonic] = self._search_harmonic(
                    angle, harmonic, ~taken
                )

    def _search_harmonic(
        self, angle: int, harmonic: int, where: NDArray[np.bool_] | None
    ) -> Band:
        correlation = self._correlations[angle, harmonic]
        wavevector, value, confidence = correlation.best(where)
        is_found = confidence >= SINGLE_CONFIDENCE and not (
            value > AMBIGUOUS_FROM
            and where is None
            and correlation.runner_up(wavevector) > AMBIGUOUS * value
        )
        return Band(
            harmonic, wavevector, confidence, "found" if is_found else "not found"
        )

    def use(self, angle: int, given: Sequence[Pattern]) -> None:
        """Take the wave vectors of given patterns, where the frames support them.

        Which harmonic has which wave vector, and which way its phases step, is not
        part of a given pattern: the frames tell. Where they show no such stripes,
        those that they show are searched.
        """
        self._correlate(angle)
        pixel_nm = self.optics.pixel_size_nm
        vectors = [
            (ky * pixel_nm, kx * pixel_nm)
            for pattern in given
            for order in pattern.orders
            if order.is_usable
            for ky, kx in [order.wavevector_per_nm]
        ]
        evidence = [
            (
                float(self._correlations[angle, h].at(sign * y, sign * x)[0, 0]),
                h,
                n,
                sign,
            )
            for h in self.harmonics
            for n, (y, x) in enumerate(np.array(vectors).reshape(-1, 2, 1))
            for sign in (1, -1)
        ]
        used: set[int] = set()
        for value, harmonic, n, sign in sorted(evidence, reverse=True):
            if (angle, harmonic) in self._bands or n in used:
                continue
            used.add(n)
            confidence = value - math.log(len(evidence))
            _, highest, _ = self._correlations[angle, harmonic].best()
            if confidence >= GIVEN_CONFIDENCE and value >= GIVEN_SHARE * highest:
                self._bands[angle, harmonic] = Band(
                    harmonic,
                    (sign * vectors[n][0], sign * vectors[n][1]),
                    confidence,
                    "given",
                )
        for harmonic in self.harmonics:
            if (angle, harmonic) not in self._bands:
                taken = [b for (a, _), b in self._bands.items() if a == angle]
                self._bands[angle, harmonic] = self._search_harmonic(
                    angle, harmonic, ~self._near_bands(angle, harmonic, taken)
                )

    def _near_bands(
        self, angle: int, harmonic: int, bands: Sequence[Band]
    ) -> NDArray[np.bool_]:
        """Return the cells where a harmonic would show the stripes of others."""
        wavevectors = [band.wavevector for band in bands if band.is_usable]
        return near(self._correlations[angle, harmonic], wavevectors, LEAK_BINS)

    def best_band(self, angle: int) -> Band:
        """Return the band of the first harmonic of an angle, called or not."""
        return self._bands[angle, 1]

    def _between_angles(self, differences: torch.Tensor) -> float:
        """Return the noise power of a frame where mean frames differ by noise alone.

        Frames that were interpolated to finer pixels have less noise beyond the cut-off
        than within it.
        """
        import torch

        if self.angles < 2:
            return 0.0
        spectra = torch.fft.fft2(differences * self._window)
        power = spectra.abs().square().sum(dim=0).cpu().numpy() / (self.angles - 1)
        y, x = (np.fft.fftfreq(n) for n in self._shape)
        radius = np.hypot(y[:, np.newaxis], x) / self.optics.cutoff_per_pixel
        within = (radius >= DIFFERENCE_RINGS[0]) & (radius < DIFFERENCE_RINGS[1])
        median = float(np.median(power[within])) if within.any() else 0.0
        usual = float(gammaincinv(self.angles - 1, 0.5)) / (self.angles - 1)
        return self.phases * median / usual

    def _correlate(self, angle: int) -> None:
        import torch

        matrix = separation_matrix([self._nominal(h) for h in self.harmonics])
        parts = self._combine(angle, matrix[1:]) * self._window
        for n, harmonic in enumerate(self.harmonics):
            band = torch.complex(parts[2 * n], parts[2 * n + 1])
            spectrum = torch.fft.fft2(band)
            self._correlations[angle, harmonic] = self._template.correlate(spectrum)

    def _combine(self, angle: int, rows: FloatArray) -> torch.Tensor:
        """Return weighted sums (N, Y, X) of the equalised frames of an angle."""
        import torch

        weights = torch.from_numpy(rows * self._equalisation[angle]).to(self._frames)
        sums: torch.Tensor = weights @ self._frames[angle]
        return sums.reshape(-1, *self._shape)

    def patterns(self) -> list[Pattern]:
        """Return what was found, for every angle, or direction if hexagonal.

        Returns
        -------
        list of Pattern
            Those not found have no period.
        """
        if not self.is_hexagonal:
            self._support_orders()
        self._support_angles()
        result = []
        for angle in sorted({a for a, _ in self._bands}):
            bands = self._fit(angle)
            groups = [[b] for b in bands] if self.is_hexagonal else [bands]
            result += [self._pattern(angle, group) for group in groups]
        return result

    def _support_orders(self) -> None:
        """Look for an order where the other order of the same angle expects it."""
        for angle, harmonic in list(self._bands):
            other = self._bands.get((angle, 3 - harmonic))
            band = self._bands[angle, harmonic]
            if other is None or band.is_usable or other.status != "found":
                continue
            factor = harmonic / other.harmonic
            expected = (factor * other.wavevector[0], factor * other.wavevector[1])
            self._look_near(angle, harmonic, [expected], 2.0, "found")

    def _support_angles(self) -> None:
        """Call faint stripes when the angles support one another."""
        first = {k: b for k, b in self._bands.items() if self._is_first_order(*k)}
        missing = [key for key, band in first.items() if not band.is_usable]
        found = [band for band in first.values() if band.status == "found"]
        directions = len(first)
        if not missing or directions < 2 or self._any_given():
            return
        if len(found) < 2 and self._joint(list(first), found):
            return
        if found:
            expected = [
                turn(*band.wavevector, math.pi * step / directions)
                for band in found
                for step in range(1, directions)
            ]
            for angle, harmonic in missing:
                self._look_near(angle, harmonic, expected, None, "tentative")

    def _any_given(self) -> bool:
        return any(band.status == "given" for band in self._bands.values())

    def _is_first_order(self, angle: int, harmonic: int) -> bool:
        return self.is_hexagonal or harmonic == 1

    def _look_near(
        self,
        angle: int,
        harmonic: int,
        expected: Sequence[tuple[float, float]],
        bins: float | None,
        status: Status,
    ) -> None:
        correlation = self._correlations[angle, harmonic]
        where = near(correlation, expected, bins)
        if not (correlation.statistic[where] > 0).any():
            return
        wavevector, _, confidence = correlation.best(where)
        enough = SINGLE_CONFIDENCE if status == "found" else NEAR_CONFIDENCE
        if confidence >= enough:
            self._bands[angle, harmonic] = Band(
                harmonic, wavevector, confidence, status
            )

    def _joint(self, keys: Sequence[tuple[int, int]], found: Sequence[Band]) -> bool:
        """Call all angles together if that is surer than what one angle says alone.

        What was found alone stays so where it agrees.
        """
        wavevectors, confidence = joint_search([self._correlations[k] for k in keys])
        if confidence < max([JOINT_CONFIDENCE, *(b.confidence for b in found)]):
            return False
        for key, start in zip(keys, wavevectors, strict=True):
            wavevector, _ = self._correlations[key].refine(start)
            agrees = (
                self._bands[key].status == "found"
                and near(self._correlations[key], [wavevector], 1.0)[
                    self._correlations[key].grid.cell(self._bands[key].wavevector)
                ]
            )
            if not agrees:
                self._bands[key] = Band(key[1], wavevector, confidence, "tentative")
        return True

    def _fit(self, angle: int) -> list[Band]:
        """Return the bands of an angle with phases and modulation."""
        bands = [b for (a, _), b in sorted(self._bands.items()) if a == angle]
        usable = [band for band in bands if band.is_usable]
        if not usable:
            return bands
        correlations = [self._correlations[angle, band.harmonic] for band in usable]
        regression = BandRegression(
            self._template,
            self._window,
            [band.wavevector for band in usable],
            [correlation.whitening for correlation in correlations],
        )
        fits = regression.fit(
            regression.project(self._frames[angle]) * self._equalisation[angle],
            nominal_rad=[self._nominal(band.harmonic) for band in usable],
            noise=max(correlations[0].noise * self.phases / 4, self._difference_noise),
        )
        phases = [fit.phases_rad for fit in fits]
        if (
            np.linalg.cond(mixing_matrix(phases)) > WORST_CONDITION
            or max(fit.modulation for fit in fits) > LARGEST_MODULATION
        ):
            # No microscope makes such stripes: frames in a wrong order do.
            return [replace(band, status="not found") for band in bands]
        fitted = dict(zip((band.harmonic for band in usable), fits, strict=True))
        return [replace(band, fit=fitted.get(band.harmonic)) for band in bands]

    def _pattern(self, angle: int, bands: Sequence[Band]) -> Pattern:
        """Turn the bands of one direction into a pattern, coarsest period first."""
        ranked = list(bands)
        if len(ranked) > 1 and all(band.is_usable for band in ranked):
            ranked.sort(key=lambda band: band.length)
        orders: list[PatternOrder] = []
        phases = np.array([])
        for number, band in enumerate(ranked, start=1):
            order, psi = self._order(number, band)
            if number == 1:
                phases = psi
            elif psi.size and not phases.size:
                phases = psi / number
            elif psi.size:
                offset = np.angle(np.exp(1j * (psi - number * phases)).sum())
                order = order.model_copy(update={"offset_deg": math.degrees(offset)})
            orders.append(order)
        return Pattern(
            angle_index=angle,
            phases_deg=tuple(float(p) for p in np.degrees(phases) % 360),
            orders=tuple(orders),
        )

    def _order(self, number: int, band: Band) -> tuple[PatternOrder, FloatArray]:
        values: dict[str, Any] = {
            "order": number,
            "status": band.status,
            "confidence": band.confidence,
        }
        if band.fit is None:
            return PatternOrder(**values), np.array([])
        ky, kx = band.wavevector
        # A wave vector and its opposite are the same stripes: keep the one that
        # points into [0, 180)°.
        flip = ky < 0 or (ky == 0 and kx < 0)
        phases = -band.fit.phases_rad if flip else band.fit.phases_rad
        return (
            PatternOrder(
                period_nm=self.optics.pixel_size_nm / band.length,
                angle_deg=math.degrees(math.atan2(ky, kx)) % 180,
                modulation=band.fit.modulation,
                **values,
            ),
            phases,
        )

"""Pattern estimation: from raw frames to wave vectors, phases and modulation depths.

How it decides is in `matched_filter`: a peak counts when chance would make it less than
once in e^8 ≈ 3000 searches. What angles say of one another is in `support`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import gammaincinv

from napari_dps.core import InputError, Optics, Pattern
from napari_dps.physics.sim.bands import Band
from napari_dps.physics.sim.correlation import Correlation
from napari_dps.physics.sim.describe import describe
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.fit import FrameData, PhaseFitter
from napari_dps.physics.sim.known_waves import Offer, Vector, confirmed
from napari_dps.physics.sim.matched_filter import Template
from napari_dps.physics.sim.noise import DIFFERENCE_RINGS
from napari_dps.physics.sim.plain_peaks import sharpest_peak
from napari_dps.physics.sim.search import PERIODIC, AngleSearch, Key
from napari_dps.physics.sim.search_grid import SearchRange
from napari_dps.physics.sim.separate import separation_matrix
from napari_dps.physics.sim.spectrum import FloatArray, edge_window, squared
from napari_dps.physics.sim.stuck import doubt_stuck
from napari_dps.physics.sim.support import (
    agree,
    doubt_contradictions,
    doubt_lonely,
    doubt_only_one,
    doubt_orders,
    support_angles,
    support_orders,
)

if TYPE_CHECKING:
    import torch

Layout = Literal["auto", "linear", "hexagonal"]

ROUNDING = 1e-5
"""Differences of frames below this share of their maximum are rounding."""
SATURATED = 0.4
"""Share of pixels at the maximum from which the few others make peaks of their own."""
SOME = 3
"""So many pixels stand for one when that share is measured."""
SMALLEST_FIELD_PX = 24
"""Smaller frames have too few wave vectors for the statistic to keep its word."""


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
        direction each: three of a hexagonal lattice, two of a square one. Auto takes
        7 phases at a single angle for hexagonal, and 5 for a square lattice where two
        equal periods at right angles are found.
    is_projection : bool
        Whether the frames are the mean of focal planes. Those of three beams (5 phases)
        do not show their phase steps: order 1 changes its sign along z, and its mean is
        not the object's. Equal steps are taken then.
    """

    shortest: float = 0.2
    longest: float = 1.15
    layout: Layout = "auto"
    is_projection: bool = False

    def is_hexagonal(self, angles: int, phases: int) -> bool:
        """Whether each harmonic is a direction of its own."""
        if self.layout == "auto":
            return angles == 1 and phases == 7
        return self.layout == "hexagonal"


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
    template : Template, optional
        What the object looks like; by default as the mean of these frames shows it.

    Attributes
    ----------
    template : Template

    Raises
    ------
    InputError
        With fewer than three phases, or tiny frames.
    """

    def __init__(
        self,
        frames: torch.Tensor,
        optics: Optics,
        settings: EstimationSettings | None = None,
        template: Template | None = None,
    ) -> None:
        import torch

        self.settings = settings or EstimationSettings()
        self.optics = optics
        self.angles, self.phases = int(frames.shape[0]), int(frames.shape[1])
        self._check(frames)
        self._shape = (int(frames.shape[-2]), int(frames.shape[-1]))
        self._window = torch.from_numpy(edge_window(self._shape)).to(frames.device)
        factors = equalisation(frames)
        cutoff = optics.cutoff_per_pixel
        # Stripes finer than two pixels are not to be told from coarser ones.
        longest = min(self.settings.longest * cutoff, 0.5)
        shortest = min(self.settings.shortest * cutoff, 0.5 * longest)
        self._search = SearchRange(cutoff, shortest, longest)
        means = _angle_means(frames, factors)
        mean = means.mean(dim=0)
        mean_spectrum = torch.fft.fft2((mean - mean.mean()) * self._window)
        self._data = FrameData(
            frames.flatten(-2),
            factors,
            self._window,
            mean,
            self._between_angles(means - mean),
        )
        self._level = float(mean.abs().max())
        of_mean = self._data.noise / (self.angles * self.phases)
        self.template = template or Template(mean_spectrum, self._search, of_mean)
        self._is_periodic = sharpest_peak(mean_spectrum, cutoff) > PERIODIC
        self._correlations: dict[Key, Correlation] = {}
        self._bands: dict[Key, Band] = {}
        self._offered: dict[int, AngleSearch] = {}
        self._offers: list[Offer] = []

    def _check(self, frames: torch.Tensor) -> None:
        """Refuse frames that hold too little to search."""
        if self.phases < 3:
            raise InputError("phases per angle", got=self.phases, allowed="3 or more")
        if min(frames.shape[-2:]) < SMALLEST_FIELD_PX:
            raise InputError(
                "size of the raw frames, px",
                got=f"{frames.shape[-2]} x {frames.shape[-1]}",
                allowed=f"{SMALLEST_FIELD_PX} x {SMALLEST_FIELD_PX} or larger",
            )

    @cached_property
    def is_hexagonal(self) -> bool:
        """Whether each harmonic is a direction of its own."""
        return self.settings.is_hexagonal(self.angles, self.phases)

    @property
    def _is_square(self) -> bool:
        """Whether the two harmonics of one angle are those of a square lattice.

        Two orders of one direction are twice as long as one another and parallel.
        """
        if self.settings.layout != "auto" or self.angles > 1 or self.phases != 5:
            return False
        one, two = (self._bands[0, harmonic] for harmonic in (1, 2))
        return one.is_usable and two.is_usable and agree(one, two, directions=2)

    @cached_property
    def harmonics(self) -> range:
        """Harmonics of the phase that the frames of an angle can separate."""
        most = 3 if self.is_hexagonal else 2
        return range(1, 1 + min(most, (self.phases - 1) // 2))

    def search(self, angle: int) -> None:
        """Look for the stripes of one angle in all its harmonics."""
        self._keep(angle, self._angle_search(angle).search())

    def use(self, angle: int, given: Sequence[Pattern]) -> None:
        """Offer the wave vectors of given patterns.

        All angles together tell whether the frames support them; see `patterns`.
        """
        search = self._angle_search(angle)
        self._offered[angle] = search
        self._offers += search.offers(angle, vectors_of(given, self.optics))

    def confirm(self, angle: int, known: Mapping[int, tuple[Vector, float]]) -> None:
        """Take wave vectors, by harmonic with their confidence, that are confirmed."""
        self._keep(angle, self._angle_search(angle).use(known))

    def best_band(self, angle: int) -> Band:
        """Return the band of the first harmonic of an angle, called or not."""
        return self._bands[angle, 1]

    def patterns(self) -> list[Pattern]:
        """Return what was found, for every angle, or direction if hexagonal.

        Returns
        -------
        list of Pattern
            Those not found have no period.
        """
        self._decide()
        is_lattice = self.is_hexagonal or self._is_square
        if not is_lattice:
            support_orders(self._bands, self._correlations)
            doubt_orders(self._bands, self._shape)
        first = [k for k in self._bands if is_lattice or k[1] == 1]
        doubt_contradictions(self._bands, first)
        support_angles(self._bands, self._correlations, first)
        if not is_lattice:
            doubt_orders(self._bands, self._shape)
        if len(first) > 1:
            doubt_lonely(self._bands, first, plain_only=not self._is_periodic)
        if self.angles > 1:
            doubt_stuck(self._bands, first, self._difference, self.template)
        doubt_only_one(self._bands, first)
        result = []
        angles = sorted({a for a, _ in self._bands})
        fitter = PhaseFitter(self._data, self.template, self._correlations)
        fitted = fitter.fit(
            {a: [b for (n, _), b in self._bands.items() if n == a] for a in angles},
            equal_steps=self.settings.is_projection
            and self.phases >= 5
            and not is_lattice,
        )
        for angle, bands in fitted.items():
            groups = [[b] for b in bands] if is_lattice else [bands]
            pixel_nm = self.optics.pixel_size_nm
            result += [describe(angle, group, pixel_nm) for group in groups]
        return result

    def _decide(self) -> None:
        """Take what was offered where the frames confirm it; search what they do not.

        Other stripes are only looked for once it is known which of them are not there.
        """
        found = confirmed(self._offers)
        for angle, search in self._offered.items():
            known = {
                offer.harmonic: (offer.wavevector, found[angle, offer.harmonic])
                for offer in self._offers
                if offer.angle == angle and (angle, offer.harmonic) in found
            }
            self._keep(angle, search.use(known))
        self._offered, self._offers = {}, []

    @cached_property
    def _is_saturated(self) -> bool:
        """Whether a large part of the pixels is at the maximum of all frames."""
        some = self._data.frames[..., ::SOME]
        return int((some >= some.max()).sum()) > SATURATED * some.numel()

    def _difference(self, angle: int) -> torch.Tensor:
        """Return the spectrum of an angle's mean frame less that of the others.

        All zero where they are the same but for rounding.
        """
        import torch

        same = np.full((1, self.phases), 1 / self.phases)
        mean = self._data.combine(angle, same)[0]
        # The mean of all is that of A angles.
        rest = (mean - self._data.mean) * (self.angles / (self.angles - 1))
        if float(rest.abs().max()) < ROUNDING * self._level:
            rest = torch.zeros_like(rest)
        spectrum: torch.Tensor = torch.fft.fft2(rest * self._window)
        return spectrum

    def _keep(self, angle: int, bands: dict[int, Band]) -> None:
        for harmonic, band in sorted(bands.items()):
            self._bands[angle, harmonic] = band

    def correlations(self, angle: int) -> dict[int, Correlation]:
        """Run the matched filter over the bands of one angle, by harmonic."""
        import torch

        return {
            harmonic: self.template.correlate(torch.fft.fft2(band))
            for harmonic, band in zip(
                self.harmonics, self._separated(angle), strict=True
            )
        }

    def _angle_search(self, angle: int) -> AngleSearch:
        """Return the search in the bands of one angle."""
        found = self.correlations(angle)
        self._correlations.update({(angle, h): c for h, c in found.items()})
        return AngleSearch(
            found,
            lambda harmonic: self._separated(angle)[harmonic - 1],
            is_periodic=self._is_periodic,
            is_even=self.template.is_empty,
        )

    def _separated(self, angle: int) -> list[torch.Tensor]:
        """Return the windowed bands of one angle, with equal phase steps.

        All zero where the frames are the same but for rounding, or mostly saturated.
        """
        import torch

        matrix = separation_matrix([self._nominal(h) for h in self.harmonics])
        parts = self._data.combine(angle, matrix[1:]) * self._window
        if self._is_saturated or float(parts.abs().max()) < ROUNDING * self._level:
            parts = torch.zeros_like(parts)
        return [
            torch.complex(parts[2 * n], parts[2 * n + 1])
            for n in range(len(self.harmonics))
        ]

    def _nominal(self, harmonic: int) -> FloatArray:
        """Equal phase steps of a harmonic, in radians."""
        return 2 * np.pi * harmonic * np.arange(self.phases) / self.phases

    def _between_angles(self, differences: torch.Tensor) -> float:
        """Return the noise power of a frame where mean frames differ by noise alone.

        Frames that were interpolated to finer pixels have less noise beyond the cut-off
        than within it.
        """
        import torch

        if self.angles < 2:
            return 0.0
        # Half of the spectrum of a real image holds all of it.
        spectra = torch.fft.rfft2(differences * self._window)
        power = squared(spectra).sum(dim=0).cpu().numpy() / (self.angles - 1)
        y, x = np.fft.fftfreq(self._shape[0]), np.fft.rfftfreq(self._shape[1])
        radius = np.hypot(y[:, np.newaxis], x) / self.optics.cutoff_per_pixel
        within = (radius >= DIFFERENCE_RINGS[0]) & (radius < DIFFERENCE_RINGS[1])
        # Columns that the other half repeats count twice: transposed frames agree.
        inner = slice(1, (self._shape[1] + 1) // 2)
        values = np.append(power[within], power[:, inner][within[:, inner]])
        median = float(np.median(values)) if values.size else 0.0
        usual = float(gammaincinv(self.angles - 1, 0.5)) / (self.angles - 1)
        return self.phases * median / usual


def vectors_of(given: Sequence[Pattern], optics: Optics) -> list[Vector]:
    """Return the wave vectors of the usable orders of patterns."""
    pixel_nm = optics.pixel_size_nm
    return [
        (ky * pixel_nm, kx * pixel_nm)
        for pattern in given
        for order in pattern.orders
        if order.is_usable
        for ky, kx in [order.wavevector_per_nm]
    ]


def _angle_means(frames: torch.Tensor, factors: FloatArray) -> torch.Tensor:
    """Return the mean of the equalised frames of each angle (A, Y, X)."""
    import torch

    return torch.stack(
        [
            torch.tensordot(
                torch.from_numpy(row / frames.shape[1]).to(frames), some, dims=1
            )
            for row, some in zip(factors, frames, strict=True)
        ]
    )

"""One harmonic of one angle: what the search keeps of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_dps.core.patterns import UNUSABLE, Doubt, Status
from napari_dps.physics.sim.phases import BandFit


@dataclass(frozen=True)
class Band:
    """What was found of one harmonic of one angle.

    Attributes
    ----------
    harmonic : int
        Number of times that the phase of the band steps when that of the stripes does.
    wavevector : (float, float)
        (y, x) in cycles per pixel: of the highest peak, called or not.
    confidence : float
        Natural logarithm of one over the p-value.
    status : Status
        How it is known.
    doubt : Doubt
        What speaks against a peak that is not called, though it is no chance peak.
    is_plain : bool
        Whether it is a peak of the band's own spectrum: stripes on an even object.
    fit : BandFit, optional
        Phases and modulation depth.
    """

    harmonic: int
    wavevector: tuple[float, float]
    confidence: float
    status: Status
    doubt: Doubt = ""
    is_plain: bool = False
    fit: BandFit | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it has stripes to compute with."""
        return self.status not in UNUSABLE

    @property
    def length(self) -> float:
        """Length of the wave vector in cycles per pixel."""
        return math.hypot(*self.wavevector)

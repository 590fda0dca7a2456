"""Illumination patterns: the stripes of each angle."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

Status = Literal["found", "tentative", "given", "doubtful", "not found"]

Doubt = Literal["", "outside", "repeats", "contradicts", "weak", "phases", "frames"]
"""What speaks against stripes: a wave vector outside the range that was searched, an
object that repeats itself, the other angles, a modulation implausibly weak for the
confidence, phases too close to separate the orders, or frames without the stripes of
their angle."""

UNUSABLE: tuple[Status, ...] = ("doubtful", "not found")
"""Stripes that nothing is computed with."""


class PatternOrder(BaseModel):
    """One harmonic of the stripes of one angle.

    The illumination is 1 + Σ_n m_n cos(2π k_n·r + n·φ_p + offset_n), r measured from
    the centre of the first pixel, x to the right and y down, as images are shown.

    Stripes of three beams are modulated along z as well: the first order has the
    factor cos(2π z/axial_period), z measured from the plane in focus.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    order: int = Field(default=1, ge=1, le=3)
    period_nm: float | None = Field(default=None, gt=0)
    angle_deg: float | None = None
    modulation: float = Field(default=0.0, ge=0)
    offset_deg: float = 0.0
    axial_period_nm: float | None = Field(default=None, gt=0)
    confidence: float | None = None
    status: Status = "given"
    doubt: Doubt = ""

    @property
    def is_usable(self) -> bool:
        """Whether there is a wave vector to compute with."""
        return self.status not in UNUSABLE and None not in (
            self.period_nm,
            self.angle_deg,
        )

    @property
    def wavevector_per_nm(self) -> tuple[float, float]:
        """The wave vector (y, x) in cycles per nm; zeros when not found."""
        if self.period_nm is None or self.angle_deg is None:
            return (0.0, 0.0)
        angle = math.radians(self.angle_deg)
        return math.sin(angle) / self.period_nm, math.cos(angle) / self.period_nm


class Pattern(BaseModel):
    """The stripes of one angle: phases of its frames, and its orders.

    A mapping with the flat keys of the report (``angle_deg``, ``period_nm``,
    ``modulation``) is read as a pattern of one order, so that a hand-written file of
    two lines an angle is enough.

    Attributes
    ----------
    angle_index : int
        Index along axis A.
    channel_index : int
        Index along axis C.
    phases_deg : tuple of float
        Phase φ_p of the first order in each frame, in degrees, at the centre of the
        first pixel, for the wave vector that points along ``angle_deg``; empty when
        unknown.
    phase_error_deg : float or None
        Expected error of a measured phase; None when unknown.
    phase_steps : {"measured", "equal"}
        Whether equal steps were taken, because the frames do not show them.
    phases_of : str
        "frames", "mean", "first frames", "drift", "followed", "mean of planes" or
        "planes".
        Where the phases come from: these frames; the mean of several time points, to be
        compared with each; or that mean, which a time point does not contradict. The
        next two are the same of phases that were followed over several time points,
        the last two of those of the mean of planes.
    drift_deg : tuple of (int, float)
        Where phases were followed over a time-lapse: time points, in order, and what
        the phases of the first order are more there than `phases_deg`.
    otf_fall : float
        How much faster than the ideal one the OTF of the detection falls, as these
        frames show: exp(−otf_fall · r²), r the frequency over the cut-off. Below 0
        where their lens is finer than the optics say; 0 where it is not measured.
    orders : tuple of PatternOrder
        First order first.

    Examples
    --------
    >>> Pattern(angle_deg=30, period_nm=200).orders[0].status
    'given'
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    angle_index: int = Field(default=0, ge=0)
    channel_index: int = Field(default=0, ge=0)
    phases_deg: tuple[float, ...] = ()
    phase_error_deg: float | None = None
    phase_steps: Literal["measured", "equal"] = "measured"
    phases_of: Literal[
        "frames",
        "mean",
        "first frames",
        "drift",
        "followed",
        "mean of planes",
        "planes",
    ] = "frames"
    drift_deg: tuple[tuple[int, float], ...] = ()
    otf_fall: float = Field(default=0.0, ge=-2, le=4)
    orders: tuple[PatternOrder, ...] = Field(min_length=1)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)

    @model_validator(mode="before")
    @classmethod
    def _from_flat(cls, values: Any) -> Any:
        if isinstance(values, dict) and "orders" not in values:
            return {**values, "orders": [values]}
        return values

    @computed_field  # type: ignore[prop-decorator]
    @property
    def angle_deg(self) -> float | None:
        """Direction of the first order's wave vector, x towards y, in [0, 180)."""
        return self.orders[0].angle_deg

    @computed_field  # type: ignore[prop-decorator]
    @property
    def period_nm(self) -> float | None:
        """Period of the first order in nm."""
        return self.orders[0].period_nm

    @computed_field  # type: ignore[prop-decorator]
    @property
    def modulation(self) -> float:
        """Modulation depth of the first order, 0 to 1."""
        return self.orders[0].modulation

    @computed_field  # type: ignore[prop-decorator]
    @property
    def confidence(self) -> float | None:
        """Natural log of 1/p: how surely the first order is no chance peak."""
        return self.orders[0].confidence

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> Status:
        """How the first order is known."""
        return self.orders[0].status

    @property
    def is_usable(self) -> bool:
        """Whether any order can be used."""
        return any(order.is_usable for order in self.orders)

    @property
    def keeps_stripes(self) -> bool:
        """Whether the mean of the frames has stripes: they do not step evenly round."""
        return any(order.doubt in ("phases", "frames") for order in self.orders)

    @property
    def is_three_dimensional(self) -> bool:
        """Whether the stripes are modulated along z, as those of three beams."""
        return any(order.axial_period_nm is not None for order in self.orders)

    def at_time(self, time_point: int) -> Pattern:
        """Return the pattern of a time point: its phases where they drift.

        Between the time points at which they were followed they are interpolated.

        Examples
        --------
        >>> drifting = Pattern(period_nm=200, angle_deg=0, phases_deg=(0, 120, 240),
        ...                    phases_of="mean", drift_deg=((0, -20.0), (4, 20.0)))
        >>> drifting.at_time(3).phases_deg, drifting.at_time(3).phases_of
        ((10.0, 130.0, 250.0), 'drift')
        """
        if not self.drift_deg:
            return self
        times, turns = zip(*self.drift_deg, strict=True)
        turn = _interpolated(time_point, times, turns)
        phases = tuple((phase + turn) % 360 for phase in self.phases_deg)
        return self.model_copy(
            update={"phases_deg": phases, "phases_of": "drift", "drift_deg": ()}
        )

    def without_depth(self) -> Pattern:
        """Return the pattern as that of planes, not modulated along z."""
        orders = tuple(
            order.model_copy(update={"axial_period_nm": None}) for order in self.orders
        )
        return self.model_copy(update={"orders": orders})

    def only_wave_vectors(self) -> Pattern:
        """Return the wave vectors alone, for another stack of the same microscope.

        Phases and modulation are those of one stack; `reconstruct` fits them anew.
        """
        orders = [
            PatternOrder(
                order=order.order,
                period_nm=order.period_nm,
                angle_deg=order.angle_deg,
                axial_period_nm=order.axial_period_nm,
            )
            for order in self.orders
            if order.is_usable
        ]
        missing = [PatternOrder(status="not found")]
        return Pattern(
            angle_index=self.angle_index,
            channel_index=self.channel_index,
            orders=tuple(orders or missing),
        )


def _interpolated(x: float, known: Sequence[float], values: Sequence[float]) -> float:
    """Return a value between known ones; beyond them that of the nearest."""
    after = bisect.bisect_left(known, x)
    if after in (0, len(known)):
        return values[min(after, len(known) - 1)]
    share = (x - known[after - 1]) / (known[after] - known[after - 1])
    return (1 - share) * values[after - 1] + share * values[after]

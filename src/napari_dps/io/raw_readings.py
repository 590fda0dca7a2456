"""Ways to read the frames of a plain stack as raw SIM frames, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.lazy import Planes
from napari_dps.io.order import sim_order
from napari_dps.io.order_check import OrderCheck, check_frame_order
from napari_dps.io.picking import pick
from napari_dps.io.raw import Metadata, RawImage

COUNTS = ((3, 3), (3, 5), (5, 5), (4, 3), (2, 3), (1, 5), (1, 7), (1, 3))
"""Angles and phases of usual raw stacks, the commonest first; the swapped counts are
looked at with them."""

_EXTRA = (1, 2)
"""Frames beside the raw ones, such as a widefield image after each set."""

_LARGEST_SETS = 64
"""Stacks of more sets are not read as having extra frames by their number alone."""

_LEAST_UNIT = 9
"""Raw frames of a set from which on extra frames are looked for."""

_MOST = 6


@dataclass(frozen=True, slots=True)
class RawReading:
    """One way to read the frames of a stack.

    Attributes
    ----------
    angles, phases : int
        Of a set of raw frames.
    order : str
        Of the frames, slowest first, as for `napari_dps.io.load`.
    sets : int
        How often the raw frames come: time points or planes.
    extra : int
        Frames after the raw ones of each set that are none.
    fit : {"fits", "possible"}
        "fits" where the stripes of the frames show it; else the number alone allows it.

    Examples
    --------
    >>> RawReading(3, 5, "apyx", 1).words
    '3 angles × 5 phases, angle by angle'
    >>> RawReading(3, 3, "tapyx", 4, extra=1).frames
    '0-8/10'
    """

    angles: int
    phases: int
    order: str
    sets: int
    extra: int = 0
    fit: Literal["fits", "possible"] = "possible"

    @property
    def unit(self) -> int:
        """Raw frames of a set."""
        return self.angles * self.phases

    @property
    def words(self) -> str:
        """The reading as a person says it."""
        first = "angle by angle" if self.is_angle_first else "phase by phase"
        text = f"{self.angles} angles × {self.phases} phases, {first}"
        if self.angles == 1:
            text = f"{self.phases} phases of a lattice"
        if self.sets > 1:
            text += f", {self.sets} time points"
        if self.extra:
            what = "a widefield frame" if self.extra == 1 else f"{self.extra} frames"
            text += f" and {what} after each set"
        return text

    @property
    def is_shown(self) -> bool:
        """Whether the stripes of several angles show it."""
        return self.fit == "fits" and self.angles > 1

    @property
    def is_angle_first(self) -> bool:
        """Whether all phases of an angle follow one another."""
        return self.order.index("a") < self.order.index("p")

    @property
    def frames(self) -> str | None:
        """The raw frames among all, as `frame_numbers` reads them; None for all."""
        if not self.extra:
            return None
        return f"0-{self.unit - 1}/{self.unit + self.extra}"

    @property
    def other_frames(self) -> str | None:
        """The frames that are no raw ones; None for none."""
        if not self.extra:
            return None
        last = self.unit + self.extra - 1
        return f"{self.unit}-{last}/{last + 1}"


def raw_readings(frames: NDArray[Any] | Planes) -> list[RawReading]:
    """Return the ways to read a stack as raw frames, at most six.

    Parameters
    ----------
    frames : array or Planes
        (frame, Y, X) in the order of the file.

    Returns
    -------
    list of RawReading
        Those that the stripes show first, then the usual ones by their number of
        frames. Empty where no usual counts divide it.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> [r.words for r in raw_readings(rng.poisson(9, (9, 32, 32)))][:2]
    ['3 angles × 3 phases, angle by angle', '3 angles × 3 phases, phase by phase']
    """
    total = frames.shape[0]
    found: dict[tuple[int, int, str, int], RawReading] = {}
    for extra in (0, *_EXTRA):
        if any(one.is_shown for one in found.values()):
            break
        for angles, phases in _counts(total, extra):
            for reading in _of_counts(frames, angles, phases, extra):
                key = (reading.angles, reading.phases, reading.order, reading.extra)
                if key not in found or reading.is_shown:
                    found[key] = reading
    readings = list(found.values())
    if any(one.is_shown for one in readings):
        readings = [one for one in readings if one.angles > 1]
    return sorted(readings, key=lambda one: _rank(one, total))[:_MOST]


def _rank(reading: RawReading, total: int) -> tuple[bool, bool, bool, bool]:
    """Order readings: shown by stripes, all frames used, one set, angles first."""
    return (
        not reading.is_shown,
        reading.extra > 0,
        reading.unit != total and reading.sets > 1 and total in _single(),
        not reading.is_angle_first,
    )


def _single() -> set[int]:
    """Return the numbers of frames of one usual set."""
    return {angles * phases for angles, phases in COUNTS}


def _counts(total: int, extra: int) -> Iterator[tuple[int, int]]:
    """Yield angles and phases that a number of frames allows."""
    for angles, phases in COUNTS:
        sets, rest = divmod(total, angles * phases + extra)
        is_usual = not extra or (angles > 1 and angles * phases >= _LEAST_UNIT)
        if not rest and sets > 0 and is_usual and (not extra or sets <= _LARGEST_SETS):
            yield angles, phases


def _of_counts(
    frames: NDArray[Any] | Planes, angles: int, phases: int, extra: int
) -> Iterator[RawReading]:
    """Yield readings of some counts: that which the stripes show, and both orders."""
    unit = angles * phases
    sets = frames.shape[0] // (unit + extra)
    lead = "t" if sets > 1 else ""
    raw = _without(frames, unit, extra)
    check = _check(raw, angles, phases, f"{lead}apyx")
    if check is not None and check.status != "unclear":
        order, counts = check.best.split()
        a, p = (int(n) for n in counts.split("×"))
        yield RawReading(a, p, order, sets, extra, "fits")
    orders = ("ap", "pa") if angles > 1 else ("ap",)
    for letters in orders:
        yield RawReading(angles, phases, f"{lead}{letters}yx", sets, extra)


def _without(
    frames: NDArray[Any] | Planes, unit: int, extra: int
) -> NDArray[Any] | Planes:
    """Leave out what follows the raw frames of each set; nothing is read of planes."""
    if not extra:
        return frames
    raw = RawImage(frames, "QYX", Metadata())
    kept = pick(raw, channel=None, frames=f"0-{unit - 1}/{unit + extra}").data
    return kept.reshape(-1, *frames.shape[-2:])


def _check(
    frames: NDArray[Any] | Planes, angles: int, phases: int, order: str
) -> OrderCheck | None:
    """Ask the frames for their order; None where the counts do not fit them."""
    try:
        claimed, _ = sim_order([("q", frames.shape[0])], angles, phases, order)
        return check_frame_order(frames, claimed)
    except InputError:
        return None

"""Order separation: from the phase-shifted frames of an angle to its orders.

With illumination 1 + Σ_n m_n cos(2π k_n·r + ψ_np), frame p of an object s seen through
the PSF h is D_0 + Σ_n [cos ψ_np Re D_n − sin ψ_np Im D_n] with D_0 = s ⊗ h and
D_n = (m_n s e^{2πi k_n·r}) ⊗ h (Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Pattern, PatternOrder

WORST_CONDITION = 100.0
"""Condition number of a mixing matrix up to which its inverse is of use."""


def mixing_matrix(phases_rad: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the matrix that mixes the orders of one angle into its frames.

    Parameters
    ----------
    phases_rad : sequence of arrays (P,)
        Phase ψ_np of each order n ≥ 1 in each frame p, in radians.

    Returns
    -------
    array (P, 1 + 2 N), float64
        Columns: 1, then cos ψ_n and −sin ψ_n of each order, the factors of D_0, Re D_n
        and Im D_n.

    Examples
    --------
    >>> mixing_matrix([np.array([0, 2, 4]) * np.pi / 3]).round(2).tolist()[0]
    [1.0, 1.0, -0.0]
    """
    count = len(phases_rad[0])
    columns = [np.ones(count)]
    for phases in phases_rad:
        columns += [np.cos(phases), -np.sin(phases)]
    return np.stack(columns, axis=1)


def separation_matrix(phases_rad: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the least-squares inverse of `mixing_matrix`.

    Parameters
    ----------
    phases_rad : sequence of arrays (P,)
        As for `mixing_matrix`.

    Returns
    -------
    array (1 + 2 N, P), float64
        Applied to the frames it gives D_0, Re D_1, Im D_1, Re D_2, …
    """
    inverse: NDArray[np.float64] = np.linalg.pinv(mixing_matrix(phases_rad)).astype(
        np.float64
    )
    return inverse


@dataclass(frozen=True)
class OrderInPixels:
    """One order of one angle in pixels and radians.

    An order has two wave vectors ±k: here it is the one with k_x ≤ 0.

    Attributes
    ----------
    phases_rad : array (P,)
        Phase ψ_p in each frame; empty when unknown.
    wavevector : (float, float)
        (y, x) in cycles per pixel.
    modulation : float
        Modulation depth m.
    is_usable : bool
        Whether there is a wave vector to compute with.
    """

    phases_rad: NDArray[np.float64]
    wavevector: tuple[float, float]
    modulation: float
    is_usable: bool

    @classmethod
    def from_order(
        cls, pattern: Pattern, order: PatternOrder, pixel_size_nm: float
    ) -> OrderInPixels:
        """Read one order of a pattern."""
        phases = order.order * np.radians(pattern.phases_deg)
        phases = phases + math.radians(order.offset_deg)
        y, x = (k * pixel_size_nm for k in order.wavevector_per_nm)
        if max(abs(y), abs(x)) >= 1:
            raise InputError(
                f"period of order {order.order} of angle {pattern.angle_index + 1}, nm",
                got=order.period_nm,
                allowed=f"above the pixel size of {pixel_size_nm:g} nm",
            )
        sign = -1 if x > 0 else 1
        return cls(
            sign * phases, (sign * y, sign * x), order.modulation, order.is_usable
        )


class AngleOrders:
    """The orders that light the frames of one angle.

    Parameters
    ----------
    orders : sequence of OrderInPixels
        Usable or not. Those that are not are separated too, where there are frames
        enough, lest they end up in the others.
    label : str
        To name the angle in an error.

    Attributes
    ----------
    used : tuple of OrderInPixels
        Those that are usable.

    Raises
    ------
    InputError
        If the phases cannot tell the usable orders apart.
    """

    def __init__(self, orders: Sequence[OrderInPixels], label: str) -> None:
        self.used = tuple(order for order in orders if order.is_usable)
        self._rows: NDArray[np.float64] | None = None
        if self.used:
            others = [order for order in orders if not order.is_usable]
            phases = [order.phases_rad for order in (*self.used, *others)]
            self._rows = self._separate(phases, label)

    def _separate(
        self, phases: list[NDArray[np.float64]], label: str
    ) -> NDArray[np.float64]:
        """Return the rows of the separation matrix that give the used orders."""
        counts = {len(values) for values in phases}
        frames = counts.pop()
        needed = 1 + 2 * len(self.used)
        if counts or frames < needed:
            raise InputError(
                f"number of phases of {label}",
                got=frames,
                allowed=f"the same for all its patterns, {needed} or more",
            )
        phases = phases[: (frames - 1) // 2]
        if np.linalg.cond(mixing_matrix(phases)) > WORST_CONDITION:
            degrees = [np.degrees(values).round(1).tolist() for values in phases]
            raise InputError(
                f"phases of {label}, degrees",
                got=degrees,
                allowed="phases apart enough to separate the orders",
            )
        return separation_matrix(phases)[:needed]

    @property
    def frames(self) -> int | None:
        """Number of frames P; None where the angle has no usable order."""
        return None if self._rows is None else self._rows.shape[1]

    def order_rows(self, frames: int) -> NDArray[np.float64]:
        """Return the matrix (1 + 2 N, P) that gives D_0, Re D_1, Im D_1, … of frames.

        An angle without a usable order has D_0 alone, the mean frame.
        """
        return np.full((1, frames), 1 / frames) if self._rows is None else self._rows


def orders_by_angle(
    patterns: Sequence[Pattern], pixel_size_nm: float
) -> list[AngleOrders]:
    """Group the orders of all patterns by angle.

    Parameters
    ----------
    patterns : sequence of Pattern
        Patterns of one channel; at least one for every angle from 0 on.
    pixel_size_nm : float
        Pixel size of the frames.

    Returns
    -------
    list of AngleOrders
        One for each angle.

    Raises
    ------
    InputError
        If an angle has no pattern, a period is below the pixel size, numbers of phases
        differ, or phases cannot tell orders apart.
    """
    indices = sorted({pattern.angle_index for pattern in patterns})
    if not indices or indices != list(range(len(indices))):
        raise InputError(
            "angles of the patterns",
            got=[index + 1 for index in indices],
            allowed="1, 2, 3, … without a gap",
        )
    angles = [
        AngleOrders(
            [
                OrderInPixels.from_order(pattern, order, pixel_size_nm)
                for pattern in patterns
                if pattern.angle_index == index
                for order in pattern.orders
            ],
            f"angle {index + 1}",
        )
        for index in indices
    ]
    counts = {angle.frames for angle in angles if angle.frames is not None}
    if len(counts) > 1:
        raise InputError(
            "numbers of phases", got=sorted(counts), allowed="the same for all angles"
        )
    return angles

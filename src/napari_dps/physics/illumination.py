"""Illumination patterns of a simulation, and the orders that light its frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Pattern, PatternOrder
from napari_dps.physics.simulate_settings import SimulationSettings


@dataclass(frozen=True, slots=True)
class IlluminationOrder:
    """One cosine of the illumination of one angle.

    Attributes
    ----------
    wavevector_per_nm : (float, float)
        k (y, x) in cycles per nm.
    modulation : float
        Modulation depth m.
    phases_rad : array (P,)
        Phase ψ_p in each frame.
    """

    wavevector_per_nm: tuple[float, float]
    modulation: float
    phases_rad: NDArray[np.float64]


def draw_patterns(
    settings: SimulationSettings, rng: np.random.Generator
) -> tuple[Pattern, ...]:
    """Return the patterns of the settings, with random first phases and errors.

    Stripes: one pattern an angle, phase steps 360°/P, orders at k and 2 k. Hexagonal
    (Gong et al. 2021, doi:10.1098/rsta.2020.0162): three patterns of angle index 0,
    each with one order and the phases of its own direction. The phases of the first
    and last direction step by 1 and 2 times 360°/P; those of the middle one are their
    sum (3 steps), because its wave vector is: the lattice moves as a whole.

    Parameters
    ----------
    settings : SimulationSettings
        Pattern, angles, phases, period, modulation and phase error.
    rng : numpy.random.Generator
        For the first phases and the errors.

    Returns
    -------
    tuple of Pattern
    """
    steps = np.arange(settings.phases) * 360 / settings.phases

    def phases(step: int) -> NDArray[np.float64]:
        error = rng.normal(0, settings.phase_error_deg, settings.phases)
        return rng.uniform(0, 360) + step * steps + error

    if settings.pattern == "hexagonal":
        first, last = phases(1), phases(2)
        return tuple(
            _pattern(settings, 0, 60 * turn, values)
            for turn, values in enumerate((first, first + last, last))
        )
    return tuple(
        _pattern(settings, angle, 180 * angle / settings.angles, phases(1))
        for angle in range(settings.angles)
    )


def illumination_orders(patterns: Sequence[Pattern]) -> list[list[IlluminationOrder]]:
    """Return the usable orders that light the frames of each angle.

    Raises
    ------
    InputError
        If an angle has none, or numbers of phases differ.
    """
    count = max((pattern.angle_index for pattern in patterns), default=-1) + 1
    angles: list[list[IlluminationOrder]] = [[] for _ in range(count)]
    for pattern in patterns:
        phases = np.radians(pattern.phases_deg)
        angles[pattern.angle_index] += [
            IlluminationOrder(
                order.wavevector_per_nm,
                order.modulation,
                order.order * phases + math.radians(order.offset_deg),
            )
            for order in pattern.orders
            if order.is_usable
        ]
    lengths = {len(order.phases_rad) for orders in angles for order in orders}
    if not angles or not all(angles) or len(lengths) != 1 or 0 in lengths:
        raise InputError(
            "patterns", allowed="one or more for each angle, all with P phases"
        )
    return angles


def _pattern(
    settings: SimulationSettings,
    angle_index: int,
    turn_deg: float,
    phases_deg: NDArray[np.float64],
) -> Pattern:
    """Return a pattern turned from the first angle; angles are kept below 180°."""
    angle_deg = settings.first_angle_deg + turn_deg
    if angle_deg >= 180:  # k points the other way, so phases change their sign
        angle_deg, phases_deg = angle_deg - 180, -phases_deg
    return Pattern(
        angle_index=angle_index,
        phases_deg=tuple((phases_deg % 360).tolist()),
        orders=tuple(
            PatternOrder(
                order=order,
                period_nm=settings.first_order_period_nm / order,
                angle_deg=angle_deg,
                modulation=modulation,
            )
            for order, modulation in enumerate(settings.modulations, 1)
        ),
    )

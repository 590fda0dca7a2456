"""Known wave vectors of raw frames: which, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dps.core import ImageStack, InputError, Pattern

if TYPE_CHECKING:
    from napari_dps.physics.sim.wave_series import SeriesFindings


def known_by_angle(image: ImageStack) -> dict[int, list[Pattern]]:
    """Return the usable patterns that raw frames carry, by angle.

    Raises
    ------
    InputError
        If the stack does not have such an angle.
    """
    known: dict[int, list[Pattern]] = {}
    for pattern in image.patterns:
        if pattern.is_usable:
            known.setdefault(pattern.angle_index, []).append(pattern)
    angles = image.size("A")
    if known and max(known) >= angles:
        raise InputError(
            "angle_index of a given pattern",
            got=max(known),
            allowed=f"0 to {angles - 1}",
        )
    return known


def known_orders(image: ImageStack) -> set[tuple[int, int]]:
    """Return index of the angle and number of each order that raw frames carry."""
    return {
        (pattern.angle_index, order.order)
        for pattern in image.patterns
        for order in pattern.orders
        if order.is_usable
    }


def confidence_of(findings: SeriesFindings) -> str:
    """Say how sure all time points together are of the known wave vectors."""
    from napari_dps.physics.sim.known_waves import KNOWN_CONFIDENCE

    return (
        f" (confidence of {findings.count} time points together "
        f"{max(findings.evidence, 0):.1f}; {KNOWN_CONFIDENCE:g} is needed)"
    )

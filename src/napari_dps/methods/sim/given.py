"""Wave vectors that raw frames were given: which, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dps.core import ImageStack, InputError, Pattern

if TYPE_CHECKING:
    from napari_dps.physics.sim.wave_series import SeriesFindings


def given_by_angle(image: ImageStack) -> dict[int, list[Pattern]]:
    """Return the usable patterns that raw frames carry, by angle.

    Raises
    ------
    InputError
        If the stack does not have such an angle.
    """
    given: dict[int, list[Pattern]] = {}
    for pattern in image.patterns:
        if pattern.is_usable:
            given.setdefault(pattern.angle_index, []).append(pattern)
    angles = image.size("A")
    if given and max(given) >= angles:
        raise InputError(
            "angle_index of a given pattern",
            got=max(given),
            allowed=f"0 to {angles - 1}",
        )
    return given


def orders_given(image: ImageStack) -> set[tuple[int, int]]:
    """Return index of the angle and number of each order that raw frames carry."""
    return {
        (pattern.angle_index, order.order)
        for pattern in image.patterns
        for order in pattern.orders
        if order.is_usable
    }


def confidence_of(findings: SeriesFindings) -> str:
    """Say how sure all time points together are of the wave vectors given."""
    from napari_dps.physics.sim.known_waves import GIVEN_CONFIDENCE

    return (
        f" (confidence of {findings.count} time points together "
        f"{max(findings.evidence, 0):.1f}; {GIVEN_CONFIDENCE:g} is needed)"
    )

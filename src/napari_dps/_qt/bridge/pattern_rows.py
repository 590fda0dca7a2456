"""Patterns as rows of a table: their texts, and numbers that were typed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from napari_dps.core import Pattern, PatternOrder


class Column(NamedTuple):
    """A column of the table.

    Attributes
    ----------
    title, tip : str
        Of its head.
    field : str
        Of `PatternOrder`, that a number typed there sets; empty where none can be.
    """

    title: str
    tip: str
    field: str = ""


COLUMNS = (
    Column("#", "Angle, in the order of the frames"),
    Column(
        "Dir.",
        "Direction of the wave vector in degrees, x towards y; double-click to set it",
        "angle_deg",
    ),
    Column(
        "Period", "Period of the stripes in nm; double-click to set it", "period_nm"
    ),
    Column("Mod.", "Modulation depth, 0 to 1"),
    Column(
        "Conf.",
        "Confidence: natural log of 1/p, p the chance that it is no pattern",
    ),
    Column(
        "Status",
        "found, tentative (with the support of the other angles), given, doubtful (not "
        "used: the warning says what to check), not found",
    ),
)


_DOTS = (0.0, 7.0, 12.0, 20.0, 40.0)
"""Confidence from which on a pattern has one, two … five dots: at 7 one of a thousand
searches in noise finds as much."""


def pattern_rows(
    patterns: Sequence[Pattern],
) -> list[tuple[Pattern, PatternOrder]]:
    """Return a row for each order of each pattern."""
    return [(pattern, order) for pattern in patterns for order in pattern.orders]


def row_texts(pattern: Pattern, order: PatternOrder) -> tuple[str, ...]:
    """Return the texts of a row, one a column.

    Examples
    --------
    >>> pattern = Pattern(angle_index=0, status="not found")
    >>> row_texts(pattern, pattern.orders[0])[:3]
    ('1', '–', '–')
    """
    name = f"{pattern.angle_index + 1}"
    if order.order > 1:
        name += f", order {order.order}"
    return (
        name,
        _number(order.angle_deg, 2, "°"),
        _number(order.period_nm, 1, " nm"),
        _number(order.modulation, 2),
        _number(None if order.status == "not found" else order.confidence, 0),
        order.status,
    )


def with_text(
    patterns: Sequence[Pattern], row: int, column: int, text: str
) -> tuple[Pattern, ...]:
    """Return patterns with the number that was typed in a cell.

    The status of the order is "given" then; a text that is no number changes nothing.

    Parameters
    ----------
    patterns : sequence of Pattern
        Those of the table.
    row, column : int
        Of the cell.
    text : str
        With or without unit, with point or comma.
    """
    changed = []
    for pattern in patterns:
        orders = list(pattern.orders)
        if 0 <= row < len(orders):
            orders[row] = _edited(orders[row], COLUMNS[column].field, text)
        row -= len(orders)
        changed.append(pattern.model_copy(update={"orders": tuple(orders)}))
    return tuple(changed)


def in_words(patterns: Sequence[Pattern]) -> str:
    """Say in a line an angle what was found, with up to five dots for how surely.

    Examples
    --------
    >>> sure = Pattern(
    ...     angle_deg=30, period_nm=208.04, confidence=60.0, status="found"
    ... )
    >>> in_words([sure])
    'Angle 1  ●●●●●  found, 208 nm'
    """
    lines = []
    for pattern, order in pattern_rows(patterns):
        name = f"Angle {pattern.angle_index + 1}"
        if order.order > 1:
            name += f", order {order.order}"
        if pattern.channel_index:
            name += f", channel {pattern.channel_index + 1}"
        period = "" if order.period_nm is None else f", {order.period_nm:.0f} nm"
        lines.append(f"{name}  {_dots(order)}  {order.status}{period}")
    return "\n".join(lines)


def searched_in_words(
    shortest: float, longest: float, na: float | None, emission_nm: float | None
) -> str:
    """Say which periods of stripes are looked for; empty while optics are missing.

    Parameters
    ----------
    shortest, longest : float
        Wave vectors, over the cut-off of the detection.
    na, emission_nm : float or None
        Of the detection.

    Examples
    --------
    >>> searched_in_words(0.2, 1.15, 1.4, 525.0)
    'Stripes of 163 to 938 nm are looked for.'
    """
    if not na or not emission_nm:
        return ""
    period_nm = emission_nm / (2 * na)  # at the cut-off (Abbe)
    return (
        f"Stripes of {period_nm / longest:.0f} to {period_nm / shortest:.0f} nm are "
        "looked for."
    )


def _dots(order: PatternOrder) -> str:
    """Return five dots, as many of them full as the confidence has steps."""
    confidence = order.confidence or 0.0
    is_seen = order.status in ("found", "tentative")
    full = sum(confidence >= least for least in _DOTS) if is_seen else 0
    return "●" * full + "○" * (len(_DOTS) - full)


def _edited(order: PatternOrder, field: str, text: str) -> PatternOrder:
    try:
        value = float(text.replace(",", ".").strip("° nm"))
    except ValueError:
        return order
    if not math.isfinite(value) or (field == "period_nm" and value <= 0):
        return order
    vector = {"angle_deg": order.angle_deg, "period_nm": order.period_nm}
    vector[field] = value % 180 if field == "angle_deg" else value
    status = "not found" if None in vector.values() else "given"
    return order.model_copy(update={**vector, "status": status, "confidence": None})


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "–" if value is None else f"{value:.{digits}f}{unit}"

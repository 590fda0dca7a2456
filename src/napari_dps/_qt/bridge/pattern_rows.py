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
        _number(order.confidence, 0),
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

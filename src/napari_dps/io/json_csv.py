"""Results as strict JSON and as CSV, whole or not at all."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_dps.core.text import decoded, shown
from napari_dps.io.replacing import replacing

_FORMULA = ("=", "+", "-", "@")
"""Spreadsheets run cells that begin so."""


def write_json(values: Mapping[str, Any] | list[Any], path: Path) -> None:
    """Write strict JSON (NaN and infinities become null), whole or not at all."""
    text = json.dumps(
        strict_json(values), indent=2, ensure_ascii=False, allow_nan=False
    )
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as a table with a column for each name, whole or not at all.

    In UTF-8 whatever the locale is. Values that are missing or None leave their cell
    empty; ``notes`` are left out. Text is one line without control characters, and
    none that spreadsheets take for a formula.
    """
    names = dict.fromkeys(name for row in rows for name in row if name != "notes")
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.DictWriter(file, list(names), extrasaction="ignore")
        table.writeheader()
        for row in strict_json(rows):
            table.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    """Return what a cell may hold.

    Examples
    --------
    >>> _cell("=1+cmd.tif"), _cell(-1.5)
    ("'=1+cmd.tif", -1.5)
    """
    if not isinstance(value, str):
        return value
    text = shown(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def strict_json(value: Any) -> Any:
    """Replace what JSON and UTF-8 have no word for."""
    if isinstance(value, Mapping):
        return {decoded(str(key)): strict_json(item) for key, item in value.items()}
    if isinstance(value, str):
        return decoded(value)
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item"):
        return strict_json(value.item())
    return value

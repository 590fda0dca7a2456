"""Illumination patterns from a hand-written file or from the report of another run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_dps.core import InputError, Pattern
from napari_dps.core.params import parse
from napari_dps.io.text_files import read_json, read_toml

_LARGEST_BYTES = 10_000_000
_SHAPE = "a list 'patterns' of tables with angle_deg and period_nm"


def load_patterns(path: str | os.PathLike[str]) -> tuple[Pattern, ...]:
    """Read illumination patterns from TOML or JSON.

    Parameters
    ----------
    path : path-like
        ``[[patterns]]`` tables in TOML; ``{"patterns": [...]}`` or a bare list in
        JSON; or the report of a run, whose stage with patterns is taken. Keys are the
        fields of `napari_dps.core.Pattern` and `napari_dps.core.PatternOrder`;
        without ``angle_index`` the patterns count up in the order of the file.

    Returns
    -------
    tuple of Pattern
        At least one.

    Raises
    ------
    InputError
        If the file cannot be read or holds no valid patterns.
    """
    path = Path(path)
    is_toml = path.suffix.lower() == ".toml"
    entries = _find(read_toml(path) if is_toml else read_json(path, _LARGEST_BYTES))
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path.name} holds no patterns", allowed=_SHAPE)
    return parse_patterns(entries, f"{path.name}: patterns")


def parse_patterns(entries: Sequence[Any], where: str) -> tuple[Pattern, ...]:
    """Validate patterns of a file.

    Parameters
    ----------
    entries : sequence
        Tables with the keys that `load_patterns` reads.
    where : str
        The place to name in an error.

    Returns
    -------
    tuple of Pattern
        Without ``angle_index`` they count up.

    Raises
    ------
    InputError
        Naming the first entry that is wrong.
    """
    return tuple(_pattern(entry, f"{where}[{i}]", i) for i, entry in enumerate(entries))


def patterns_json(patterns: tuple[Pattern, ...]) -> list[dict[str, Any]]:
    """Return patterns as `load_patterns` reads them."""
    return [pattern.model_dump(mode="json") for pattern in patterns]


def _find(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    if content.get("patterns"):
        return content["patterns"]
    stages = content.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        if isinstance(stage, dict) and stage.get("patterns"):
            return stage["patterns"]
    return None


def _pattern(entry: Any, where: str, index: int) -> Pattern:
    if not isinstance(entry, dict):
        raise InputError(where, got=entry, allowed="a table with angle_deg, period_nm")
    pattern = parse(Pattern, {"angle_index": index, **entry}, where)
    if pattern.status != "not found" and None in (pattern.period_nm, pattern.angle_deg):
        raise InputError(f"{where} needs angle_deg and period_nm")
    return pattern

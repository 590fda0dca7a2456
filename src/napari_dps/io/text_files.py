"""Settings in TOML and JSON: small regular files, their faults said in one line."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from napari_dps.core import InputError
from napari_dps.core.files import read_bytes
from napari_dps.core.text import shortened

LARGEST_TOML = 2**18
"""Bytes; nobody writes more by hand."""
_DEEPEST_KEY = 500
"""Names in a dotted key: the time to read it grows with their square."""


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InputError
        If it cannot be read, is too large or is no TOML; the message names line and
        column.
    """
    text = _text(path, LARGEST_TOML, "TOML")
    return parse_toml(text, str(path))


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Read TOML; ``name`` says in an error whose it is.

    Raises
    ------
    InputError
        As `read_toml`.
    """
    keys = (line.partition("=")[0] for line in text.splitlines())
    if any(key.count(".") > _DEEPEST_KEY for key in keys):
        raise InputError(f"{name} is nested too deeply")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(name, "TOML", error) from error


def read_json(path: str | os.PathLike[str], largest: int) -> Any:
    """Read a JSON file of no more than so many bytes.

    Raises
    ------
    InputError
        If it cannot be read, is too large or is no JSON.
    """
    text = _text(path, largest, "JSON")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(str(path), "JSON", error) from error


def _text(path: str | os.PathLike[str], largest: int, kind: str) -> str:
    try:
        return read_bytes(path, largest).decode("utf-8")
    except OSError as error:
        raise InputError(f"cannot read {Path(path)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _invalid(str(path), kind, error) from error


def _invalid(name: str, kind: str, error: Exception) -> InputError:
    if isinstance(error, RecursionError):
        return InputError(f"{name} is nested too deeply")
    reason = str(error)
    if "set_int_max_str_digits" in reason:
        reason = "a number of more than 4300 digits"
    return InputError(f"{name} is no valid {kind}: {shortened(reason)}")

"""What `save` stores beside the standard metadata, and its careful reading back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from napari_dps.core import HistoryEntry, ImageStack, Optics, Pattern
from napari_dps.io.raw import Metadata

NAMESPACE = "napari-dps"
"""Namespace of the OME map annotation, key of the OME-Zarr attributes."""

_FIELDS: dict[str, TypeAdapter[Any]] = {
    "stored_axes": TypeAdapter(str),
    "stored_shape": TypeAdapter(tuple[int, ...]),
    "origin_nm": TypeAdapter(tuple[float, float]),
    "optics": TypeAdapter(Optics | None),
    "channel_optics": TypeAdapter(tuple[Optics, ...]),
    "patterns": TypeAdapter(tuple[Pattern, ...]),
    "history": TypeAdapter(tuple[HistoryEntry, ...]),
}


def encode(stack: ImageStack) -> dict[str, str]:
    """Return names and JSON texts of what no standard field can hold.

    Parameters
    ----------
    stack : ImageStack
        With its axes in canonical order.

    Returns
    -------
    dict of str to str
        ASCII JSON.
    """
    optics = stack.optics
    values = {
        "stored_axes": stack.axes,
        "stored_shape": list(stack.shape),
        "origin_nm": list(stack.origin_nm),
        "optics": None if optics is None else optics.model_dump(mode="json"),
        "channel_optics": [own.model_dump(mode="json") for own in stack.channel_optics],
        "patterns": [pattern.model_dump(mode="json") for pattern in stack.patterns],
        "history": [asdict(entry) for entry in stack.history],
    }
    return {name: json.dumps(value) for name, value in values.items()}


def decode(texts: Mapping[str, object], metadata: Metadata) -> Metadata:
    """Add what `encode` stored; whatever is invalid is left out with a warning.

    Parameters
    ----------
    texts : mapping of str to str
        Untrusted names and JSON texts.
    metadata : Metadata
        What the standard fields say.

    Returns
    -------
    Metadata
    """
    found: dict[str, Any] = {}
    warnings = list(metadata.warnings)
    for name, adapter in _FIELDS.items():
        if name not in texts:
            continue
        try:
            found[name] = adapter.validate_json(str(texts[name]))
        except ValidationError:
            warnings.append(f"the {name} stored in the file is invalid: ignored")
    return replace(metadata, **found, warnings=tuple(warnings))

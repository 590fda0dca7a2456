"""What `save` stores besides the standard metadata, and its careful reading back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from napari_dps.core import ImageStack
from napari_dps.core.types import AXES
from napari_dps.io.raw import Metadata

NAMESPACE = "napari-dps"
"""Namespace of the OME map annotation, key of the OME-Zarr attributes."""

_STORED = (
    "origin_nm", "optics", "channel_optics", "patterns", "history", "shows_sim"
)  # fmt: skip
"""Fields of the record that no standard field holds; the standard ones win, as other
programs change those. The noise is that of one run's first time points."""

_Length = Annotated[int, Field(gt=0, lt=2**40)]
_LAYOUT: dict[str, TypeAdapter[Any]] = {
    "stored_axes": TypeAdapter(Annotated[str, Field(pattern=f"^[{AXES}]+$")]),
    "stored_shape": TypeAdapter(tuple[_Length, ...]),
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
    record = stack.to_json()
    values = {"stored_axes": stack.axes, "stored_shape": list(stack.shape)}
    values |= {name: record[name] for name in _STORED}
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
    values, invalid = {}, []
    for name in (*_LAYOUT, *_STORED):
        if name in texts:
            try:
                values[name] = from_json(str(texts[name]), allow_inf_nan=False)
            except (ValueError, TypeError):  # TypeError: half a character
                invalid.append(name)
    found, wrong = metadata.read_json(values)
    for name, adapter in _LAYOUT.items():
        if name in values:
            try:
                found[name] = adapter.validate_python(values[name])
            except ValidationError:
                wrong.append(name)
    warnings = [
        f"the {name} stored in the file is invalid: ignored"
        for name in (*invalid, *wrong)
    ]
    return replace(metadata, **found, warnings=(*metadata.warnings, *warnings))

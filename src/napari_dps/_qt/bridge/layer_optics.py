"""What a layer itself tells of optics, camera, and instrument; channel by channel."""

from collections.abc import Mapping, Sequence
from typing import Any

from napari.layers import Image

from napari_dps._qt.bridge.layers import (
    axes_of,
    camera_offset_of,
    carried_by,
    entry_of,
    is_zero_based,
    optics_of,
    pixel_size_nm,
)
from napari_dps._qt.bridge.source_file import file_metadata
from napari_dps.core import InputError, Optics
from napari_dps.io import RawImage, optics_told
from napari_dps.io.instruments import recognised

Value = float | tuple[float, ...]
"""Of all channels, or one a channel."""

OFFSET = "camera_offset"
TOLD = "optics_told"
"""Key of a layer's metadata: optics that its file tells in part, an entry a channel."""
INSTRUMENT = "instrument"
"""Key of a layer's metadata: what its file mentions; see `io.instruments`."""


def channels_of(layer: Image | None) -> tuple[str, ...]:
    """Return a name for each channel of a layer; one for a layer without channels."""
    if layer is None or "C" not in axes_of(layer):
        return ("",)
    data = layer.data[0] if layer.multiscale else layer.data
    count = data.shape[axes_of(layer).index("C")]
    names = carried_by(layer, "channel_names").get("channel_names", ())
    if len(names) == count:
        return tuple(names)
    return tuple(f"channel {number}" for number in range(count))


def told_by(layer: Image) -> dict[str, Value]:
    """Return optics, pixel size and camera offset that a layer carries.

    A factor of 1 is what is taken where nothing else is known: it is not told.
    """
    each = _optics_told(layer)
    found: dict[str, Value] = {}
    for name in Optics.model_fields:
        values = [told[name] for told in each if name in told]
        if len(values) == len(each) and values:
            found[name] = values[0] if len(set(values)) == 1 else tuple(values)
    for name, usual in (("modulation_factor", 1.0), ("excitation_nm", 0.0)):
        if found.get(name) == usual:
            del found[name]
    size_nm = _pixel_size(layer)
    if size_nm is not None:
        found["pixel_size_nm"] = size_nm
    if is_zero_based(layer):
        found[OFFSET] = 0.0
    elif (offset := camera_offset_of(layer)) is not None:
        found[OFFSET] = offset
    return found


def instrument_of(layer: Image) -> str:
    """Return the key of the instrument that a layer's file mentions; empty if none."""
    stored = entry_of(layer, INSTRUMENT)
    if isinstance(stored, str):
        return stored
    metadata = None if is_zero_based(layer) else file_metadata(layer)
    if metadata is None:
        return ""
    data = layer.data[0] if layer.multiscale else layer.data
    found = recognised(RawImage(data, "Q" * (data.ndim - 2) + "YX", metadata))
    return "" if found is None else found.key


def _optics_told(layer: Image) -> Sequence[Mapping[str, float]]:
    """Return the optics that a layer carries, whole or in part, an entry a channel."""
    optics = optics_of(layer)
    if optics is not None:
        each = carried_by(layer, "channel_optics").get("channel_optics", ())
        count = len(channels_of(layer))
        used = each if len(each) == count else (optics,)
        return [one.model_dump(exclude={"pixel_size_nm"}) for one in used]
    told = entry_of(layer, TOLD)
    if isinstance(told, Sequence) and told and all(isinstance(x, dict) for x in told):
        return [_numbers(values) for values in told]
    metadata = None if is_zero_based(layer) else file_metadata(layer)
    return [{}] if metadata is None else optics_told(metadata, len(channels_of(layer)))


def _numbers(values: Mapping[Any, Any]) -> dict[str, float]:
    return {
        str(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float)
    }


def _pixel_size(layer: Image) -> float | None:
    """Return the pixel size that a layer's scale tells, else its optics."""
    try:
        size_nm = pixel_size_nm(layer)
    except InputError:
        size_nm = None
    optics = optics_of(layer)
    if size_nm is not None or optics is not None:
        return size_nm or (None if optics is None else optics.pixel_size_nm)
    metadata = None if is_zero_based(layer) else file_metadata(layer)
    return None if metadata is None else metadata.pixel_size_nm

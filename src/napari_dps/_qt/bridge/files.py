"""Files through napari's own menus, with optics, axes, patterns and history."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_dps._qt.bridge.layer_optics import INSTRUMENT, TOLD
from napari_dps._qt.bridge.layers import METADATA, place_in_nm
from napari_dps._qt.bridge.result_layers import LayerData, stack_layer
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.io import arrange, is_image_name, optics_told, pick, read, save
from napari_dps.io.instruments import recognised
from napari_dps.pipeline import InputSettings

_LARGE_BYTES = 2**29
"""Of a file; the pixels of larger ones stay in it until they are looked at."""

_COLOURS = ((480, "blue"), (570, "green"), (640, "yellow"), (2000, "magenta"))
"""Emission in nm up to which a channel is shown in a colour, if there are several."""


def get_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return the function that reads a path; None for what it is not meant for."""
    single = path[0] if isinstance(path, list) else path
    if isinstance(path, list) and len(path) != 1:
        return None
    return _read if is_image_name(single) else None


def _read(path: str | list[str]) -> list[LayerData]:
    """Read a file: a layer a channel, with its name and its wavelength."""
    name = Path(path[0] if isinstance(path, list) else path)
    is_large = name.is_file() and name.stat().st_size > _LARGE_BYTES
    raw = read(name, lazy=is_large)
    whole = arrange(raw, lazy=is_large)
    title = name.name.split(".")[0]
    instrument = recognised(raw)
    key = "" if instrument is None else instrument.key
    count = whole.size("C")
    if count == 1:
        layer = stack_layer(whole, title)
        return [_told(layer, optics_told(raw.metadata, 1), key)]
    layers = []
    names = whole.channel_names or tuple(f"channel {n}" for n in range(count))
    for number, told in enumerate(optics_told(raw.metadata, count)):
        stack = arrange(pick(raw, channel=number, frames=None), lazy=is_large)
        emission = told.get("emission_nm", 0.0)
        colour = next(c for nm, c in _COLOURS if emission <= nm) if emission else "gray"
        layer = stack_layer(
            stack, f"{title} · {names[number]}", colormap=colour, blending="additive"
        )
        layers.append(_told(layer, (told,), key))
    return layers


def _told(
    layer: LayerData, told: tuple[dict[str, float], ...], instrument: str
) -> LayerData:
    """Let a layer carry what its file tells of optics, in part, and instrument."""
    layer[1]["metadata"][METADATA] |= {TOLD: told, INSTRUMENT: instrument}
    return layer


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer so that `napari-dps run` and other programs open it.

    Parameters
    ----------
    path : str
        Ending in .tif or .zarr.
    data, attributes
        Of the layer, as napari hands them over.
    """
    layer = Image(data, **attributes)
    stack = LayerSnapshot.of(layer).to_stack(InputSettings(), None, lambda _: None)
    written = save(stack.derive(stack.data, origin_nm=place_in_nm(layer)), path)
    return [str(written)]

"""Files through napari's own menus, with optics, axes, patterns and history."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_dps._qt.bridge.layers import place_in_nm
from napari_dps._qt.bridge.result_layers import LayerData, stack_layer
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.io import load, save
from napari_dps.pipeline import InputSettings

_SUFFIXES = (".tif", ".tiff", ".zarr", ".dv", ".mrc")


def get_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return the function that reads a path; None for what it is not meant for."""
    single = path[0] if isinstance(path, list) else path
    if isinstance(path, list) and len(path) != 1:
        return None
    return _read if str(single).lower().endswith(_SUFFIXES) else None


def _read(path: str | list[str]) -> list[LayerData]:
    name = Path(path[0] if isinstance(path, list) else path)
    return [stack_layer(load(name), name.name.split(".")[0])]


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

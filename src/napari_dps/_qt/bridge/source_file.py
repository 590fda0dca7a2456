"""What the file tells that another reader has opened a layer from."""

import weakref
from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_dps.core import NapariDpsError
from napari_dps.io import Metadata, is_image_name, read

_known: weakref.WeakKeyDictionary[Any, Metadata | None] = weakref.WeakKeyDictionary()


def file_metadata(layer: Image) -> Metadata | None:
    """Return the metadata of the file of a layer; its header is read once.

    napari's own reader leaves pixel size, NA and wavelengths in the file.

    Returns
    -------
    Metadata or None
        None without a file, for one that cannot be read, and for other pixels.
    """
    if layer not in _known:
        _known[layer] = _read(layer)
    return _known[layer]


def _read(layer: Image) -> Metadata | None:
    name = layer.source.path
    if name is None or not is_image_name(name) or not Path(name).is_file():
        return None
    try:
        raw = read(name, lazy=True)
    except (NapariDpsError, OSError):
        return None
    data = layer.data[0] if layer.multiscale else layer.data
    return raw.metadata if raw.data.shape[-2:] == data.shape[-2:] else None

"""Files through napari's menus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_dps._qt.files import get_reader, write_image
from napari_dps._qt.layers import METADATA
from napari_dps._qt.samples import raw_stack


def _layer(data: tuple[Any, dict[str, Any], str]) -> Image:
    return Image(data[0], **data[1])


def test_layer_survives_writing_and_reading(tmp_path: Path) -> None:
    raw = _layer(raw_stack("actin", height_px=48, width_px=40)[1])
    data, attributes, _ = raw.as_layer_data_tuple()
    (path,) = write_image(str(tmp_path / "raw.ome.tif"), data, attributes)
    reader = get_reader(path)
    assert reader is not None
    back = _layer(reader(path)[0])
    assert back.name == "raw"
    assert np.array_equal(back.data, raw.data)
    assert back.axis_labels == raw.axis_labels
    assert back.units == raw.units
    assert np.array_equal(back.scale, raw.scale)
    assert back.metadata[METADATA]["optics"] == raw.metadata[METADATA]["optics"]


@pytest.mark.parametrize("path", ["image.png", ["one.tif", "two.tif"]])
def test_what_is_no_image_of_ours_is_left_to_others(path: Any) -> None:
    assert get_reader(path) is None

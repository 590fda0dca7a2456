"""Files through napari's menus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_dps._qt.bridge.files import get_reader, write_image
from napari_dps._qt.bridge.layers import METADATA
from napari_dps._qt.bridge.run_request import RunRequest, work
from napari_dps._qt.bridge.samples import raw_stack
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import finish
from napari_dps.core.context import Context
from napari_dps.io import load
from napari_dps.pipeline import Settings


def _layer(data: tuple[Any, dict[str, Any], str]) -> Image:
    return Image(data[0], **data[1])


def test_layer_survives_writing_and_reading(tmp_path: Path) -> None:
    raw = _layer(raw_stack("actin", height_px=48, width_px=40)[-1])
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


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_spacings_of_a_volume_survive_a_stage_and_a_file(
    tmp_path: Path, suffix: str
) -> None:
    layer = Image(
        np.random.default_rng(0).poisson(50, (2, 3, 32, 40)).astype(np.float32),
        scale=(0.5, 0.125, 0.065, 0.065),
        units=("s", "µm", "µm", "µm"),
        axis_labels=("t", "z", "y", "x"),
    )
    settings = Settings.from_tables({"pipeline": {"stages": ["background"]}})
    steps = work(RunRequest(LayerSnapshot.of(layer), settings, Context()))
    (result,) = finish(steps).layers
    data, attributes, _ = _layer(result).as_layer_data_tuple()
    (path,) = write_image(str(tmp_path / f"result{suffix}"), data, attributes)
    stack = load(path)
    assert (stack.axes, stack.z_step_nm, stack.frame_interval_s) == ("TZYX", 125, 0.5)
    reader = get_reader(path)
    assert reader is not None
    assert tuple(_layer(reader(path)[0]).scale) == (0.5, 125, 65, 65)


@pytest.mark.parametrize("path", ["image.png", ["one.tif", "two.tif"]])
def test_what_is_no_image_of_ours_is_left_to_others(path: Any) -> None:
    assert get_reader(path) is None

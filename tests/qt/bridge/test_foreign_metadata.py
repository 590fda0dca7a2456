"""Metadata of layers that others wrote: what is right counts, the rest does not."""

import json

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps._qt.bridge.layers import (
    METADATA,
    axes_of,
    camera_offset_of,
    optics_of,
    part_of,
    stages_behind,
    why_not,
)
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.dock_widgets import BackgroundWidget
from napari_dps._qt.widgets.layer_combo import LayerCombo
from napari_dps.core import HistoryEntry, Optics, StackInfo

FOREIGN = [
    None,
    3,
    "text",
    [],
    {"axes": 3},
    {"axes": "AB"},
    {"axes": "XX"},
    {"axes": ["Y", "X"]},
    {"history": [{"stage": "denoise"}]},
    {"history": 7},
    {"history": [None]},
    {"optics": {"na": "wide"}},
    {"optics": object()},
    {"patterns": np.ones(3)},
    {"camera_offset": "many"},
    {"camera_offset": float("nan")},
    {"camera_offset": [1]},
    {"part_of": {"a": 1}},
    {"origin_nm": "here", "z_step_nm": -1, "channel_names": 5},
]


def _layer(carried: object) -> Image:
    return Image(np.ones((16, 16)), metadata={METADATA: carried}, name="foreign")


@pytest.mark.parametrize(
    "carried", FOREIGN, ids=lambda value: repr(value).partition(" at 0x")[0]
)
def test_foreign_metadata_count_for_nothing(carried: object) -> None:
    layer = _layer(carried)
    assert axes_of(layer) == "YX"
    assert optics_of(layer) is None
    assert stages_behind(layer) == set()
    assert part_of(layer) == ""
    assert camera_offset_of(layer, 100.0) == 100.0
    assert why_not(layer, "YX") == ""
    assert LayerSnapshot.of(layer).metadata.patterns == ()


def test_what_went_through_json_is_read_again() -> None:
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
    history = (HistoryEntry("background", {}, "1", 0.5),)
    record = StackInfo(65.0, optics=optics, history=history).to_json()
    layer = _layer(json.loads(json.dumps(record)))
    assert optics_of(layer) == optics
    assert stages_behind(layer) == {"background"}


@pytest.mark.parametrize("carried", [None, {"axes": 3}, {"history": [{"stage": 1}]}])
def test_a_foreign_layer_never_empties_a_dock(qtbot, carried: object) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.ones((16, 16)), name="good")
    viewer.add_layer(_layer(carried))
    dock = BackgroundWidget(viewer)
    qtbot.addWidget(dock)
    dock.show()
    combo = dock.findChild(LayerCombo)
    names = [combo.itemText(n) for n in range(combo.count())]
    assert sorted(names) == ["foreign", "good"]

"""The microscope that all docks share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import QSettings

from napari_dps._qt.bridge.microscope import EMISSIONS, OBJECTIVES, Microscope
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.widgets.microscope import MicroscopeWidget
from napari_dps.core import ImageStack, Optics


def _store(path: Path) -> QSettings:
    return QSettings(str(path), QSettings.Format.IniFormat)


@pytest.fixture
def widget(qtbot: Any, microscope: Microscope) -> MicroscopeWidget:
    widget = MicroscopeWidget(microscope)
    qtbot.addWidget(widget)
    return widget


def _layer(pixel_nm: float, **optics: float) -> Image:
    values = {"na": 1.27, "emission_nm": 600.0, **optics}
    stack = ImageStack(
        np.ones((8, 8), np.float32),
        "YX",
        pixel_size_nm=pixel_nm,
        optics=Optics(pixel_size_nm=pixel_nm, **values),
    )
    data, kwargs, _ = stack_layer(stack, "x")
    return Image(data, **kwargs)


def test_values_are_remembered_between_starts(tmp_path: Path) -> None:
    first = Microscope(_store(tmp_path / "s.ini"))
    first.update({"na": 1.45, "emission_nm": 671.0})
    first.set_camera_offset(98.5)
    second = Microscope(_store(tmp_path / "s.ini"))
    assert second.values == first.values
    assert second.camera_offset == 98.5


def test_stored_values_that_are_impossible_are_left_out(tmp_path: Path) -> None:
    store = _store(tmp_path / "s.ini")
    store.setValue("microscope/na", "99")
    store.setValue("microscope/emission_nm", "green")
    found = Microscope(store)
    assert set(found.values) == {"refractive_index"}


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: o.name)
def test_every_preset_is_possible(objective: Any) -> None:
    values = {"na": objective.na, "refractive_index": objective.refractive_index}
    for _, nm in EMISSIONS:
        Optics(emission_nm=nm, pixel_size_nm=65, **values)


def test_values_that_are_typed_for_a_layer_stay_with_it(
    widget: MicroscopeWidget, microscope: Microscope
) -> None:
    layer = _layer(65.0)
    widget.set_layer(layer)
    assert widget.value()["na"] == 1.27
    widget.editors["na"].setValue(1.2)
    widget.set_layer(None)
    assert "na" not in widget.value()
    assert "na" not in microscope.values
    widget.set_layer(layer)
    assert widget.value()["na"] == 1.2


def test_pixel_size_by_hand_counts_for_its_layer_alone(
    widget: MicroscopeWidget,
) -> None:
    one, two = _layer(65.0), _layer(32.5)
    widget.set_layer(one)
    widget.editors["pixel_size_nm"].setValue(70)
    assert widget.value()["pixel_size_nm"] == 70
    assert one.scale[-1] == 65
    widget.set_layer(two)
    assert widget.value()["pixel_size_nm"] == 32.5
    widget.set_layer(one)
    widget.editors["pixel_size_nm"].setValue(0)
    assert widget.value()["pixel_size_nm"] == 65


def test_nothing_known_is_told_by_name(widget: MicroscopeWidget) -> None:
    assert widget.missing == ("NA", "Emission wavelength", "Pixel size")
    assert widget.editors["na"].text() == "not set"

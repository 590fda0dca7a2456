"""A widget that edits something has a value, sets it and tells of changes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtWidgets import QWidget

from napari_dps._qt import widgets
from napari_dps._qt.bridge.compare import Comparison
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.widgets.compare_inputs import CompareInputs
from napari_dps._qt.widgets.device import DeviceEdit
from napari_dps._qt.widgets.editors import (
    BoolEdit,
    ChoiceEdit,
    IntegerEdit,
    NumberEdit,
    TextEdit,
)
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.frames import FramesWidget
from napari_dps._qt.widgets.input_options import InputOptions
from napari_dps._qt.widgets.layer_checklist import LayerChecklist
from napari_dps._qt.widgets.layer_combo import LayerCombo
from napari_dps._qt.widgets.layer_views import SplitView
from napari_dps._qt.widgets.microscope import ChannelEdits, MicroscopeWidget
from napari_dps._qt.widgets.optics_sliders import OpticsSliders, SliderEdit, UsualRange
from napari_dps._qt.widgets.path_edits import FileEdit, FolderEdit
from napari_dps._qt.widgets.patterns import PatternsWidget
from napari_dps._qt.widgets.raw_strip import RawStrip
from napari_dps._qt.widgets.stage_list import StageList
from napari_dps._qt.widgets.steps import StageBoxes, StepBar
from napari_dps.core import Optics, Pattern
from napari_dps.core.params import describe
from napari_dps.pipeline import InputSettings
from napari_dps.stages.background import BackgroundParameters
from napari_dps.stages.denoise import DenoiseParameters

LAYERS = [Image(np.zeros((8, 8)), name=name) for name in "ab"]
PATTERN = Pattern(angle_index=0, angle_deg=12.0, period_nm=208.0, status="given")
OPTICS = {
    "na": 1.2,
    "emission_nm": 600.0,
    "modulation_factor": 1.5,
    "pixel_size_nm": 40.0,
    "refractive_index": 1.4,
}


def _choice() -> ChoiceEdit:
    edit = ChoiceEdit()
    edit.addItems(["one", "two"])
    return edit


def _refreshed(widget: Any) -> Any:
    widget.refresh(LAYERS)
    return widget


def _microscope() -> MicroscopeWidget:
    widget = MicroscopeWidget(Microscope())
    widget.set_layer(Image(np.zeros((8, 8))))
    return widget


def _slider() -> SliderEdit:
    info = next(info for info in describe(Optics) if info.name == "na")
    return SliderEdit(info, UsualRange(0.4, 1.7, 0.01))


def _patterns() -> PatternsWidget:
    widget = PatternsWidget()
    widget.use_box.setChecked(True)
    return widget


def _file() -> FileEdit:
    return FileEdit(next(info for info in describe(DenoiseParameters) if info.file))


def _channels() -> ChannelEdits:
    edits = ChannelEdits()
    edits.show_channels(("green", "red"), None)
    return edits


def _strip() -> RawStrip:
    strip = RawStrip()
    strip.set_layer(Image(np.zeros((9, 8, 8))))
    return strip


CASES: dict[type[QWidget], tuple[Callable[[], Any], Any]] = {
    BoolEdit: (BoolEdit, True),
    ChannelEdits: (_channels, (525.0, 610.0)),
    ChoiceEdit: (_choice, "two"),
    CompareInputs: (
        lambda: _refreshed(CompareInputs()),
        Comparison((LAYERS[0],), LAYERS[1]),
    ),
    DeviceEdit: (lambda: DeviceEdit(Microscope()), "cpu"),
    FileEdit: (_file, "some.json"),
    FolderEdit: (lambda: FolderEdit("hint", "title"), "some/folder"),
    FramesWidget: (
        lambda: FramesWidget(is_of_files=True),
        InputSettings(instrument="omx", angles=5, phases=4, order="payx"),
    ),
    InputOptions: (
        lambda: InputOptions(is_of_files=True),
        InputSettings(frames="0-8/10", channel=1, join=True, gain_map="gain.tif"),
    ),
    IntegerEdit: (IntegerEdit, 7),
    LayerChecklist: (lambda: _refreshed(LayerChecklist(lambda _: "")), [LAYERS[0]]),
    LayerCombo: (lambda: _refreshed(LayerCombo(lambda _: "")), LAYERS[0]),
    MicroscopeWidget: (_microscope, OPTICS),
    ModelForm: (
        lambda: ModelForm(BackgroundParameters),
        BackgroundParameters(radius_px=20),
    ),
    NumberEdit: (NumberEdit, 0.123456789),
    OpticsSliders: (OpticsSliders, OPTICS),
    PatternsWidget: (_patterns, (PATTERN,)),
    RawStrip: (_strip, InputSettings(angles=3, phases=3, order="payx")),
    SliderEdit: (_slider, 1.2345),
    SplitView: (lambda: SplitView(ViewerModel()), 0.25),
    StageBoxes: (StageBoxes, ("background", "dps")),
    StepBar: (lambda: StepBar({"raw": "Raw", "sim": "SIM"}), "sim"),
    StageList: (StageList, {"background": BackgroundParameters(radius_px=20)}),
    TextEdit: (TextEdit, "some text"),
}


def test_every_widget_that_sets_a_value_is_tested_here() -> None:
    found = set()
    for module in pkgutil.iter_modules(widgets.__path__, f"{widgets.__name__}."):
        for item in vars(importlib.import_module(module.name)).values():
            if isinstance(item, type) and item.__module__ == module.name:
                edits = issubclass(item, QWidget) and hasattr(item, "setValue")
                found |= {item} if edits else set()
    assert found == set(CASES)


@pytest.mark.parametrize("cls", CASES, ids=lambda cls: cls.__name__)
def test_value_that_is_set_is_told_and_comes_back(
    qtbot: Any, cls: type[QWidget]
) -> None:
    make, value = CASES[cls]
    widget = make()
    qtbot.addWidget(widget)
    assert isinstance(widget, cls)
    before = widget.value()
    with qtbot.waitSignal(widget.valueChanged):
        widget.setValue(value)
    after = widget.value()
    assert after != before
    assert after == (Optics(**value) if cls is OpticsSliders else value)

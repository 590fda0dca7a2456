"""Form and parameter model say the same."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt

from napari_dps._qt.form import ModelForm, NumberEdit
from napari_dps.core.params import ParameterInfo, describe
from napari_dps.stages import STAGES
from napari_dps.stages.background import BackgroundParameters

EVERY_STAGE = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.id)


def _another(info: ParameterInfo) -> Any:
    """Return an allowed value that is not the default."""
    if info.choices:
        return next(choice for choice in info.choices if choice != info.default)
    if info.kind is bool:
        return not info.default
    if info.kind is str:
        return "physics"
    low = info.minimum if info.minimum is not None else 0
    high = info.maximum if info.maximum is not None else low + 10
    middle = low + (high - low) / 3
    return round(middle) if info.kind is int else middle


@EVERY_STAGE
def test_form_shows_the_defaults_of_its_model(qtbot: Any, stage: Any) -> None:
    form = ModelForm(stage.parameters)
    qtbot.addWidget(form)
    assert form.value() == stage.parameters()
    assert set(form.editors) == set(stage.parameters.model_fields)


@EVERY_STAGE
def test_form_gives_back_every_value_exactly(qtbot: Any, stage: Any) -> None:
    form = ModelForm(stage.parameters)
    qtbot.addWidget(form)
    values = {info.name: _another(info) for info in describe(stage.parameters)}
    parameters = stage.parameters(**values)
    with qtbot.waitSignal(form.valueChanged):
        form.setValue(parameters)
    assert form.value() == parameters
    form.reset()
    assert form.value() == stage.parameters()


@EVERY_STAGE
def test_every_editor_explains_its_parameter(qtbot: Any, stage: Any) -> None:
    form = ModelForm(stage.parameters)
    qtbot.addWidget(form)
    for info in describe(stage.parameters):
        tip = form.editors[info.name].toolTip()
        assert info.description in tip
        assert info.allowed in tip


@pytest.mark.parametrize("value", [1e-6, 0.1, 1 / 3, 0.30000000000000004, 1518.25])
def test_number_edit_never_rounds(qtbot: Any, value: float) -> None:
    edit = NumberEdit()
    qtbot.addWidget(edit)
    edit.setRange(0, 1e4)
    edit.setValue(value)
    assert edit.value() == value
    assert float(edit.text()) == value


def test_number_edit_takes_a_decimal_comma(qtbot: Any) -> None:
    edit = NumberEdit()
    qtbot.addWidget(edit)
    edit.setRange(0, 10)
    edit.setSuffix(" nm")
    edit.selectAll()
    qtbot.keyClicks(edit, "2,5")
    qtbot.keyClick(edit, Qt.Key.Key_Return)
    assert edit.value() == 2.5


def test_number_edit_steps_by_a_tenth_of_the_leading_digit(qtbot: Any) -> None:
    edit = NumberEdit()
    qtbot.addWidget(edit)
    edit.setRange(1e-6, 10)
    edit.setValue(0.03)
    edit.stepBy(1)
    assert edit.value() == 0.031
    edit.stepBy(-1)
    assert edit.value() == 0.03


def test_number_edit_stays_in_its_limits(qtbot: Any) -> None:
    edit = NumberEdit()
    qtbot.addWidget(edit)
    edit.setRange(1, 500)
    edit.setValue(50)
    edit.selectAll()
    qtbot.keyClicks(edit, "900")
    qtbot.keyClick(edit, Qt.Key.Key_Return)
    assert 1 <= edit.value() <= 500


def test_changed_parameter_is_bold(qtbot: Any) -> None:
    form = ModelForm(BackgroundParameters)
    qtbot.addWidget(form)
    form.setValue({"radius_px": 20})
    assert form._labels["radius_px"].font().bold()
    assert not form._labels["tolerance"].font().bold()

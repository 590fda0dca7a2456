"""Form and parameter model say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_dps._qt.widgets.editors import NumberEdit
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.path_edits import FileEdit
from napari_dps.core import InputError
from napari_dps.core.params import ParameterInfo, describe
from napari_dps.nets.checkpoint import shipped_weights
from napari_dps.stages import STAGES
from napari_dps.stages.background import BackgroundParameters
from napari_dps.stages.denoise import DenoiseParameters

EVERY_STAGE = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.id)


def _another(info: ParameterInfo) -> Any:
    """Return an allowed value that is not the default."""
    if info.choices:
        return next(choice for choice in info.choices if choice != info.default)
    if info.kind is bool:
        return not info.default
    if info.file:
        others = [word for word in info.words if word != info.default]
        return others[0] if others else str(shipped_weights("dps-oriented"))
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


def _files() -> list[Any]:
    """Return every parameter that may name a file, as (stage, info)."""
    return [
        pytest.param(stage, info, id=f"{stage.id}.{info.name}")
        for stage in STAGES
        for info in describe(stage.parameters)
        if info.file
    ]


def test_parameters_that_name_a_file_are_known_as_such() -> None:
    names = {f"{p.values[0].id}.{p.values[1].name}" for p in _files()}
    assert {"denoise.patterns", "dps.weights"} <= names


@pytest.mark.parametrize(("stage", "info"), _files())
def test_file_is_browsed_for_and_goes_round_the_form(
    qtbot: Any, stage: Any, info: ParameterInfo, tmp_path: Path, monkeypatch: Any
) -> None:
    file = tmp_path / f"own{info.file.split()[0].removeprefix('*')}"
    file.touch()
    form = ModelForm(stage.parameters)
    qtbot.addWidget(form)
    edit = form.editors[info.name]
    assert [edit.combo.itemText(n) for n in range(edit.combo.count())] == list(
        info.words
    )
    asked = []

    def choose(parent: Any, title: str, folder: str, kinds: str) -> tuple[str, str]:
        asked.append(kinds)
        return str(file), kinds

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    with qtbot.waitSignal(form.valueChanged):
        edit.button.click()
    assert asked == [f"{info.title} ({info.file})"]
    assert getattr(form.value(), info.name) == str(file)
    assert form._labels[info.name].font().bold()
    other = ModelForm(stage.parameters)
    qtbot.addWidget(other)
    other.setValue(form.value())
    assert other.value() == form.value()
    other.reset()
    assert other.value() == stage.parameters()


@pytest.mark.parametrize(("stage", "info"), _files())
@pytest.mark.parametrize(
    ("text", "reason"), [("no such thing", "there is no file"), (" ", "no file is")]
)
def test_file_that_is_not_there_is_refused_with_what_is_allowed(
    qtbot: Any, stage: Any, info: ParameterInfo, text: str, reason: str
) -> None:
    form = ModelForm(stage.parameters)
    qtbot.addWidget(form)
    form.editors[info.name].combo.setEditText(text)
    with pytest.raises(InputError, match=reason) as caught:
        form.value()
    assert info.words[0] in str(caught.value)


def test_browsing_begins_in_the_folder_of_the_file_and_may_be_given_up(
    qtbot: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    edit = FileEdit(next(i for i in describe(DenoiseParameters) if i.file))
    qtbot.addWidget(edit)
    folders = []

    def give_up(parent: Any, title: str, folder: str, kinds: str) -> tuple[str, str]:
        folders.append(folder)
        return "", ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", give_up)
    edit.button.click()
    assert edit.value() == "auto"
    edit.setValue(str(tmp_path / "p.json"))
    edit.button.click()
    assert folders == ["", str(tmp_path)]
    assert edit.value() == str(tmp_path / "p.json")


def test_file_dropped_as_an_address_is_taken_by_its_name(
    qtbot: Any, tmp_path: Path
) -> None:
    edit = FileEdit(next(i for i in describe(DenoiseParameters) if i.file))
    qtbot.addWidget(edit)
    file = tmp_path / "p.json"
    edit.combo.setEditText(file.as_uri())
    assert Path(edit.value()) == file


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

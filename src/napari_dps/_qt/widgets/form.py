"""A form made from a parameter model: one row a parameter, nothing listed twice."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAbstractSpinBox, QLabel, QWidget

from napari_dps._qt.widgets.editors import (
    BoolEdit,
    ChoiceEdit,
    IntegerEdit,
    NumberEdit,
    TextEdit,
)
from napari_dps._qt.widgets.layout import compact_rows, row_label
from napari_dps._qt.widgets.path_edits import FileEdit
from napari_dps.core import InputError
from napari_dps.core.params import ParameterInfo, describe, parse

_LARGEST_INT = 2**31 - 1


def make_editor(info: ParameterInfo) -> QWidget:
    """Return the widget that edits one parameter, with limits, unit and tooltip."""
    editor = _bare_editor(info)
    tip = f"<p>{info.description}</p><p>Allowed: {info.allowed}."
    if isinstance(info.default, bool | int | float | str):
        tip += f"<br>Default: {info.default} {info.unit}"
    editor.setToolTip(f"{tip}</p>")
    editor.setAccessibleName(info.title)
    return editor


def _bare_editor(info: ParameterInfo) -> QWidget:
    if info.choices:
        combo = ChoiceEdit()
        combo.addItems(info.choices)
        return combo
    if info.kind is bool:
        return BoolEdit()
    if info.kind is int:
        spin = IntegerEdit()
        spin.setKeyboardTracking(False)
        spin.setRange(
            int(info.minimum) if info.minimum is not None else -_LARGEST_INT,
            int(info.maximum) if info.maximum is not None else _LARGEST_INT,
        )
        return _with_unit(spin, info.unit)
    if info.kind is float:
        number = NumberEdit()
        number.setRange(
            info.minimum if info.minimum is not None else -1e15,
            info.maximum if info.maximum is not None else 1e15,
        )
        return _with_unit(number, info.unit)
    return FileEdit(info) if info.file else TextEdit()


def _with_unit(spin: QAbstractSpinBox, unit: str) -> QAbstractSpinBox:
    if unit:
        spin.setSuffix(f" {unit}")
    return spin


class ModelForm(QWidget):
    """Edits one parameter model.

    Parameters
    ----------
    model : type of BaseModel
        A pydantic model. Each field becomes a row, in the order of their definition.
    """

    valueChanged = Signal()

    def __init__(self, model: type[Any]) -> None:
        super().__init__()
        self._model = model
        self.editors: dict[str, QWidget] = {}
        self._labels: dict[str, QLabel] = {}
        self._infos = {info.name: info for info in describe(model)}
        self._is_basic = False
        self._rows = rows = compact_rows(self)
        for info in self._infos.values():
            editor = make_editor(info)
            label = row_label(info.title, editor)
            rows.addRow(label, editor)
            self.editors[info.name], self._labels[info.name] = editor, label
        self.reset()
        for editor in self.editors.values():
            editor.valueChanged.connect(self._on_edit)

    def values(self) -> dict[str, Any]:
        """Return the values by name, not validated as a whole."""
        return {name: editor.value() for name, editor in self.editors.items()}

    def value(self) -> Any:
        """Return the parameters.

        Raises
        ------
        InputError
            If they do not fit together, or a file that is named is not there.
        """
        for name, editor in self.editors.items():
            problem = editor.problem() if isinstance(editor, FileEdit) else ""
            if problem:
                info = self._infos[name]
                raise InputError(f"{info.title}: {problem}", allowed=info.allowed)
        return parse(self._model, self.values(), "")

    def setValue(self, value: BaseModel | Mapping[str, Any]) -> None:
        """Show parameters; `valueChanged` is emitted once."""
        values = value if isinstance(value, Mapping) else value.model_dump()
        self.blockSignals(True)
        for name, item in values.items():
            self.editors[name].setValue(item)
        self.blockSignals(False)
        self._on_edit()

    def show_basic(self, is_basic: bool) -> None:
        """Show the parameters that matter first, and those that are changed, alone."""
        self._is_basic = is_basic
        self._show_rows()

    def has_rows(self) -> bool:
        """Whether any parameter is shown."""
        return any(self._rows.isRowVisible(row) for row in self.editors.values())

    def reset(self) -> None:
        """Go back to the defaults."""
        self.setValue({name: info.default for name, info in self._infos.items()})

    def _show_rows(self) -> None:
        for name, info in self._infos.items():
            is_changed = self.editors[name].value() != info.default
            shown = info.is_basic or is_changed or not self._is_basic
            self._rows.setRowVisible(self.editors[name], shown)

    def _on_edit(self) -> None:
        for name, info in self._infos.items():
            font = self._labels[name].font()
            font.setBold(self.editors[name].value() != info.default)
            self._labels[name].setFont(font)
        self.valueChanged.emit()

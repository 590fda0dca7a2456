"""Editors of single values: numbers, choices, files."""

import math
from pathlib import Path
from typing import Any

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_dps.core.params import ParameterInfo

_DECIMALS = 30
"""Of a spin box: enough that no double is rounded."""


class _StillWheel:
    """Leaves the wheel to the dock, which scrolls: it must not change a value."""

    def wheelEvent(self, event: Any) -> None:
        """Pass the event on."""
        event.ignore()


class IntegerEdit(_StillWheel, QSpinBox):
    """A spin box of integers."""


class ChoiceEdit(_StillWheel, QComboBox):
    """A combo box that may be narrower than its longest item."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


class NumberEdit(_StillWheel, QDoubleSpinBox):
    """A spin box that shows as few digits as tell the number and never rounds it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDecimals(_DECIMALS)
        self.setKeyboardTracking(False)
        self.setStepType(QAbstractSpinBox.StepType.DefaultStepType)

    def textFromValue(self, value: float) -> str:
        """Return the shortest text; all digits where twelve do not tell it."""
        text = f"{value:.12g}"
        return text if float(text) == value else repr(value)

    def valueFromText(self, text: str) -> float:
        """Read a number, with point or comma."""
        try:
            return float(self._bare(text))
        except ValueError:
            return self.value()

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Accept numbers in the limits; anything that may become one can be typed."""
        state = QValidator.State.Intermediate
        try:
            number = float(self._bare(text))
        except ValueError:
            bare = self._bare(text).strip()
            if bare.strip("+-.0123456789eE"):
                state = QValidator.State.Invalid
        else:
            if self.minimum() <= number <= self.maximum():
                state = QValidator.State.Acceptable
        if text == self.specialValueText():
            state = QValidator.State.Acceptable
        return state, text, position

    def stepBy(self, steps: int) -> None:
        """Step by a tenth of the leading digit, without a tail of rounding errors."""
        value = self.value()
        size = abs(value) or min(self.maximum(), 1.0)
        step = 10.0 ** (math.floor(math.log10(size)) - 1)
        self.setValue(float(f"{value + steps * step:.10g}"))
        self.selectAll()

    def _bare(self, text: str) -> str:
        return text.removesuffix(self.suffix()).replace(",", ".").strip()


class FileEdit(QWidget):
    """A choice of words, or the name of a file: typed, dropped or looked for.

    Parameters
    ----------
    info : ParameterInfo
        With ``file``, the patterns of the names; ``words`` are the items.
    """

    valueChanged = Signal()

    def __init__(self, info: ParameterInfo, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._info = info
        self.combo = ChoiceEdit()
        self.combo.setEditable(True)
        self.combo.setMinimumContentsLength(4)  # beside the button in a narrow dock
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.addItems(info.words)
        self.button = QPushButton("Browse …")
        self.button.clicked.connect(self._ask)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.combo, 1)
        line.addWidget(self.button)
        self.combo.currentTextChanged.connect(self._on_text)

    def value(self) -> str:
        """Return the word, or the name of the file."""
        text = self.combo.currentText().strip()
        return QUrl(text).toLocalFile() if text.startswith("file:") else text

    def setValue(self, value: str) -> None:
        """Show a word or the name of a file."""
        self.combo.setCurrentText(value)

    def problem(self) -> str:
        """Say what is wrong with the value; empty if nothing is."""
        value = self.value()
        if value in self._info.words or Path(value).is_file():
            return ""
        return f"there is no file {value}" if value else "no file is named"

    def _ask(self) -> None:
        value = self.value()
        folder = "" if value in self._info.words else str(Path(value).parent)
        kinds = f"{self._info.title} ({self._info.file})"
        name, _ = QFileDialog.getOpenFileName(self, self._info.title, folder, kinds)
        if name:
            self.setValue(name)

    def _on_text(self, text: str) -> None:
        self.combo.setToolTip("" if text in self._info.words else text)
        self.valueChanged.emit()

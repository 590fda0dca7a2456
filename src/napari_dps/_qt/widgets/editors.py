"""Editors of single values: numbers, choices, boxes, texts.

Each has `value`, `setValue` and `valueChanged`, as the spin boxes of Qt have.
"""

import math
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
)

_DECIMALS = 30
"""Decimals of a spin box: enough that no double is rounded."""


class _StillWheel:
    """Leaves the wheel to the dock, which scrolls: it must not change a value."""

    def wheelEvent(self, event: Any) -> None:
        """Pass the event on."""
        event.ignore()


class IntegerEdit(_StillWheel, QSpinBox):
    """A spin box of integers."""


class NarrowCombo(_StillWheel, QComboBox):
    """A combo box that may be narrower than its longest item."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


class ChoiceEdit(NarrowCombo):
    """A choice among items; the value is the data of an item, or else its text."""

    valueChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.currentIndexChanged.connect(self.valueChanged)

    def value(self) -> str:
        """Return the value of the item chosen."""
        data = self.currentData()
        return str(self.currentText() if data is None else data)

    def setValue(self, value: str) -> None:
        """Choose an item; a value that is none becomes one, so that it is not lost."""
        index = self.findData(value)
        if index < 0:
            index = self.findText(value)
        if index < 0:
            self.addItem(value, value)
            index = self.count() - 1
        self.setCurrentIndex(index)


class BoolEdit(QCheckBox):
    """A box to tick."""

    valueChanged = Signal()

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.toggled.connect(self.valueChanged)

    def value(self) -> bool:
        """Return whether it is ticked."""
        return bool(self.isChecked())

    def setValue(self, value: bool) -> None:
        """Tick it or not."""
        self.setChecked(value)


class TextEdit(QLineEdit):
    """A line of text; its value changes when editing is finished."""

    valueChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.editingFinished.connect(self.valueChanged)

    def value(self) -> str:
        """Return the text, without blanks around it."""
        return str(self.text()).strip()

    def setValue(self, value: str) -> None:
        """Show a text."""
        if value != self.text():
            self.setText(value)
            self.setCursorPosition(0)  # a long text shows its beginning
            self.valueChanged.emit()


class NumberEdit(_StillWheel, QDoubleSpinBox):
    """A spin box that shows as few digits as tell the number and never rounds it."""

    def __init__(self) -> None:
        super().__init__()
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

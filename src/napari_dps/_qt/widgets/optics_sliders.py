"""Optics by sliders, to see what a value does while it is moved."""

from collections.abc import Mapping
from typing import NamedTuple

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QSlider, QWidget

from napari_dps._qt.widgets.editors import NumberEdit
from napari_dps._qt.widgets.form import make_editor
from napari_dps._qt.widgets.layout import row_of
from napari_dps.core import Optics
from napari_dps.core.params import ParameterInfo, describe, parse

_TICKS = 1000
_BOX_PX = 118


class UsualRange(NamedTuple):
    """What a slider covers: the usual values; the box at its end takes all others."""

    low: float
    high: float
    step: float

    def value_at(self, share: float) -> float:
        """Return the value at a share of the range, on a whole step."""
        value = self.low + (self.high - self.low) * share
        return float(f"{round(value / self.step) * self.step:.6g}")

    def share_of(self, value: float) -> float:
        """Return where a value lies in the range: 0 at its start, 1 at its end."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


_RANGES = {
    "na": UsualRange(0.4, 1.7, 0.01),
    "emission_nm": UsualRange(400, 800, 1),
    "modulation_factor": UsualRange(0.5, 2.5, 0.01),
    "pixel_size_nm": UsualRange(5, 200, 0.5),
    "refractive_index": UsualRange(1.0, 1.8, 0.001),
}


class SliderEdit(QWidget):
    """Edits a number by a slider and a box, which move one another.

    Parameters
    ----------
    info : ParameterInfo
        Title, limits and unit.
    usual : UsualRange
        What the slider covers.
    """

    valueChanged = Signal()

    def __init__(self, info: ParameterInfo, usual: UsualRange) -> None:
        super().__init__()
        self._usual = usual
        self.number: NumberEdit = make_editor(info)
        self.number.setFixedWidth(_BOX_PX)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _TICKS)
        self.slider.setToolTip(self.number.toolTip())
        self.slider.setAccessibleName(f"{info.title} slider")
        row_of(self.slider, self.number, inside=self)
        self._move_slider()
        self.slider.valueChanged.connect(self._on_slider)
        self.number.valueChanged.connect(self._on_number)

    def value(self) -> float:
        """Return the number in the box."""
        return float(self.number.value())

    def setValue(self, value: float) -> None:
        """Show a number, in the box to the last digit."""
        self.number.setValue(value)

    def _on_slider(self, tick: int) -> None:
        with QSignalBlocker(self.number):
            self.number.setValue(self._usual.value_at(tick / _TICKS))
        self.valueChanged.emit()

    def _on_number(self, _: float) -> None:
        self._move_slider()
        self.valueChanged.emit()

    def _move_slider(self) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(_TICKS * self._usual.share_of(self.value())))


class OpticsSliders(QWidget):
    """Edits optics, each value by a slider and a box."""

    valueChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.editors: dict[str, SliderEdit] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        infos = {info.name: info for info in describe(Optics)}
        for row, (name, usual) in enumerate(_RANGES.items()):
            editor = self.editors[name] = SliderEdit(infos[name], usual)
            grid.addWidget(QLabel(infos[name].title), row, 0)
            grid.addWidget(editor, row, 1)
            editor.valueChanged.connect(self.valueChanged)

    def value(self) -> Optics:
        """Return the optics.

        Raises
        ------
        InputError
            If the NA is not below the refractive index.
        """
        values = {name: editor.value() for name, editor in self.editors.items()}
        optics: Optics = parse(Optics, values, "")
        return optics

    def setValue(self, values: Mapping[str, float]) -> None:
        """Show values; `valueChanged` is emitted once."""
        with QSignalBlocker(self):
            for name, value in values.items():
                self.editors[name].setValue(value)
        self.valueChanged.emit()

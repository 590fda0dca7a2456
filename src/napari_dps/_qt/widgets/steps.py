"""Steps of a work, of which one is shown, and boxes for those that are to run."""

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QSizePolicy, QToolButton, QWidget

from napari_dps._qt.bridge.colours import COLOURS
from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps.stages import STAGES

_COLUMNS = 4
_BOX_COLUMNS = 3
_DONE = " ✓"
_STYLE = (
    "QToolButton {{ padding: 3px 2px; border: none; border-radius: 2px;"
    " border-bottom: 2px solid transparent; background: rgba(128, 128, 128, 35); }}"
    "QToolButton:checked {{ border-bottom: 2px solid {0}; font-weight: bold; }}"
    "QToolButton:focus {{ border-bottom: 2px solid gray; }}"
    "QToolButton:checked:focus {{ border-bottom: 2px solid {0}; }}"
)


class StepBar(QWidget):
    """Tabs in rows of four, so that none is cut off in a narrow dock.

    Parameters
    ----------
    titles : mapping of str to str
        Names of the steps, and what is written on them.
    """

    valueChanged = Signal()

    def __init__(self, titles: Mapping[str, str]) -> None:
        super().__init__()
        self._titles = dict(titles)
        self.buttons: dict[str, QToolButton] = {}
        self._group = QButtonGroup(self)
        self.setStyleSheet(_STYLE.format(COLOURS[0]))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for number, (name, title) in enumerate(titles.items()):
            button = self.buttons[name] = QToolButton()
            button.setText(title)
            button.setCheckable(True)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            self._group.addButton(button, number)
            grid.addWidget(button, *divmod(number, _COLUMNS))
        first = next(iter(self.buttons.values()))
        first.setChecked(True)
        self._group.idToggled.connect(self._on_toggled)

    def value(self) -> str:
        """Return the name of the step that is shown."""
        return list(self.buttons)[self._group.checkedId()]

    def setValue(self, name: str) -> None:
        """Show a step."""
        self.buttons[name].setChecked(True)

    def mark_done(self, name: str) -> None:
        """Mark a step as done."""
        self.buttons[name].setText(self._titles[name] + _DONE)

    def _on_toggled(self, _: int, is_on: bool) -> None:
        if is_on:
            self.valueChanged.emit()


class StageBoxes(QWidget):
    """Edits which stages run: their ids, in order."""

    valueChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, BoolEdit] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for number, stage in enumerate(STAGES):
            box = self.boxes[stage.id] = BoolEdit(stage.name)
            box.setValue(stage.by_default)
            box.setToolTip(stage.purpose)
            grid.addWidget(box, *divmod(number, _BOX_COLUMNS))
            box.valueChanged.connect(self.valueChanged)

    def value(self) -> tuple[str, ...]:
        """Return the ids of the stages that are ticked."""
        return tuple(name for name, box in self.boxes.items() if box.value())

    def setValue(self, names: Sequence[str]) -> None:
        """Tick these stages and no others."""
        for name, box in self.boxes.items():
            box.setValue(name in names)

"""Stages to be ticked, each with its parameters."""

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.layout import column_of, push_button
from napari_dps._qt.widgets.section import Section
from napari_dps.core import StageParameters
from napari_dps.stages import STAGES
from napari_dps.stages.base import LEAST_LAPSE


class StageList(QWidget):
    """Edits which stages run and with which parameters.

    The value maps the ids of the stages that are ticked to their parameters.
    """

    valueChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, BoolEdit] = {}
        self.forms: dict[str, ModelForm] = {}
        sections = []
        for stage in STAGES:
            box = self.boxes[stage.id] = BoolEdit()
            box.setValue(stage.runs_by_default(LEAST_LAPSE))
            box.setToolTip(f"Run {stage.title}.")
            form = self.forms[stage.id] = ModelForm(stage.parameters)
            section = parameter_section(stage.title, form, is_open=False)
            section.heading.insertWidget(0, box)
            sections.append(section)
            box.valueChanged.connect(self.valueChanged)
            form.valueChanged.connect(self.valueChanged)
        column_of(*sections, inside=self, spacing=6)

    def value(self) -> dict[str, StageParameters]:
        """Return the parameters of the stages that are ticked, in order.

        Raises
        ------
        InputError
            If parameters of one of them do not fit together.
        """
        return {name: self.parameters(name) for name in self.ticked()}

    def ticked(self) -> tuple[str, ...]:
        """Return the ids of the stages that are ticked, in order."""
        return tuple(name for name, box in self.boxes.items() if box.value())

    def parameters(self, name: str) -> StageParameters:
        """Return the parameters of a stage, ticked or not.

        Raises
        ------
        InputError
            If they do not fit together.
        """
        parameters: StageParameters = self.forms[name].value()
        return parameters

    def setValue(self, value: Mapping[str, StageParameters]) -> None:
        """Tick the stages named, and no others, and show their parameters."""
        for name, box in self.boxes.items():
            box.setValue(name in value)
        self.show_parameters(value)

    def show_parameters(self, parameters: Mapping[str, StageParameters]) -> None:
        """Show parameters of stages, ticked or not."""
        for name, value in parameters.items():
            self.forms[name].setValue(value)


def parameter_section(title: str, form: ModelForm, *, is_open: bool = True) -> Section:
    """Return a form under a heading with a button that resets it."""
    section = Section(title, form, is_open=is_open)
    tip = "Set all parameters of this stage to their defaults."
    section.heading.addWidget(push_button("Reset", tip, form.reset))
    return section

"""The dock of one stage, made from `STAGES`."""

from typing import ClassVar

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QPushButton, QWidget

from napari_dps._qt.bridge.layers import why_not
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.run_widget import RunWidget
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.section import Section
from napari_dps.pipeline import Settings, find_stage


class StageWidget(RunWidget):
    """Runs one stage on a layer; a subclass only names the stage."""

    stage_id: ClassVar[str]

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        self.stage = find_stage(self.stage_id)
        self.title = self.stage.title
        self.takes_raw = self.stage.takes_raw
        self.needs_optics = self.stage.needs_optics
        super().__init__(napari_viewer, microscope)
        self.form.valueChanged.connect(self.check)

    def reason_against(self, layer: Image) -> str:
        """Say why a layer cannot be the input; empty if it can."""
        return why_not(layer, self.stage.takes)

    def body(self) -> list[QWidget]:
        """Return the parameters, with a button that resets them."""
        self.form = ModelForm(self.stage.parameters)
        return [parameter_section("Parameters", self.form)]

    def settings(self) -> Settings:
        """Return what is set, as a file of settings would say it."""
        return Settings(
            stages=(self.stage.id,),
            parameters={self.stage.id: self.form.value()},
            optics=self.optics(),
            input=self.input_settings(),
        )


def parameter_section(title: str, form: ModelForm, *, is_open: bool = True) -> Section:
    """Return a form under a heading with a button that resets it."""
    section = Section(title, form, is_open=is_open)
    button = QPushButton("Reset")
    button.setToolTip("Set all parameters of this stage to their defaults.")
    button.clicked.connect(form.reset)
    section.heading.addWidget(button)
    return section

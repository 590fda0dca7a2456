"""The dock of one stage: input, microscope, parameters, Run; made from `STAGES`."""

from functools import partial
from typing import ClassVar

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from napari_dps._qt.form import ModelForm
from napari_dps._qt.frames_widget import FramesWidget
from napari_dps._qt.layers import Source, describe_layer, why_not
from napari_dps._qt.microscope import Microscope, shared_microscope
from napari_dps._qt.microscope_widget import MicroscopeWidget
from napari_dps._qt.parts import (
    LayerCombo,
    Section,
    ViewerWidget,
    hint_label,
    scrolled,
)
from napari_dps._qt.run_bar import RunBar
from napari_dps._qt.task import Outcome, Task, work
from napari_dps.core import InputError, Pattern
from napari_dps.pipeline import InputSettings, Settings, find_stage
from napari_dps.stages.base import Context

_WIDTH_PX = 340


class StageWidget(ViewerWidget):
    """Runs one stage on a layer; a subclass only names the stage.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari; a `ViewerModel` does as well.
    microscope : Microscope, optional
        By default the one that all docks share.
    """

    stage_id: ClassVar[str]

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        super().__init__(napari_viewer)
        self.stage = find_stage(self.stage_id)
        self.setObjectName(f"napari-dps {self.stage_id}")
        self.setMinimumWidth(_WIDTH_PX)
        microscope = microscope or shared_microscope()
        self.context = Context()
        self.microscope = MicroscopeWidget(microscope)
        self.combo = LayerCombo(partial(why_not, takes=self.stage.takes))
        self.info = hint_label()
        self.frames = FramesWidget()
        self.form = ModelForm(self.stage.parameters)
        self.bar = RunBar(microscope, self.stage.title)
        self._shared = microscope
        self._lay_out()
        self.combo.layerChanged.connect(self._on_layer)
        self.microscope.valueChanged.connect(self._check)
        self.form.valueChanged.connect(self._check)
        self.bar.runClicked.connect(self.run)
        self.bar.runner.returned.connect(self.on_outcome)
        self._on_layer(None)

    def refresh_layers(self) -> None:
        """Look at the layers of the viewer anew."""
        active = self.viewer.layers.selection.active
        self.combo.refresh(self.viewer.layers, prefer=active)
        self._check()

    def settings(self) -> Settings:
        """Return what is set, as a file of settings would say it.

        Raises
        ------
        InputError
            If values do not fit together.
        """
        known = self.microscope.optics if not self.microscope.missing else {}
        given = self.frames.values() if "P" in self.stage.takes else {}
        return Settings(
            stages=(self.stage.id,),
            parameters={self.stage.id: self.form.value()},
            optics=known,
            input=InputSettings(camera_offset=self.microscope.camera_offset, **given),
        )

    def patterns(self) -> tuple[Pattern, ...]:
        """Return patterns that are known before the run."""
        return ()

    def run(self) -> None:
        """Start a run on the chosen layer; nothing happens while one is going on."""
        layer = self.combo.layer()
        if layer is None or self.bar.runner.is_running:
            return
        try:
            task = self.task(layer)
        except InputError as error:
            self.bar.messages.show_texts([str(error)], "error")
            return
        self.bar.start(partial(work, task))

    def task(self, layer: Image) -> Task:
        """Return what a click on Run asks for.

        Raises
        ------
        InputError
            If something that is set cannot be used.
        """
        self.context.device = self._shared.device
        point = self.viewer.dims.point if self.bar.frame_only.isChecked() else None
        source = Source.of(layer, point)
        return Task(source, self.settings(), self.context, self.patterns())

    def on_outcome(self, outcome: Outcome) -> None:
        """Add the layers of a result and show what the stage had to say."""
        for data, kwargs, _ in outcome.layers:
            self.viewer.add_layer(Image(data, **kwargs))
        self.bar.done(outcome.warnings, outcome.seconds)

    def extras(self) -> list[QWidget]:
        """Return what a dock shows beyond the parameters."""
        return []

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 4, 8, 4)
        column.setSpacing(6)
        column.addWidget(self.combo)
        column.addWidget(self.info)
        if "P" in self.stage.takes:
            column.addWidget(self.frames)
        self.microscope_section = Section(
            "Microscope",
            self.microscope,
            is_open=self.stage.needs_optics,
            tip="Shared by all docks and remembered.",
        )
        if self.stage.needs_optics:
            column.addWidget(self.microscope_section)
        parameters = Section("Parameters", self.form)
        parameters.heading.addWidget(self._reset_button())
        column.addWidget(parameters)
        for widget in self.extras():
            column.addWidget(widget)
        column.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(6, 6, 6, 6)
        whole.addWidget(scrolled(inside), 1)
        whole.addWidget(self.bar)

    def _reset_button(self) -> QToolButton:
        button = QToolButton()
        button.setText("Reset")
        button.setToolTip("Set all parameters of this stage to their defaults.")
        button.clicked.connect(self.form.reset)
        return button

    def _on_layer(self, layer: Image | None) -> None:
        self.microscope.set_layer(layer)
        self.frames.set_layer(layer if "P" in self.stage.takes else None)
        self.info.setText(describe_layer(layer) if layer is not None else "")
        self._check()

    def _check(self) -> None:
        """Say at once what keeps Run from being clicked."""
        self.bar.refuse(self._reason())

    def _reason(self) -> str:
        if self.combo.layer() is None:
            wanted = "raw SIM frames" if "P" in self.stage.takes else "an image"
            return f"Open {wanted}, or File ▸ Open Sample ▸ napari-dps."
        if self.stage.needs_optics and self.microscope.missing:
            names = ", ".join(self.microscope.missing)
            return f"Set the microscope: {names}."
        try:
            self.settings()
        except InputError as error:
            return str(error)
        return ""

"""The dock of the SIM reconstruction: patterns, and a preview while values change."""

from functools import partial
from typing import Any

import napari.viewer
from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_dps._qt.bridge.layers import Source, shown_point
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.runner import Runner
from napari_dps._qt.bridge.spectrum_layers import SpectrumScene
from napari_dps._qt.bridge.task import Outcome, Task, work
from napari_dps._qt.docks.stage import StageWidget
from napari_dps._qt.widgets.patterns import PatternsWidget
from napari_dps._qt.widgets.section import Section
from napari_dps.core import InputError, Pattern
from napari_dps.core.context import Context

_DELAY_MS = 120
PREVIEW = "preview"


class ReconstructWidget(StageWidget):
    """SIM reconstruction, with the patterns that it found."""

    stage_id = "reconstruct"

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        super().__init__(napari_viewer, microscope)
        self._fitted: tuple[Pattern, ...] = ()
        self._fitted_layer: Image | None = None
        self._preview_layer: Image | None = None
        self._preview_context = Context()
        self.previewer = Runner(self)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_DELAY_MS)
        self._delay.timeout.connect(self.show_preview)
        self.form.valueChanged.connect(self._on_value)
        self.live.toggled.connect(self._on_value)
        self.previewer.returned.connect(self._on_preview)
        self.combo.layerChanged.connect(self._on_other_layer)
        self.scene = SpectrumScene(napari_viewer)
        self.patterns_widget.layers_button.toggled.connect(self._on_scene)
        self.patterns_widget.valueChanged.connect(self._on_scene)
        self.patterns_widget.spectraChanged.connect(self._on_scene)

    def body(self) -> list[QWidget]:
        """Return parameters, the preview's box and the patterns."""
        self.live = QCheckBox("Live preview")
        self.live.setToolTip(
            "Reconstruct the current frame anew while parameters change; the patterns "
            "of the last run are kept. Needs one run first."
        )
        self.patterns_widget = PatternsWidget()
        tip = "Found by the last run; directions and periods can be set by hand."
        patterns = Section("Patterns", self.patterns_widget, tip=tip)
        return [patterns, *super().body(), self.live]

    def patterns(self) -> tuple[Pattern, ...]:
        """Return patterns set by hand or from a file."""
        return self.patterns_widget.value()

    def on_outcome(self, outcome: Outcome) -> None:
        """Add the result; show its patterns and the spectra of the frames."""
        super().on_outcome(outcome)
        self._fitted, self._fitted_layer = outcome.patterns, self.combo.layer()
        self.patterns_widget.setValue(outcome.patterns)
        self.patterns_widget.look_at(outcome.stack)

    def refresh_layers(self) -> None:
        """Look at the layers of the viewer anew."""
        super().refresh_layers()
        if self.scene.is_on and not self.scene.is_whole:
            self.patterns_widget.layers_button.setChecked(False)

    def hideEvent(self, event: Any) -> None:
        """Leave no layers of the spectrum behind."""
        self.patterns_widget.layers_button.setChecked(False)
        super().hideEvent(event)

    def show_preview(self) -> None:
        """Reconstruct the current frame with the patterns of the last run."""
        layer = self.combo.layer()
        if not self._can_preview() or layer is None:
            return
        self._preview_context.device = self.shared.device
        try:
            task = Task(
                Source.of(layer, shown_point(self.viewer, layer)),
                self.settings(),
                self._preview_context,
                fitted=tuple(p for p in self._fitted if p.channel_index == 0),
            )
        except InputError:
            return  # the dock says already what is wrong
        if not self.previewer.start(partial(work, task)):
            self._delay.start()

    def _can_preview(self) -> bool:
        return (
            self.live.isChecked()
            and bool(self._fitted)
            and self.combo.layer() is self._fitted_layer
            and not self.bar.runner.is_running
        )

    def _on_value(self, *_: object) -> None:
        if self._can_preview():
            self._delay.start()

    def _on_other_layer(self, layer: Image | None) -> None:
        if layer is not self._fitted_layer:
            self._fitted, self._fitted_layer = (), None
            self.patterns_widget.setValue(())
            self.patterns_widget.use_box.setChecked(False)
            self.patterns_widget.forget_spectra()

    def _on_scene(self, *_: object) -> None:
        """Show spectrum and patterns as layers, as they are now, or take them away."""
        spectra = self.patterns_widget.spectra()
        if self.patterns_widget.layers_button.isChecked() and spectra:
            self.scene.show_spectra(spectra, self.patterns_widget.shown())
        else:
            self.scene.stop()
            self.patterns_widget.layers_button.setChecked(False)

    def _on_preview(self, outcome: Outcome) -> None:
        """Show the preview in one layer, which each preview replaces."""
        data, kwargs, _ = outcome.layers[0]
        shown = self._preview_layer
        if shown is not None and shown in self.viewer.layers:
            shown.data = data
            shown.metadata = kwargs["metadata"]
            return
        kwargs["name"] = f"{kwargs['name']} · {PREVIEW}"
        self._preview_layer = Image(data, **kwargs)
        self.viewer.add_layer(self._preview_layer)

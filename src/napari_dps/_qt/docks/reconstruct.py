"""The dock of the SIM reconstruction: patterns, and a preview while values change."""

from collections.abc import Sequence

import napari.viewer
from napari.layers import Image

from napari_dps._qt.bridge.layers import carried_by, shown_point
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.pattern_rows import searched_in_words
from napari_dps._qt.bridge.preview import Preview
from napari_dps._qt.bridge.run_request import Outcome, RunRequest
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.spectrum_layers import SpectrumScene
from napari_dps._qt.docks.stage import StageWidget
from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps._qt.widgets.layout import hint_label
from napari_dps._qt.widgets.patterns import PatternsWidget
from napari_dps._qt.widgets.section import Section
from napari_dps.core import InputError, Pattern
from napari_dps.core.context import Context


class ReconstructWidget(StageWidget):
    """SIM reconstruction, with the patterns that it found."""

    stage_id = "reconstruct"

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        patterns = PatternsWidget()
        live = BoolEdit("Live preview")
        live.setToolTip(
            "Reconstruct the current frame anew while parameters change; the patterns "
            "of the last run are kept. Needs one run first."
        )
        self.searched = hint_label()
        tip = "Found by the last run; directions and periods can be set by hand."
        super().__init__(
            napari_viewer,
            microscope,
            above=[Section("Patterns", patterns, tip=tip)],
            below=[self.searched, live],
            patterns=patterns.value,
        )
        self.patterns_widget, self.live = patterns, live
        self.scene = SpectrumScene(napari_viewer)
        self.preview = Preview(napari_viewer, self, self._preview_request)
        self._preview_context = Context()
        self._fitted: tuple[Pattern, ...] = ()
        self._fitted_layer: Image | None = None
        self._connect()
        self._show_searched()

    def show_basic(self, is_basic: bool) -> None:
        """Show patterns in words, or all there is."""
        super().show_basic(is_basic)
        self.patterns_widget.show_basic(is_basic)

    def _connect(self) -> None:
        self.form.valueChanged.connect(self.preview.ask)
        self.live.valueChanged.connect(self.preview.ask)
        self.form.valueChanged.connect(self._show_searched)
        self.panel.microscope.valueChanged.connect(self._show_searched)
        self.panel.layerChanged.connect(self._show_searched)
        self.panel.returned.connect(self._on_outcome)
        self.panel.layerChanged.connect(self._on_layer)
        self.panel.layer_events.changed.connect(self._on_layers)
        self.panel.layer_events.hidden.connect(self._leave_scene)
        self.patterns_widget.layers_button.toggled.connect(self._show_scene)
        self.patterns_widget.valueChanged.connect(self._show_scene)
        self.patterns_widget.spectraChanged.connect(self._show_scene)

    def _preview_request(self) -> RunRequest | None:
        """Return a run on the current frame with the patterns of the last run."""
        layer = self.panel.combo.value()
        is_fitted = bool(self._fitted) and layer is self._fitted_layer
        if not self.live.value() or not is_fitted or self.panel.bar.runner.is_running:
            return None
        self._preview_context.device = self.panel.shared.device
        try:
            return RunRequest(
                LayerSnapshot.of(layer, shown_point(self.panel.viewer, layer)),
                self.panel.settings(),
                self._preview_context,
                fitted=tuple(p for p in self._fitted if p.channel_index == 0),
            )
        except InputError:
            return None  # the dock says already what is wrong

    def _on_outcome(self, outcome: Outcome) -> None:
        """Show the patterns of a result and the spectra of its frames."""
        self._fitted, self._fitted_layer = outcome.patterns, self.panel.combo.value()
        self.patterns_widget.setValue(outcome.patterns)
        self.patterns_widget.look_at(outcome.stack)

    def _on_layer(self) -> None:
        if self.panel.combo.value() is not self._fitted_layer:
            self._fitted, self._fitted_layer = (), None
            layer = self.panel.combo.value()
            carried = {} if layer is None else carried_by(layer, "patterns")
            self.patterns_widget.setValue(carried.get("patterns", ()))
            self.patterns_widget.use_box.setChecked(False)
            self.patterns_widget.forget_spectra()

    def _show_searched(self) -> None:
        """Say in nm which stripes the limits stand for."""
        form, optics = self.form.editors, self.panel.microscope.value()
        na, emission = optics.get("na"), optics.get("emission_nm")
        if isinstance(emission, Sequence):
            emission = emission[0]
        text = searched_in_words(
            form["shortest_wavevector"].value(),
            form["longest_wavevector"].value(),
            na if isinstance(na, int | float) else None,
            emission,
        )
        self.searched.setText(text)

    def _on_layers(self) -> None:
        if self.scene.shown.is_on and not self.scene.shown.is_whole:
            self._leave_scene()

    def _leave_scene(self) -> None:
        self.patterns_widget.layers_button.setChecked(False)

    def _show_scene(self) -> None:
        """Show spectrum and patterns as layers, as they are now, or take them away."""
        spectra = self.patterns_widget.spectra()
        if self.patterns_widget.layers_button.isChecked() and spectra:
            self.scene.show_spectra(spectra, self.patterns_widget.shown())
        else:
            self.scene.stop()
            self._leave_scene()

"""The dock of the SIM reconstruction: patterns, and a preview while values change."""

from collections.abc import Sequence

import napari.viewer
from napari.layers import Image

from napari_dps._qt.bridge.layers import carried_by
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.pattern_rows import searched_in_words
from napari_dps._qt.bridge.run_request import Outcome
from napari_dps._qt.bridge.spectrum_layers import SpectrumScene
from napari_dps._qt.docks.stage import StageWidget
from napari_dps._qt.widgets.layout import hint_label
from napari_dps._qt.widgets.patterns import PatternsWidget
from napari_dps._qt.widgets.section import Section
from napari_dps.core import Pattern

_PREVIEW_PX = 2048
"""A reconstruction with known patterns takes a second there."""


class ReconstructWidget(StageWidget):
    """SIM reconstruction, with the patterns that it found."""

    stage_id = "reconstruct"

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        patterns = PatternsWidget()
        self.searched = hint_label()
        self._found: tuple[Pattern, ...] = ()
        self._found_layer: Image | None = None
        tip = "Found by the last run; directions and periods can be set by hand."
        super().__init__(
            napari_viewer,
            microscope,
            above=[Section("Patterns", patterns, tip=tip)],
            below=[self.searched],
            patterns=patterns.value,
            fitted=self._patterns_of_last_run,
            preview_px=_PREVIEW_PX,
        )
        self.patterns_widget = patterns
        self.scene = SpectrumScene(napari_viewer)
        self._connect()
        self._show_searched()

    def show_basic(self, is_basic: bool) -> None:
        """Show patterns in words, or all there is."""
        super().show_basic(is_basic)
        self.patterns_widget.show_basic(is_basic)

    def _connect(self) -> None:
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

    def _patterns_of_last_run(self) -> tuple[Pattern, ...] | None:
        """Return what the last run found in this layer; None if it was another."""
        if not self._found or self.panel.combo.value() is not self._found_layer:
            return None
        return tuple(p for p in self._found if p.channel_index == 0)

    def _on_outcome(self, outcome: Outcome) -> None:
        """Show the patterns of a result and the spectra of its frames."""
        self._found, self._found_layer = outcome.patterns, self.panel.combo.value()
        self.patterns_widget.setValue(outcome.patterns)
        self.patterns_widget.look_at(outcome.stack)

    def _on_layer(self) -> None:
        if self.panel.combo.value() is not self._found_layer:
            self._found, self._found_layer = (), None
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

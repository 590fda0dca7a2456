"""The dock of one stage, made from `STAGES`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QWidget

from napari_dps._qt.bridge.dock_tabs import DockTabs
from napari_dps._qt.bridge.layers import shown_point
from napari_dps._qt.bridge.microscope import Microscope, shared_microscope
from napari_dps._qt.bridge.preview import Preview
from napari_dps._qt.bridge.run_input import RunInput
from napari_dps._qt.bridge.run_request import RunRequest
from napari_dps._qt.bridge.runner import Runner
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.trust import check_steps
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.docks.run_panel import Chosen, RunPanel
from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.layout import fill, hint_label, push_button, row_of
from napari_dps._qt.widgets.stage_list import parameter_section
from napari_dps.core import InputError, Pattern
from napari_dps.core.context import Context
from napari_dps.core.errors import Failure
from napari_dps.pipeline import find_stage


class StageWidget(QWidget):
    """Runs one stage on a layer; a subclass names the stage.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari; a `ViewerModel` does as well.
    microscope : Microscope, optional
        By default the one that all docks share.
    above, below : sequence of QWidget
        What stands above and below the parameters.
    patterns : callable, optional
        Returns patterns that are set before the run.
    fitted : callable, optional
        Returns the patterns that a preview takes; None while there are none yet.
    preview_px : int
        Side of the largest square whose area a preview may have.
    """

    stage_id: ClassVar[str]

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
        *,
        above: Sequence[QWidget] = (),
        below: Sequence[QWidget] = (),
        patterns: Callable[[], tuple[Pattern, ...]] = tuple,
        fitted: Callable[[], tuple[Pattern, ...] | None] = tuple,
        preview_px: int = 512,
    ) -> None:
        super().__init__()
        self.shared = microscope or shared_microscope()
        self.stage = find_stage(self.stage_id)
        self.form = ModelForm(self.stage.parameters)
        self._fitted, self._preview_px = fitted, preview_px
        self.parameters = parameter_section("Parameters", self.form)
        self._is_bare = False  # whether no parameter is shown, and no heading
        self.panel = RunPanel(
            napari_viewer,
            self.shared,
            title=self.stage.title,
            run_input=RunInput(
                self.stage.units, self.stage.needs_optics, self.stage.id
            ),
            choose=self._chosen,
            body=[
                *above,
                self.parameters,
                *below,
                self._live_row(),
                self._trust_row(),
            ],
            patterns=patterns,
        )
        fill(self, self.panel)
        DockTabs(self)
        self.preview = Preview(napari_viewer, self, self._preview_request)
        self._connect_stage()

    def _connect_stage(self) -> None:
        self.form.valueChanged.connect(self.panel.check)
        for signal in (self.form.valueChanged, self.live.valueChanged):
            signal.connect(self.preview.ask)
        self.panel.layerChanged.connect(self.preview.forget)
        self.preview.runner.failed.connect(self._on_preview_failed)
        self.panel.returned.connect(self.panel.show_outcome)
        self.panel.mended.connect(self._on_mended)
        self.shared.weights.changed.connect(self._use_weights)
        self._use_weights()

    def show_basic(self, is_basic: bool) -> None:
        """Show what matters first alone, or all there is."""
        self.form.show_basic(is_basic)
        if self.form.has_rows() == self._is_bare:
            self._is_bare = not self._is_bare
            self.parameters.setHidden(self._is_bare)
        self.panel.show_basic(is_basic)

    def check_resolution(self) -> None:
        """Let the stage try on the layer what it can tell apart there."""
        panel = self.panel
        layer = panel.combo.value()
        if layer is None or not panel.bar.run_button.isEnabled():
            self.trust.setText(panel.bar.status.text())
            return
        panel.context.device = panel.shared.device
        shown = shown_point(panel.viewer, layer)
        try:
            snapshot = LayerSnapshot.of(layer, shown)
            request = RunRequest(snapshot, panel.settings(), panel.context)
        except InputError as error:
            self.trust.setText(in_docks(error))
            return
        self.trust.setText("planting pairs into the image …")
        self._checker.start(partial(check_steps, request, self.stage))

    def _live_row(self) -> QWidget:
        """Return the box of the live preview, and what to say of it."""
        self.live, self.live_note = BoolEdit("Live preview"), hint_label()
        self.live.setToolTip(
            "Run the stage anew on the current frame while parameters change."
        )
        self._preview_context = Context()
        row = row_of(self.live, self.live_note)
        row.layout().setStretch(1, 1)
        row.setVisible(self.stage.window is None)  # one frame shows nothing of a lapse
        return row

    def _preview_request(self) -> RunRequest | None:
        """Return a run on the current frame; None, and say why, if there can be none.

        It takes the patterns of the last run.
        """
        reason = self._why_no_preview() if self.live.value() else ""
        self.live_note.setText(reason)
        if reason or not self.live.value():
            return None
        layer, panel = self.panel.combo.value(), self.panel
        self._preview_context.device = self.shared.device
        try:
            return RunRequest(
                LayerSnapshot.of(layer, shown_point(panel.viewer, layer)),
                panel.settings(),
                self._preview_context,
                fitted=self._fitted() or (),
            )
        except InputError as error:
            self.live_note.setText(in_docks(error))
            return None

    def _why_no_preview(self) -> str:
        """Say what keeps a preview from being made; empty if nothing does."""
        panel = self.panel
        layer = panel.combo.value()
        if panel.bar.runner.is_running:
            return "no preview while a run is going on"
        if layer is None or not panel.bar.run_button.isEnabled():
            return f"no preview yet: {panel.bar.status.text()}"
        if self._fitted() is None:
            return "no preview before the first run: it finds the patterns"
        data = layer.data[0] if layer.multiscale else layer.data
        height, width = data.shape[-2:]
        if height * width > self._preview_px**2:
            return (
                f"no preview: {height} × {width} px are more than "
                f"{self._preview_px} × {self._preview_px}"
            )
        return ""

    def _on_preview_failed(self, failure: Failure) -> None:
        self.live_note.setText(f"no preview: {in_docks(failure)}")

    def _trust_row(self) -> QWidget:
        """Return the self-check, where the stage has one."""
        self.trust = hint_label()
        self.check_button = push_button(
            "Check resolution",
            "Plants pairs of lines and points into this image and looks which of them "
            "the result tells apart.",
            self.check_resolution,
        )
        self._checker = Runner(self)
        self._checker.returned.connect(self.trust.setText)
        self._checker.failed.connect(self._on_check_failed)
        row = row_of(self.check_button, self.trust)
        row.setVisible(self.stage.self_check is not None)
        return row

    def _on_check_failed(self, failure: Failure) -> None:
        self.trust.setText(in_docks(failure))

    def _on_mended(self, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        if self.stage.id in parameters:
            self.form.setValue(parameters[self.stage.id])

    def _use_weights(self) -> None:
        """Show the weights that were chosen for all docks."""
        self.form.setValue(self.shared.weights.parameters(self.stage.id))

    def _chosen(self, _layer: Image | None, _is_raw: bool) -> Chosen:
        return {self.stage.id: self.form.value()}

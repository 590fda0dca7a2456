"""The dock that reconstructs while the microscope records."""

from collections.abc import Callable

import napari.viewer
from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_dps._qt.bridge.dock_tabs import DockTabs
from napari_dps._qt.bridge.live import LiveFeed, LiveResult, frames_of_a_set
from napari_dps._qt.bridge.microscope import Microscope, shared_microscope
from napari_dps._qt.bridge.run_input import RunInput, choose_stages, stages_done
from napari_dps._qt.bridge.runner import Steps
from napari_dps._qt.docks.run_panel import Chosen, RunPanel
from napari_dps._qt.widgets.layout import fill
from napari_dps._qt.widgets.section import Section
from napari_dps._qt.widgets.stage_list import StageList
from napari_dps.core.context import Context
from napari_dps.pipeline import Settings, find_stage

_USUAL = "reconstruct"
"""Ticked at first: it keeps up with a camera."""


class LiveWidget(QWidget):
    """Follows a layer that grows or changes: the newest set of frames always wins.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari; a `ViewerModel` does as well.
    microscope : Microscope, optional
        By default the one that all docks share.
    """

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        super().__init__()
        self.stages = StageList()
        self.stages.setValue({_USUAL: find_stage(_USUAL).parameters()})
        self.panel = RunPanel(
            napari_viewer,
            microscope or shared_microscope(),
            title="Live",
            run_input=RunInput(("APYX", "YX"), needs_optics=True),
            choose=self._chosen,
            body=[Section("Stages", self.stages)],
            begin=self._begin,
            run_texts=("Start", "Stop"),
            lane="live",
        )
        fill(self, self.panel)
        DockTabs(self)
        self.feed: LiveFeed | None = None
        self.result: Image | None = None
        self._closing = QTimer(self)  # a dock that is taken out hides for a moment
        self._closing.setSingleShot(True)
        self._connect()

    def _connect(self) -> None:
        runner = self.panel.bar.runner
        self.stages.valueChanged.connect(self.panel.check)
        self.panel.layer_events.changed.connect(self._on_layers)
        self.panel.layer_events.hidden.connect(self._on_hidden)
        self._closing.timeout.connect(self._stop_if_closed)
        runner.progressed.connect(self._show_newest)
        runner.finished.connect(self._on_finished)

    def stop(self) -> None:
        """Stop following and computing; nothing happens if nothing runs."""
        if self.feed is not None:
            self.feed.stop()
            self.panel.bar.cancel()

    def _on_hidden(self) -> None:
        self._closing.start(0)

    def _stop_if_closed(self) -> None:
        if not self.isVisible():
            self.stop()

    def _chosen(self, layer: Image | None, is_raw: bool) -> Chosen:
        ticked, parameters = self.stages.ticked(), self.stages.parameters
        done = stages_done(layer)
        return choose_stages(ticked, parameters, is_raw=is_raw, done=done)

    def _begin(
        self, layer: Image, settings: Settings, context: Context
    ) -> Callable[[], Steps]:
        feed = self.feed = LiveFeed(layer, frames_of_a_set(layer, settings))
        self.destroyed.connect(feed.stop)
        self.result = None
        self.panel.combo.setEnabled(False)
        return lambda: feed.steps(settings, context)

    def _show_newest(self, _report: object) -> None:
        result = None if self.feed is None else self.feed.take()
        if result is not None:
            self._show(result)

    def _show(self, result: LiveResult) -> None:
        """Put a result into its layer; the first makes it."""
        self.panel.bar.messages.show_texts(result.warnings)
        if result.layer is None:
            return
        data, kwargs, _ = result.layer
        if self.result is None:
            self.result = Image(data, **kwargs)
            self.panel.viewer.add_layer(self.result)
            return
        self.result.data = data
        self.result.scale, self.result.translate = kwargs["scale"], kwargs["translate"]
        self.result.metadata = kwargs["metadata"]

    def _on_layers(self) -> None:
        """Stop when the layer, or that of the results, was removed."""
        if self.feed is None:
            return
        layers = self.panel.viewer.layers
        watched = [self.feed.layer, *([self.result] if self.result else [])]
        if any(layer not in layers for layer in watched):
            self.stop()

    def _on_finished(self) -> None:
        if self.feed is not None:
            self.destroyed.disconnect(self.feed.stop)
            self.feed.stop()
        self.feed = None
        self.panel.combo.setEnabled(True)

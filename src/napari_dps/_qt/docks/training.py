"""The dock that trains networks on a person's own images."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.viewer
import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_dps._qt.bridge.curves import Curve, Mark
from napari_dps._qt.bridge.dock_tabs import DockTabs
from napari_dps._qt.bridge.layer_events import LayerEvents
from napari_dps._qt.bridge.layers import axes_of, why_not
from napari_dps._qt.bridge.microscope import Microscope, shared_microscope
from napari_dps._qt.bridge.run_input import choose_stages
from napari_dps._qt.bridge.run_request import Outcome, RunRequest, work
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.training import (
    MODELS_FOLDER,
    Training,
    in_words,
    weights_name,
)
from napari_dps._qt.bridge.weights_in_use import export_steps, weights_of
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.editors import ChoiceEdit, NumberEdit, TextEdit
from napari_dps._qt.widgets.layer_checklist import LayerChecklist
from napari_dps._qt.widgets.layout import (
    compact_rows,
    dock_columns,
    hint_label,
    push_button,
    row_label,
    row_of,
)
from napari_dps._qt.widgets.microscope import MicroscopeWidget, missing_of
from napari_dps._qt.widgets.path_edits import FolderEdit
from napari_dps._qt.widgets.plots import Plot
from napari_dps._qt.widgets.run_bar import RunBar
from napari_dps._qt.widgets.section import Section
from napari_dps.core import InputError, StageParameters, is_raw
from napari_dps.core.context import Context
from napari_dps.pipeline import InputSettings, Settings, find_stage

if TYPE_CHECKING:
    from napari_dps.train.fine_tune import FineTuned

_WIDTH_PX = 416
_LAYERS_PX, _PLOT_PX = 76, 170
_NETWORKS = {"dps": "DPS super-resolution", "denoise": "Denoise, of raw frames"}
"""Stages whose networks can be trained, and what they are called here."""
_WHAT = {
    "dps": "Trains the network of DPS on, on your images and without any truth: the "
    "photons of camera images, or of raw frames, are dealt out to two halves, and what "
    "the network finds in one has to explain the other. Blocks are left out to judge "
    "by; what is no better there is not kept.",
    "denoise": "Trains the network of Denoise on, on your raw frames and without any "
    "truth: their photons are dealt out to two halves, and what the network finds in "
    "one, seen through the stripes, has to explain the other. Blocks are left out to "
    "judge by; what is no better there is not kept.",
}
_TRIED = {"dps": ("reconstruct", "dps"), "denoise": ("denoise", "reconstruct")}
_PACKAGES, _WEIGHTS = "Package of bioimage.io (*.zip)", "Weights (*.safetensors)"


class TrainingWidget(QWidget):
    """Trains on layers and files, shows how it goes, and tries the result.

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
        self.viewer = napari_viewer
        self.shared = microscope or shared_microscope()
        self.network = ChoiceEdit()
        for stage_id, title in _NETWORKS.items():
            self.network.addItem(title, stage_id)
        self.layers = LayerChecklist(self._why_not)
        self.folder = FolderEdit("none: the layers alone", "Folder of images")
        self.microscope = MicroscopeWidget(self.shared)
        self.microscope_section = Section("Microscope", self.microscope)
        self.minutes = NumberEdit()
        self.minutes.setRange(0.05, 1440)
        self.minutes.setSuffix(" min")
        self.minutes.setValue(3)
        self.name = TextEdit()
        self.target = FolderEdit("where weights go", "Folder of weights")
        self.target.setValue(str(MODELS_FOLDER))
        self.bar = RunBar("Training", "Train", "Cancel", lane="training")
        self._make_buttons()
        self.plot = Plot("step", "held-out misfit", from_zero=False)
        self.training: Training | None = None
        self.weights: Path | None = None
        self.layer_events = LayerEvents(napari_viewer, self)
        self._lay_out()
        DockTabs(self)
        self._connect()
        self._on_network()

    def _make_buttons(self) -> None:
        self.stop_button = push_button(
            "Stop and keep", "End now; the best so far is judged.", self._stop
        )
        self.try_button = push_button(
            "Try on a layer",
            "Runs the stage with the new weights on the uppermost ticked layer.",
            self.try_on_layer,
        )
        self.use_button = push_button(
            "Use", "Let all docks use the new weights.", self.use
        )
        self.import_button = push_button(
            "Import …",
            "Weights of a file, with its description, for all docks; trainings begin "
            "with them.",
            self._ask_what_to_import,
        )
        self.export_button = push_button(
            "Export …",
            "The new weights, or else those that the docks use, as a package of "
            "bioimage.io.",
            self._ask_where_to_export,
        )

    def train(self) -> None:
        """Start a training; nothing happens while one is going on."""
        if self.bar.runner.is_running:
            return
        self.microscope.confirm(needs_optics=True)
        name = weights_name(self.name.value())
        ticked = self.layers.value()
        stage_id = self.network.value()
        self.training = Training(
            stage_id,
            [LayerSnapshot.of(layer) for layer in ticked],
            self.folder.value().strip(),
            self._settings,
            Path(self.target.value()).expanduser() / f"{name}.safetensors",
            self.shared.weights.parameters(stage_id).get("weights"),
            self.minutes.value(),
            self.shared.device,
        )
        self._hold(None)
        if self.bar.start(self.training.steps):
            self.stop_button.setEnabled(True)
            self.network.setEnabled(False)
            self._show_curve()

    def try_on_layer(self) -> None:
        """Run the stage with the new weights on the uppermost layer that is ticked."""
        ticked = self.layers.value()
        if not ticked or self.weights is None or self.bar.runner.is_running:
            return
        layer = ticked[0]
        settings = self._settings(is_raw(axes_of(layer)))
        chosen = choose_stages(
            _TRIED[self.network.value()],
            self._parameters,
            is_raw=is_raw(axes_of(layer)),
        )
        request = RunRequest(
            LayerSnapshot.of(layer),
            Settings(tuple(chosen), chosen, settings.optics, settings.input),
            Context(device=self.shared.device),
        )
        self.bar.start(partial(work, request))

    def use(self) -> None:
        """Let all docks use the new weights."""
        if self.weights is not None:
            self.import_weights(self.weights)

    def import_weights(self, path: Path) -> None:
        """Let all docks use the weights of a file, and trainings begin with them."""
        title = find_stage(self.network.value()).name
        try:
            self.shared.weights.use(self.network.value(), path)
        except InputError as error:
            self.bar.messages.show_texts([in_docks(error)], "error")
            return
        self._hold(path)
        self.bar.messages.show_texts([f"{title} uses {path.name} from here on"], "info")

    def export(self, package: Path) -> None:
        """Write the new weights, or those in use, as a package of bioimage.io."""
        stage_id = self.network.value()
        usual = find_stage(stage_id).parameters(
            **self.shared.weights.parameters(stage_id)
        )
        weights = self.weights or weights_of(stage_id, usual.weights)
        self.bar.start(partial(export_steps, weights, package.with_suffix(".zip")))

    def check(self) -> None:
        """Say at once what keeps Train from being clicked."""
        ticked = self.layers.value()
        missing = missing_of(self.microscope.value())
        reason = ""
        if not ticked and not self.folder.value().strip():
            reason = "Tick layers to train on, or name a folder."
        elif missing:
            reason = f"Set the microscope: {', '.join(missing)}."
        self.bar.refuse(reason)
        asked = self.microscope.unconfirmed(needs_optics=True)
        self.bar.ask_to_confirm("" if reason else asked)
        self.microscope_section.setTitle(f"Microscope{self.microscope.summary()}")

    def refresh_layers(self) -> None:
        """Look at the layers of the viewer anew."""
        self.layers.refresh(self.viewer.layers)

    def _parameters(self, stage_id: str) -> StageParameters:
        parameters = find_stage(stage_id).parameters
        if stage_id == self.network.value():
            found: StageParameters = parameters(weights=str(self.weights))
            return found
        return parameters(**self.shared.weights.parameters(stage_id))

    def _settings(self, raw: bool) -> Settings:
        """Return how an image is opened."""
        offset = InputSettings(camera_offset=self.microscope.camera_offset)
        stage = self.network.value()
        if raw and not find_stage(stage).takes_raw:
            stage = "reconstruct"
        return Settings((stage,), optics=self.microscope.value(), input=offset)

    def _stop(self) -> None:
        if self.training is not None:
            self.training.stop()
            self.stop_button.setEnabled(False)

    def _lay_out(self) -> None:
        column, whole = dock_columns(self)
        self.what = hint_label()
        rows = compact_rows()
        for title, editor in (
            ("Folder of images", self.folder),
            ("Time to train", self.minutes),
            ("Name", self.name),
            ("Weights go to", self.target),
        ):
            rows.addRow(row_label(title, editor), editor)
        column.addWidget(row_of(row_label("Network", self.network), self.network))
        column.addWidget(self.what)
        column.addWidget(self.layers)
        column.addWidget(self.microscope_section)
        column.addLayout(rows)
        column.addStretch(1)
        after = row_of(self.stop_button, self.try_button, self.use_button)
        files = row_of(self.import_button, self.export_button)
        for widget in (self.plot, after, files, self.bar):
            whole.addWidget(widget)
        self.layers.most_px = _LAYERS_PX
        self.plot.setMaximumHeight(_PLOT_PX)
        self.microscope.show_basic(True)
        self.stop_button.setEnabled(False)
        self.setMinimumWidth(_WIDTH_PX)

    def _connect(self) -> None:
        self.layer_events.changed.connect(self.refresh_layers)
        self.network.valueChanged.connect(self._on_network)
        self.layers.valueChanged.connect(self._on_layers)
        self.folder.valueChanged.connect(self.check)
        self.microscope.valueChanged.connect(self.check)
        runner = self.bar.runner
        self.bar.runClicked.connect(self.train)
        runner.progressed.connect(self._on_progress)
        runner.returned.connect(self._on_returned)
        runner.finished.connect(self._on_finished)

    def _on_network(self) -> None:
        """Show the layers that this network can learn from."""
        self.what.setText(_WHAT[self.network.value()])
        self._hold(None)
        self.training = None
        self.layers.refresh(self.viewer.layers)
        self._show_curve()

    def _hold(self, weights: Path | None) -> None:
        """Take weights as the new ones; None: there are none."""
        self.weights = weights
        for button in (self.try_button, self.use_button):
            button.setEnabled(weights is not None)

    def _on_layers(self) -> None:
        ticked = self.layers.value()
        self.microscope.set_layer(ticked[0] if ticked else None)
        self.microscope_section.setOpen(bool(missing_of(self.microscope.value())))
        if ticked and not self.bar.runner.is_running:
            self.name.setValue(weights_name(ticked[0].name))
        self.check()

    def _on_progress(self, _: Any) -> None:
        if self.training is not None and len(self.training.looks) != self._points:
            self._show_curve()

    def _on_returned(self, value: Any) -> None:
        if isinstance(value, Outcome):
            for data, kwargs, _ in value.layers:
                kwargs["name"] += f" ({self.weights.stem if self.weights else ''})"
                self.viewer.add_layer(Image(data, **kwargs))
            self.bar.done(f"done in {value.seconds:.1f} s", value.warnings)
            return
        if isinstance(value, str):
            self.bar.done("exported")
            self.bar.messages.show_texts([value], "info")
            return
        self._judged(value)

    def _judged(self, found: "FineTuned") -> None:
        self.weights = found.weights
        self.bar.done("trained")
        kind = "info" if found.weights else "warning"
        self.bar.messages.show_texts([in_words(found)], kind)

    def _on_finished(self) -> None:
        self.stop_button.setEnabled(False)
        self.network.setEnabled(True)
        self._hold(self.weights)
        self._show_curve()

    def _show_curve(self) -> None:
        looks = [] if self.training is None else list(self.training.looks)
        self._points = len(looks)
        self.plot.setVisible(len(looks) > 1)
        if len(looks) < 2:
            self.plot.show_curves([])
            return
        steps = np.array([look.step for look in looks], dtype=float)
        losses = np.array([look.loss for look in looks])
        best = looks[int(np.argmin(losses))]
        mark = Mark(best.step, f"least: {best.loss:.4g} at step {best.step}")
        self.plot.show_curves([Curve(steps, losses)], [mark])

    def _why_not(self, layer: Any) -> str:
        """Say why a layer cannot be trained on; empty if it can."""
        takes = ("APYX",) if self.network.value() == "denoise" else ("APYX", "YX")
        reasons = [why_not(layer, one) for one in takes]
        return reasons[-1] if all(reasons) else ""

    def _ask_what_to_import(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Import weights", self.target.value(), _WEIGHTS
        )
        if name:
            self.import_weights(Path(name))

    def _ask_where_to_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Export weights", f"{self.network.value()}.zip", _PACKAGES
        )
        if name:
            self.export(Path(name))

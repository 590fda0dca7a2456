"""The dock of the whole pipeline: all stages, one click, one file of settings."""

from collections.abc import Callable
from pathlib import Path

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_dps._qt.bridge.dock_tabs import DockTabs
from napari_dps._qt.bridge.microscope import Microscope, shared_microscope
from napari_dps._qt.bridge.run_input import RunInput, choose_stages, stages_done
from napari_dps._qt.bridge.run_request import Outcome
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.docks.batch import BatchWidget
from napari_dps._qt.docks.run_panel import Chosen, RunPanel
from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps._qt.widgets.layout import fill, push_button, row_label, row_of
from napari_dps._qt.widgets.path_edits import FileEdit
from napari_dps._qt.widgets.section import Section
from napari_dps._qt.widgets.stage_list import StageList
from napari_dps.core import InputError
from napari_dps.core.params import describe
from napari_dps.pipeline import InputSettings, Settings, read_tables, save_settings
from napari_dps.stages import STAGES
from napari_dps.stages.base import LEAST_LAPSE

_FILES = "Settings (*.toml)"


class PipelineWidget(QWidget):
    """Runs the stages that are ticked, one after the other.

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
        self.shared = shared = microscope or shared_microscope()
        self.stages = StageList()
        info = {i.name: i for i in describe(InputSettings)}["patterns"]
        self.patterns = FileEdit(info)
        self.patterns.setToolTip(info.description)
        patterns = row_of(row_label(info.title, self.patterns), self.patterns)
        self.keep_all = BoolEdit("Add the result of every stage")
        self.keep_all.setChecked(True)
        self.keep_all.setToolTip("Otherwise only that of the last.")
        tip = "A TOML file for: napari-dps run RAW --config FILE"
        save = push_button("Save settings …", tip, self._ask_where_to_save)
        load = push_button("Load settings …", slot=self._ask_what_to_load)
        self.batch = BatchWidget(self._batch_settings, shared)
        self.batch_section = Section(
            "Batch: a folder of files",
            self.batch,
            is_open=False,
            tip="The same stages on files instead of a layer.",
        )
        files = row_of(save, load)
        self.panel = RunPanel(
            napari_viewer,
            shared,
            title="Pipeline",
            run_input=RunInput(("APYX", "YX"), needs_optics=True),
            choose=self._chosen,
            body=[patterns, self.stages, self.keep_all, files, self.batch_section],
            patterns=self._patterns,
        )
        fill(self, self.panel)
        DockTabs(self)
        self._connect()

    def _connect(self) -> None:
        self.stages.valueChanged.connect(self.panel.check)
        self.patterns.valueChanged.connect(self.panel.check)
        self.panel.returned.connect(self._on_outcome)
        self.shared.weights.changed.connect(self._use_weights)
        self._use_weights()

    def _use_weights(self) -> None:
        """Show the weights that were chosen for all docks."""
        for stage_id, form in self.stages.forms.items():
            form.setValue(self.shared.weights.parameters(stage_id))

    def settings(self) -> Settings:
        """Return what is set: what Save writes and the command line runs.

        Raises
        ------
        InputError
            If values, or the stages ticked, do not fit together.
        """
        return self.panel.settings()

    def save(self, path: str | Path) -> None:
        """Write the settings as TOML, for ``napari-dps run --config``."""
        save_settings(self.settings(), path)

    def load(self, path: str | Path) -> None:
        """Show the settings of a TOML file.

        Raises
        ------
        InputError
            If it cannot be read; nothing is changed then.
        """
        settings = Settings.from_tables(read_tables(path))
        patterns = _file_of_patterns(settings)
        parameters = {
            stage.id: settings.parameters.get(stage.id, stage.parameters())
            for stage in STAGES
        }
        names = settings.stages
        if names is None:
            names = tuple(s.id for s in STAGES if s.runs_by_default(LEAST_LAPSE))
        self.stages.setValue({name: parameters[name] for name in names})
        self.stages.show_parameters(parameters)
        self.panel.microscope.setValue(settings.optics)
        self.panel.microscope.set_camera_offset(settings.input.camera_offset)
        self.panel.frames.setValue(settings.input)
        self.panel.options.setValue(settings.input)
        self.patterns.setValue(patterns)

    def _chosen(self, layer: Image | None, is_raw: bool) -> Chosen:
        ticked, parameters = self.stages.ticked(), self.stages.parameters
        done = stages_done(layer)
        return choose_stages(ticked, parameters, is_raw=is_raw, done=done)

    def _patterns(self) -> str:
        """Return the file of known patterns; empty to find them."""
        if problem := self.patterns.problem():
            raise InputError(problem, field="input.patterns")
        name = self.patterns.value()
        return "" if name == "auto" else name

    def _batch_settings(self, is_raw: bool) -> Settings:
        """Return what is set, for files of raw frames or of plain images."""
        ticked, parameters = self.stages.ticked(), self.stages.parameters
        chosen = choose_stages(ticked, parameters, is_raw=is_raw)
        asked = InputSettings(
            camera_offset=self.panel.microscope.camera_offset,
            patterns=(self._patterns() if is_raw else "") or None,
        )
        optics = self.panel.microscope.value()
        return Settings(tuple(chosen), chosen, optics, asked)

    def _on_outcome(self, outcome: Outcome) -> None:
        """Add the layers of all stages, or those of the last."""
        kept = outcome if self.keep_all.value() else outcome.last()
        self.panel.show_outcome(kept)

    def _ask_where_to_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save settings", "pipeline.toml", _FILES
        )
        if name:
            self._try("saved", self.save, Path(name).with_suffix(".toml"))

    def _ask_what_to_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load settings", "", _FILES)
        if name:
            self._try("loaded", self.load, Path(name))

    def _try(self, done: str, action: Callable[[Path], None], path: Path) -> None:
        messages = self.panel.bar.messages
        try:
            action(path)
        except (InputError, OSError) as error:
            messages.show_texts([in_docks(error)], "error")
        else:
            messages.show_texts([f"{done}: {path.name}"], "info")


def _file_of_patterns(settings: Settings) -> str:
    """Return what the dock can show of known patterns: the file that has them."""
    patterns = settings.input.patterns
    if isinstance(patterns, tuple):
        raise InputError(
            "input.patterns lists patterns", allowed="the name of a file that has them"
        )
    return patterns or "auto"

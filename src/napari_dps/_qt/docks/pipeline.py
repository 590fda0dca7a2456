"""The dock of the whole pipeline: all stages, one click, one file of settings."""

from collections.abc import Callable
from pathlib import Path

import napari.viewer
import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_dps._qt.bridge.layers import axes_of, stages_behind, why_not
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.task import Outcome
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.docks.batch import BatchWidget
from napari_dps._qt.docks.run_widget import RunWidget
from napari_dps._qt.docks.stage import parameter_section
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.frames import AUTO
from napari_dps._qt.widgets.section import Section
from napari_dps.core import ImageStack, InputError, is_raw
from napari_dps.pipeline import (
    InputSettings,
    Settings,
    choose_steps,
    read_tables,
    save_settings,
)
from napari_dps.stages import STAGES

_FILES = "Settings (*.toml)"


class PipelineWidget(RunWidget):
    """Runs the stages that are ticked, one after the other."""

    title = "Pipeline"
    takes_raw = True
    needs_optics = True
    may_be_plain = True

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",
        microscope: Microscope | None = None,
    ) -> None:
        self.boxes: dict[str, QCheckBox] = {}
        self.forms: dict[str, ModelForm] = {}
        super().__init__(napari_viewer, microscope)
        for box in self.boxes.values():
            box.toggled.connect(self.check)
        for form in self.forms.values():
            form.valueChanged.connect(self.check)

    def reason_against(self, layer: Image) -> str:
        """Say why a layer cannot be the input; empty if it can."""
        reason = why_not(layer, "YX")
        return reason if reason and why_not(layer, "APYX") else ""

    def body(self) -> list[QWidget]:
        """Return a section for each stage, and the buttons of the file."""
        sections: list[QWidget] = []
        for stage in STAGES:
            box = self.boxes[stage.id] = QCheckBox()
            box.setChecked(stage.by_default)
            box.setToolTip(f"Run {stage.title}.")
            form = self.forms[stage.id] = ModelForm(stage.parameters)
            section = parameter_section(stage.title, form, is_open=False)
            section.heading.insertWidget(0, box)
            sections.append(section)
        self.keep_all = QCheckBox("Add the result of every stage")
        self.keep_all.setChecked(True)
        self.keep_all.setToolTip("Otherwise only that of the last.")
        self.batch = BatchWidget(self._batch_settings, lambda: self.shared.device)
        self.batch_section = Section(
            "Batch: a folder of files",
            self.batch,
            is_open=False,
            tip="The same stages on files instead of a layer.",
        )
        return [*sections, self.keep_all, self._file_buttons(), self.batch_section]

    def settings(self) -> Settings:
        """Return what is set: what Save writes and the command line runs.

        Raises
        ------
        InputError
            If values, or the stages ticked, do not fit together.
        """
        names = tuple(self._chosen())
        parameters = {name: self.forms[name].value() for name in names}
        choose_steps(_stand_in(self._axes()), names, parameters)
        return Settings(names, parameters, self.optics(), self.input_settings())

    def _batch_settings(self, is_raw: bool) -> Settings:
        """Return what is set, for files of raw frames or of plain images."""
        names = tuple(self._ticked(is_raw=is_raw, done={""}))
        parameters = {name: self.forms[name].value() for name in names}
        choose_steps(_stand_in("APYX" if is_raw else "YX"), names, parameters)
        offset = InputSettings(camera_offset=self.microscope.camera_offset)
        return Settings(names, parameters, self.microscope.optics, offset)

    def on_outcome(self, outcome: Outcome) -> None:
        """Add the layers of all stages, or those of the last."""
        super().on_outcome(outcome if self.keep_all.isChecked() else outcome.last())

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
        optics = _of_one_channel(settings)
        for stage in STAGES:
            named = settings.stages
            box = self.boxes[stage.id]
            box.setChecked(stage.by_default if named is None else stage.id in named)
            self.forms[stage.id].setValue(
                settings.parameters.get(stage.id, stage.parameters())
            )
        pixel_nm = optics.pop("pixel_size_nm", None)
        self.shared.update(optics)
        self.shared.set_camera_offset(settings.input.camera_offset)
        if pixel_nm is not None and self.combo.layer() is not None:
            self.microscope.propose_pixel_size(pixel_nm)
        given = settings.input
        if given.angles is not None and given.phases is not None:
            self.frames.set_values(given.angles, given.phases, given.order or AUTO)

    def _file_buttons(self) -> QWidget:
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        self.save_button = QPushButton("Save settings …")
        self.load_button = QPushButton("Load settings …")
        self.save_button.setToolTip("A TOML file for: napari-dps run RAW --config FILE")
        self.save_button.clicked.connect(self._ask_where_to_save)
        self.load_button.clicked.connect(self._ask_what_to_load)
        line.addWidget(self.save_button)
        line.addWidget(self.load_button)
        return row

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
        try:
            action(path)
        except (InputError, OSError) as error:
            self.bar.messages.show_texts([in_docks(error)], "error")
        else:
            self.bar.messages.show_texts([f"{done}: {path.name}"], "info")

    def _axes(self) -> str:
        """Return the axes that the pipeline will see."""
        layer = self.combo.layer()
        if layer is None:
            return "YX"
        has_frames = is_raw(axes_of(layer)) or self.frames.is_on
        return "APYX" if has_frames else "YX"

    def _chosen(self) -> list[str]:
        """Return the stages ticked that the layer is meant for."""
        layer = self.combo.layer()
        done = {"", *(stages_behind(layer) if layer is not None else ())}
        return self._ticked(is_raw=is_raw(self._axes()), done=done)

    def _ticked(self, *, is_raw: bool, done: set[str]) -> list[str]:
        """Return the stages ticked that an image with these behind it is meant for."""
        chosen = []
        for stage in STAGES:
            fits = (is_raw or not stage.takes_raw) and stage.only_after in done
            if self.boxes[stage.id].isChecked() and fits:
                chosen.append(stage.id)
                done.add(stage.id)
        return chosen


def _stand_in(axes: str) -> ImageStack:
    """Return an image of these axes, to ask the pipeline without reading pixels."""
    return ImageStack(np.zeros((1,) * len(axes), np.float32), axes)


def _of_one_channel(settings: Settings) -> dict[str, float]:
    """Return the optics that the docks can show: one value for all channels."""
    several = [name for name, v in settings.optics.items() if isinstance(v, tuple)]
    if several:
        raise InputError(
            f"optics.{several[0]} has one value a channel",
            allowed="one value; or the command line, or each channel as a layer",
        )
    return {n: v for n, v in settings.optics.items() if not isinstance(v, tuple)}

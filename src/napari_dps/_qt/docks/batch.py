"""Whole folders from the pipeline's dock, by the engine of the command line."""

import queue
from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QWidget

from napari_dps._qt.bridge.batch import BatchForm, notes_of, plan_batch, summary
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.batch_table import BatchTable
from napari_dps._qt.widgets.editors import BoolEdit, IntegerEdit, NumberEdit
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.frames import FramesWidget
from napari_dps._qt.widgets.input_options import InputOptions
from napari_dps._qt.widgets.layout import column_of, compact_rows, row_label
from napari_dps._qt.widgets.path_edits import FolderEdit
from napari_dps._qt.widgets.run_bar import RunBar
from napari_dps.batch import Row
from napari_dps.core import InputError, Progress
from napari_dps.pipeline import OutputSettings, Settings


class BatchWidget(QWidget):
    """Asks for inputs and a folder of results, runs them, shows a row an input.

    Parameters
    ----------
    make_settings : callable
        Returns the settings of the dock for raw frames or plain images; raises
        `InputError` if they do not fit together.
    microscope : Microscope
        Holds the device to compute on.
    """

    def __init__(
        self, make_settings: Callable[[bool], Settings], microscope: Microscope
    ) -> None:
        super().__init__()
        self._make_settings, self._microscope = make_settings, microscope
        # Filled in the worker's thread, emptied in that of the window.
        self._rows: queue.SimpleQueue[Row] = queue.SimpleQueue()
        self.inputs = FolderEdit(
            "folder, or pattern",
            "Folder of inputs",
            tip="A folder, or a pattern such as data/**/*.tif",
        )
        self.results = FolderEdit(
            "folder, new or old",
            "Folder of results",
            tip="A folder; it is made if it is not there.",
        )
        self.frames = FramesWidget(is_optional=True, is_of_files=True)
        self.options = InputOptions(is_of_files=True)
        self.pixel_size = NumberEdit()
        self.pixel_size.setRange(0, 10_000)
        self.pixel_size.setSuffix(" nm")
        self.pixel_size.setSpecialValueText("as the files say")
        self.pixel_size.setToolTip("Edge of a camera pixel in the sample.")
        self.output = ModelForm(OutputSettings)
        self.jobs = IntegerEdit()
        self.jobs.setRange(1, 64)
        self.jobs.setToolTip("Tasks at once, in threads that share the processor.")
        self.resume = BoolEdit("Go on from where an earlier batch has stopped")
        self.resume.setValue(True)
        self.resume.setToolTip(
            "Files whose results are there, made with the same settings, are skipped."
        )
        self.bar = RunBar("Batch", "Run batch")
        self.table = BatchTable()
        self._lay_out()
        self._connect()

    def form(self) -> BatchForm:
        """Return what is set in addition to the stages."""
        return BatchForm(
            inputs=self.inputs.value(),
            results=self.results.value(),
            frames=self.options.added_to(self.frames.value()),
            pixel_size_nm=self.pixel_size.value(),
            output=self.output.value(),
            jobs=self.jobs.value(),
            resume=self.resume.value(),
        )

    def run(self) -> None:
        """Start the batch; nothing happens while one is going on."""
        if self.bar.runner.is_running:
            return
        self.bar.messages.clear()
        try:
            settings = self._make_settings(self.frames.is_on)
            batch = plan_batch(self.form(), settings, self._microscope.device)
        except InputError as error:
            self.bar.messages.show_texts([in_docks(error)], "error")
            return
        paths = (source.path for source in batch.sources)
        self.table.show_inputs(paths, self.jobs.value())
        self.bar.start(partial(batch.steps, self._rows.put))

    def _connect(self) -> None:
        runner = self.bar.runner
        self.bar.runClicked.connect(self.run)
        runner.progressed.connect(self._on_progress)
        runner.returned.connect(self._on_returned)
        runner.cancelled.connect(self._on_cancelled)
        runner.finished.connect(self.table.end)
        self.table.cellDoubleClicked.connect(self._open_folder)

    def _lay_out(self) -> None:
        rows = compact_rows()
        rows.addRow(row_label("Inputs", self.inputs), self.inputs)
        rows.addRow(row_label("Results", self.results), self.results)
        rows.addRow(self.frames)
        rows.addRow(self.options)
        rows.addRow(row_label("Pixel size", self.pixel_size), self.pixel_size)
        rows.addRow(self.output)
        rows.addRow(row_label("At once", self.jobs), self.jobs)
        column_of(rows, self.resume, self.bar, self.table, inside=self)

    def _open_folder(self, *_: int) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.results.value()))

    def _show_rows(self) -> None:
        """Show what has become of inputs since the last look."""
        while not self._rows.empty():
            row = self._rows.get()
            self.table.show_status(row["file"], row["status"], notes_of(row))

    def _on_progress(self, _: Progress) -> None:
        self._show_rows()

    def _on_returned(self, rows: list[Row]) -> None:
        self._show_rows()
        self.bar.done(*summary(rows))

    def _on_cancelled(self) -> None:
        self._show_rows()
        self.bar.done("cancelled: what is done stays, and Run batch goes on")

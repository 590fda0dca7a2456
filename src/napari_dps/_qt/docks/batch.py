"""Whole folders from the pipeline's dock, by the engine of the command line."""

import queue
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_dps._qt.bridge.runner import Runner, Steps
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.editors import IntegerEdit, NumberEdit
from napari_dps._qt.widgets.form import ModelForm
from napari_dps._qt.widgets.frames import FramesWidget
from napari_dps._qt.widgets.layout import compact_rows, hint_label, row_label
from napari_dps._qt.widgets.messages import Messages
from napari_dps.batch import (
    FAILED,
    FAULT,
    Job,
    Row,
    find_sources,
    run_batch,
    write_table,
)
from napari_dps.core import InputError, Progress
from napari_dps.core.errors import Failure
from napari_dps.pipeline import InputSettings, OutputSettings, Settings

_COLUMNS = ("File", "Status", "Notes")
_ROWS_SHOWN = 6


class BatchWidget(QWidget):
    """Asks for inputs and a folder of results, runs them, shows a row an input.

    Parameters
    ----------
    make_settings : callable
        Returns the settings of the dock for raw frames or plain images; raises
        `InputError` if they do not fit together.
    device : callable
        Returns the name of the device to compute on.
    """

    valueChanged = Signal()

    def __init__(
        self, make_settings: Callable[[bool], Settings], device: Callable[[], str]
    ) -> None:
        super().__init__()
        self._make_settings, self._device = make_settings, device
        self._rows: queue.SimpleQueue[Row] = queue.SimpleQueue()
        self.inputs = _line("a folder, or a pattern such as data/**/*.tif")
        self.results = _line("a folder; it is made if it is not there")
        self.frames = FramesWidget(is_optional=True, is_of_files=True)
        self.pixel_size = NumberEdit()
        self.pixel_size.setRange(0, 10_000)
        self.pixel_size.setSuffix(" nm")
        self.pixel_size.setSpecialValueText("as the files say")
        self.pixel_size.setToolTip("Edge of a camera pixel in the sample.")
        self.output = ModelForm(OutputSettings)
        self.jobs = IntegerEdit()
        self.jobs.setRange(1, 64)
        self.jobs.setToolTip("Tasks at once, in threads that share the processor.")
        self.resume = QCheckBox("Go on from where an earlier batch has stopped")
        self.resume.setChecked(True)
        self.resume.setToolTip(
            "Files whose results are there, made with the same settings, are skipped."
        )
        self.run_button, self.cancel_button = QPushButton("Run batch"), QPushButton()
        self.cancel_button.setText("Cancel")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.status = hint_label()
        self.table = _table()
        self.messages = Messages()
        self.runner = Runner(self)
        self._lay_out()
        self._connect()
        self._on_finished()

    def job(self) -> Job:
        """Return what is asked of every input.

        Raises
        ------
        InputError
            If the settings do not fit together.
        """
        settings = self._make_settings(self.frames.is_on)
        optics = {k: v for k, v in settings.optics.items() if k != "pixel_size_nm"}
        if self.pixel_size.value():
            optics["pixel_size_nm"] = self.pixel_size.value()
        return Job(
            settings=Settings(
                stages=settings.stages,
                parameters=settings.parameters,
                optics=optics,
                input=InputSettings(
                    camera_offset=settings.input.camera_offset, **self.frames.values()
                ),
                output=self.output.value(),
            ),
            device=self._device(),
            resume=self.resume.isChecked(),
            refuse_wrong_order=True,
        )

    def run(self) -> None:
        """Start the batch; nothing happens while one is going on."""
        if self.runner.is_running:
            return
        self.messages.clear()
        try:
            named, folder = self.inputs.text().strip(), self.results.text().strip()
            if not named or not folder:
                raise InputError("name the inputs and a folder of results")
            job = self.job()
            sources = find_sources([named], Path(folder), job.settings)
        except InputError as error:
            self.messages.show_texts([in_docks(error)], "error")
            return
        self.table.setRowCount(0)
        for source in sources:
            self._add_row(source.path)
        steps = partial(_run, job, sources, Path(folder), self.jobs.value(), self._rows)
        self.runner.start(steps)

    def cancel(self) -> None:
        """Stop after the step at work; what is done stays for the next batch."""
        self.runner.cancel()
        self.cancel_button.setEnabled(False)
        self.status.setText("stopping …")

    def _connect(self) -> None:
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.cancel)
        self.runner.started.connect(self._on_started)
        self.runner.progressed.connect(self._on_progress)
        self.runner.returned.connect(self._on_returned)
        self.runner.failed.connect(self._on_failed)
        self.runner.cancelled.connect(self._on_cancelled)
        self.runner.finished.connect(self._on_finished)
        self.table.cellDoubleClicked.connect(self._open_folder)

    def _lay_out(self) -> None:
        form = QFormLayout()
        compact_rows(form)
        browse_inputs = _with_button(self.inputs, self._ask_for_inputs)
        browse_results = _with_button(self.results, self._ask_for_results)
        form.addRow(row_label("Inputs", self.inputs), browse_inputs)
        form.addRow(row_label("Results", self.results), browse_results)
        form.addRow(self.frames)
        form.addRow(row_label("Pixel size", self.pixel_size), self.pixel_size)
        form.addRow(self.output)
        form.addRow(row_label("At once", self.jobs), self.jobs)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(form)
        column.addWidget(self.resume)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.status)
        column.addWidget(self.messages)
        column.addWidget(self.table)

    def _ask_for_inputs(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Folder of inputs"):
            self.inputs.setText(name)

    def _ask_for_results(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Folder of results"):
            self.results.setText(name)

    def _open_folder(self, *_: int) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.results.text().strip()))

    def _add_row(self, path: Path) -> None:
        place = self.table.rowCount()
        self.table.insertRow(place)
        for column, text in enumerate((path.name, "waiting", "")):
            self.table.setItem(place, column, QTableWidgetItem(text))
        self.table.item(place, 0).setData(Qt.ItemDataRole.UserRole, str(path))
        self.table.item(place, 0).setToolTip(str(path))

    def _show_rows(self) -> None:
        """Show what has become of inputs since the last look."""
        while not self._rows.empty():
            row = self._rows.get()
            for place in range(self.table.rowCount()):
                item = self.table.item(place, 0)
                if item.data(Qt.ItemDataRole.UserRole) == row["file"]:
                    failure = row.get("failure")
                    notes = in_docks(failure) if failure else row.get("warnings", "")
                    self.table.item(place, 1).setText(row["status"])
                    self.table.item(place, 2).setText(notes)
                    self.table.item(place, 2).setToolTip(notes)

    def _on_started(self) -> None:
        self.run_button.setEnabled(False)
        self.cancel_button.setEnabled(True)

    def _on_progress(self, report: Progress) -> None:
        self.bar.setRange(0, max(report.total, 1))
        self.bar.setValue(report.done)
        if self.cancel_button.isEnabled():
            self.status.setText(report.message)
        self._show_rows()

    def _on_returned(self, rows: list[Row]) -> None:
        self._show_rows()
        failed = sum(row["status"] in (FAILED, FAULT) for row in rows)
        text = f"{len(rows) - failed} of {len(rows)} inputs are done"
        self.status.setText(f"{text}; the table is in batch.csv")
        if failed:
            self.messages.show_texts([f"{failed} failed: the notes say why"], "warning")

    def _on_failed(self, failure: Failure) -> None:
        self.status.setText("failed")
        self.messages.show_texts([in_docks(failure)], "error")

    def _on_cancelled(self) -> None:
        self._show_rows()
        self.status.setText("cancelled: what is done stays, and Run batch goes on")

    def _on_finished(self) -> None:
        self.run_button.setEnabled(True)
        self.cancel_button.setEnabled(False)
        self.bar.setRange(0, 1)
        self.bar.setValue(0)


def _run(
    job: Job,
    sources: Any,
    folder: Path,
    jobs: int,
    rows: "queue.SimpleQueue[Row]",
) -> Steps:
    """Run the batch and write its table; in the worker's thread."""
    done = yield from run_batch(job, sources, jobs=jobs, tell=rows.put)
    write_table(done, folder)
    return done


def _line(hint: str) -> QLineEdit:
    line = QLineEdit()
    line.setPlaceholderText(hint)
    line.setToolTip(hint)
    return line


def _with_button(line: QLineEdit, action: Callable[[], None]) -> QWidget:
    row, button = QWidget(), QPushButton("Browse …")
    button.clicked.connect(action)
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(line, 1)
    layout.addWidget(button)
    return row


def _table() -> QTableWidget:
    table = QTableWidget(0, len(_COLUMNS))
    table.setHorizontalHeaderLabels(_COLUMNS)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.verticalHeader().setVisible(False)
    header = table.horizontalHeader()
    for column in (0, 1):
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
    header.setStretchLastSection(True)
    table.setMinimumHeight(_ROWS_SHOWN * table.verticalHeader().defaultSectionSize())
    table.setToolTip("Double-click opens the folder of the results.")
    return table

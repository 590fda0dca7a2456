"""The table of a batch: one row an input, with its status and what is to be known."""

from collections.abc import Iterable
from pathlib import Path

from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

_COLUMNS = ("File", "Status", "Notes")
_ROWS_SHOWN = 6
_WAITING, _RUNNING = "waiting", "running"


class BatchTable(QTableWidget):
    """Shows what has become of each input."""

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.verticalHeader().setVisible(False)
        header = self.horizontalHeader()
        for column in (0, 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.setMinimumHeight(_ROWS_SHOWN * self.verticalHeader().defaultSectionSize())
        self.setToolTip("Double-click opens the folder of the results.")
        self._row_of: dict[str, int] = {}

    def show_inputs(self, paths: Iterable[Path], at_once: int) -> None:
        """Show inputs, so many of them at work, and no others."""
        self.setRowCount(0)
        self._row_of = {}
        for row, path in enumerate(paths):
            self.insertRow(row)
            self._row_of[str(path)] = row
            for column, text in enumerate((path.name, _WAITING, "")):
                self.setItem(row, column, QTableWidgetItem(text))
            self.item(row, 0).setToolTip(str(path))
        for _ in range(at_once):
            self._begin_next()

    def show_status(self, path: str, status: str, notes: str) -> None:
        """Show what has become of an input."""
        row = self._row_of.get(path)
        if row is not None:
            was_running = self.item(row, 1).text() == _RUNNING
            self.item(row, 1).setText(status)
            if was_running:
                self._begin_next()
            self.item(row, 2).setText(notes)
            self.item(row, 2).setToolTip(notes)

    def end(self) -> None:
        """Show that nothing is at work any more."""
        for row in range(self.rowCount()):
            if self.item(row, 1).text() == _RUNNING:
                self.item(row, 1).setText(_WAITING)

    def _begin_next(self) -> None:
        """Show the first input that waits as running: they are taken in order."""
        for row in range(self.rowCount()):
            if self.item(row, 1).text() == _WAITING:
                self.item(row, 1).setText(_RUNNING)
                return

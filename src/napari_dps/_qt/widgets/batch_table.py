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

    def show_inputs(self, paths: Iterable[Path]) -> None:
        """Show inputs that wait, and no others."""
        self.setRowCount(0)
        self._row_of = {}
        for row, path in enumerate(paths):
            self.insertRow(row)
            self._row_of[str(path)] = row
            for column, text in enumerate((path.name, "waiting", "")):
                self.setItem(row, column, QTableWidgetItem(text))
            self.item(row, 0).setToolTip(str(path))

    def show_status(self, path: str, status: str, notes: str) -> None:
        """Show what has become of an input."""
        row = self._row_of.get(path)
        if row is not None:
            self.item(row, 1).setText(status)
            self.item(row, 2).setText(notes)
            self.item(row, 2).setToolTip(notes)

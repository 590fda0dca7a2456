"""The table of measures: one row a layer, one column a measure, sortable."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_dps._qt.bridge.compare import MeasureRow
from napari_dps.metrics.catalogue import metrics_of
from napari_dps.metrics.metric import Metric


class _Number(QTableWidgetItem):
    """A cell that sorts by its number; a missing one comes last."""

    def __init__(self, value: float | None, digits: int) -> None:
        super().__init__("–" if value is None else f"{value:.{digits}f}")
        self.value = -math.inf if value is None else value
        self.setTextAlignment(
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )

    def __lt__(self, other: Any) -> bool:
        """Compare the numbers, not their texts."""
        return self.value < getattr(other, "value", -math.inf)


_BEST: dict[str, Callable[[Sequence[float]], float | None]] = {
    "larger": max,
    "smaller": min,
    "none": lambda values: None,
}
_NAME_PX = 150
_LEAST_PX = 130


class MeasureTable(QTableWidget):
    """Shows measures; the best of each column is bold, tooltips say what is missing."""

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.verticalHeader().setVisible(False)
        self.setSortingEnabled(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setMinimumHeight(_LEAST_PX)

    def show_rows(self, rows: list[MeasureRow]) -> None:
        """Show measures in the table; the best of each column is bold."""
        columns = _columns(rows)
        self.setSortingEnabled(False)
        self.setColumnCount(len(columns) + 1)
        self.setRowCount(len(rows))
        self.setHorizontalHeaderLabels(["Layer", *(c.heading for c in columns)])
        for number, row in enumerate(rows):
            name = QTableWidgetItem(str(row["layer"]))
            name.setToolTip(str(row.get("error", row["layer"])))
            self.setItem(number, 0, name)
        for place, column in enumerate(columns, 1):
            self._fill(place, column, rows)
        self.setSortingEnabled(True)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.setColumnWidth(0, _NAME_PX)
        rows_px = sum(self.rowHeight(number) for number in range(self.rowCount()))
        bars_px = header.height() + self.horizontalScrollBar().sizeHint().height()
        self.setMaximumHeight(max(rows_px + bars_px + 8, _LEAST_PX))

    def _fill(self, place: int, column: Metric, rows: Sequence[MeasureRow]) -> None:
        values = [row.get(column.key) for row in rows]
        known = [value for value in values if value is not None]
        best = _BEST[column.direction](known) if len(known) > 1 else None
        self.horizontalHeaderItem(place).setToolTip(column.tip)
        for number, (row, value) in enumerate(zip(rows, values, strict=True)):
            cell = _Number(value, column.digits)
            cell.setToolTip(row.get("notes", {}).get(column.key, column.tip))
            if best is not None and value == best:
                font = cell.font()
                font.setBold(True)
                cell.setFont(font)
            self.setItem(number, place, cell)


def _columns(rows: Sequence[MeasureRow]) -> list[Metric]:
    """Return the metrics that have values; lengths in nm where all are known so."""
    shown = [
        metric
        for metric in metrics_of("compare")
        if any(row.get(metric.key) is not None for row in rows)
    ]
    in_nm = {
        metric.key.removesuffix("_nm") + "_px"
        for metric in shown
        if metric.key.endswith("_nm") and all(row.get(metric.key) for row in rows)
    }
    return [metric for metric in shown if metric.key not in in_nm]

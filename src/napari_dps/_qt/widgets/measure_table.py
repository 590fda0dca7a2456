"""The table of measures: one row a layer, one column a measure, sortable."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_dps._qt.bridge.compare import MeasureRow


class _Column(NamedTuple):
    """A column of the table."""

    key: str
    title: str
    digits: int
    tip: str
    best: Callable[[Sequence[float]], float] | None = max


_WITH_REFERENCE = (
    _Column("psnr_db", "PSNR (dB)", 2, "Against the reference; larger is better."),
    _Column("ssim", "SSIM", 4, "Structural similarity, up to 1."),
    _Column("nrmse", "NRMSE", 4, "Root mean square error over the reference's.", min),
    _Column("snr_reference_db", "SNR ref. (dB)", 2, "Signal over what differs."),
    _Column("rsp", "RSP", 4, "Resolution-scaled Pearson: reference as widefield."),
    _Column("rse", "RSE", 3, "Resolution-scaled error, in counts.", min),
)
_ALONE = (
    _Column("snr_db", "SNR (dB)", 2, "Signal over noise, of the image alone.", None),
    _Column(
        "resolution_decorrelation_nm",
        "Resolution (nm)",
        0,
        "By decorrelation analysis, of the image alone; smaller is finer.",
        None,
    ),
    _Column(
        "resolution_decorrelation_px",
        "Resolution (px)",
        1,
        "By decorrelation analysis, of the image alone.",
        None,
    ),
)


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
        columns = [
            column
            for column in (*_WITH_REFERENCE, *_ALONE)
            if any(row.get(column.key) is not None for row in rows)
            and not (
                column.key.endswith("_px")
                and all(row.get("resolution_decorrelation_nm") for row in rows)
            )
        ]
        self.setSortingEnabled(False)
        self.setColumnCount(len(columns) + 1)
        self.setRowCount(len(rows))
        self.setHorizontalHeaderLabels(["Layer", *(c.title for c in columns)])
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

    def _fill(self, place: int, column: _Column, rows: Sequence[MeasureRow]) -> None:
        values = [row.get(column.key) for row in rows]
        known = [value for value in values if value is not None]
        best = column.best(known) if column.best and len(known) > 1 else None
        self.horizontalHeaderItem(place).setToolTip(column.tip)
        for number, (row, value) in enumerate(zip(rows, values, strict=True)):
            cell = _Number(value, column.digits)
            cell.setToolTip(row.get("notes", {}).get(column.key, column.tip))
            if best is not None and value == best:
                font = cell.font()
                font.setBold(True)
                cell.setFont(font)
            self.setItem(number, place, cell)

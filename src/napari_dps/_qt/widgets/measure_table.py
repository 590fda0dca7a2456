"""The table of measures: one row a layer, one column a measure, sortable."""

import math
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_dps._qt.bridge.compare import MeasureRow
from napari_dps._qt.bridge.measure_cells import (
    REWARDING_BLUR,
    Cell,
    cells_of,
    first_metrics,
    shown_metrics,
)
from napari_dps._qt.widgets.frozen_column import FrozenColumn


class _NumberItem(QTableWidgetItem):
    """A cell that sorts by its number; a missing one comes last."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.text)
        self.value = -math.inf if cell.value is None else cell.value
        self.setToolTip(cell.tip)
        self.setTextAlignment(
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
        font = self.font()
        font.setBold(cell.is_best)
        self.setFont(font)

    def __lt__(self, other: Any) -> bool:
        """Compare the numbers, not their texts."""
        return self.value < getattr(other, "value", -math.inf)


_NAME_PX = 150
_LEAST_PX, _WHOLE_PX = 130, 300
_MARGIN_PX = 16


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
        self._rows: Sequence[MeasureRow] = ()
        self._is_all = self._is_doubted = False
        self._names = FrozenColumn(self)
        wraps = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        self.horizontalHeader().setDefaultAlignment(wraps)

    def show_all(self, is_all: bool) -> None:
        """Show every metric, or the four that say most."""
        self._is_all = is_all
        self.show_rows(self._rows, is_doubted=self._is_doubted)

    def show_rows(
        self, rows: Sequence[MeasureRow], *, is_doubted: bool = False
    ) -> None:
        """Show measures in the table; the best of each column is bold.

        Parameters
        ----------
        rows : sequence of dict
            A row a layer.
        is_doubted : bool
            Whether the reference is blurrier than images: what rewards blur has no
            best then.
        """
        self._rows, self._is_doubted = rows, is_doubted
        metrics = shown_metrics(rows) if self._is_all else first_metrics(rows)
        self.setSortingEnabled(False)
        self.setColumnCount(len(metrics) + 1)
        self.setRowCount(len(rows))
        self.setHorizontalHeaderLabels(["Layer", *(m.heading for m in metrics)])
        for number, row in enumerate(rows):
            name = QTableWidgetItem(str(row["layer"]))
            name.setToolTip(str(row.get("error", row["layer"])))
            self.setItem(number, 0, name)
        for place, metric in enumerate(metrics, 1):
            self.horizontalHeaderItem(place).setToolTip(metric.tip)
            has_best = not (is_doubted and metric.key in REWARDING_BLUR)
            for number, cell in enumerate(cells_of(metric, rows, has_best=has_best)):
                self.setItem(number, place, _NumberItem(cell))
        self.setSortingEnabled(True)
        header = self.horizontalHeader()
        self._fit_columns(len(metrics))
        rows_px = sum(self.rowHeight(number) for number in range(self.rowCount()))
        bars_px = header.height() + self.horizontalScrollBar().sizeHint().height()
        self._names.fit()
        needed_px = rows_px + bars_px + 8
        # Short tables are seen whole: the dock scrolls, not the table inside it.
        self.setMinimumHeight(max(min(needed_px, _WHOLE_PX), _LEAST_PX))
        self.setMaximumHeight(max(needed_px, _LEAST_PX))

    def _fit_columns(self, count: int) -> None:
        """Make columns as wide as their numbers and the longest word of their heads.

        Few columns leave the rest of the width to the names.
        """
        header, metrics = self.horizontalHeader(), self.fontMetrics()
        for place in range(1, count + 1):
            words = self.horizontalHeaderItem(place).text().split()
            cells = [self.item(row, place).text() for row in range(self.rowCount())]
            widest = max(map(metrics.horizontalAdvance, [*words, *cells]))
            header.setSectionResizeMode(place, QHeaderView.ResizeMode.Interactive)
            self.setColumnWidth(place, widest + _MARGIN_PX)
        is_few = not self._is_all
        mode = header.ResizeMode.Stretch if is_few else header.ResizeMode.Interactive
        header.setSectionResizeMode(0, mode)
        if not is_few:
            self.setColumnWidth(0, _NAME_PX)
        header.setFixedHeight(2 * metrics.lineSpacing() + _MARGIN_PX // 2)

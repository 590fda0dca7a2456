"""The first column of a table, which stays while the others are scrolled."""

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QTableWidget,
)

_PAD_PX = 8
"""Room on both sides of a text."""


class _NameDelegate(QStyledItemDelegate):
    """Shortens long names at their head, since what stands last tells them apart."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Any) -> None:
        """Cut "cell 03 of dish 2 · SIM" to "cell 03 … · SIM"."""
        super().initStyleOption(option, index)
        head, dot, tail = option.text.rpartition(" · ")
        if dot:
            metrics = option.fontMetrics
            room = option.rect.width() - _PAD_PX
            room -= metrics.horizontalAdvance(dot + tail)
            short = metrics.elidedText(head, Qt.TextElideMode.ElideRight, room)
            option.text = short + dot + tail


class FrozenColumn(QTableView):
    """Lies over the first column of a table and follows its rows.

    Parameters
    ----------
    table : QTableWidget
        Owns this view.
    """

    def __init__(self, table: QTableWidget) -> None:
        super().__init__(table)
        self._table = table
        self.setModel(table.model())
        self.setSelectionModel(table.selectionModel())
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTextElideMode(table.textElideMode())
        self.setWordWrap(False)
        self.setItemDelegate(_NameDelegate(self))
        self.verticalHeader().hide()
        off = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setHorizontalScrollBarPolicy(off)
        self.setVerticalScrollBarPolicy(off)
        self.setVerticalScrollMode(table.verticalScrollMode())
        table.verticalScrollBar().valueChanged.connect(
            self.verticalScrollBar().setValue
        )
        self.verticalScrollBar().valueChanged.connect(
            table.verticalScrollBar().setValue
        )
        table.horizontalHeader().sectionResized.connect(self.fit)
        self.horizontalHeader().setSectionsClickable(True)
        self.horizontalHeader().sectionClicked.connect(table.sortItems)
        self._later = QTimer(self)  # after the table has laid out its columns
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.fit)
        table.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay over the column when the table changes its size."""
        if event.type() == QEvent.Type.Resize:
            self._later.start(0)
        return False

    def fit(self, *_: int) -> None:
        """Lie over the first column as it is now; hide the others."""
        table = self._table
        for column in range(table.columnCount()):
            self.setColumnHidden(column, column > 0)
        for row in range(table.rowCount()):
            self.setRowHeight(row, table.rowHeight(row))
        self.setColumnWidth(0, table.columnWidth(0))
        header = table.horizontalHeader().height()
        self.horizontalHeader().setFixedHeight(header)
        left, top = table.frameWidth(), table.frameWidth()
        height = table.viewport().height() + header
        self.setGeometry(left, top, table.columnWidth(0), height)
        self.raise_()

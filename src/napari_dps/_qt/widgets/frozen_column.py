"""The first column of a table, which stays while the others are scrolled."""

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QAbstractItemView, QFrame, QTableView, QTableWidget


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

"""A heading that folds what stands below it."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QWidget

from napari_dps._qt.widgets.layout import column_of


class Section(QWidget):
    """A heading that folds what stands below it."""

    def __init__(
        self, title: str, content: QWidget, *, is_open: bool = True, tip: str = ""
    ) -> None:
        super().__init__()
        self._content = content
        self._button = QToolButton()
        self._button.setText(title)
        self._button.setToolTip(tip)
        self._button.setCheckable(True)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed
        )
        self._button.setStyleSheet(
            "QToolButton { border: none; font-weight: bold; text-align: left;"
            " padding: 2px 0; background: transparent; }"
        )
        self._button.toggled.connect(self._fold)
        self.heading = QHBoxLayout()
        self.heading.addWidget(self._button)
        column_of(self.heading, content, inside=self, spacing=2)
        content.setContentsMargins(6, 0, 0, 4)
        self._button.setChecked(is_open)
        self._fold(is_open)

    @property
    def is_open(self) -> bool:
        """Whether the content shows."""
        return bool(self._button.isChecked())

    def setTitle(self, title: str) -> None:
        """Change the heading."""
        self._button.setText(title)

    def setOpen(self, is_open: bool) -> None:
        """Fold or unfold."""
        self._button.setChecked(is_open)

    def _fold(self, is_open: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow
        self._button.setArrowType(arrow)
        self._content.setVisible(is_open)

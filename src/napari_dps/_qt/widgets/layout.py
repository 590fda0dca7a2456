"""How rows, columns, buttons and hints look in all docks."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

_LABEL_PX = 148


def row_label(title: str, editor: QWidget) -> QLabel:
    """Return the label of a row, as wide as those of the other forms."""
    label = QLabel(title)
    label.setMinimumWidth(_LABEL_PX)
    label.setToolTip(editor.toolTip())
    label.setBuddy(editor)
    return label


def compact_rows(parent: QWidget | None = None) -> QFormLayout:
    """Return a form, of a widget or for another layout, laid out as in all docks."""
    form = QFormLayout(parent) if parent is not None else QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(4)
    form.setHorizontalSpacing(8)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return form


def push_button(
    text: str, tip: str = "", slot: Callable[..., Any] | None = None
) -> QPushButton:
    """Return a button, with what it tells when pointed at and does when clicked."""
    button = QPushButton(text)
    button.setToolTip(tip)
    if slot is not None:
        button.clicked.connect(slot)
    return button


def add_shortcut(widget: QWidget, keys: str, button: QPushButton) -> None:
    """Let keys click a button while the focus is in a widget, and its tip name them."""
    shortcut = QShortcut(QKeySequence(keys), widget)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.activated.connect(button.click)


def hint_label() -> QLabel:
    """Return a label for a line of explanation: it wraps and stands back."""
    label = QLabel()
    label.setWordWrap(True)
    label.setStyleSheet("color: gray;")
    return label


def dock_columns(dock: QWidget) -> tuple[QVBoxLayout, QVBoxLayout]:
    """Return the column of a dock, which scrolls, and the one around it, for a foot.

    It never scrolls sideways.
    """
    inside, area = QWidget(), QScrollArea()
    column = QVBoxLayout(inside)
    column.setContentsMargins(4, 4, 8, 4)
    column.setSpacing(6)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inside)
    whole = QVBoxLayout(dock)
    whole.setContentsMargins(6, 6, 6, 6)
    whole.addWidget(area, 1)
    return column, whole


def fill(widget: QWidget, content: QWidget) -> None:
    """Let a widget show nothing but its content, as high as it can be.

    Without a content that wants the height napari adds empty space below it.
    """
    policy = QSizePolicy.Policy.Expanding
    content.setSizePolicy(policy, policy)
    column_of(content, inside=widget)


def column_of(*contents: QWidget | QLayout, inside: QWidget, spacing: int = 4) -> None:
    """Lay contents out below one another in a widget, up to its edges."""
    column = QVBoxLayout(inside)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    for content in contents:
        if isinstance(content, QWidget):
            column.addWidget(content)
        else:
            column.addLayout(content)


def row_of(*widgets: QWidget, inside: QWidget | None = None) -> QWidget:
    """Return a row of widgets that share its width: a new widget, or the one named."""
    row = inside if inside is not None else QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        line.addWidget(widget)
    return row

"""How rows, hints and scroll areas look in all docks."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

_LABEL_PX = 130


def row_label(title: str, editor: QWidget) -> QLabel:
    """Return the label of a row, as wide as those of the other forms."""
    label = QLabel(title)
    label.setMinimumWidth(_LABEL_PX)
    label.setToolTip(editor.toolTip())
    label.setBuddy(editor)
    return label


def compact_rows(form: QFormLayout) -> None:
    """Lay the rows of a form out alike in all docks."""
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(4)
    form.setHorizontalSpacing(8)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)


def hint_label() -> QLabel:
    """Return a label for a line of explanation: it wraps and stands back."""
    label = QLabel()
    label.setWordWrap(True)
    label.setStyleSheet("color: gray;")
    return label


def scrolled(content: QWidget) -> QScrollArea:
    """Return a scroll area that never scrolls sideways."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    return area


def fill(widget: QWidget, content: QWidget) -> None:
    """Let a widget show nothing but its content, as high as it can be.

    Without a content that wants the height napari adds empty space below it.
    """
    policy = QSizePolicy.Policy.Expanding
    content.setSizePolicy(policy, policy)
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(content)


def row_of(*widgets: QWidget) -> QWidget:
    """Return a row of widgets that share its width."""
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        line.addWidget(widget)
    return row

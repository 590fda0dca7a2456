"""What of a dock cannot be read: texts that are cut off, widgets beyond its edge."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QScrollArea,
    QStyle,
    QStyleOptionComboBox,
    QTabBar,
    QTableView,
    QToolButton,
    QWidget,
)

_TEXTS = (QAbstractSpinBox, QComboBox, QLabel, QAbstractButton)
_SLACK_PX = 1
"""Texts are laid out in fractions of a pixel."""


def clipped(dock: QWidget) -> list[str]:
    """Return what does not fit into a dock as it stands."""
    return [*_too_wide(dock), *cut_texts(dock)]


def cut_texts(dock: QWidget) -> list[str]:
    """Return the texts that can be seen in part only."""
    problems = []
    for child in dock.findChildren(QWidget):
        if child.isVisibleTo(dock):
            if isinstance(child, _TEXTS) and child.height() < _least_px(child):
                problems.append(f"{type(child).__name__} {child.height()} px high")
            problems += [f"{type(child).__name__} {text}" for text in _cut(child)]
    return problems


def cut_tabs(bar: QTabBar) -> list[str]:
    """Return the titles of tabs that are cut off, or have to be scrolled to."""
    if not bar.isVisible():
        return []
    found = []
    for number in range(bar.count()):
        place = bar.tabRect(number)
        found += _longer(bar, bar.tabText(number), place.width())
        if place.right() > bar.width():
            found.append(
                f"“{bar.tabText(number)}” ends {place.right()} > {bar.width()}"
            )
    return found


def _least_px(child: QWidget) -> int:
    """Return the height that a line of text needs; 0 where there is none."""
    has_text = isinstance(child, QComboBox | QAbstractSpinBox) or child.text()
    return child.fontMetrics().height() - _SLACK_PX if has_text else 0


def sideways(dock: QWidget) -> list[str]:
    """Return the widgets that have to be scrolled sideways."""
    bars = [
        (child, child.horizontalScrollBar())
        for child in dock.findChildren(QWidget)
        if hasattr(child, "horizontalScrollBar") and child.isVisibleTo(dock)
    ]
    return [
        f"{type(child).__name__} scrolls sideways by {bar.maximum()} px"
        for child, bar in bars
        if bar.maximum() > 0 and bar.isVisibleTo(dock)
    ]


def _too_wide(dock: QWidget) -> list[str]:
    problems = [
        f"{area.widget().minimumSizeHint().width()} > {area.viewport().width()}"
        for area in dock.findChildren(QScrollArea)
        if area.widget() is not None
        and area.widget().minimumSizeHint().width() > area.viewport().width()
    ]
    width = dock.width()
    for child in dock.findChildren(QWidget):
        right = child.mapTo(dock, child.rect().topRight()).x()
        if child.isVisibleTo(dock) and right > width and child.parent() is not None:
            problems.append(f"{type(child).__name__} {right} > {width}")
    return problems


def _cut(child: QWidget) -> Iterator[str]:
    """Yield the texts of one widget that are cut off, with the room they have."""
    if isinstance(child, QLabel):
        yield from _cut_label(child)
    elif isinstance(child, QAbstractButton) and child.text():
        yield from _cut_button(child)
    elif isinstance(child, QComboBox):
        option = QStyleOptionComboBox()
        child.initStyleOption(option)
        field = child.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            child,
        )
        yield from _longer(child, child.currentText(), field.width())
    elif isinstance(child, QLineEdit):
        is_number = isinstance(child.parent(), QAbstractSpinBox)
        text = child.text() if is_number else child.displayText()
        if is_number or not text:
            text = text or child.placeholderText()
            yield from _longer(child, text, child.contentsRect().width() - 4)
    elif isinstance(child, QTableView):
        yield from _cut_header(child)


def _cut_label(label: QLabel) -> Iterator[str]:
    if not label.text() or label.textFormat() == Qt.TextFormat.RichText:
        return
    room = label.contentsRect()
    if label.wordWrap():
        needed = label.heightForWidth(label.width())
        if needed > label.height() + _SLACK_PX:
            yield f"“{label.text()}”: {needed} px high in {label.height()}"
        return
    lines = label.text().splitlines()
    widest = max(lines, key=label.fontMetrics().horizontalAdvance)
    yield from _longer(label, widest, room.width())


def _cut_button(button: QAbstractButton) -> Iterator[str]:
    # Tool buttons of sections are as wide as the dock; others ask for what they need.
    needed = button.minimumSizeHint().width()
    if isinstance(button, QToolButton):
        needed = button.fontMetrics().horizontalAdvance(button.text())
    needed = max(needed, button.sizeHint().width())
    if needed > button.width() + _SLACK_PX:
        yield f"“{button.text()}”: {needed} px in {button.width()}"


def _cut_header(table: QTableView) -> Iterator[str]:
    model, header = table.model(), table.horizontalHeader()
    if model is None or not isinstance(header, QHeaderView) or header.isHidden():
        return
    for column in range(model.columnCount()):
        if header.isSectionHidden(column):
            continue
        text = model.headerData(column, Qt.Orientation.Horizontal)
        for word in str(text or "").split():  # headings wrap
            yield from _longer(table, word, header.sectionSize(column))


def _longer(child: QWidget, text: str, room: int) -> Iterator[str]:
    needed = child.fontMetrics().horizontalAdvance(text)
    if needed > room + _SLACK_PX:
        yield f"“{text}”: {needed} px in {room}"

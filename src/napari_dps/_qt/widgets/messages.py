"""Warnings and errors, to be read and copied."""

import html
from collections.abc import Iterable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QVBoxLayout

_COLOURS = {"warning": "#e0a92e", "error": "#e5534b", "info": "#4c9be8"}


class Messages(QFrame):
    """What a run had to say, to be read and copied; hidden while there is nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("messages")
        self._label = QLabel()
        self._label.setWordWrap(True)
        self._label.setTextFormat(Qt.TextFormat.RichText)
        self._label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 4, 4)
        column.addWidget(self._label)
        self._texts: list[str] = []
        self._kind = ""
        self.clear()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is shown."""
        return tuple(self._texts)

    def clear(self) -> None:
        """Show nothing."""
        self._texts, self._kind = [], ""
        self.hide()

    def show_texts(self, texts: Iterable[str], kind: str = "warning") -> None:
        """Show messages of a kind: info, warning, error."""
        new = list(texts)
        if new == self._texts and kind == self._kind:
            return
        self._texts, self._kind = new, kind
        lines = [html.escape(text[:1].upper() + text[1:]) for text in self._texts]
        self._label.setText("<br>".join(lines))
        self.setStyleSheet(
            f"#messages {{ border: none; border-left: 3px solid {_COLOURS[kind]}; }}"
        )
        self.setVisible(bool(lines))

"""Warnings and errors, to be read and copied."""

import html
from collections.abc import Callable, Iterable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QVBoxLayout

from napari_dps._qt.bridge.meanings import meaning_of
from napari_dps._qt.bridge.wording import in_words_of_docks
from napari_dps._qt.widgets.layout import push_button

_COLOURS = {"warning": "#e0a92e", "error": "#e5534b", "info": "#4c9be8"}


class Messages(QFrame):
    """What a run had to say, to be read and copied; hidden while there is nothing.

    Pointed at, warnings tell what they mean.
    """

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
        self._column = column
        self._buttons: list[QPushButton] = []
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
        self._remove_buttons()
        self.hide()

    def forget_errors(self) -> None:
        """Show nothing if it is an error: something was changed since."""
        if self._kind == "error":
            self.clear()

    @property
    def buttons(self) -> tuple[QPushButton, ...]:
        """What mends the messages at a click."""
        return tuple(self._buttons)

    def offer(self, text: str, action: Callable[[], None]) -> None:
        """Add a button that mends what the messages say."""
        button = push_button(text, slot=lambda _checked=False: action())
        self._buttons.append(button)
        self._column.addWidget(button)

    def _remove_buttons(self) -> None:
        for button in self._buttons:
            self._column.removeWidget(button)
            button.deleteLater()
        self._buttons = []

    def show_texts(self, texts: Iterable[str], kind: str = "warning") -> None:
        """Show messages of a kind: info, warning, error."""
        new = list(texts)
        if new == self._texts and kind == self._kind:
            return
        self._remove_buttons()
        self._texts, self._kind = new, kind
        shown = map(in_words_of_docks, self._texts)
        lines = [html.escape(text[:1].upper() + text[1:]) for text in shown]
        mark = "• " if len(lines) > 1 else ""
        self._label.setText("<br>".join(mark + line for line in lines))
        meanings = dict.fromkeys(filter(None, map(meaning_of, self._texts)))
        self._label.setToolTip("".join(f"<p>{one}</p>" for one in meanings))
        self.setStyleSheet(
            f"#messages {{ border: none; border-left: 3px solid {_COLOURS[kind]}; }}"
        )
        self.setVisible(bool(lines))

"""Parts that several docks share: sections, messages, the choice of a layer."""

import html
import re
from collections.abc import Callable, Iterable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dps._qt.editors import ChoiceEdit

_IN_GUI_WORDS = {
    "--modulation-factor auto": "PSF: measured",
    "--patterns": "Load patterns",
    "--pixel-size-nm": "pixel size",
    "--emission-nm": "emission wavelength",
    "--na": "NA",
    "--order": "the order of the frames",
    "--angles": "angles",
    "--phases": "phases",
    "--device": "device",
}
_FIT = "Layers that do not fit are grey, with the reason."
_COLOURS = {"warning": "#e0a92e", "error": "#e5534b", "info": "#4c9be8"}


def in_gui_words(text: str) -> str:
    """Name what a message of the pipeline says by its place in the docks.

    Examples
    --------
    >>> in_gui_words("give --pixel-size-nm")
    'give pixel size'
    """
    for flag, words in _IN_GUI_WORDS.items():
        text = text.replace(flag, words)
    return re.sub(r"--([a-z]+)\.([a-z-]+)", r"\2", text)


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
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(self.heading)
        column.addWidget(content)
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
        told = [in_gui_words(text) for text in texts]
        if told == self._texts and kind == self._kind:
            return
        self._texts, self._kind = told, kind
        lines = [html.escape(text[:1].upper() + text[1:]) for text in self._texts]
        self._label.setText("<br>".join(lines))
        self.setStyleSheet(
            f"#messages {{ border: none; border-left: 3px solid {_COLOURS[kind]}; }}"
        )
        self.setVisible(bool(lines))


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


class ViewerWidget(QWidget):
    """A dock that follows the layers of its viewer only while it can be seen."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = viewer
        self._is_following = False
        self._named: list[Layer] = []

    def showEvent(self, event: Any) -> None:
        """Begin to follow the layers."""
        super().showEvent(event)
        if self._is_following:
            return
        self._is_following = True
        events = self.viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.connect(self._on_layers)
        events.renamed.connect(self._on_layers)
        self._on_layers()

    def hideEvent(self, event: Any) -> None:
        """Leave no callback behind: a closed dock is only hidden."""
        super().hideEvent(event)
        self._stop_following()

    def _stop_following(self) -> None:
        if not self._is_following:
            return
        self._is_following = False
        events = self.viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.disconnect(self._on_layers)
        events.renamed.disconnect(self._on_layers)

    def _on_layers(self, event: Any = None) -> None:
        self.refresh_layers()

    def refresh_layers(self) -> None:
        """Look at the layers anew."""
        raise NotImplementedError


class LayerCombo(ChoiceEdit):
    """A choice among layers; those that do not fit are grey and say why."""

    layerChanged = Signal(object)

    def __init__(self, reason: Callable[[Any], str], none_text: str = "") -> None:
        super().__init__()
        self._reason = reason
        self._none_text = none_text
        self._layers: list[Layer | None] = []
        self._shown: Layer | None = None
        self.setPlaceholderText("no layer that fits")
        self.currentIndexChanged.connect(self._on_index)

    def layer(self) -> Image | None:
        """Return the layer chosen."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def set_layer(self, layer: Layer | None) -> None:
        """Choose a layer, if it is there and fits."""
        if layer in self._layers and (layer is None or not self._reason(layer)):
            self.setCurrentIndex(self._layers.index(layer))

    def refresh(self, layers: Iterable[Layer], prefer: Layer | None = None) -> None:
        """Show these layers, the uppermost first, and keep the choice if possible."""
        kept = self.layer()
        self.blockSignals(True)
        self.clear()
        self._layers = [None] if self._none_text else []
        if self._none_text:
            self.addItem(self._none_text)
        fitting: list[Layer] = []
        for layer in reversed(list(layers)):
            reason = self._reason(layer)
            self._layers.append(layer)
            self.addItem(f"{layer.name}  ({reason})" if reason else layer.name)
            if reason:
                self._disable(self.count() - 1, reason)
            else:
                fitting.append(layer)
        first = fitting[0] if fitting and not self._none_text else None
        chosen = next((x for x in (kept, prefer) if x in fitting), first)
        known = chosen in self._layers
        self.setCurrentIndex(self._layers.index(chosen) if known else -1)
        self.blockSignals(False)
        self._on_index()

    def _disable(self, row: int, reason: str) -> None:
        model = self.model()
        if isinstance(model, QStandardItemModel):
            item = model.item(row)
            item.setEnabled(False)
            item.setToolTip(reason)

    def _on_index(self, _: int = 0) -> None:
        layer = self.layer()
        self.setToolTip(f"{'' if layer is None else layer.name}\n{_FIT}".strip())
        if layer is not self._shown:
            self._shown = layer
            self.layerChanged.emit(layer)

"""A choice among the layers of a viewer."""

from collections.abc import Callable, Iterable
from typing import Any

from napari.layers import Image, Layer
from qtpy.QtCore import Signal
from qtpy.QtGui import QStandardItemModel

from napari_dps._qt.widgets.editors import ChoiceEdit

_FIT = "Layers that do not fit are grey, with the reason."


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

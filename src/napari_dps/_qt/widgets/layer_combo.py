"""A choice among the layers of a viewer."""

from collections.abc import Iterable
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtGui import QStandardItemModel

from napari_dps._qt.bridge.layer_choice import LayerChoice, Rank, Reason, choose_layer
from napari_dps._qt.widgets.editors import NarrowCombo

_FIT = "Layers that do not fit are grey, with the reason."


class LayerCombo(NarrowCombo):
    """Edits the choice of a layer; those that do not fit are grey and say why.

    Parameters
    ----------
    reason : callable
        Says why a layer cannot be chosen; empty if it can.
    none_text : str
        What stands for no layer; empty where a layer is needed.
    rank : callable, optional
        Says how well a layer suits; without a rank it is chosen by hand alone.
    """

    valueChanged = Signal()

    def __init__(
        self,
        reason: Reason,
        none_text: str = "",
        rank: Rank = lambda layer: 0,
    ) -> None:
        super().__init__()
        self._reason, self._none_text, self._rank = reason, none_text, rank
        self._choice = LayerChoice()
        self._last: Layer | None = None
        self.setPlaceholderText("no layer that fits")
        self.currentIndexChanged.connect(self._on_index)

    def value(self) -> Any:
        """Return the layer chosen; None if there is none."""
        index = self.currentIndex()
        layers = self._choice.layers
        return layers[index] if 0 <= index < len(layers) else None

    def setValue(self, layer: Layer | None) -> None:
        """Choose a layer, if it is there and fits."""
        layers = self._choice.layers
        if layer in layers and not self._choice.reasons[layers.index(layer)]:
            self.setCurrentIndex(layers.index(layer))

    def refresh(self, layers: Iterable[Layer], active: Layer | None = None) -> None:
        """Show these layers, the uppermost first, and keep the choice if possible."""
        self._choice = choice = choose_layer(
            layers,
            self._reason,
            current=self.value(),
            active=active,
            can_be_none=bool(self._none_text),
            rank=self._rank,
        )
        self.blockSignals(True)
        self.clear()
        for layer, reason in zip(choice.layers, choice.reasons, strict=True):
            name = self._none_text if layer is None else layer.name
            self.addItem(f"{name}  ({reason})" if reason else name)
            if reason:
                self._disable(self.count() - 1, reason)
        self.setCurrentIndex(choice.index)
        self.blockSignals(False)
        self._on_index()

    def _disable(self, row: int, reason: str) -> None:
        model = self.model()
        if isinstance(model, QStandardItemModel):
            item = model.item(row)
            item.setEnabled(False)
            item.setToolTip(reason)

    def _on_index(self, _: int = 0) -> None:
        layer = self.value()
        self.setToolTip(f"{'' if layer is None else layer.name}\n{_FIT}".strip())
        if layer is not self._last:
            self._last = layer
            self.valueChanged.emit()

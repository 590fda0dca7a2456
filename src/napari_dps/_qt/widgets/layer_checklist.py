"""Layers of a viewer to be ticked."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_dps._qt.bridge.layer_choice import Reason, tick_layers
from napari_dps._qt.bridge.layers import TRUTH, describe_layer, role_of

_MOST_PX, _LEAST_ROWS, _RIM_PX = 120, 3, 8
"""Height of the list: that of its rows, within limits."""


class LayerChecklist(QListWidget):
    """Edits which layers are ticked; only those that fit are shown.

    Parameters
    ----------
    reason : callable
        Says why a layer does not fit; empty if it does.
    """

    valueChanged = Signal()

    def __init__(self, reason: Reason) -> None:
        super().__init__()
        self._reason = reason
        self._layers: list[Layer] = []
        self.most_px = _MOST_PX
        self._fit()
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemChanged.connect(self.valueChanged)

    def value(self) -> list[Any]:
        """Return the layers that are ticked, the uppermost first."""
        return [
            layer
            for row, layer in enumerate(self._layers)
            if self.item(row).checkState() == Qt.CheckState.Checked
        ]

    def setValue(self, layers: Collection[Layer]) -> None:
        """Tick these layers and no others."""
        with QSignalBlocker(self):
            for row, layer in enumerate(self._layers):
                self._tick(self.item(row), layer in layers)
        self.valueChanged.emit()

    def refresh(self, layers: Iterable[Layer]) -> None:
        """Show these layers, the uppermost first; new ones are ticked if visible."""
        shown: Sequence[tuple[Layer, bool]] = tick_layers(
            layers,
            self._reason,
            before=self._layers,
            ticked=self.value(),
            is_wanted=lambda layer: role_of(layer) != TRUTH,
        )
        with QSignalBlocker(self):
            self.clear()
            self._layers = [layer for layer, _ in shown]
            for layer, is_on in shown:
                item = QListWidgetItem(layer.name)
                item.setToolTip(describe_layer(layer))
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                self._tick(item, is_on)
                self.addItem(item)
        self._fit()
        self.valueChanged.emit()

    def _fit(self) -> None:
        row_px = self.sizeHintForRow(0) if self.count() else self._line_px()
        rows = max(self.count(), _LEAST_ROWS)
        rim_px = 2 * self.frameWidth() + _RIM_PX
        self.setFixedHeight(min(rows * row_px + rim_px, self.most_px))

    def _line_px(self) -> int:
        return int(self.fontMetrics().lineSpacing())

    def _tick(self, item: QListWidgetItem, is_on: bool) -> None:
        item.setCheckState(Qt.CheckState.Checked if is_on else Qt.CheckState.Unchecked)

"""Boxes that show and hide the maps of a result."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from napari.layers import Layer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_dps._qt.bridge.layer_events import DataEvents
from napari_dps._qt.widgets.editors import BoolEdit


class MapViews(QWidget):
    """A box for each map of the last result; hidden where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, BoolEdit] = {}
        self._layers: dict[str, Layer] = {}
        self._events = DataEvents(self._on_visible, "visible")
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(0, 0, 0, 0)
        self._line.addWidget(QLabel("Show"))
        self._line.addStretch(1)
        self.setVisible(False)

    def offer(self, layers: Mapping[str, Layer]) -> None:
        """Show boxes for these layers, by what they are called."""
        for box in self.boxes.values():
            self._line.removeWidget(box)
            box.deleteLater()
        self.boxes, self._layers = {}, dict(layers)
        for name, layer in self._layers.items():
            box = BoolEdit(name)
            box.setToolTip(f"Show or hide the layer {layer.name}.")
            box.setValue(layer.visible)
            box.valueChanged.connect(partial(self._show, name))
            self.boxes[name] = box
            self._line.insertWidget(self._line.count() - 1, box)
        self._events.follow(self._layers.values())
        self.setVisible(bool(layers))

    def check(self, there: Collection[Layer]) -> None:
        """Leave out the boxes of layers that are gone, and follow the others."""
        kept = {name: one for name, one in self._layers.items() if one in there}
        if len(kept) < len(self._layers):
            self.offer(kept)
        self._events.follow(kept.values())
        self._on_visible()

    def let_go(self) -> None:
        """Follow no layer any more, until `check`."""
        self._events.follow(())

    def _on_visible(self, _event: Any = None) -> None:
        for name, layer in self._layers.items():
            self.boxes[name].setValue(layer.visible)

    def _show(self, name: str) -> None:
        self._layers[name].visible = self.boxes[name].value()

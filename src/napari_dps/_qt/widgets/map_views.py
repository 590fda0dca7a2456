"""What the maps of a result say, and boxes that show and hide them."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from napari.layers import Layer
from qtpy.QtWidgets import QLabel, QWidget

from napari_dps._qt.bridge.layer_events import DataEvents
from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps._qt.widgets.layout import column_of, hint_label, row_of


class MapViews(QWidget):
    """A sentence and a box for each map of the last result; hidden without any."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, BoolEdit] = {}
        self._layers: dict[str, Layer] = {}
        self._events = DataEvents(self._on_visible, "visible")
        self.sentence, self._row = hint_label(), row_of(QLabel("Show"))
        self._line = self._row.layout()
        self._line.addStretch(1)
        column_of(self.sentence, self._row, inside=self)
        self.offer({})

    def offer(self, layers: Mapping[str, Layer], sentence: str = "") -> None:
        """Show a sentence, and boxes for these layers, by what they are called."""
        self.sentence.setText(sentence)
        self.sentence.setVisible(bool(sentence))
        self._offer(layers)

    def _offer(self, layers: Mapping[str, Layer]) -> None:
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
        self._row.setVisible(bool(layers))
        self.setVisible(bool(layers) or bool(self.sentence.text()))

    def check(self, there: Collection[Layer]) -> None:
        """Leave out the boxes of layers that are gone, and follow the others."""
        kept = {name: one for name, one in self._layers.items() if one in there}
        if len(kept) < len(self._layers):
            self._offer(kept)
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

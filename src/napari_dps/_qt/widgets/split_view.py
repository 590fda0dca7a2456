"""The slider that moves the borders of a split view."""

from collections.abc import Sequence

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QLabel, QSlider, QWidget

from napari_dps._qt.bridge.split_layers import SplitLayers
from napari_dps._qt.widgets.layout import column_of, hint_label, row_of

_STEPS = 1000


class SplitView(QWidget):
    """Shows layers split in a viewer, and edits where their borders stand.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are shown.
    """

    valueChanged = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.layers = SplitLayers(viewer)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setToolTip("Moves the border between the layers.")
        self.names = hint_label()
        border = row_of(QLabel("Border"), self.slider)
        column_of(border, self.names, inside=self, spacing=2)
        self.slider.valueChanged.connect(self._on_slider)
        self.hide()

    def value(self) -> float:
        """Return the position of the middle border, as a share of the field."""
        return float(self.slider.value() / _STEPS)

    def setValue(self, position: float) -> None:
        """Move the borders."""
        self.slider.setValue(round(position * _STEPS))

    def start(self, layers: Sequence[Image]) -> None:
        """Show two or more layers, from left to right, and hide all others."""
        self.layers.start(layers)
        self.names.setText(" | ".join(layer.name for layer in layers))
        with QSignalBlocker(self.slider):
            self.setValue(0.5)
        self.show()

    def stop(self) -> None:
        """Take the split view away and show again what was shown before."""
        self.layers.stop()
        self.hide()

    def _on_slider(self, _: int) -> None:
        self.layers.move_borders(self.value())
        self.valueChanged.emit()

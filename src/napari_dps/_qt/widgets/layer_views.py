"""Layers beside one another, or split at one place: two buttons and a slider."""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import QObject, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QLabel, QSlider, QWidget

from napari_dps._qt.bridge.split_layers import SplitLayers
from napari_dps._qt.widgets.layout import (
    column_of,
    hint_label,
    push_button,
    row_of,
)

_STEPS = 1000
_NEAR_PX = 8
"""On the screen: from how far a border is taken by the mouse."""


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
        self._viewer, self._drags = viewer, viewer.mouse_drag_callbacks
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
        self._drags.append(self._drag)
        self.names.setText(" | ".join(layer.name for layer in layers))
        with QSignalBlocker(self.slider):
            self.setValue(0.5)
        self.show()

    def stop(self) -> None:
        """Take the split view away and show again what was shown before."""
        self.layers.stop()
        if self._drag in self._drags:
            self._drags.remove(self._drag)
        self.hide()

    def _drag(self, _viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        """Move the border that the mouse has taken on the image."""
        near = _NEAR_PX * self._in_nm(1 / self._viewer.scene.camera.zoom)
        place = self._in_nm(event.position[-1])
        found = self.layers.position_under(place, near, self.value())
        if found is None:
            return
        grip, camera = found - self.value(), self._viewer.scene.camera
        could_pan, camera.mouse_pan = camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                place = self._in_nm(event.position[-1])
                found = self.layers.position_under(place, math.inf, self.value())
                if found is not None:
                    self.setValue(found - grip)
                yield
        finally:
            camera.mouse_pan = could_pan

    def _in_nm(self, length: float) -> float:
        """Return a length of the canvas's world in nm, where it has a unit."""
        units = self._viewer.layers.units
        if units is None or not units[-1].is_compatible_with("nm"):
            return length
        return float((length * units[-1]).to("nm").magnitude)

    def _on_slider(self, _: int) -> None:
        self.layers.move_borders(self.value())
        self.valueChanged.emit()


class LayerViews(QObject):
    """Two ways to look at layers, of which at most one is on.

    Attributes
    ----------
    grid_button, split_button : QPushButton
        Switch the views on and off; the dock lays them out.
    split : SplitView
        The slider of the split view.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are shown.
    chosen : callable
        Returns the layers to look at.
    parent : QWidget
        Owns this object.
    """

    refused = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        chosen: Callable[[], Sequence[Image]],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._chosen = viewer, chosen
        self._shown_before: dict[Layer, tuple[bool, bool]] = {}
        self.split = SplitView(viewer)
        tip = "Ticked layers in napari's grid."
        self.grid_button = push_button("Side by side", tip)
        tip = "Ticked layers at one place; drag the border on the image."
        self.split_button = push_button("Split view", tip)
        for button in (self.grid_button, self.split_button):
            button.setCheckable(True)
        self.grid_button.toggled.connect(self._show_grid)
        self.split_button.toggled.connect(self._show_split)

    def check(self) -> None:
        """End the split view if a layer that it needs is gone."""
        if self.split.layers.is_on and not self.split.layers.is_whole:
            self.end_split()

    def end_split(self) -> None:
        """Leave the split view."""
        self.split_button.setChecked(False)

    def _show_grid(self, is_on: bool) -> None:
        """Show the layers beside one another, named, and nothing else."""
        if is_on:
            self.end_split()
        self._viewer.canvas.grid.enabled = is_on
        if is_on:
            chosen = self._chosen()
            self._shown_before = {
                layer: (layer.visible, layer.name_overlay.visible)
                for layer in self._viewer.layers
            }
            for layer in self._viewer.layers:
                layer.visible = layer.name_overlay.visible = layer in chosen
            return
        for layer, (was_visible, was_named) in self._shown_before.items():
            layer.visible, layer.name_overlay.visible = was_visible, was_named
        self._shown_before = {}

    def _show_split(self, is_on: bool) -> None:
        """Show the layers at one place, with a border that can be moved."""
        if not is_on:
            self.split.stop()
            return
        chosen = self._chosen()
        layers = [layer for layer in self._viewer.layers if layer in chosen]
        if len(layers) < 2:
            self.refused.emit("tick two layers for the split view")
            self.end_split()
            return
        self.grid_button.setChecked(False)
        self.split.start(layers)

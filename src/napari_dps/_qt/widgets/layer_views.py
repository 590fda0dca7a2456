"""Layers beside one another, or split at one place: two buttons and a slider."""

from collections.abc import Callable, Sequence

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_dps._qt.widgets.layout import push_button
from napari_dps._qt.widgets.split_view import SplitView


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
        self.split = SplitView(viewer)
        tip = "Ticked layers in napari's grid."
        self.grid_button = push_button("Side by side", tip)
        tip = "Ticked layers at one place; move the border."
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
        """Show the layers beside one another, and nothing else."""
        if is_on:
            self.end_split()
        self._viewer.canvas.grid.enabled = is_on
        if is_on:
            chosen = self._chosen()
            for layer in self._viewer.layers:
                layer.visible = layer in chosen

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

"""A dock that follows the layers of its viewer."""

from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtWidgets import QWidget


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

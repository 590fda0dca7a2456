"""The layers of a viewer, followed only while a dock can be seen."""

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakMethod

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget


class LayerEvents(QObject):
    """Tells a dock of changes in the list of layers while it is shown.

    A closed dock is only hidden: it must leave no callback behind.

    Signals
    -------
    changed
        The dock was shown, or a layer was added, removed, moved or renamed.
    hidden
        The dock is no longer seen; nothing is followed any more.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are followed.
    dock : QWidget
        Owns this object.
    """

    changed = Signal()
    hidden = Signal()

    def __init__(self, viewer: ViewerModel, dock: QWidget) -> None:
        super().__init__(dock)
        self._events = viewer.layers.events
        self._is_following = False
        dock.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Begin when the dock is shown, end when it is hidden."""
        if event.type() == QEvent.Type.Show and not self._is_following:
            self._follow(True)
            self.changed.emit()
        elif event.type() == QEvent.Type.Hide and self._is_following:
            self._follow(False)
            self.hidden.emit()
        return False

    def _follow(self, is_on: bool) -> None:
        self._is_following = is_on
        events = self._events
        for name in ("inserted", "removed", "reordered", "renamed"):
            emitter = getattr(events, name)
            if is_on:
                emitter.connect(self._on_layers)
            else:
                emitter.disconnect(self._on_layers)

    def _on_layers(self, _event: Any = None) -> None:
        self.changed.emit()


class DataEvents:
    """Follows the pixels and shapes of some layers, or what else is named.

    Parameters
    ----------
    on_change : callable
        A method of a widget, called with the event; no reference to it is kept alive.
    name : str
        Of the event.
    """

    def __init__(self, on_change: Callable[[Any], None], name: str = "data") -> None:
        self._on_change, self._name = WeakMethod(on_change), name
        self._layers: list[Layer] = []

    def follow(self, layers: Iterable[Layer]) -> None:
        """Follow these layers in place of those before."""
        on_change = self._on_change()
        for layer in self._layers:
            getattr(layer.events, self._name).disconnect(on_change)
        self._layers = list(layers)
        for layer in self._layers:
            getattr(layer.events, self._name).connect(on_change)

"""A result that is computed anew while values change, in one layer."""

from collections.abc import Callable
from functools import partial

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject

from napari_dps._qt.bridge.debounce import debouncer
from napari_dps._qt.bridge.run_request import Outcome, RunRequest, work
from napari_dps._qt.bridge.runner import Runner

_DELAY_MS = 120
PREVIEW = "preview"


class Preview(QObject):
    """Shows what a run would give, in one layer that each preview replaces.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is added.
    parent : QObject
        Owns this object.
    make_request : callable
        Returns what to run; None where nothing can be previewed.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        parent: QObject,
        make_request: Callable[[], RunRequest | None],
    ) -> None:
        super().__init__(parent)
        self._viewer, self._make_request = viewer, make_request
        self._layer: Image | None = None
        self.runner = Runner(self)
        self.runner.returned.connect(self._on_returned)
        self._waiting = debouncer(self, self._start, _DELAY_MS)

    def ask(self) -> None:
        """Compute a preview soon; calls that follow one another fast are one."""
        self._waiting.throttle()

    def forget(self) -> None:
        """Let the next preview have a layer of its own: it is of another input."""
        self._layer = None

    def _start(self) -> None:
        request = self._make_request()
        if request is not None and not self.runner.start(partial(work, request)):
            self.ask()  # the one that goes on is out of date when it ends

    def _on_returned(self, outcome: Outcome) -> None:
        data, kwargs, _ = outcome.layers[0]
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.data = data
            self._layer.metadata = kwargs["metadata"]
            return
        kwargs["name"] = f"{kwargs['name']} · {PREVIEW}"
        self._layer = Image(data, **kwargs)
        self._viewer.add_layer(self._layer)

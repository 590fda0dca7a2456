"""Layers that are shown alone for a while; then the viewer is as it was before."""

from collections.abc import Sequence

from napari.components import ViewerModel
from napari.layers import Layer


class Interlude:
    """Shows some layers of its own, and hides the others of a viewer meanwhile.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._own: list[Layer] = []
        self._kept: list[Layer] = []
        self._seen: dict[Layer, bool] = {}

    @property
    def is_on(self) -> bool:
        """Whether the layers are shown."""
        return bool(self._own)

    @property
    def is_whole(self) -> bool:
        """Whether no layer that it needs was taken away."""
        return all(x in self.viewer.layers for x in (*self._own, *self._kept))

    def start(
        self,
        own: Sequence[Layer],
        keep: Sequence[Layer] = (),
        needs: Sequence[Layer] = (),
    ) -> None:
        """Add layers and hide all others.

        Parameters
        ----------
        own : sequence of Layer
            To be added, the lowest first.
        keep : sequence of Layer
            In the viewer already, and to be shown as well.
        needs : sequence of Layer
            Without which `is_whole` is no longer true, beside these two.
        """
        self.stop()
        seen = {layer: layer.visible for layer in self.viewer.layers}
        for layer in seen:
            layer.visible = layer in keep
        for layer in own:
            self.viewer.add_layer(layer)
        self._own, self._kept, self._seen = list(own), [*keep, *needs], seen

    def stop(self) -> None:
        """Take the layers away and show again what was shown before."""
        own, seen = self._own, self._seen
        self._own, self._kept, self._seen = [], [], {}
        for layer in own:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        for layer, was_visible in seen.items():
            layer.visible = was_visible

"""Layers that are shown alone for a while; then the viewer is as it was before."""

from collections.abc import Sequence

from napari.components import ViewerModel
from napari.layers import Layer


class TemporaryLayers:
    """Adds layers to a viewer for a while, and hides the others meanwhile.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._added: list[Layer] = []
        self._needed: list[Layer] = []
        self._visible_before: dict[Layer, bool] = {}

    @property
    def is_on(self) -> bool:
        """Whether the layers are shown."""
        return bool(self._added)

    @property
    def is_whole(self) -> bool:
        """Whether no layer that it needs was taken away."""
        return all(x in self.viewer.layers for x in (*self._added, *self._needed))

    def start(
        self,
        layers: Sequence[Layer],
        keep: Sequence[Layer] = (),
        needs: Sequence[Layer] = (),
    ) -> None:
        """Add layers and hide all others.

        Parameters
        ----------
        layers : sequence of Layer
            To be added, the lowest first.
        keep : sequence of Layer
            In the viewer already, and to be shown as well.
        needs : sequence of Layer
            Without which, as without these two, `is_whole` is no longer true.
        """
        self.stop()
        visible = {layer: layer.visible for layer in self.viewer.layers}
        for layer in visible:
            layer.visible = layer in keep
        for layer in layers:
            self.viewer.add_layer(layer)
        self._added, self._needed = list(layers), [*keep, *needs]
        self._visible_before = visible

    def stop(self) -> None:
        """Take the layers away and show again what was shown before."""
        added, visible = self._added, self._visible_before
        self._added, self._needed, self._visible_before = [], [], {}
        for layer in added:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        for layer, was_visible in visible.items():
            layer.visible = was_visible

"""Layers at one place in one canvas, with borders that a slider moves.

Each layer covers what lies right of its border: copies of the layers after the first
lie above it and begin at a later column. So there is no gap between pixels of
different sizes, no pixel is computed, and the layers themselves stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Vectors
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from napari_dps._qt.bridge.colours import COLOURS
from napari_dps._qt.bridge.layers import METADATA, PART, pixel_size_nm, place_in_nm
from napari_dps._qt.bridge.temporary_layers import Interlude
from napari_dps._qt.widgets.layout import hint_label

_NAME = "split view"
_STEPS = 1000
_LINKED = ("colormap", "contrast_limits", "gamma", "interpolation2d")
"""What is changed in a layer and its copy alike."""
_OWN = ("name", "metadata", "visible", "opacity", "blending", "multiscale")
"""What a copy does not take over."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a layer in the world, in nm where its unit is known.

    Attributes
    ----------
    left, step : float
        Left edge of the first column, and the width of one.
    count : int
        How many there are.
    """

    left: float
    step: float
    count: int

    @classmethod
    def of(cls, layer: Image) -> "Columns":
        """Return those of a layer."""
        step = pixel_size_nm(layer) or float(layer.scale[-1])
        return cls(place_in_nm(layer)[1] - step / 2, step, _pixels(layer).shape[-1])

    @property
    def right(self) -> float:
        """Right edge of the last column."""
        return self.left + self.count * self.step

    def first_from(self, border: float) -> int:
        """Return the first column right of a border, as nearly as columns allow."""
        return int(np.clip(round((border - self.left) / self.step), 0, self.count))


def borders(count: int, position: float) -> list[float]:
    """Return where the borders between layers stand, as shares of the field.

    Parameters
    ----------
    count : int
        Number of layers.
    position : float
        Of the slider, 0 to 1: the middle of the borders.

    Examples
    --------
    >>> borders(2, 0.25)
    [0.25]
    >>> borders(4, 0.5)
    [0.25, 0.5, 0.75]
    """
    shares = (position + place / count - 0.5 for place in range(1, count))
    return [min(max(share, 0.0), 1.0) for share in shares]


class SplitView(QWidget):
    """The slider of a split view, and the layers that make one.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setToolTip("Moves the border between the layers.")
        self.names = hint_label()
        self._interlude = Interlude(viewer)
        self._layers: list[Image] = []
        self._parts: list[Image] = []
        self._line: Vectors | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        row = QHBoxLayout()
        row.addWidget(QLabel("Border"))
        row.addWidget(self.slider, 1)
        column.addLayout(row)
        column.addWidget(self.names)
        self.slider.valueChanged.connect(self.move_borders)
        self.hide()

    @property
    def is_on(self) -> bool:
        """Whether layers are shown split."""
        return self._interlude.is_on

    @property
    def is_whole(self) -> bool:
        """Whether no layer of the split view was taken away."""
        return self._interlude.is_whole

    def start(self, layers: Sequence[Image]) -> None:
        """Show two or more layers, from left to right, and hide all others."""
        self.stop()
        viewer = self._interlude.viewer
        self._layers = list(layers)
        self._parts = [_copy(layer) for layer in layers[1:]]
        self._line = _line_above(layers[0])
        own = [*self._parts, self._line]
        self._interlude.start(own, keep=layers[:1], needs=layers)
        for pair in zip(layers[1:], self._parts, strict=True):
            viewer.layers.link_layers(pair, _LINKED)
        viewer.layers.selection.active = self._parts[-1]
        self.names.setText(" | ".join(layer.name for layer in layers))
        self.show()
        self.slider.blockSignals(True)
        self.slider.setValue(_STEPS // 2)
        self.slider.blockSignals(False)
        self.move_borders()

    def stop(self) -> None:
        """Take the copies away and show again what was shown before."""
        layers = self._interlude.viewer.layers
        for pair in zip(self._layers[1:], self._parts, strict=True):
            if all(layer in layers for layer in pair):
                layers.unlink_layers(pair, _LINKED)
        self._layers, self._parts, self._line = [], [], None
        self._interlude.stop()
        self.hide()

    def move_borders(self, _: int = 0) -> None:
        """Put the borders where the slider stands."""
        if self._line is None:
            return
        all_columns = [Columns.of(layer) for layer in self._layers]
        left = min(columns.left for columns in all_columns)
        right = max(columns.right for columns in all_columns)
        shares = borders(len(self._layers), self.slider.value() / _STEPS)
        places = [left + share * (right - left) for share in shares]
        for layer, part, columns, place in zip(
            self._layers[1:], self._parts, all_columns[1:], places, strict=True
        ):
            _begin_at(part, layer, columns.first_from(place))
        _draw(self._line, self._layers[0], all_columns[0], places)


def _pixels(layer: Image) -> np.ndarray:
    return layer.data[0] if layer.multiscale else layer.data


def _copy(layer: Image) -> Image:
    """Return another layer of the same pixels, to be cut."""
    _, attributes, _ = layer.as_layer_data_tuple()
    kept = {name: value for name, value in attributes.items() if name not in _OWN}
    return Image(
        _pixels(layer),
        **kept,
        name=f"{layer.name} | {_NAME}",
        blending="opaque",
        metadata={METADATA: {PART: _NAME}},
    )


def _begin_at(part: Image, layer: Image, column: int) -> None:
    """Let a copy begin at a column of its layer."""
    pixels = _pixels(layer)
    part.visible = column < pixels.shape[-1]
    if not part.visible or pixels.shape[-1] - column == part.data.shape[-1]:
        return
    translate = np.array(layer.translate)
    translate[-1] += column * layer.scale[-1]
    part.data = pixels[..., column:]
    part.translate = translate


def _line_above(layer: Image) -> Vectors:
    """Return a layer for the borders, in the frame of a layer."""
    return Vectors(
        np.zeros((1, 2, 2)),
        name=_NAME,
        scale=layer.scale[-2:],
        translate=layer.translate[-2:],
        units=layer.units[-2:],
        edge_color=COLOURS[1],
        vector_style="line",
        metadata={METADATA: {PART: _NAME}},
    )


def _draw(line: Vectors, layer: Image, columns: Columns, places: list[float]) -> None:
    """Draw a line at each border, as high as the first layer."""
    rows = _pixels(layer).shape[-2]
    at = [(place - columns.left) / columns.step - 0.5 for place in places]
    line.edge_width = max(rows, columns.count) / 600
    line.data = np.array([[[-0.5, x], [rows, 0]] for x in at])

"""Layers at one place in one canvas, with borders between them that can be moved.

Each layer covers what lies right of its border: copies of the layers after the first
lie above it and begin at a later column. So there is no gap between pixels of
different sizes, no pixel is computed, and the layers themselves stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points, Vectors

from napari_dps._qt.bridge.colours import COLOURS
from napari_dps._qt.bridge.layers import METADATA, PART, pixel_size_nm, place_in_nm
from napari_dps._qt.bridge.temporary_layers import TemporaryLayers

_NAME = "split view"
_LINKED = ("colormap", "contrast_limits", "gamma", "interpolation2d")
"""What is changed in a layer and its copy alike."""
_NOT_COPIED = ("name", "metadata", "visible", "opacity", "blending", "multiscale")
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


class SplitLayers:
    """Shows two or more layers of a viewer split, from left to right.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._shown = TemporaryLayers(viewer)
        self._layers: list[Image] = []
        self._copies: list[Image] = []
        self._line: Vectors | None = None
        self._names: Points | None = None

    @property
    def is_on(self) -> bool:
        """Whether layers are shown split."""
        return self._shown.is_on

    @property
    def is_whole(self) -> bool:
        """Whether no layer of the split view was taken away."""
        return self._shown.is_whole

    def start(self, layers: Sequence[Image]) -> None:
        """Show layers split, the borders in the middle, and hide all others."""
        self.stop()
        viewer = self._shown.viewer
        self._layers = list(layers)
        self._copies = [_copy(layer) for layer in layers[1:]]
        self._line = _line_above(layers[0])
        self._names = _names_above(layers)
        above = [*self._copies, self._line, self._names]
        self._shown.start(above, keep=layers[:1], needs=layers)
        for pair in zip(layers[1:], self._copies, strict=True):
            viewer.layers.link_layers(pair, _LINKED)
        viewer.layers.selection.active = self._copies[-1]
        self.move_borders(0.5)

    def stop(self) -> None:
        """Take the copies away and show again what was shown before."""
        layers = self._shown.viewer.layers
        for pair in zip(self._layers[1:], self._copies, strict=True):
            if all(layer in layers for layer in pair):
                layers.unlink_layers(pair, _LINKED)
        self._layers, self._copies, self._line, self._names = [], [], None, None
        self._shown.stop()

    def position_under(
        self, place: float, near: float, position: float
    ) -> float | None:
        """Return the position for which the border that is taken lies at a place.

        Parameters
        ----------
        place : float
            Column in the world, in nm where units are known.
        near : float
            The border must not be farther from it.
        position : float
            Of the borders now, as for `move_borders`.

        Returns
        -------
        float or None
            None where no border is near.
        """
        left, right = self._span()
        share = (place - left) / (right - left)
        count = len(self._layers)
        shifts = [number / count - 0.5 for number in range(1, count)]
        nearest = min(shifts, key=lambda shift: abs(position + shift - share))
        if abs(position + nearest - share) * (right - left) > near:
            return None
        return share - nearest

    def _span(self) -> tuple[float, float]:
        """Return the edges of the field, left and right."""
        all_columns = [Columns.of(layer) for layer in self._layers]
        left = min(columns.left for columns in all_columns)
        return left, max(columns.right for columns in all_columns)

    def move_borders(self, position: float) -> None:
        """Put the middle of the borders at a share of the field, 0 to 1."""
        if self._line is None or self._names is None:
            return
        all_columns = [Columns.of(layer) for layer in self._layers]
        left, right = self._span()
        shares = borders(len(self._layers), position)
        places = [left + share * (right - left) for share in shares]
        for layer, copy, columns, place in zip(
            self._layers[1:], self._copies, all_columns[1:], places, strict=True
        ):
            _begin_at(copy, layer, columns.first_from(place))
        first = self._layers[0]
        _draw(self._line, first, all_columns[0], places)
        self._names.data = _corners_of([left, *places], all_columns[0])


def _pixels(layer: Image) -> np.ndarray:
    return layer.data[0] if layer.multiscale else layer.data


def _copy(layer: Image) -> Image:
    """Return another layer of the same pixels, to be cut."""
    _, attributes, _ = layer.as_layer_data_tuple()
    kept = {
        name: value for name, value in attributes.items() if name not in _NOT_COPIED
    }
    return Image(
        _pixels(layer),
        **kept,
        name=f"{layer.name} | {_NAME}",
        blending="opaque",
        metadata={METADATA: {PART: _NAME}},
    )


def _begin_at(copy: Image, layer: Image, column: int) -> None:
    """Let a copy begin at a column of its layer."""
    pixels = _pixels(layer)
    copy.visible = column < pixels.shape[-1]
    if not copy.visible or pixels.shape[-1] - column == copy.data.shape[-1]:
        return
    translate = np.array(layer.translate)
    translate[-1] += column * layer.scale[-1]
    copy.data = pixels[..., column:]
    copy.translate = translate


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


def _names_above(layers: Sequence[Image]) -> Points:
    """Return a layer that names others, each at the upper left of its part."""
    first = layers[0]
    return Points(
        np.zeros((len(layers), 2)),
        name=f"names in the {_NAME}",
        scale=first.scale[-2:],
        translate=first.translate[-2:],
        units=first.units[-2:],
        size=1,
        face_color="transparent",
        border_color="transparent",
        text={
            "string": [short_name(layer) for layer in layers],
            "anchor": "upper_left",
            "color": COLOURS[1],
            "size": 10,
        },
        metadata={METADATA: {PART: _NAME}},
    )


def short_name(layer: Image) -> str:
    """Return what was done to a layer, or its name where nothing was.

    Examples
    --------
    >>> short_name(Image(np.zeros((2, 2)), name="cell · SIM"))
    'SIM'
    """
    return str(layer.name.rpartition(" · ")[2])


def _corners_of(lefts: Sequence[float], columns: Columns) -> np.ndarray:
    """Return the upper left corners of parts, in pixels of the first layer."""
    x = (np.array(lefts) - columns.left) / columns.step - 0.5
    return np.stack([np.full_like(x, -0.5), x], axis=1)


def _draw(line: Vectors, layer: Image, columns: Columns, places: list[float]) -> None:
    """Draw a line at each border, as high as the first layer."""
    rows = _pixels(layer).shape[-2]
    at = [(place - columns.left) / columns.step - 0.5 for place in places]
    line.edge_width = max(rows, columns.count) / 600
    line.data = np.array([[[-0.5, x], [rows, 0]] for x in at])

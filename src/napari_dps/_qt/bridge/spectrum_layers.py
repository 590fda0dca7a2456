"""The power spectrum of raw frames with the wave vectors found, as layers of a viewer.

All are in cycles per µm, with zero frequency at the origin. Their axis labels say so;
their units are those of the other layers: napari warns, and ignores all units, where
layers of one viewer differ in kind.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes

from napari_dps._qt.bridge.colours import COLOURS, STATUS_COLOURS
from napari_dps._qt.bridge.layers import METADATA, PART
from napari_dps._qt.bridge.temporary_layers import TemporaryLayers
from napari_dps.core import Pattern, PatternOrder
from napari_dps.figures.spectrum_picture import SpectrumPicture, all_angles

Units = tuple[Any, ...]
View = tuple[tuple[float, ...], float]
"""Centre of the camera and its zoom."""
_PER_UM = 1000.0
_RING = 0.07
"""Diameter of the ring around a wave vector, over the cut-off's."""
_CIRCLE_POINTS = 256


class SpectrumScene:
    """Shows spectrum, wave vectors and cut-off alone in a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.shown = TemporaryLayers(viewer)
        self._view_before: View | None = None

    def show_spectra(
        self, pictures: Sequence[SpectrumPicture], patterns: Sequence[Pattern]
    ) -> None:
        """Show the spectra of all angles in one picture, and the patterns on it.

        Parameters
        ----------
        pictures : sequence of SpectrumPicture
            One an angle.
        patterns : sequence of Pattern
            Those of the first channel are marked.
        """
        was_on, view = self.shown.is_on, self._view()
        picture = all_angles(pictures)
        units = (self.viewer.layers.extent.units or ("pixel", "pixel"))[-2:]
        layers = [_spectrum(picture, units), _circle(picture, units)]
        orders = [
            (pattern.angle_index + 1, order)
            for pattern in patterns
            for order in pattern.orders
            if order.is_usable and pattern.channel_index == 0
        ]
        if orders:  # of no points napari warns
            size = 2 * _PER_UM * picture.cutoff_per_nm * _RING
            layers.append(_marks(orders, size, units))
        self.shown.start(layers)
        if was_on:
            self._set_view(view)
        else:
            self._view_before = view
            self._set_view(self._view_of(_PER_UM * picture.cutoff_per_nm))

    def stop(self) -> None:
        """Take the layers away and look again where one looked before."""
        view, self._view_before = self._view_before, None
        self.shown.stop()
        if view is not None:
            self._set_view(view)

    def _view_of(self, radius: float) -> View:
        """Return the view in which a circle around the origin fills the canvas.

        Found from the view of everything: `fit_to_view` fails on layers with fewer
        dimensions than the viewer (napari 0.9).
        """
        self.viewer.fit_to_view()
        world = self.viewer.layers.extent.world[:, -2:]
        zoom = float(self.viewer.scene.camera.zoom * min(world[1] - world[0]))
        return (0.0, 0.0, 0.0), zoom / (2 * radius)

    def _view(self) -> View:
        camera = self.viewer.scene.camera
        return tuple(camera.center), float(camera.zoom)

    def _set_view(self, view: View) -> None:
        camera = self.viewer.scene.camera
        camera.center, camera.zoom = view


def _common(name: str, units: Units) -> dict[str, Any]:
    return {
        "name": name,
        "units": units,
        "axis_labels": ("k_y (1/µm)", "k_x (1/µm)"),
        "metadata": {METADATA: {PART: "power spectrum"}},
    }


def _spectrum(picture: SpectrumPicture, units: Units) -> Image:
    side = picture.pixels.shape[0]
    step = _PER_UM * picture.per_nm
    return Image(
        picture.pixels,
        scale=(step, step),
        translate=(-(side // 2) * step,) * 2,
        contrast_limits=(0, 255),
        colormap="gray",
        **_common("power spectrum", units),
    )


def _circle(picture: SpectrumPicture, units: Units) -> Shapes:
    radius = _PER_UM * picture.cutoff_per_nm
    turns = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
    return Shapes(
        [radius * np.stack([np.sin(turns), np.cos(turns)], axis=1)],
        shape_type="polygon",
        edge_color="#c8ccd2",
        face_color="transparent",
        edge_width=radius / 200,
        **_common("cut-off of the detection", units),
    )


def _marks(
    orders: Sequence[tuple[int, PatternOrder]], size: float, units: Units
) -> Points:
    """Return rings around wave vectors, of numbered angles, and their opposites."""
    places = np.array([order.wavevector_per_nm for _, order in orders])
    twice = [*orders, *orders]
    return Points(
        _PER_UM * np.concatenate([places, -places]),
        size=size,
        face_color="transparent",
        border_color=[STATUS_COLOURS.get(o.status, COLOURS[1]) for _, o in twice],
        border_width=0.08,
        features={
            "angle": [number for number, _ in twice],
            "order": [order.order for _, order in twice],
            "period_nm": [order.period_nm for _, order in twice],
            "status": [order.status for _, order in twice],
        },
        **_common("wave vectors", units),
    )

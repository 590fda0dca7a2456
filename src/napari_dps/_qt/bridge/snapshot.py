"""Layers as stacks of the pipeline, with nothing lost."""

import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Image

from napari_dps._qt.bridge.layers import (
    axes_of,
    base_name,
    carried_by,
    file_name,
    frame_interval_s,
    pixel_size_nm,
    z_step_nm,
)
from napari_dps.core import ImageStack, StackInfo, is_raw
from napari_dps.io import Metadata, Planes, RawImage, arrange
from napari_dps.io.load import Warn
from napari_dps.pipeline import InputSettings


@dataclass(frozen=True, eq=False)
class LayerSnapshot:
    """A layer as it was when Run was clicked: safe to read in another thread.

    Attributes
    ----------
    data : array-like
        Not copied; may be lazy.
    axes : str
        A letter for each dimension; Q where nothing names it.
    metadata : Metadata
        What the layer tells of optics, patterns, history and pixel size.
    name, base, colormap : str
        Of the layer; ``base`` is the name of the layer that it was made of first.
    file : str
        Path of the file that all began with; empty where there is none.
    layer : weak reference to Image, or None
        The layer itself: its history is looked up in it.
    places : tuple of (int, int)
        Dimensions of the layer of which one place alone was kept, and which.
    scale, translate, units : tuple
        Of the layer, an entry for each dimension.
    """

    data: Any
    axes: str
    metadata: Metadata
    name: str
    colormap: Any
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    units: tuple[Any, ...]
    base: str = ""
    file: str = ""
    layer: weakref.ref[Image] | None = None
    places: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(
        cls,
        layer: Image,
        point: Sequence[float] | None = None,
        time_point: int | None = None,
        *,
        with_depth: bool = False,
    ) -> "LayerSnapshot":
        """Note everything of a layer.

        Parameters
        ----------
        layer : Image
            The input.
        point : sequence of float, optional
            As of `shown_point`: only the T, C and Z shown there are kept.
        time_point : int, optional
            Number of the T that is kept instead of that shown; of a lapse.
        with_depth : bool
            Keep every Z.
        """
        snapshot = cls(
            data=layer.data[0] if layer.multiscale else layer.data,
            axes=axes_of(layer),
            metadata=_metadata_of(layer),
            name=layer.name,
            colormap=layer.colormap,
            scale=tuple(float(s) for s in layer.scale),
            translate=tuple(float(t) for t in layer.translate),
            units=tuple(layer.units),
            base=base_name(layer),
            file=file_name(layer),
            layer=weakref.ref(layer),
        )
        if point is None:
            return snapshot
        position = list(layer.world_to_data(point))
        if time_point is not None and "T" in snapshot.axes:
            position[snapshot.axes.index("T")] = time_point
        return snapshot._at(position, "TC" if with_depth else "TCZ")

    def newest(self, frames: int) -> "LayerSnapshot":
        """Return the newest set of a layer that grows, its pixels copied.

        Parameters
        ----------
        frames : int
            Raw frames of a set; 1 for plain images. Counts only where the layer does
            not name its axes: the last so many of whole sets are taken then.
        """
        place, per_set = self._growing(frames)
        if place is None:
            return replace(self, data=np.array(self.data))
        count = self.data.shape[place]
        stop = count - count % per_set or count
        index = [slice(None)] * len(self.axes)
        index[place] = slice(max(stop - per_set, 0), stop)
        data = np.array(self.data[tuple(index)])
        if data.shape[place] > 1:
            return replace(self, data=data)
        kept = [n for n in range(len(self.axes)) if n != place]
        return self._with(data.squeeze(place), kept)

    def sets(self, frames: int) -> int:
        """Return how many whole sets a layer holds; ``frames`` as for `newest`."""
        place, per_set = self._growing(frames)
        return 1 if place is None else int(self.data.shape[place]) // per_set

    def _growing(self, frames: int) -> tuple[int | None, int]:
        """Return the dimension along which sets follow, and its places for one set."""
        if "T" in self.axes:
            return self.axes.index("T"), 1
        if not self.axes.startswith("Q"):
            return None, 1
        return 0, max(frames // math.prod(self.data.shape[1:-2]), 1)

    def _at(self, position: Sequence[float], axes: str) -> "LayerSnapshot":
        """Return the same with one place along axes of T, C, Z, and numbered ones."""
        raw = is_raw(self.axes)
        places = {}
        for n, (axis, place) in enumerate(zip(self.axes, position, strict=True)):
            if axis in axes or (axis == "Q" and not raw):
                places[n] = min(max(round(float(place)), 0), self.data.shape[n] - 1)
        return self.at_places(places)

    def at_places(self, places: Mapping[int, int]) -> "LayerSnapshot":
        """Return the same with one place of some dimensions, by their numbers."""
        count = len(self.axes)
        index = tuple(places.get(n, slice(None)) for n in range(count))
        kept = [n for n in range(count) if n not in places]
        part = self._with(self.data[index], kept)
        return replace(part, places=tuple(places.items()))

    def _with(self, data: Any, kept: Sequence[int]) -> "LayerSnapshot":
        """Return the same with other pixels, which have but some of the dimensions."""

        def pick(values: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(values[n] for n in kept)

        return replace(
            self,
            data=data,
            axes="".join(pick(self.axes)),
            scale=pick(self.scale),
            translate=pick(self.translate),
            units=pick(self.units),
        )

    def cropped(self, rows: slice, columns: slice) -> "LayerSnapshot":
        """Return the same with a part of the field; nothing is read."""
        return replace(self, data=self.data[..., rows, columns])

    def raw(self) -> RawImage:
        """Read the pixels as they are, as `napari_dps.io.read` does of a file."""
        return RawImage(np.asarray(self.data), self.axes, self.metadata)

    def unread(self) -> RawImage:
        """Return the pixels without reading those of lazy data."""
        data = self.data
        if not isinstance(data, np.ndarray):
            data = Planes.of(data)
        return RawImage(data, self.axes, self.metadata)

    def to_stack(
        self, settings: InputSettings, pixel_nm: float | None, warn: Warn
    ) -> ImageStack:
        """Read the pixels and arrange them; as the command line does with a file.

        Parameters
        ----------
        settings : InputSettings
            Angles, phases and order; not used where the layer names them itself.
        pixel_nm : float, optional
            Wins over what the layer tells.
        warn : callable
            Called with each warning.
        """
        named = is_raw(self.axes)
        return arrange(
            self.raw(),
            angles=None if named else settings.angles,
            phases=None if named else settings.phases,
            order=None if named else settings.order,
            pixel_size_nm=pixel_nm,
            warn=warn,
        )


def _metadata_of(layer: Image) -> Metadata:
    """Return what a layer carries of its stack; its scale and place as shown now."""
    info = StackInfo(**carried_by(layer, *StackInfo().to_dict()))
    shown = {
        "pixel_size_nm": pixel_size_nm(layer),
        "z_step_nm": z_step_nm(layer),
        "frame_interval_s": frame_interval_s(layer),
    }
    # A layer begins its own frame of reference; the noise is that of one run.
    return Metadata(**{**info.to_dict(), **shown, "origin_nm": (0, 0), "noise": None})

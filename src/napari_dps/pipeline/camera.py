"""The camera: what it adds to every pixel, and how unequal its pixels are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps import __version__, io
from napari_dps.core import OFFSET_STEP, HistoryEntry, InputError
from napari_dps.pipeline.input_settings import InputSettings

Map = NDArray[np.float32]
"""(Y, X), a value a pixel."""


@dataclass(frozen=True, eq=False)
class Camera:
    """What is corrected of every frame before anything else.

    Attributes
    ----------
    offset : float
        Counts that the camera adds to every pixel, where there is no map of it.
    offset_map : array (Y, X), float32, or None
        The same of each pixel.
    gain_map : array (Y, X), float32, or None
        Gain of each pixel, in any unit: what counts is gain over mean gain.
    flat_field : array (Y, X), float32, or None
        What the microscope shows of an even sample, offset subtracted, in any unit:
        uneven light and vignetting, and the gain unless there is a map of it.

    Examples
    --------
    >>> camera = Camera(gain_map=np.array([[1, 3]], np.float32))
    >>> camera.correct(np.array([[2.0, 6.0]], np.float32))
    array([[4., 4.]], dtype=float32)
    """

    offset: float = 0.0
    offset_map: Map | None = None
    gain_map: Map | None = None
    flat_field: Map | None = None

    @classmethod
    def of(cls, asked: InputSettings) -> Camera:
        """Read the maps that settings name.

        Raises
        ------
        InputError
            If one cannot be read, is no single plane, or holds impossible values.
        """
        offset = _map(asked.offset_map, "offset_map")
        gain = _positive(asked.gain_map, "gain_map")
        flat = _positive(asked.flat_field, "flat_field")
        return cls(asked.camera_offset, offset, gain, flat)

    def correct(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (raw − offset) · mean gain/gain · mean flat/flat, frame by frame.

        Parameters
        ----------
        frames : array (…, Y, X), float32
            Raw counts; changed in place.

        Returns
        -------
        array of the same shape, float32
            Counts of a camera whose pixels are equal.
        """
        if self.offset_map is not None:
            frames -= self.offset_map
        elif self.offset:
            frames -= np.float32(self.offset)
        for factor in (self.gain_map, self.flat_field):
            if factor is not None:
                frames /= factor / factor.mean()
        return frames

    def require_shape(self, plane: tuple[int, ...]) -> None:
        """Refuse maps that are not those of the frames.

        Raises
        ------
        InputError
            Naming both shapes.
        """
        for name, values in (
            ("offset_map", self.offset_map),
            ("gain_map", self.gain_map),
            ("flat_field", self.flat_field),
        ):
            if values is not None and values.shape != plane:
                raise InputError(
                    field=f"input.{name}",
                    got=" × ".join(map(str, values.shape)),
                    allowed=f"the frames' {' × '.join(map(str, plane))} pixels",
                )

    def noted(self) -> tuple[HistoryEntry, ...]:
        """Return what the history says of the correction; empty if there is none."""
        done: dict[str, Any] = {}
        if self.offset_map is not None:
            done["camera_offset"] = float(self.offset_map.mean())
            done["offset_map"] = True
        elif self.offset:
            done["camera_offset"] = self.offset
        for name in ("gain_map", "flat_field"):
            if getattr(self, name) is not None:
                done[name] = True
        if not done:
            return ()
        entry = HistoryEntry(
            stage=OFFSET_STEP, parameters=done, version=__version__, seconds=0.0
        )
        return (entry,)


def _positive(name: str | None, parameter: str) -> Map | None:
    """Read the map of a factor, which is above 0 everywhere."""
    values = _map(name, parameter)
    if values is not None and values.min() <= 0:
        raise InputError(
            field=f"input.{parameter}", got=f"{values.min():g}", allowed="above 0"
        )
    return values


def _map(name: str | None, parameter: str) -> Map | None:
    """Read the map of a file; None without a file."""
    if not name:
        return None
    data = np.squeeze(np.asarray(io.read(name).data)).astype(np.float32)
    if data.ndim != 2 or not np.isfinite(data).all():
        raise InputError(
            field=f"input.{parameter}",
            got=f"an image of shape {data.shape}",
            allowed="one plane of finite values",
        )
    return data

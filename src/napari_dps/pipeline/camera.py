"""The camera: what it adds to every pixel, and how unequal its pixels are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps import __version__, io
from napari_dps.core import OFFSET_STEP, CameraNoise, HistoryEntry, InputError
from napari_dps.physics.hot_pixels import replaced
from napari_dps.pipeline.input_settings import InputSettings

Map = NDArray[np.float32]
"""(Y, X), a value a pixel."""
_NOISY = 9.0
"""Variance over that of a usual pixel, light and read-out, from which a pixel is
replaced: three times its noise."""


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
    variance_map : array (Y, X), float32, or None
        Variance of each pixel without light, in counts².
    noise : CameraNoise or None
        Gain and read noise, where they are stated.

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
    variance_map: Map | None = None
    noise: CameraNoise | None = None

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
        variance = _map(asked.variance_map, "variance_map")
        if variance is not None and variance.min() < 0:
            raise InputError(
                field="input.variance_map",
                got=f"{variance.min():g}",
                allowed="0 or more",
            )
        noise = _noise(asked, variance)
        return cls(asked.camera_offset, offset, gain, flat, variance, noise)

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
        if self.variance_map is not None and self.noise is not None:
            self._replace_noisy(frames, self.variance_map, self.noise)
        return frames

    def _replace_noisy(
        self, frames: NDArray[np.float32], variance: Map, noise: CameraNoise
    ) -> None:
        """Replace the pixels whose read-out drowns the light, in place."""
        usual = float(np.median(variance)) + noise.gain * max(float(frames.mean()), 0)
        noisy = variance > _NOISY * usual
        if noisy.any():
            for plane in frames.reshape(-1, *frames.shape[-2:]):
                plane[:] = replaced(plane, noisy)

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
            ("variance_map", self.variance_map),
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
        for name in ("gain_map", "flat_field", "variance_map"):
            if getattr(self, name) is not None:
                done[name] = True
        if self.noise is not None:
            done["camera_gain"] = self.noise.gain
            done["read_noise_e"] = self.noise.read_noise_e
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


def _noise(asked: InputSettings, variance: Map | None) -> CameraNoise | None:
    """Return the noise that settings state; None where they state none."""
    gain, read_noise = asked.camera_gain, asked.read_noise
    if gain is None:
        for name, value in (("read_noise", read_noise), ("variance_map", variance)):
            if value is not None:
                raise InputError(
                    field=("input.camera_gain", f"input.{name}"),
                    got="no camera gain",
                    allowed="counts for one photo-electron",
                )
        return None
    if read_noise is None:
        usual = 0.0 if variance is None else float(np.median(variance))
        read_noise = math.sqrt(usual) / gain
    return CameraNoise(gain, read_noise)


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

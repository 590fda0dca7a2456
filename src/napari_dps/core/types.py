"""The data that flows between stages: pixels and the record of what they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core.errors import InputError
from napari_dps.core.info import CameraNoise, StackInfo, is_raw, refined_grid
from napari_dps.core.optics import Optics

AXES = "TCZAPYX"
"""Axes an `ImageStack` may have: time, channel, z, SIM angle, SIM phase, y, x."""


@dataclass(frozen=True, slots=True, eq=False)
class RawFrames:
    """Raw SIM frames that an image was made from.

    Attributes
    ----------
    data : array (A, P, Y, X), or (Z, A, P, Y, X) of a volume, float32
        Counts above the camera's offset as they were recorded, hot pixels replaced and
        motion undone.
    camera : CameraNoise or None
        Their noise, where it is stated.
    """

    data: NDArray[np.float32]
    camera: CameraNoise | None = None

    def in_unit(self, unit: float) -> RawFrames:
        """Return the same frames in counts of ``unit`` of the present ones."""
        camera = self.camera
        if camera is not None:
            camera = replace(camera, gain=camera.gain / unit)
        return RawFrames(self.data / np.float32(unit), camera)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """What comes first of an `ImageStack`."""

    data: NDArray[Any]
    axes: str


@dataclass(frozen=True, eq=False)
class ImageStack(StackInfo, _Pixels):
    """Pixels with axes, geometry and what was learned of them; never changed in place.

    Attributes
    ----------
    data : array
        Pixel values, as many dimensions as ``axes`` has letters; a real number type.
        It may be lazy, a memory map or a dask array: of it, only shape, dtype,
        indexing by numbers and slices, ``transpose`` and NumPy's functions
        (``np.take``) are used, and ``np.asarray`` of a part reads that part.
    axes : str
        Names of the dimensions in array order, from `AXES`, ending in ``"YX"``.
    pixel_size_nm, origin_nm, optics, patterns, ...
        As of `StackInfo`; ``info`` is all of them. The pixel size of the optics is
        the stack's.
    maps : mapping of str to array
        What a stage found of every pixel besides its value, of the same shape as the
        data, by name: ``"uncertainty"`` is the standard deviation. Lost when other
        pixels are derived.
    frames : RawFrames or None
        Behind a single image while a run works on it; stages pass them on.

    Raises
    ------
    InputError
        If axes, shape, type and geometry do not fit together.

    Examples
    --------
    >>> stack = ImageStack(np.zeros((3, 3, 32, 32)), "APYX", pixel_size_nm=65)
    >>> stack.size("P"), stack.is_raw, stack.info.pixel_size_nm
    (3, True, 65)
    """

    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    frames: RawFrames | None = None

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        axes, shape = self.axes, self.data.shape
        are_axes = set(axes) <= set(AXES) and len(set(axes)) == len(axes)
        if not are_axes or not axes.endswith("YX"):
            raise InputError(
                "axes", got=axes, allowed=f"letters of {AXES}, each once, YX last"
            )
        if len(axes) != len(shape):
            raise InputError(
                f"data of shape {tuple(shape)} does not fit the axes {axes}"
            )
        if 0 in shape:
            raise InputError(f"the image is empty: shape {tuple(shape)}")
        if self.data.dtype.kind not in "iuf":
            raise InputError(
                "pixel type",
                got=self.data.dtype,
                allowed="signed or unsigned integers, floating point",
            )
        self._check_maps()
        super().__post_init__()
        if self.optics is not None and (
            self.pixel_size_nm is None
            or not np.isclose(self.optics.pixel_size_nm, self.pixel_size_nm)
        ):
            raise InputError(
                "pixel size in nm",
                got=f"{self.pixel_size_nm} on the image and "
                f"{self.optics.pixel_size_nm} in the optics",
                allowed="the same value",
            )

    def _check_maps(self) -> None:
        for name, values in self.maps.items():
            if not name.isidentifier():  # it becomes a part of a file's name
                raise InputError("name of a map", got=name, allowed="letters, digits")
            if values.shape != self.data.shape:
                raise InputError(
                    f"shape of the {name}",
                    got=tuple(values.shape),
                    allowed=f"{self.shape}",
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return tuple(self.data.shape)

    @property
    def is_raw(self) -> bool:
        """Whether these are raw SIM frames."""
        return is_raw(self.axes)

    @property
    def uncertainty(self) -> NDArray[Any] | None:
        """The map of that name: standard deviation of the data; None without."""
        return self.maps.get("uncertainty")

    def size(self, axis: str) -> int:
        """Return the length along an axis; 1 when the stack lacks it."""
        return int(self.data.shape[self.axes.index(axis)]) if axis in self.axes else 1

    def derive(self, data: NDArray[Any], **changes: Any) -> ImageStack:
        """Return a stack with other pixels and, if named, other attributes.

        A changed ``pixel_size_nm`` is passed on to the optics.
        """
        pixel_size_nm = changes.get("pixel_size_nm", self.pixel_size_nm)
        optics = changes.pop("optics", self.optics)
        of_channels = changes.pop("channel_optics", self.channel_optics)
        if optics is not None and pixel_size_nm is not None:
            optics = optics.at_pixel_size(pixel_size_nm)
            of_channels = tuple(o.at_pixel_size(pixel_size_nm) for o in of_channels)
        changes.setdefault("maps", {})
        return replace(
            self, data=data, optics=optics, channel_optics=of_channels, **changes
        )

    def refine(
        self, data: NDArray[Any], factor: float = 2, **changes: Any
    ) -> ImageStack:
        """Return a stack with pixels of a finer grid over the same area.

        Like `derive`, with pixel size and origin of `refined_grid`.

        Raises
        ------
        InputError
            If the stack has no pixel size.
        """
        if self.pixel_size_nm is None:
            raise InputError("a finer grid needs the pixel size of the image")
        pixel_nm, origin_nm = refined_grid(self.pixel_size_nm, self.origin_nm, factor)
        return self.derive(data, pixel_size_nm=pixel_nm, origin_nm=origin_nm, **changes)

    def optics_of(self, channel: int) -> Optics | None:
        """Return the optics of a channel."""
        return self.channel_optics[channel] if self.channel_optics else self.optics

    def require_optics(self, purpose: str) -> Optics:
        """Return the optics, or say what is missing and for what.

        Raises
        ------
        InputError
            If the stack has no optics.
        """
        if self.optics is None:
            fields = ["optics.na", "optics.emission_nm"]
            if self.pixel_size_nm is None:
                fields.append("optics.pixel_size_nm")
            raise InputError(
                f"{purpose} needs NA, emission wavelength and pixel size", field=fields
            )
        return self.optics

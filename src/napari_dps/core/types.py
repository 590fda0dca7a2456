"""The data that flows between stages: pixels, geometry, optics and history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core.errors import InputError
from napari_dps.core.optics import Optics
from napari_dps.core.patterns import Pattern

OFFSET_STEP = "camera offset"
"""Name in the history of the subtraction of the camera's offset, which is no stage."""
AXES = "TCZAPYX"
"""Axes an `ImageStack` may have: time, channel, z, SIM angle, SIM phase, y, x."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What one stage did to the data."""

    stage: str
    parameters: dict[str, Any]
    version: str
    seconds: float
    warnings: tuple[str, ...] = ()
    weights_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class NoiseToSignal:
    """Noise power over the object's power in a raw stack: a power law of frequency.

    Attributes
    ----------
    at_cutoff : float
        At the cut-off of the detection, for order 0 summed over the angles.
    exponent : float
        Of frequency over cut-off.
    """

    at_cutoff: float
    exponent: float


@dataclass(frozen=True, slots=True, eq=False)
class ImageStack:
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
    pixel_size_nm : float or None
        Edge of a (square) pixel; None when unknown.
    origin_nm : (float, float)
        Position (y, x) of the centre of the first pixel.
    optics : Optics or None
        The microscope; its pixel size is this stack's. Of several channels that
        differ, that of the first.
    channel_optics : tuple of Optics
        One a channel where they differ, else empty.
    patterns : tuple of Pattern
        Illumination patterns, once known.
    noise : NoiseToSignal or None
        Of the raw frames, once measured for all time points together.
    history : tuple of HistoryEntry
        The stages that made these pixels, oldest first.
    z_step_nm, frame_interval_s : float or None
        Spacing along Z and T.
    channel_names : tuple of str
        Names along C; empty when unknown.
    uncertainty : array or None
        Standard deviation of the data, of the same shape, where a stage gave one; lost
        when other pixels are derived.

    Raises
    ------
    InputError
        If axes, shape, type and geometry do not fit together.

    Examples
    --------
    >>> stack = ImageStack(np.zeros((3, 3, 32, 32)), "APYX", pixel_size_nm=65)
    >>> stack.size("P")
    3
    """

    data: NDArray[Any]
    axes: str
    pixel_size_nm: float | None = None
    origin_nm: tuple[float, float] = (0.0, 0.0)
    optics: Optics | None = None
    patterns: tuple[Pattern, ...] = ()
    noise: NoiseToSignal | None = None
    history: tuple[HistoryEntry, ...] = ()
    z_step_nm: float | None = None
    frame_interval_s: float | None = None
    channel_names: tuple[str, ...] = ()
    uncertainty: NDArray[Any] | None = None
    channel_optics: tuple[Optics, ...] = ()

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        axes, shape = self.axes, self.data.shape
        known = set(axes) <= set(AXES) and len(set(axes)) == len(axes)
        if not known or not axes.endswith("YX"):
            raise InputError(
                "axes", got=axes, allowed=f"letters of {AXES}, each once, YX last"
            )
        if len(axes) != len(shape):
            raise InputError(
                f"data of shape {tuple(shape)} does not fit the axes {axes}"
            )
        if self.uncertainty is not None and self.uncertainty.shape != shape:
            raise InputError(
                "shape of the uncertainty",
                got=tuple(self.uncertainty.shape),
                allowed=f"{tuple(shape)}",
            )
        if 0 in shape:
            raise InputError(f"the image is empty: shape {tuple(shape)}")
        if self.data.dtype.kind not in "iuf":
            raise InputError(
                "pixel type",
                got=self.data.dtype,
                allowed="signed or unsigned integers, floating point",
            )
        if self.pixel_size_nm is not None and not 0 < self.pixel_size_nm < np.inf:
            raise InputError(
                "pixel size in nm", got=self.pixel_size_nm, allowed="above 0"
            )
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

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return tuple(self.data.shape)

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
        changes.setdefault("uncertainty", None)
        return replace(
            self, data=data, optics=optics, channel_optics=of_channels, **changes
        )

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
            raise InputError(
                f"{purpose} needs NA, emission wavelength and pixel size "
                "(--na, --emission-nm, --pixel-size-nm)"
            )
        return self.optics

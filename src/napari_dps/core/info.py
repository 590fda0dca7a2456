"""What a stack carries besides its pixels: one record, checked and serialised once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from napari_dps.core.errors import InputError
from napari_dps.core.optics import Optics
from napari_dps.core.patterns import Pattern

OFFSET_STEP = "camera offset"
"""Name in the history of the subtraction of the camera's offset, which is no stage."""

OTF_STEP = "measured OTF"
"""Name in the history of the choice of a measured OTF, which is no stage either."""

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Position = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]  # 1 km
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Names = Annotated[tuple[str, ...], Field(max_length=10_000)]


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What one stage did to the data.

    ``precision`` is that of its network where it is not float32.
    """

    stage: str
    parameters: dict[str, Any]
    version: str
    seconds: _NotNegative
    warnings: tuple[str, ...] = ()
    weights_sha256: str | None = None
    precision: str | None = None


@dataclass(frozen=True, slots=True)
class NoiseToSignal:
    """Noise power over the object's power in a raw stack: a power law of frequency.

    Attributes
    ----------
    at_cutoff : float
        At the cut-off of the detection, for order 0 summed over the angles.
    exponent : float
        Exponent of frequency over cut-off.
    of_frame : float or None
        Standard deviation of the noise of a raw frame in counts, as it was before time
        points were averaged; None where they were not.
    """

    at_cutoff: _Finite
    exponent: _Finite
    of_frame: _NotNegative | None = None


@dataclass(frozen=True, slots=True)
class CameraNoise:
    """Noise of a camera, whose variance rises with its counts.

    Attributes
    ----------
    gain : float
        Counts for one photo-electron.
    read_noise_e : float
        Standard deviation of the read-out of a pixel, in photo-electrons.

    Examples
    --------
    >>> CameraNoise(gain=2.0, read_noise_e=1.5).variance(100.0)
    209.0
    """

    gain: _Positive
    read_noise_e: _NotNegative = 0.0

    def variance(self, counts: float) -> float:
        """Return the variance of pixels of so many counts above the offset, counts²."""
        return self.gain * max(counts, 0.0) + (self.gain * self.read_noise_e) ** 2


@dataclass(frozen=True)
class StackInfo:
    """Geometry, optics and all that was learned of a stack.

    Every field is declared here and nowhere else: `ImageStack` and the metadata of a
    file extend this record, files, batches and layers carry it whole.

    Attributes
    ----------
    pixel_size_nm : float or None
        Edge of a (square) pixel; None when unknown.
    origin_nm : (float, float)
        Position (y, x) of the centre of the first pixel.
    optics : Optics or None
        The microscope. Of several channels that differ, that of the first.
    patterns : tuple of Pattern
        Illumination patterns, once found.
    noise : NoiseToSignal or None
        Noise over signal of the raw frames, once measured for all time points together.
    camera : CameraNoise or None
        Noise of these pixels where the user states it and they are a camera's counts
        above its offset; stages measure it where it is None.
    history : tuple of HistoryEntry
        The stages that made these pixels, oldest first.
    z_step_nm, frame_interval_s : float or None
        Spacing along Z and T.
    channel_names : tuple of str
        Names along C; empty when unknown.
    channel_optics : tuple of Optics
        One a channel where they differ, else empty.
    shows_sim : bool
        Whether the spectrum shows that it is a SIM reconstruction, whatever its
        history says.

    Raises
    ------
    InputError
        If the pixel size is no positive number.
    """

    pixel_size_nm: _Positive | None = None
    origin_nm: tuple[_Position, _Position] = (0.0, 0.0)
    optics: Optics | None = None
    patterns: tuple[Pattern, ...] = ()
    noise: NoiseToSignal | None = None
    camera: CameraNoise | None = None
    history: tuple[HistoryEntry, ...] = ()
    z_step_nm: _Positive | None = None
    frame_interval_s: _Positive | None = None
    channel_names: _Names = ()
    channel_optics: tuple[Optics, ...] = ()
    shows_sim: bool = False

    def __post_init__(self) -> None:
        """Check the pixel size, which everything else is measured in."""
        if self.pixel_size_nm is not None and not 0 < self.pixel_size_nm < float("inf"):
            raise InputError(
                "pixel size in nm", got=self.pixel_size_nm, allowed="above 0"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of this record by name, as objects."""
        return {info.name: getattr(self, info.name) for info in fields(StackInfo)}

    @property
    def is_processed(self) -> bool:
        """Whether a stage has worked on the pixels; offset and OTF are none."""
        none = OFFSET_STEP, OTF_STEP
        return any(entry.stage not in none for entry in self.history)

    @property
    def is_reconstruction(self) -> bool:
        """Whether it is a SIM reconstruction, by its history or its spectrum."""
        return self.shows_sim or any(one.stage == "reconstruct" for one in self.history)

    @property
    def info(self) -> StackInfo:
        """The record alone, of a stack or of the metadata of a file."""
        return StackInfo(**self.to_dict())

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, as JSON holds them.

        Examples
        --------
        >>> StackInfo(pixel_size_nm=65.0).to_json()["origin_nm"]
        [0.0, 0.0]
        """
        return {
            name: adapter.dump_python(getattr(self, name), mode="json")
            for name, adapter in _adapters().items()
        }

    @staticmethod
    def read_json(values: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
        """Read fields back, out of values that nobody vouches for.

        Parameters
        ----------
        values : mapping
            As `to_json` returns them; fields may be missing, other names are not read.

        Returns
        -------
        valid : dict
            The fields that are right: finite, in their limits, of their type.
        invalid : list of str
            Names of the others.

        Examples
        --------
        >>> StackInfo.read_json({"pixel_size_nm": 65, "origin_nm": ["nan", 0]})
        ({'pixel_size_nm': 65.0}, ['origin_nm'])
        """
        valid: dict[str, Any] = {}
        invalid = []
        for name, adapter in _adapters().items():
            if name in values:
                try:
                    valid[name] = adapter.validate_python(values[name])
                except ValidationError:
                    invalid.append(name)
        return valid, invalid


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """Return what checks and writes each field, by its type above."""
    hints = get_type_hints(StackInfo, include_extras=True)
    return {info.name: TypeAdapter(hints[info.name]) for info in fields(StackInfo)}


def is_raw(axes: str) -> bool:
    """Whether axes are those of raw SIM frames: they have phases."""
    return "P" in axes


def refined_grid(
    pixel_size_nm: float, origin_nm: tuple[float, float], factor: float = 2
) -> tuple[float, tuple[float, float]]:
    """Return pixel size and origin of a finer grid that covers the same area.

    The edges of the area stay, so the centre of the first pixel moves by half of what
    the pixel shrinks: of a grid of half the pixel size by -1/4 of the old pixel.

    Parameters
    ----------
    pixel_size_nm : float
        Edge of a pixel of the grid.
    origin_nm : (float, float)
        Centre (y, x) of its first pixel.
    factor : float
        How many pixels lie along one of the old ones; below 1 the grid is coarser.

    Returns
    -------
    pixel_size_nm : float
    origin_nm : (float, float)

    Examples
    --------
    >>> refined_grid(80.0, (0.0, 0.0))
    (40.0, (-20.0, -20.0))
    """
    shift_nm = pixel_size_nm * (1 / factor - 1) / 2
    y, x = origin_nm
    return pixel_size_nm / factor, (y + shift_nm, x + shift_nm)

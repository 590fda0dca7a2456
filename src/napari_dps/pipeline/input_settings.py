"""The table ``[input]`` of the settings: how to read the input."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from napari_dps.core import Pattern
from napari_dps.io import INSTRUMENTS, frame_numbers, parse_patterns

_MAP: dict[str, JsonValue] = {"file": "*.tif *.tiff"}


class InputSettings(BaseModel):
    """How to read the input.

    Examples
    --------
    >>> InputSettings(angles=3, phases=5).camera_offset
    0.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    instrument: Literal[
        "auto", "omx", "n-sim", "n-sim-3d", "elyra", "elyra-lattice", "3i", "custom"
    ] = Field(
        default="auto",
        title="Instrument",
        description="Gives angles, phases and order where they are not set. auto: what "
        "the file itself tells.",
    )
    angles: int | None = Field(
        default=None,
        ge=1,
        le=36,
        title="Angles",
        description="Directions of the stripes of raw SIM; none for a plain image.",
    )
    phases: int | None = Field(
        default=None,
        ge=1,
        le=36,
        title="Phases",
        description="Positions of the stripes at each angle.",
    )
    order: str | None = Field(
        default=None,
        title="Order of the frames",
        description="As stored in the file, slowest first (apyx: angle by angle).",
    )
    frames: str | None = Field(
        default=None,
        title="Frames to read",
        description="Numbers from 0, in the order of the file: 0-8 or 0,2,4-8; 0-8/10 "
        "for the first nine of every ten. Default: all.",
    )
    series: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        title="Image of the file",
        description="Series, scene or position of a file that holds several, from 0. "
        "Default: the first.",
    )
    channel: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        title="Channel to read",
        description="From 0. Default: all.",
    )
    join: bool = Field(
        default=False,
        title="Join files",
        description="The files are the frames of one stack, in the natural order of "
        "their names.",
    )
    allow_missing: bool = Field(
        default=False,
        title="Fill missing chunks",
        description="Fill chunks that an OME-Zarr lacks, and warn; else it is refused.",
    )
    camera_offset: float = Field(
        default=0.0,
        ge=-1e6,
        le=1e6,
        title="Camera offset",
        description="Counts that the camera adds to every pixel; subtracted first.",
        json_schema_extra={"unit": "counts"},
    )
    offset_map: str | None = Field(
        default=None,
        title="Map of the offset",
        description="Image of the offset of each pixel, in counts; subtracted in place "
        "of the camera offset.",
        json_schema_extra=_MAP,
    )
    gain_map: str | None = Field(
        default=None,
        title="Map of the gain",
        description="Image of the gain of each pixel: frames are divided by it and "
        "multiplied by its mean.",
        json_schema_extra=_MAP,
    )
    flat_field: str | None = Field(
        default=None,
        title="Flat field",
        description="Image of an even sample, offset subtracted: frames are divided by "
        "it and multiplied by its mean.",
        json_schema_extra=_MAP,
    )
    camera_gain: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        title="Camera gain",
        description="Counts for one photo-electron: noise follows from it. Default: "
        "the noise is measured.",
        json_schema_extra={"unit": "counts/e-"},
    )
    read_noise: float | None = Field(
        default=None,
        ge=0,
        le=1e4,
        title="Read noise",
        description="Standard deviation of the read-out of a pixel; needs the camera "
        "gain. Default: that of the map of the variance, or 0.",
        json_schema_extra={"unit": "e-"},
    )
    variance_map: str | None = Field(
        default=None,
        title="Map of the variance",
        description="Image of the variance of each pixel without light, in counts²; "
        "needs the camera gain. Pixels that are much noisier than the others are "
        "replaced.",
        json_schema_extra=_MAP,
    )
    z_step_nm: float | None = Field(
        default=None,
        gt=0,
        le=100_000,
        title="Z step",
        description="Distance of the planes of a z-stack, where the file does not tell "
        "it or is wrong.",
        json_schema_extra={"unit": "nm"},
    )
    otf: str | None = Field(
        default=None,
        title="Measured OTF",
        description="File that napari-dps otf made of beads, or an OTF of softWoRx or "
        "cudasirecon; of several channels one each, between commas. Default: that of "
        "an ideal objective.",
        json_schema_extra={"file": "*.tif *.tiff *.dv *.mrc *.otf"},
    )
    patterns: str | tuple[Pattern, ...] | None = Field(
        default=None,
        title="Known patterns",
        description="auto: found in the frames, or as the input carries them. Else a "
        "file of patterns (TOML or JSON), or the report of another run: its wave "
        "vectors are taken.",
        json_schema_extra={"file": "*.json *.toml", "words": ["auto"]},
    )

    @property
    def frames_of_set(self) -> int:
        """Frames of a raw stack, as counts or instrument say; 1 where neither does.

        Also 1 where a frame is tiled with all of them.

        Examples
        --------
        >>> InputSettings(angles=3, phases=3).frames_of_set
        9
        >>> InputSettings(instrument="n-sim").frames_of_set
        1
        """
        known = {one.key: one for one in INSTRUMENTS}.get(self.instrument)
        counts = (known.angles, known.phases) if known else (None, None)
        order = self.order or (known.order if known else None) or ""
        if order.startswith("montage"):
            return 1
        return (self.angles or counts[0] or 1) * (self.phases or counts[1] or 1)

    @field_validator("patterns", mode="before")
    @classmethod
    def _auto_or_listed(cls, value: Any) -> Any:
        """Read the word, and patterns that are listed in the settings themselves."""
        if isinstance(value, list):
            return parse_patterns(value, "patterns")
        return None if value in ("auto", "") else value

    @field_validator("frames", mode="after")
    @classmethod
    def _numbers(cls, value: str | None) -> str | None:
        """Refuse what names no frames."""
        if value:
            frame_numbers(value)
        return value or None

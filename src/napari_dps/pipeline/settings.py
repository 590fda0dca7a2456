"""The settings of a run as a TOML file: stages, parameters, optics, input."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from napari_dps.core import ImageStack, InputError, Optics, StageParameters
from napari_dps.core.params import parse
from napari_dps.io import replacing
from napari_dps.pipeline.steps import find_stage
from napari_dps.stages import STAGES
from napari_dps.stages.base import Stage

Tables = Mapping[str, Mapping[str, Any]]
"""What a TOML file of settings holds: tables of names and values."""

_TABLES = ("pipeline", "input", "optics")


class InputSettings(BaseModel):
    """How to read the input.

    Examples
    --------
    >>> InputSettings(angles=3, phases=5).camera_offset
    0.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
    camera_offset: float = Field(
        default=0.0,
        ge=-1e6,
        le=1e6,
        title="Camera offset",
        description="Counts that the camera adds to every pixel; subtracted first.",
        json_schema_extra={"unit": "counts"},
    )


class _PipelineTable(BaseModel):
    """The table ``[pipeline]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stages: tuple[str, ...] | None = Field(default=None, min_length=1)


@dataclass(frozen=True)
class Settings:
    """All that a run needs beside the image; validated.

    Attributes
    ----------
    stages : tuple of str or None
        Ids in order; None for all that fit the input.
    parameters : mapping of str to StageParameters
        By stage id. Stages that are not run may have parameters too.
    optics : mapping of str to float
        Fields of `Optics`; what is not set is taken from the image's metadata.
    input : InputSettings
        How to read the input.

    Examples
    --------
    >>> settings = Settings.from_tables({"pipeline": {"stages": ["background"]}})
    >>> settings.stages
    ('background',)
    """

    stages: tuple[str, ...] | None = None
    parameters: Mapping[str, StageParameters] = field(default_factory=dict)
    optics: Mapping[str, float] = field(default_factory=dict)
    input: InputSettings = field(default_factory=InputSettings)

    @classmethod
    def from_tables(
        cls, tables: Tables, stages: Sequence[Stage[Any]] = STAGES
    ) -> Settings:
        """Validate tables ``pipeline``, ``input``, ``optics`` and one per stage.

        Raises
        ------
        InputError
            Naming the first table or value that is wrong and what is allowed.
        """
        known = {stage.id: stage for stage in stages}
        for name, table in tables.items():
            if name not in known and name not in _TABLES:
                raise InputError(
                    "table of the settings",
                    got=f"[{name}]",
                    allowed=", ".join((*_TABLES, *known)),
                )
            if not isinstance(table, Mapping):
                raise InputError(
                    f"'{name}' of the settings", got=repr(table), allowed="a table"
                )
        chosen = parse(_PipelineTable, tables.get("pipeline", {}), "pipeline").stages
        for name in chosen or ():
            find_stage(name, stages)
        return cls(
            stages=chosen,
            parameters={
                name: parse(known[name].parameters, table, name)
                for name, table in tables.items()
                if name in known
            },
            optics=_checked_optics(tables.get("optics", {})),
            input=parse(InputSettings, tables.get("input", {}), "input"),
        )

    def to_tables(self) -> dict[str, dict[str, Any]]:
        """Return the tables that `from_tables` reads; what is unset is left out."""
        tables: dict[str, dict[str, Any]] = {
            "pipeline": {} if self.stages is None else {"stages": list(self.stages)},
            "input": self.input.model_dump(exclude_none=True),
            "optics": dict(self.optics),
        }
        for name, parameters in self.parameters.items():
            tables[name] = parameters.model_dump(mode="json", exclude_none=True)
        return tables

    def with_optics(self, stack: ImageStack) -> ImageStack:
        """Return the stack with its optics, values of these settings going first.

        Parameters
        ----------
        stack : ImageStack
            Its own optics and pixel size, from the file, fill what is not set here.

        Returns
        -------
        ImageStack
            Without optics if neither knows NA or wavelength.

        Raises
        ------
        InputError
            If a value is missing or impossible.
        """
        own = {} if stack.optics is None else stack.optics.model_dump()
        values = {"pixel_size_nm": stack.pixel_size_nm, **own, **self.optics}
        if not values.keys() - {"pixel_size_nm"}:
            return stack
        for name in ("na", "emission_nm", "pixel_size_nm"):
            if values.get(name) is None:
                flag = "--" + name.replace("_", "-")
                raise InputError(
                    f"the optics are incomplete: {name} is missing, and the file does "
                    f"not tell it; give {flag}"
                )
        optics = parse(Optics, values, "optics")
        return stack.derive(
            stack.data, optics=optics, pixel_size_nm=optics.pixel_size_nm
        )


def _checked_optics(values: Mapping[str, Any]) -> dict[str, float]:
    """Validate what is given; the file may tell the rest."""
    stand_ins = {"na": 0.1, "emission_nm": 500.0, "pixel_size_nm": 100.0}
    checked = parse(Optics, {**stand_ins, **values}, "optics").model_dump()
    return {name: checked[name] for name in values}


def read_tables(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InputError
        If it cannot be read or is no TOML; the message names line and column.
    """
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no valid TOML: {error}") from error


def merge_tables(base: Tables, over: Tables) -> dict[str, Any]:
    """Return tables with the values of ``over`` in place of those of ``base``.

    Examples
    --------
    >>> merge_tables({"optics": {"na": 1.3}}, {"optics": {"na": 1.4}})
    {'optics': {'na': 1.4}}
    """
    merged: dict[str, Any] = dict(base)
    for name, table in over.items():
        below = merged.get(name, {})
        merged[name] = {**below, **table} if isinstance(below, Mapping) else table
    return merged


def save_settings(settings: Settings, path: str | os.PathLike[str]) -> None:
    """Write settings as TOML, whole or not at all.

    Parameters
    ----------
    settings : Settings
        What to write.
    path : path
        The file; replaced if it exists.
    """
    with replacing(path) as temporary:
        temporary.write_text(tomli_w.dumps(settings.to_tables()), encoding="utf-8")

"""The settings of a run as a TOML file: stages, parameters, optics, input."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from napari_dps.core import ImageStack, InputError, Optics, StageParameters
from napari_dps.core.networks import NetworkSettings
from napari_dps.core.params import parse
from napari_dps.core.text import quoted
from napari_dps.io import replacing
from napari_dps.io.text_files import read_toml
from napari_dps.pipeline.input_settings import InputSettings
from napari_dps.pipeline.stack_optics import with_optics
from napari_dps.pipeline.steps import find_stage
from napari_dps.stages import STAGES
from napari_dps.stages.base import Stage

Tables = Mapping[str, Mapping[str, Any]]
"""What a TOML file of settings holds: tables of names and values."""

_TABLES = ("pipeline", "input", "optics", "output", "networks")


class OutputSettings(BaseModel):
    """What to write.

    Examples
    --------
    >>> OutputSettings(keep="last").format
    'tiff'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: Literal["all", "last"] = Field(
        default="all",
        title="Images to keep",
        description="all: that of every stage. last: that of the last stage alone.",
    )
    format: Literal["tiff", "zarr"] = Field(
        default="tiff",
        title="Format of the images",
        description="tiff: OME-TIFF. zarr: OME-Zarr, written in parallel by chunk; "
        "needs the extra zarr.",
    )
    drift_correct: bool = Field(
        default=False,
        title="Undo drift",
        description="Measure how a time-lapse drifts and move its results back, raw "
        "frames never.",
    )
    bleach_correct: bool = Field(
        default=False,
        title="Undo bleaching",
        description="Bring the results of a time-lapse to the brightness of the first.",
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
    optics : mapping of str to float, or to a tuple of them
        Fields of `Optics`, where channels differ one value a channel; what is not set
        is taken from the image's metadata.
    input : InputSettings
        How to read the input.
    output : OutputSettings
        What to write.
    networks : NetworkSettings
        How networks compute.

    Examples
    --------
    >>> settings = Settings.from_tables({"pipeline": {"stages": ["background"]}})
    >>> settings.stages
    ('background',)
    """

    stages: tuple[str, ...] | None = None
    parameters: Mapping[str, StageParameters] = field(default_factory=dict)
    optics: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    input: InputSettings = field(default_factory=InputSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    networks: NetworkSettings = field(default_factory=NetworkSettings)

    @property
    def pixel_size_nm(self) -> float | None:
        """That of the optics, if it is set; the same for all channels."""
        value = self.optics.get("pixel_size_nm")
        return value if isinstance(value, float) else None

    @property
    def step_parameters(self) -> Mapping[str, StageParameters]:
        """Parameters by stage id; a modulation factor of 1 that is stated holds.

        It is the default as well, which an image may contradict.

        Examples
        --------
        >>> stated = Settings(optics={"modulation_factor": 1.0}).step_parameters
        >>> stated["dps"].psf, Settings().step_parameters
        ('stated', {})
        """
        factors = self.optics.get("modulation_factor", ())
        if factors != 1 and set(_as_list(factors)) != {1}:
            return self.parameters
        result = dict(self.parameters)
        for stage in STAGES:
            parameters = result.get(stage.id) or stage.parameters()
            if getattr(parameters, "psf", "") == "auto":
                result[stage.id] = parameters.model_copy(update={"psf": "stated"})
        return result

    @classmethod
    def from_tables(
        cls, tables: Tables, stages: Sequence[Stage[Any]] = STAGES
    ) -> Settings:
        """Validate the tables of a file of settings: `_TABLES`, and one a stage.

        Raises
        ------
        InputError
            Naming the first table or value that is wrong and what is allowed.
        """
        by_id = {stage.id: stage for stage in stages}
        for name, table in tables.items():
            if name not in by_id and name not in _TABLES:
                raise InputError(
                    "table of the settings",
                    got=f"[{name}]",
                    allowed=", ".join((*_TABLES, *by_id)),
                )
            if not isinstance(table, Mapping):
                raise InputError(
                    f"'{name}' of the settings", got=quoted(table), allowed="a table"
                )
        chosen = parse(_PipelineTable, tables.get("pipeline", {}), "pipeline").stages
        for name in chosen or ():
            find_stage(name, stages)
        return cls(
            stages=chosen,
            parameters={
                name: parse(by_id[name].parameters, table, name)
                for name, table in tables.items()
                if name in by_id
            },
            optics=_checked_optics(tables.get("optics", {})),
            input=parse(InputSettings, tables.get("input", {}), "input"),
            output=parse(OutputSettings, tables.get("output", {}), "output"),
            networks=parse(NetworkSettings, tables.get("networks", {}), "networks"),
        )

    def to_tables(self) -> dict[str, dict[str, Any]]:
        """Return the tables that `from_tables` reads; what is unset is left out."""
        tables: dict[str, dict[str, Any]] = {
            "pipeline": {} if self.stages is None else {"stages": list(self.stages)},
            "input": _set_values(self.input),
            "optics": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in self.optics.items()
            },
        }
        if self.output != OutputSettings():
            tables["output"] = self.output.model_dump()
        if self.networks != NetworkSettings():
            tables["networks"] = self.networks.model_dump()
        for name, parameters in self.parameters.items():
            tables[name] = parameters.model_dump(mode="json", exclude_none=True)
        return tables

    def with_optics(
        self,
        stack: ImageStack,
        told: Sequence[Mapping[str, float]] | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> ImageStack:
        """Return the stack with its optics, values of these settings going first.

        Parameters, result and errors are those of
        `napari_dps.pipeline.stack_optics.with_optics`.
        """
        return with_optics(stack, self.optics, told, warn)


def _set_values(model: BaseModel) -> dict[str, Any]:
    """Return the values of a model that differ from their defaults, as TOML holds them.

    Examples
    --------
    >>> _set_values(InputSettings(angles=3, camera_offset=0))
    {'angles': 3}
    """
    usual = type(model)().model_dump(mode="json", exclude_none=True)
    values = model.model_dump(mode="json", exclude_none=True)
    return {n: v for n, v in values.items() if n not in usual or v != usual[n]}


def _checked_optics(table: Mapping[str, Any]) -> dict[str, float | tuple[float, ...]]:
    """Validate what is given; the file may tell the rest."""
    listed = {name: _as_list(value) for name, value in table.items()}
    if len(listed.get("pixel_size_nm", [0])) > 1:
        raise InputError(
            field="optics.pixel_size_nm",
            got=quoted(table["pixel_size_nm"]),
            allowed="one value for all channels",
        )
    count = max(map(len, listed.values()), default=1)
    stand_ins = {"na": 0.1, "emission_nm": 500.0, "pixel_size_nm": 100.0}
    checked: dict[str, list[float]] = {name: [] for name in listed}
    for channel in range(count):
        stated = {name: v[min(channel, len(v) - 1)] for name, v in listed.items()}
        optics = parse(Optics, {**stand_ins, **stated}, "optics").model_dump()
        for name, values in checked.items():
            values.append(optics[name])
    return {
        name: tuple(values) if len(listed[name]) > 1 else values[0]
        for name, values in checked.items()
    }


def _as_list(value: Any) -> list[Any]:
    """Return the values of the channels; one for all is a list of one.

    Examples
    --------
    >>> _as_list("525, 610"), _as_list(525)
    (['525', '610'], [525])
    """
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return list(value) if isinstance(value, list | tuple) and value else [value]


def read_tables(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InputError
        If it cannot be read or is no TOML; the message names line and column.
    """
    return read_toml(path)


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

"""Options made from parameter models, so that each is defined once."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from napari_dps.core import InputError
from napari_dps.core.params import ParameterInfo, describe


def add_model(
    parser: argparse.ArgumentParser,
    model: type[BaseModel],
    table: str,
    *,
    title: str = "",
    dotted: bool = False,
) -> None:
    """Add one option for each field of a model, as a group.

    The values stay text: the model itself parses and checks them, with the same
    messages as for a TOML file.

    Parameters
    ----------
    parser : ArgumentParser
        Where the options go.
    model : type of BaseModel
        Its fields, as `describe` lists them.
    table : str
        Table of the settings that the values belong to; see `values_of`.
    title : str, optional
        Of the group in ``--help``; the table's name by default.
    dotted : bool
        Put the table's name before the option: ``--background.radius-px``.

    Examples
    --------
    >>> from napari_dps.core import Optics
    >>> parser = argparse.ArgumentParser()
    >>> add_model(parser, Optics, "optics")
    >>> values_of(parser.parse_args(["--emission-nm", "660"]), "optics")
    {'emission_nm': '660'}
    """
    group = parser.add_argument_group(title or table)
    for info in describe(model):
        option = info.name.replace("_", "-")
        group.add_argument(
            f"--{table}.{option}" if dotted else f"--{option}",
            dest=f"{table}.{info.name}",
            metavar=_placeholder(info),
            default=argparse.SUPPRESS,
            help=_help(info).replace("%", "%%"),
        )


def values_of(options: argparse.Namespace, table: str) -> dict[str, str]:
    """Return the options given for a table, as text by the field's name."""
    return {
        name.removeprefix(f"{table}."): value
        for name, value in vars(options).items()
        if name.startswith(f"{table}.")
    }


def optics_tables(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return the tables that the options of the optics fill.

    ``--modulation-factor auto`` is no property of the optics but asks the stage dps to
    measure the PSF.

    Raises
    ------
    InputError
        If it is also told not to.

    Examples
    --------
    >>> optics_tables(argparse.Namespace(**{"optics.modulation_factor": "auto"}))
    {'optics': {}, 'dps': {'psf': 'measured'}}
    """
    optics = values_of(options, "optics")
    if optics.get("modulation_factor") != "auto":
        return {"optics": optics, "dps": {}}
    stated = values_of(options, "dps").get("psf", "measured")
    if stated != "measured":
        raise InputError(
            "--modulation-factor auto measures the PSF: --dps.psf",
            got=stated,
            allowed="measured, or nothing",
        )
    del optics["modulation_factor"]
    return {"optics": optics, "dps": {"psf": "measured"}}


def _placeholder(info: ParameterInfo) -> str:
    if info.kind is bool:
        return "true|false"
    if info.choices:
        return "NAME"
    if info.file:
        return "NAME|FILE"
    return info.unit.upper() if info.unit.isascii() and info.unit else "VALUE"


def _help(info: ParameterInfo) -> str:
    description = info.description.rstrip(".")
    text = f"{info.title}: {description}" if description else info.title
    facts: list[Any] = [] if info.allowed.startswith("any ") else [info.allowed]
    if info.default is not PydanticUndefined and info.default is not None:
        facts.append(f"default: {info.default} {info.unit}".rstrip())
    return f"{text} ({'; '.join(facts)})" if facts else text

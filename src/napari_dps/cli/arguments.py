"""Options made from parameter models, so that each is defined once."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from napari_dps.core import InputError
from napari_dps.core.errors import Failure
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
        # A box to tick may be named alone.
        alone: dict[str, Any] = {"nargs": "?", "const": "true"}
        group.add_argument(
            _option(table if dotted else "", info.name),
            dest=f"{table}.{info.name}",
            metavar=_placeholder(info),
            default=argparse.SUPPRESS,
            help=_help(info).replace("%", "%%"),
            **(alone if info.kind is bool else {}),
        )


def values_of(options: argparse.Namespace, table: str) -> dict[str, str]:
    """Return the options that were set for a table, as text by the field's name."""
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
        If ``--dps.psf`` asks for something else.

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


_WITHOUT_TABLE = ("input", "output", "optics", "pipeline", "simulation")
"""Tables whose options are named without them."""


def option_of(field: str) -> str:
    """Return the option that sets a parameter; empty if there is none.

    Parameters
    ----------
    field : str
        Its path, as in a file of settings.

    Examples
    --------
    >>> option_of("optics.emission_nm"), option_of("dps.strength"), option_of("device")
    ('--emission-nm', '--dps.strength', '--device')
    >>> option_of("recipe.steps")
    ''
    """
    from napari_dps.stages import STAGES

    table, _, name = field.rpartition(".")
    if not table or table in _WITHOUT_TABLE:
        return _option("", name)
    return _option(table, name) if table in {s.id for s in STAGES} else ""


def in_options(failure: Failure) -> str:
    """Say what went wrong, with the options that mend it.

    Examples
    --------
    >>> from napari_dps.core.errors import explain
    >>> in_options(explain(InputError("no order", field="input.order")))
    'no order (--order)'
    >>> in_options(explain(InputError("no NA", field="optics.na")))
    'no NA (for example --na 1.4)'
    >>> in_options(explain(InputError(field="optics.na", got=-1)))
    'optics.na (--na): got -1'
    >>> in_options(explain(InputError(field="device", got="tpu")))
    '--device: got tpu'
    >>> in_options(explain(InputError("raw SIM? Then add input.angles 3")))
    'raw SIM? Then add --angles 3'
    """
    options = [option for field in failure.fields if (option := option_of(field))]
    if not options:
        return in_words_of_options(failure.text)
    what, names = failure.what, ", ".join(options)
    if options and what in failure.fields and "." not in what:
        return names + failure.detail
    if not failure.detail.startswith(": got"):
        names = _example(failure.fields) or names
    return f"{what} ({names}){failure.detail}"


def in_words_of_options(text: str) -> str:
    """Return a warning with options for the paths of parameters that it names.

    Examples
    --------
    >>> in_words_of_options("dps.psf measured takes the image's; cell.tif")
    "--dps.psf measured takes the image's; cell.tif"
    >>> in_words_of_options("add input.angles 3 input.phases 3; input.tif")
    'add --angles 3 --phases 3; input.tif'
    """
    from napari_dps.pipeline import InputSettings
    from napari_dps.stages import STAGES

    names = {stage.id: stage.parameters.model_fields for stage in STAGES}
    names["input"] = InputSettings.model_fields
    return re.sub(
        r"(?<![\w./-])(\w+)\.(\w+)(?![\w./-])",
        lambda m: option_of(m[0]) if m[2] in names.get(m[1], ()) else m[0],
        text,
    )


def _example(fields: Sequence[str]) -> str:
    """Return the options that set parameters, with usual values where there are."""
    from napari_dps.core import Optics

    usual = {f"optics.{info.name}": info.example for info in describe(Optics)}
    set_so = [f"{option_of(f)} {usual[f]}" for f in fields if usual.get(f) is not None]
    return f"for example {' '.join(set_so)}" if set_so else ""


def _option(table: str, name: str) -> str:
    name = name.replace("_", "-")
    return f"--{table}.{name}" if table else f"--{name}"


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

"""The options that are settings of a run: stages, input, output, optics, parameters."""

from __future__ import annotations

import argparse
from typing import Any

from napari_dps.cli import arguments
from napari_dps.core import Optics
from napari_dps.core.networks import NetworkSettings
from napari_dps.pipeline import (
    InputSettings,
    OutputSettings,
    Settings,
    merge_tables,
    read_tables,
)
from napari_dps.stages import STAGES

_IDS = ", ".join(stage.id for stage in STAGES)


def add(
    parser: argparse.ArgumentParser, default: str = f"all that fit of {_IDS}"
) -> None:
    """Add the options; ``default`` says which stages run if none is named."""
    parser.add_argument(
        "--config", metavar="TOML", help="file of settings; options override it"
    )
    parser.add_argument(
        "--stages", metavar="A,B", help=f"in order (default: {default})"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:N, mps (default: auto)"
    )
    arguments.add_model(parser, InputSettings, "input")
    arguments.add_model(parser, OutputSettings, "output")
    arguments.add_model(parser, Optics, "optics")
    arguments.add_model(parser, NetworkSettings, "networks", dotted=True)
    for stage in STAGES:
        arguments.add_model(
            parser, stage.parameters, stage.id, title=f"stage {stage.id}", dotted=True
        )


def read(options: argparse.Namespace) -> tuple[Settings, frozenset[str]]:
    """Return the settings, and the ids of the stages that options name.

    Raises
    ------
    InputError
        If a value is wrong, or the file of settings cannot be read.
    """
    flags = _tables(options)
    config = read_tables(options.config) if options.config else {}
    settings = Settings.from_tables(merge_tables(config, flags))
    return settings, frozenset(flags) & {stage.id for stage in STAGES}


def _tables(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the options in the shape of a file of settings."""
    tables: dict[str, dict[str, Any]] = {
        name: dict(arguments.values_of(options, name))
        for name in ("input", "output", "networks", *(stage.id for stage in STAGES))
    }
    tables = merge_tables(arguments.optics_tables(options), tables)
    if options.stages is not None:
        names = [name.strip() for name in options.stages.split(",")]
        tables["pipeline"] = {"stages": names}
    return {name: table for name, table in tables.items() if table}

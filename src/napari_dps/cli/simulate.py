"""``napari-dps simulate``: a raw SIM stack with its exact truth and patterns."""

from __future__ import annotations

import argparse

from napari_dps import io
from napari_dps.cli import arguments, console, outputs
from napari_dps.core.params import parse
from napari_dps.io import patterns_json, stem, write_json
from napari_dps.physics.simulate import SimulationSettings, simulate


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE.ome.tif",
        help="the raw stack; the truth and the patterns are written beside it",
    )
    arguments.add_model(parser, SimulationSettings, "simulation")


def execute(options: argparse.Namespace) -> int:
    """Simulate and write the stack, the truth and the patterns."""
    values = arguments.values_of(options, "simulation")
    settings = parse(SimulationSettings, values, "simulation")
    target = outputs.tiff_name(options.out)
    name = stem(target)
    truth = target.with_name(f"{name}.truth.ome.tif")
    patterns = target.with_name(f"{name}.patterns.json")
    with outputs.output_files(target, truth, patterns) as files:
        simulation = simulate(settings)
        io.save(simulation.raw, files[0])
        io.save(simulation.truth, files[1])
        write_json(
            {
                "patterns": patterns_json(simulation.patterns),
                "simulation": settings.model_dump(mode="json"),
            },
            files[2],
        )
    for file in (target, truth, patterns):
        console.say(str(file))
    return 0

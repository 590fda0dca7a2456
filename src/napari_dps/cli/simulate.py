"""``napari-dps simulate``: a raw SIM stack with its exact truth and patterns."""

from __future__ import annotations

import argparse

from napari_dps import io
from napari_dps.cli import arguments, console, outputs
from napari_dps.core.params import parse
from napari_dps.io import patterns_json, stem, write_json
from napari_dps.physics.simulate import SimulationSettings, simulate

_THREE_BEAM = {
    "structure": "filaments",
    "planes": "24",
    "beams": "three",
    "phases": "5",
    "modulation": "1.3",
    "second_modulation": "0.65",
    "height_px": "128",
    "width_px": "128",
    "pixel_size_nm": "80",
}
"""What ``--three-beam`` stands for; any other option goes before it."""

EXAMPLES = """
  napari-dps simulate --structure er --photons 100 --out simulated.ome.tif
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE.ome.tif",
        help="the raw stack; the truth and the patterns are written beside it",
    )
    words = (f"--{name.replace('_', '-')} {x}" for name, x in _THREE_BEAM.items())
    parser.add_argument(
        "--three-beam",
        action="store_true",
        help=f"a z-stack of three-beam SIM: {' '.join(words)}",
    )
    arguments.add_model(parser, SimulationSettings, "simulation")


def execute(options: argparse.Namespace) -> int:
    """Simulate and write the stack, the truth and the patterns."""
    values = arguments.values_of(options, "simulation")
    if options.three_beam:
        values = {**_THREE_BEAM, **values}
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

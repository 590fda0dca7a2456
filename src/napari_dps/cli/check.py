"""``napari-dps check``: the separation that the stage ``dps`` resolves in an image."""

from __future__ import annotations

import argparse
from typing import cast

from napari_dps.cli import arguments, console
from napari_dps.core import Optics
from napari_dps.core.context import Context
from napari_dps.core.device import DEVICES, resolve_device
from napari_dps.methods.dps.parameters import DpsParameters
from napari_dps.methods.dps.self_check import DIP, Resolved, resolved_json
from napari_dps.pipeline import Settings, first_plane, open_input
from napari_dps.stages.dps import STAGE, self_check

EXAMPLES = r"""
  napari-dps check image.tif --na 1.4 --emission-nm 525 --pixel-size-nm 65 \
      --camera-offset 100
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "image", metavar="IMAGE", help="a plain image, as it is given to the stage dps"
    )
    parser.add_argument(
        "--camera-offset",
        type=float,
        default=0.0,
        metavar="COUNTS",
        help="subtracted first (default: 0)",
    )
    parser.add_argument(
        "--brightness",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="of the planted pairs, over the brightest structure (default: 1)",
    )
    parser.add_argument("--device", default="auto", help=", ".join(DEVICES))
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments.add_model(parser, Optics, "optics")
    arguments.add_model(parser, DpsParameters, "dps", title="stage dps", dotted=True)


def execute(options: argparse.Namespace) -> int:
    """Plant pairs, sharpen, and print what is resolved."""
    tables = arguments.optics_tables(options)
    settings = Settings.from_tables(
        {
            "pipeline": {"stages": [STAGE.id]},
            "input": {"camera_offset": options.camera_offset},
            "optics": tables["optics"],
            STAGE.id: {**tables["dps"], **arguments.values_of(options, "dps")},
        }
    )
    if options.device != "auto":
        resolve_device(options.device)
    plan = open_input(options.image, settings)
    context = Context(device=options.device, warnings=[*plan.warnings])
    parameters = cast(DpsParameters, plan.steps[0].parameters)
    plane = first_plane(plan.first)
    steps = self_check(plane, parameters, context, brightness=options.brightness)
    answers = console.track(steps, "self-check")
    for warning in context.warnings:
        console.warning(warning)
    if options.json:
        console.show_json(resolved_json(answers))
        return 0
    rows = [["pairs", "input", "result"], *map(_row, answers)]
    console.show(console.table(rows))
    console.say(
        f"Least separation with a dip of {DIP:.0%}, of pairs planted into the image "
        "through the PSF that is assumed."
    )
    return 0


def _row(answer: Resolved) -> list[str]:
    return [
        f"{answer.pairs} of {answer.kind}",
        _in_words(answer.input_nm),
        _in_words(answer.result_nm),
    ]


def _in_words(separation_nm: float | None) -> str:
    return "not resolved" if separation_nm is None else f"{separation_nm:.0f} nm"

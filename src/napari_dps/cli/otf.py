"""``napari-dps otf``: the OTF of a microscope, measured on a stack of beads."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps import io
from napari_dps.cli import arguments, console, outputs
from napari_dps.core import InputError, Optics
from napari_dps.figures import otf_figure, save_figure
from napari_dps.io import stem
from napari_dps.physics.beads import BeadSettings, measure_otf
from napari_dps.physics.measured_otf import ideal_like, likeness
from napari_dps.pipeline import InputSettings, Settings, open_input
from napari_dps.pipeline.plan import Plan

DOUBTED = 0.9
"""Likeness with an ideal objective below which a measurement is doubted."""

EXAMPLES = r"""
  napari-dps otf beads.tif --angles 3 --phases 5 --na 1.4 --emission-nm 525 \
      --pixel-size-nm 80 --z-step-nm 125 --camera-offset 100 --out otf.ome.tif
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "beads",
        metavar="BEADS",
        help="z-stack of small beads that lie apart: raw SIM frames or plain images",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE.tif",
        help="the OTF; the plot is beside it",
    )
    parser.add_argument(
        "--bead-nm",
        type=float,
        default=100.0,
        metavar="NM",
        help="diameter of the beads (0 to 500; default: 100)",
    )
    parser.add_argument(
        "--period-nm",
        type=float,
        default=0.0,
        metavar="NM",
        help="of the first order of the stripes (default: the finest order lies at 0.9 "
        "of the cut-off)",
    )
    parser.add_argument(
        "--beams",
        choices=["two", "three"],
        default="three",
        help="of stripes of two orders (default: three)",
    )
    arguments.add_model(parser, InputSettings, "input")
    arguments.add_model(parser, Optics, "optics")


def execute(options: argparse.Namespace) -> int:
    """Measure, write and draw the OTF, and print how like the ideal one it is."""
    target = outputs.tiff_name(options.out)
    picture = target.with_name(stem(target) + ".png")
    beads = _settings(options)
    plan = open_input(
        options.beads,
        Settings.from_tables(
            {
                "input": arguments.values_of(options, "input"),
                "optics": arguments.values_of(options, "optics"),
            }
        ),
    )
    optics = plan.stack.require_optics("measuring an OTF")
    otf, found = measure_otf(
        _frames(plan), optics, _z_step_nm(plan), beads, target.name
    )
    ideal = ideal_like(otf, optics, beads.axial_per_nm(optics, otf.orders))
    like = likeness(otf, ideal)
    with outputs.output_files(target, picture) as files:
        io.save_otf(otf, files[0], beads=len(found), optics=optics)
        save_figure(otf_figure(otf, ideal, like), files[1])
    if min(like) < DOUBTED:
        console.warning(
            f"likeness with an ideal objective is {min(like):.2f}: are NA, wavelength "
            "and z step right, and do the beads lie apart, not saturated?"
        )
    rows = [["beads averaged", str(len(found))]]
    rows += [[f"order {n}: r with the ideal", f"{r:.3f}"] for n, r in enumerate(like)]
    console.show(console.table(rows))
    for file in (target, picture):
        console.say(str(file))
    return 0


def _settings(options: argparse.Namespace) -> BeadSettings:
    if not 0 <= options.bead_nm <= 500:
        raise InputError("--bead-nm", got=options.bead_nm, allowed="0 to 500")
    if not 0 <= options.period_nm <= 1e5:
        raise InputError("--period-nm", got=options.period_nm, allowed="0 to 100000")
    return BeadSettings(options.bead_nm, options.period_nm, options.beams == "three")


def _frames(plan: Plan) -> NDArray[Any]:
    """Return the frames (Z, A, P, Y, X) of a plan's stack."""
    stack = plan.stack
    for axis, word in (("T", "time points"), ("C", "channels")):
        if stack.size(axis) > 1:
            raise InputError(
                f"{word} of a stack of beads", got=stack.size(axis), allowed="1"
            )
    data = plan.camera.correct(np.array(io.fetch(stack.data), dtype=np.float32))
    return data.reshape(*(stack.size(axis) for axis in "ZAP"), *stack.shape[-2:])


def _z_step_nm(plan: Plan) -> float:
    if plan.stack.z_step_nm is None:
        raise InputError(
            "measuring an OTF needs the z step, and the file does not tell it",
            field="input.z_step_nm",
        )
    return plan.stack.z_step_nm

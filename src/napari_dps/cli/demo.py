"""``napari-dps demo``: a simulated stack with known truth through every stage."""

from __future__ import annotations

import argparse
from typing import Any

from napari_dps import io
from napari_dps.cli import console, outputs
from napari_dps.core.context import Context
from napari_dps.core.device import resolve_device
from napari_dps.io import ResultFiles
from napari_dps.metrics.catalogue import metrics_of
from napari_dps.physics.simulate import SimulationSettings, blur_truth, simulate
from napari_dps.pipeline import choose_steps, run
from napari_dps.results import Json, write_images, write_report

NAME = "demo"

SETTINGS: dict[str, Any] = {"photons": 120, "haze_fraction": 0.5, "seed": 7}
"""Microtubules at moderate light: half of it is haze, the noise can be seen."""

IDEAL_SIM = 1.9
"""Resolution gain of the truth that is compared with: stripes at 0.9 of the cut-off."""
IDEAL_DPS = 2 * IDEAL_SIM
"""The same for the stage dps, which halves the PSF."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--out",
        default="napari-dps-demo",
        metavar="DIR",
        help="folder of the results (default: napari-dps-demo)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:N, mps (default: auto)"
    )


def execute(options: argparse.Namespace) -> int:
    """Simulate, run all stages, score each against the truth."""
    device = str(resolve_device(options.device))
    with outputs.output_folder(options.out) as folder:
        files = ResultFiles(folder, NAME)
        settings = SimulationSettings(**SETTINGS)
        simulation = simulate(settings)
        truth = blur_truth(simulation.truth, modulation_factor=IDEAL_SIM)
        raw_file, truth_file = (
            folder / f"{NAME}.ome.tif",
            folder / f"{NAME}.truth.ome.tif",
        )
        io.save(simulation.raw, raw_file)
        io.save(truth, truth_file)
        context = Context(device=device)
        steps = choose_steps(simulation.raw)
        result = console.track(
            run(simulation.raw, steps, context, camera_offset=settings.offset_counts),
            NAME,
        )
        report = write_report(
            result,
            files,
            write_images(result, files),
            source=raw_file,
            sha256=io.content_hash(raw_file),
            device=device,
            truth=truth,
            finer_truth=blur_truth(simulation.truth, modulation_factor=IDEAL_DPS),
        )
    for warning in result.warnings:
        console.warning(warning)
    console.show(console.table(_rows(report)))
    maps = {step.stage.id: step.stage.maps for step in steps}
    for file in (raw_file, truth_file, *files.all(maps)):
        if file.exists():
            console.say(str(file))
    return 0


def _rows(report: Json) -> list[list[str]]:
    """Return the table: one row an image, one column a measure."""
    titles = {"input": "widefield"} | {s["id"]: s["id"] for s in report["stages"]}
    shown = metrics_of("demo")
    rows = [["", *(metric.heading for metric in shown), "Time (s)"]]
    seconds = {s["id"]: f"{s['seconds']:.2f}" for s in report["stages"]}
    for key, title in titles.items():
        metrics = report["metrics"][key]
        values = [
            console.number(metrics.get(metric.key), f".{metric.digits}f")
            for metric in shown
        ]
        rows.append([title, *values, seconds.get(key, "")])
    return rows

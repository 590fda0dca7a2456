"""``napari-dps demo``: a simulated stack with known truth through every stage."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from napari_dps import io
from napari_dps.cli import console, outputs
from napari_dps.core import ImageStack
from napari_dps.core.context import Context
from napari_dps.core.device import resolve_device
from napari_dps.io import ResultFiles
from napari_dps.metrics.catalogue import metrics_of
from napari_dps.metrics.measure import measure
from napari_dps.physics.simulate import SimulationSettings, blur_truth, simulate
from napari_dps.pipeline import PipelineResult, choose_steps, first_plane, run
from napari_dps.results import Json, write_images, write_report

NAME = "demo"

SETTINGS: dict[str, Any] = {"photons": 120, "haze_fraction": 0.5, "seed": 7}
"""Microtubules at moderate light: half of it is haze, the noise can be seen."""

IDEAL_SIM = 1.9
"""Resolution gain of the truth that is compared with: stripes at 0.9 of the cut-off."""
IDEAL_DPS = 2 * IDEAL_SIM
"""The same for the stage dps, which halves the PSF."""

EXAMPLES = """
  napari-dps demo
  napari-dps demo --out demo --device cpu
"""


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
        finer = blur_truth(simulation.truth, modulation_factor=IDEAL_DPS)
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
            finer_truth=finer,
        )
    for warning in result.warnings:
        console.warning(warning)
    _show_scores(report, _before_finer(result, finer))
    maps = {step.stage.id: step.stage.maps for step in steps}
    for file in (raw_file, truth_file, *files.all(maps)):
        if file.exists():
            console.say(str(file))
    return 0


def _before_finer(result: PipelineResult, finer: ImageStack) -> dict[str, Json]:
    """Score what each finer stage was given against the finer truth too.

    Returns
    -------
    dict
        Metrics of the stage's input, by the stage's id.
    """
    outputs = result.outputs
    return {
        after.step.stage.id: measure(first_plane(before.first), finer)
        for before, after in pairwise(outputs)
        if after.step.stage.resolves_more
    }


def _show_scores(report: Json, before_finer: Mapping[str, Json]) -> None:
    """Show a table, one row an image, and say what is compared with what."""
    titles = {"input": "widefield"} | {s["id"]: s["id"] for s in report["stages"]}
    seconds = {s["id"]: f"{s['seconds']:.2f}" for s in report["stages"]}
    rows = [["", *(metric.heading for metric in metrics_of("demo")), "Time (s)"]]
    for key, title in titles.items():
        rows.append([title, *_scores(report["metrics"][key]), seconds.get(key, "")])
    order = list(titles.values())
    for key, scores in before_finer.items():
        before = order[order.index(key) - 1]
        rows.append([f"{before}, truth of {key}", *_scores(scores), ""])
    console.show(console.table(rows))
    for key in before_finer:
        console.show(
            f"{key} halves the PSF and is scored against a truth as fine, as is "
            "its input in the last row: compare these two"
        )


def _scores(metrics: Json) -> list[str]:
    """Return the cells of an image."""
    return [
        console.number(metrics.get(metric.key), f".{metric.digits}f")
        for metric in metrics_of("demo")
    ]

"""``napari-dps run``: the stages on files, one file after the other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from napari_dps import io
from napari_dps.cli import arguments, console, outputs
from napari_dps.cli.check import values_of
from napari_dps.cli.results import ResultFiles, write_results
from napari_dps.core import ImageStack, InputError, Optics, Pattern, PatternOrder
from napari_dps.core.device import resolve_device
from napari_dps.pipeline import (
    InputSettings,
    PipelineResult,
    Settings,
    Step,
    choose_steps,
    first_plane,
    give_patterns,
    left_out,
    merge_tables,
    read_tables,
    run,
)
from napari_dps.pipeline.self_check import self_check
from napari_dps.report import Json
from napari_dps.stages import STAGES, dps
from napari_dps.stages.base import Context

_PATTERN_HEADINGS = [
    "angle",
    "direction (°)",
    "period (nm)",
    "modulation",
    "confidence",
    "status",
]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    ids = ", ".join(stage.id for stage in STAGES)
    add = parser.add_argument
    add("raw", nargs="+", metavar="RAW", help="raw SIM stack, or a plain image")
    add("--out", required=True, metavar="DIR", help="folder of the results")
    add("--config", metavar="TOML", help="file of settings; options override it")
    add("--stages", metavar="A,B", help=f"in order (default: all that fit of {ids})")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N, mps (default: auto)")
    add(
        "--patterns",
        metavar="FILE",
        help="known patterns (TOML or JSON), or the report of another run",
    )
    add(
        "--self-check",
        action="store_true",
        help="report which planted pairs dps tells apart (30 times its time)",
    )
    arguments.add_model(parser, InputSettings, "input")
    arguments.add_model(parser, Optics, "optics")
    for stage in STAGES:
        arguments.add_model(
            parser, stage.parameters, stage.id, title=f"stage {stage.id}", dotted=True
        )


@dataclass(frozen=True)
class _Job:
    """What is the same for every input of a call."""

    settings: Settings
    patterns: tuple[Pattern, ...]
    device: str
    folder: Path
    named_stages: frozenset[str]
    self_check: bool


def execute(options: argparse.Namespace) -> int:
    """Run the command; an input that fails does not stop the others.

    Returns
    -------
    int
        0 if every input was computed; 1 if napari-dps itself failed on one, else 2.
    """
    inputs = [Path(name) for name in options.raw]
    flags = _tables(options)
    config = read_tables(options.config) if options.config else {}
    settings = Settings.from_tables(merge_tables(config, flags))
    _check_collisions(inputs, Path(options.out), settings)
    patterns = io.load_patterns(options.patterns) if options.patterns else ()
    if options.device != "auto":  # which never fails, and torch loads slowly
        resolve_device(options.device)
    codes = set()
    with outputs.output_folder(options.out) as folder:
        named = frozenset(flags) & {stage.id for stage in STAGES}
        job = _Job(
            settings,
            tuple(patterns),
            options.device,
            folder,
            named,
            options.self_check,
        )
        for path in inputs:
            try:
                _process(path, job)
            except Exception as problem:  # noqa: BLE001 - told; the others go on
                about = str(path) if len(inputs) > 1 else ""
                codes.add(console.tell(problem, debug=options.debug, about=about))
    return min(codes, default=0)


def _tables(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the options in the shape of a file of settings."""
    tables: dict[str, dict[str, Any]] = {
        name: dict(arguments.values_of(options, name))
        for name in ("input", *(stage.id for stage in STAGES))
    }
    tables = merge_tables(arguments.optics_tables(options), tables)
    if options.stages is not None:
        names = [name.strip() for name in options.stages.split(",")]
        tables["pipeline"] = {"stages": names}
    return {name: table for name, table in tables.items() if table}


def _check_collisions(inputs: Sequence[Path], folder: Path, settings: Settings) -> None:
    """Refuse results that would overwrite one another or an input."""
    ids = settings.stages or [stage.id for stage in STAGES]
    files = [ResultFiles(folder, outputs.stem(path)).all(ids) for path in inputs]
    outputs.check_collisions(inputs, chain.from_iterable(files))


def _process(path: Path, job: _Job) -> None:
    """Compute one input and write its files."""
    files = ResultFiles(job.folder, outputs.stem(path))
    context = Context(device=job.device)
    stack = _load(path, job, context)
    settings = job.settings
    steps = choose_steps(stack, settings.stages, settings.parameters)
    _check_named(steps, job.named_stages)
    for stage in left_out(stack) if settings.stages is None else ():
        context.warn(
            f"'{stage.id}' is left out: it needs NA, emission wavelength and pixel "
            "size (--na, --emission-nm, --pixel-size-nm)"
        )
    if job.self_check and dps.STAGE not in [step.stage for step in steps]:
        raise InputError("--self-check is for the stage dps, which does not run")
    offset = settings.input.camera_offset
    result = console.track(run(stack, steps, context, camera_offset=offset), files.name)
    checked = _self_check(result, context) if job.self_check else None
    for warning in context.warnings:
        console.warning(f"{files.name}: {warning}")
    device = str(resolve_device(job.device))
    write_results(result, files, source=path, device=device, self_check=checked)
    for line in _summary(result, files):
        console.say(line)


def _self_check(result: PipelineResult, context: Context) -> Json:
    """Plant pairs into what dps was given, and see which it tells apart."""
    images = [result.input, *(output.image for output in result.outputs)]
    steps = [output.step for output in result.outputs]
    at = [step.stage for step in steps].index(dps.STAGE)
    parameters = cast(dps.DpsParameters, steps[at].parameters)
    checking = self_check(first_plane(images[at]), parameters, context)
    answers = console.track(checking, "self-check")
    return values_of(answers)


def _load(path: Path, job: _Job, context: Context) -> ImageStack:
    """Read an input and attach what the options say of it."""
    given = job.settings.input
    stack = io.load(
        path,
        angles=given.angles,
        phases=given.phases,
        order=given.order,
        pixel_size_nm=job.settings.optics.get("pixel_size_nm"),
        warn=context.warn,
    )
    stack = job.settings.with_optics(stack)
    if job.patterns:
        stack = give_patterns(stack, job.patterns)
    return stack


def _check_named(steps: Sequence[Step], named: frozenset[str]) -> None:
    """Refuse options of a stage that does not run: they would change nothing."""
    idle = named - {step.stage.id for step in steps}
    if idle:
        raise InputError(
            f"options of '{min(idle)}' are given, but it is not among the stages",
            allowed=", ".join(step.stage.id for step in steps),
        )


def _summary(result: PipelineResult, files: ResultFiles) -> list[str]:
    """Say what was made and which patterns were used."""
    lines = [
        f"{files.stage(output.step.stage.id)}  ({output.seconds:.2f} s)"
        for output in result.outputs
    ]
    rows = [_PATTERN_HEADINGS]
    rows += [_pattern_row(p, o) for p in result.patterns for o in p.orders]
    table = [console.table(rows)] if len(rows) > 1 else []
    return [*table, *lines, str(files.report), str(files.picture)]


def _pattern_row(pattern: Pattern, order: PatternOrder) -> list[str]:
    return [
        f"{pattern.angle_index + 1}, order {order.order}",
        console.number(order.angle_deg, ".1f"),
        console.number(order.period_nm, ".1f"),
        console.number(order.modulation, ".2f"),
        console.number(order.confidence, ".0f"),
        order.status,
    ]

"""``napari-dps run``: the stages on one file or on thousands."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from napari_dps import batch
from napari_dps.batch import Job, Source
from napari_dps.cli import arguments, console, outputs, settings_options
from napari_dps.core import InputError, Pattern, PatternOrder
from napari_dps.core.device import resolve_device
from napari_dps.core.tiling import LEAST_TILE_PX
from napari_dps.io import ResultFiles
from napari_dps.methods.dps.maps import INVENTED, unsupported_in_words
from napari_dps.results import Json, Row

_PATTERN_HEADINGS = [
    "angle",
    "direction (°)",
    "period (nm)",
    "modulation",
    "confidence",
    "status",
]

EXAMPLES = r"""
  napari-dps run cell.tif --out results --na 1.3 --emission-nm 660 \
      --pixel-size-nm 65 --angles 3 --phases 3 --camera-offset 100
  napari-dps run 'data/**/*.tif' --out results --config pipeline.toml --resume
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add(
        "raw",
        nargs="+",
        metavar="RAW",
        help="raw SIM stacks or plain images: files, folders, or patterns in quotes "
        "such as 'data/**/*.tif'",
    )
    add("--out", required=True, metavar="DIR", help="folder of the results")
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="tasks at once in threads, which share the cores (default: 1)",
    )
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="of dask, tcp://HOST:PORT: its workers do it, and see the same files",
    )
    add(
        "--resume",
        action="store_true",
        help="skip what an earlier run with the same settings has done of these files",
    )
    add(
        "--tile-px",
        type=int,
        metavar="PX",
        help="edge of the tiles of large images (default: as the memory allows)",
    )
    add(
        "--self-check",
        action="store_true",
        help="report which planted pairs dps tells apart (30 times its time)",
    )
    settings_options.add(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the command; an input that fails does not stop the others.

    Returns
    -------
    int
        As `console.exit_code`.
    """
    job = _job(options)
    folder = Path(options.out)
    sources = batch.find_sources(options.raw, folder, job.settings)
    if options.device != "auto":  # which never fails, and torch loads slowly
        resolve_device(options.device)
    with outputs.output_folder(folder), console.tracebacks(wanted=options.debug):
        is_batch = len(sources) > 1
        rows = _run(options, job, sources, is_batch=is_batch)
        if is_batch:
            console.say(str(batch.write_table(rows, folder)))
    failures = [row["failure"] for row in rows if "failure" in row]
    if failures and is_batch:
        console.error(f"{len(failures)} of {len(rows)} inputs failed: see above")
    return console.exit_code(failures, len(rows))


def _job(options: argparse.Namespace) -> Job:
    """Return what the options ask for."""
    if options.jobs < 1:
        raise InputError("--jobs", got=options.jobs, allowed="1 or more")
    if options.tile_px is not None and options.tile_px < LEAST_TILE_PX:
        raise InputError(
            "--tile-px", got=options.tile_px, allowed=f"{LEAST_TILE_PX} or more"
        )
    if options.scheduler and options.jobs > 1:
        raise InputError("--jobs is for this machine alone: leave it out, or")
    settings, named = settings_options.read(options)
    # On a cluster the workers themselves say how many threads they have.
    threads = max(1, (os.cpu_count() or 1) // options.jobs) if options.jobs > 1 else 0
    return Job(
        settings=settings,
        device=options.device,
        threads=threads,
        tile_px=options.tile_px,
        self_check=options.self_check,
        resume=options.resume,
        must_run=named,
    )


def _run(
    options: argparse.Namespace, job: Job, sources: Sequence[Source], *, is_batch: bool
) -> list[Row]:
    """Run the batch; when interrupted, say what is done and how to go on."""
    files = {str(source.path): source.files for source in sources}
    rows: list[Row] = []
    noted: set[str] = set()

    def tell(row: Row) -> None:
        rows.append(row)
        _tell(row, files[row["file"]], noted, is_batch=is_batch)

    running = batch.run_batch(
        replace(job, refuse_wrong_order=is_batch),
        sources,
        jobs=options.jobs,
        scheduler=options.scheduler,
        tell=tell,
    )
    try:
        with closing(running):
            return console.track(running, "")
    except KeyboardInterrupt as stop:
        if is_batch:
            finished = {row["file"] for row in rows}
            left = [
                batch.left_row(source.path)
                for source in sources
                if str(source.path) not in finished
            ]
            batch.write_table([*rows, *left], Path(options.out))
        done = sum(row["status"] in (batch.DONE, batch.WAS_DONE) for row in rows)
        raise type(stop)(
            f"{stop or 'interrupted'}: {done} of {len(sources)} inputs are done, no "
            "half-written file is left; the same command with --resume goes on"
        ) from None


def _tell(row: Row, files: ResultFiles, noted: set[str], *, is_batch: bool) -> None:
    """Say what became of an input; notes of stages that were not said before."""
    name = row["file"]
    if "failure" in row:
        about = f"{name}: " if is_batch else ""
        console.error(about + arguments.in_options(row["failure"]))
        return
    report = json.loads(files.report.read_text(encoding="utf-8"))
    for warning in report["warnings"]:
        console.warning(f"{Path(name).name}: {warning}")
    if is_batch:
        console.say(f"{name}: {row['status']} ({row['seconds']:.2f} s)")
    else:
        _tell_patterns(report)
        for line in _written(report, files):
            console.say(line)
    _tell_notes(report, noted)
    for stage in report["stages"]:
        if INVENTED in stage:
            console.say(f"{stage['id']}: {unsupported_in_words(stage[INVENTED])}")
    if report["self_check"] is not None:
        console.say(_resolved(report["self_check"]))


def _tell_notes(report: Json, noted: set[str]) -> None:
    """Say what stages did that nobody may have asked for, once in a batch."""
    for stage in report["stages"]:
        line = f"{stage['id']}: {stage['note']}" if "note" in stage else ""
        if line and line not in noted:
            noted.add(line)
            console.say(arguments.in_words_of_options(line))


def _resolved(checked: Json) -> str:
    """Return what a self-check has found, in a line."""
    found = [
        f"{kind} {_nm(pairs['result_nm'])} (before: {_nm(pairs['input_nm'])})"
        for kind, pairs in checked.items()
    ]
    return f"self-check, least separation told apart: {', '.join(found)}"


def _nm(separation_nm: float | None) -> str:
    return "none" if separation_nm is None else f"{separation_nm:.0f} nm"


def _tell_patterns(report: Json) -> None:
    """Say which patterns were used."""
    rows = [_PATTERN_HEADINGS]
    patterns = [Pattern.model_validate(values) for values in report["patterns"]]
    rows += [_pattern_row(p, o) for p in patterns for o in p.orders]
    if len(rows) > 1:
        console.show(console.table(rows))


def _written(report: Json, files: ResultFiles) -> list[str]:
    """Return what was made, a line a file."""
    lines = [
        f"{files.folder / stage['output']}  ({stage['seconds']:.2f} s)"
        for stage in report["stages"]
        if stage["output"]
    ]
    return [*lines, str(files.report), str(files.picture)]


def _pattern_row(pattern: Pattern, order: PatternOrder) -> list[str]:
    return [
        f"{pattern.angle_index + 1}, order {order.order}",
        console.number(order.angle_deg, ".1f"),
        console.number(order.period_nm, ".1f"),
        console.number(order.modulation, ".2f"),
        console.number(order.confidence, ".0f"),
        order.status,
    ]

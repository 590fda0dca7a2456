"""``napari-dps watch``: files and growing stacks, reconstructed as they arrive."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from napari_dps import io
from napari_dps.cli import arguments, console, outputs, settings_options
from napari_dps.core import InputError
from napari_dps.core.context import Context
from napari_dps.core.device import resolve_device
from napari_dps.io import ResultFiles
from napari_dps.live import Arrived, Clock, LiveSession, watch
from napari_dps.pipeline import PipelineResult, Settings
from napari_dps.results import peak_memory_mb, write_images

NAME = "watch.csv"
_HEADINGS = [
    "sets", "skipped", "failed", "sets/s", "latency (s)", "95 %", "refreshes", "peak",
]  # fmt: skip
_SUFFIXES = {"tiff": ".ome.tif", "zarr": ".ome.zarr"}

EXAMPLES = r"""
  napari-dps watch recording --out live --angles 3 --phases 3 \
      --na 1.3 --emission-nm 660 --pixel-size-nm 65 --camera-offset 100
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add(
        "source",
        metavar="FOLDER|FILE",
        help="a folder into which files are written; a TIFF file or an OME-Zarr that "
        "grows",
    )
    add("--out", required=True, metavar="DIR", help="folder of the results")
    add("--count", type=int, metavar="N", help="end after so many results")
    add(
        "--until-idle",
        type=float,
        metavar="SECONDS",
        help="end when no set has come for so long (default: only when interrupted)",
    )
    add(
        "--refresh-every",
        type=int,
        default=100,
        metavar="SETS",
        help="look at the patterns anew after so many sets; 0: never (default: 100)",
    )
    add("--quiet", action="store_true", help="do not print a line a result")
    settings_options.add(
        parser, "reconstruct of raw SIM frames, background of plain images"
    )


def execute(options: argparse.Namespace) -> int:
    """Run the command until it is told to end.

    Returns
    -------
    int
        0; 1 if some of the sets failed.
    """
    settings, _ = settings_options.read(options)
    _check(options, settings)
    if options.device != "auto":
        resolve_device(options.device)
    folder = Path(options.out)
    source = io.open_growing(
        options.source, settings.input.frames_of_set, exclude=folder
    )
    with outputs.output_folder(folder), console.tracebacks(wanted=options.debug):
        clock = _watch(options, settings, source, folder)
    return console.SOME_FAILED if clock.failed else 0


def _check(options: argparse.Namespace, settings: Settings) -> None:
    """Refuse values that no watch can have."""
    for name in ("drift_correct", "bleach_correct"):
        if getattr(settings.output, name):
            raise InputError(
                field=f"output.{name}", got="true", allowed="false: sets stand alone"
            )
    for name, value, least in (
        ("--count", options.count, 1),
        ("--until-idle", options.until_idle, 0),
        ("--refresh-every", options.refresh_every, 0),
    ):
        if value is not None and not value >= least:
            raise InputError(name, got=value, allowed=f"{least} or more")


def _watch(
    options: argparse.Namespace, settings: Settings, source: io.Growing, folder: Path
) -> Clock:
    """Watch, and leave the table however it ends."""
    results = _Results(source, settings, folder, quiet=options.quiet)
    clock = Clock()
    context = Context(device=options.device, networks=settings.networks)
    try:
        with LiveSession(
            settings, context, refresh_every=options.refresh_every
        ) as session:
            watching = watch(
                source,
                session,
                results.put,
                tell=results.note,
                clock=clock,
                count=options.count,
                until_idle_s=options.until_idle,
            )
            with closing(watching):
                console.track(watching, "")
    except KeyboardInterrupt as stop:
        raise type(stop)(
            f"{stop or 'interrupted'}: {clock.done} sets are done, no half-written "
            "file is left"
        ) from None
    finally:
        results.tell(clock)
    if not results.rows:
        frames = settings.input.frames_of_set
        raise InputError(f"no whole set of {frames} frames came in {options.source}")
    return clock


class _Row(NamedTuple):
    """A row of the table: as little as can be, for a watch may last for days."""

    number: int
    name: str
    skipped: int
    latency_s: float
    stages_s: float
    failure: str


class _Results:
    """What is written of each set, and the table of all."""

    def __init__(
        self, source: io.Growing, settings: Settings, folder: Path, *, quiet: bool
    ) -> None:
        self._source, self._settings, self._folder = source, settings, folder
        self._quiet = quiet
        self.rows: list[_Row] = []

    def put(self, arrived: Arrived) -> None:
        """Write the images of a set, and say what there is to say of it."""
        name = self._source.name(arrived.number)
        if arrived.result is None:
            failure = arrived.failure and arguments.in_options(arrived.failure)
            console.error(f"{name}: {failure}")
            return
        for warning in arrived.result.warnings:
            console.warning(f"{name}: {warning}")
        output = self._settings.output
        files = ResultFiles(self._folder, name, _SUFFIXES[output.format])
        kept = arrived.result if output.keep == "all" else _last(arrived.result)
        write_images(kept, files)

    def note(self, arrived: Arrived, latency_s: float) -> None:
        """Add a row, and print it in a line where the set has a result."""
        outputs = () if arrived.result is None else arrived.result.outputs
        row = _Row(
            number=arrived.number,
            name=self._source.name(arrived.number),
            skipped=arrived.skipped,
            latency_s=round(latency_s, 4),
            stages_s=round(sum(output.seconds for output in outputs), 4),
            failure=arrived.failure.text if arrived.failure else "",
        )
        self.rows.append(row)
        if arrived.result is not None and not self._quiet:
            skipped = f"  {row.skipped} skipped" if row.skipped else ""
            console.say(f"{row.name}  {latency_s:.2f} s{skipped}")

    def tell(self, clock: Clock) -> None:
        """Print how fast it was, and write the table of all sets."""
        if not self.rows:
            return
        middle, most = (
            console.number(clock.latency_s(percent), ".3f") for percent in (50, 95)
        )
        peak = f"{console.number(peak_memory_mb(), '.0f')} MiB"
        counts = [str(n) for n in (clock.done, clock.skipped, clock.failed)]
        rate = console.number(clock.sets_per_s, ".2f")
        row = [*counts, rate, middle, most, str(clock.refreshes), peak]
        console.show(console.table([_HEADINGS, row]))
        io.write_csv([row._asdict() for row in self.rows], self._folder / NAME)
        console.say(str(self._folder / NAME))


def _last(result: PipelineResult) -> PipelineResult:
    """Return the result with the image of the last stage alone."""
    *others, last = result.outputs
    without = (replace(output, image=None) for output in others)
    return replace(result, outputs=(*without, last))

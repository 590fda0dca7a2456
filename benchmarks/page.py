"""What the scripts share: options, tables, the page that they write, clocks.

A script describes itself in its docstring, gets its options from `options`, its tables
from `table`, and ends in `publish`.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Clock = Callable[[], float]


def options(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every script takes: `--out`."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    return parser


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1
) -> str:
    """Return a Markdown table, numbers to the right of some columns of text."""
    rule = ["---"] * text_columns + ["---:"] * (len(header) - text_columns)
    lines = [list(header), rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def publish(text: str, out: Path | None) -> None:
    """Print a page, and write it, whole or not at all, if a file is named."""
    print(text)
    if out is not None:
        partial = out.with_suffix(".part")
        partial.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        os.replace(partial, out)


def machine(*packages: str) -> str:
    """Return what figures depend on: processor, Python, and packages if installed."""
    versions = []
    for name in packages:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join([_processor(), f"Python {platform.python_version()}", *versions])


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def seconds_of(
    function: Callable[[], object], clock: Clock = time.thread_time
) -> float:
    """Return the seconds of one call, by default those of this thread's CPU time."""
    started = clock()
    function()
    return clock() - started


def take_turns(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Clock = time.thread_time,
) -> dict[str, list[float]]:
    """Return the seconds of each call of each function, called in turns.

    In turns, because a machine that is busy for a while then slows all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            seconds[name].append(seconds_of(function, clock))
    return seconds

"""Many small files over the workers of a cluster, one of which is killed on the way.

Then the run itself is told to stop, and goes on with ``--resume``. Says what the table
holds, whether a file was lost or computed wrongly, and what a file cost.

    python benchmarks/many_files.py --scratch many --files 1000 --workers 4
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import tifffile
from robustness import lent_cluster, orphans, start

import napari_dps

SIDE = 32
KILLED, STOPPED = 0.25, 0.5
"""Parts of the files that are done when a worker is killed, and the run is stopped."""
TOLERANCE = 1e-4
"""Of the range: what threads may change."""


def main() -> int:
    """Run once; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    folder = options.scratch.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    names = [f"{number:04d}" for number in range(options.files)]
    for number, name in enumerate(names):
        _write(folder / "data" / f"{name}.tif", number)
    words = ["run", "data", "--out", "out", "--stages", "background"]
    before = os.times()
    with ExitStack() as stack:
        address, _, workers = lent_cluster(folder, stack, options.workers)
        words += ["--scheduler", address]
        process = start(folder, *words)
        _wait(folder, process, round(KILLED * options.files))
        workers[0].kill()
        _wait(folder, process, round(STOPPED * options.files))
        process.send_signal(signal.SIGTERM)
        process.communicate()
        _tell("stopped", process, folder)
        process = start(folder, *words, "--resume")
        process.communicate()
        _tell("resumed", process, folder)
    after = os.times()
    seconds = sum(after[2:4]) - sum(before[2:4])
    wrong = [name for name in names if not _is_right(folder, name)]
    print(f"lost or wrong: {len(wrong)} of {options.files} {wrong[:5]}")
    print(f"left behind: {orphans(folder / 'out')}")
    print(f"CPU time: {seconds:.0f} s, {seconds / options.files:.2f} s a file")
    return min(len(wrong), 1)


def _write(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.poisson(100 + 900 * rng.random((SIDE, 1)) ** 4, (SIDE, SIDE))
    tifffile.imwrite(path, pixels.astype(np.uint16), photometric="minisblack")


def _wait(folder: Path, process: subprocess.Popen[str], count: int) -> None:
    """Wait until so many files are done, or the run has ended."""
    while len(list((folder / "out").glob("*.report.json"))) < count:
        if process.poll() is not None:
            return
        time.sleep(0.2)


def _tell(what: str, process: subprocess.Popen[str], folder: Path) -> None:
    with (folder / "out" / "batch.csv").open(newline="", encoding="utf-8") as file:
        counts = Counter(row["status"] for row in csv.DictReader(file))
    print(f"{what}: exit {process.returncode}, table {dict(counts)}", flush=True)


def _is_right(folder: Path, name: str) -> bool:
    """Whether the pixels of a result are those that this process computes."""
    path = folder / "out" / f"{name}.background.ome.tif"
    if not path.is_file() or not (folder / "out" / f"{name}.report.json").is_file():
        return False
    expected = napari_dps.background(tifffile.imread(folder / "data" / f"{name}.tif"))
    return bool(
        np.abs(tifffile.imread(path) - expected).max() <= TOLERANCE * np.ptp(expected)
    )


if __name__ == "__main__":
    raise SystemExit(main())

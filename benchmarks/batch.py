"""Batches: memory, throughput, two workers, killed runs, bad files among good ones.

python benchmarks/batch.py --out docs/benchmarks/batch.md

Takes an hour at the sizes of the defaults; smaller ones for a look:

python benchmarks/batch.py --side 256 --frames 10,40 --lapse-frames 20 --singles 3
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import page
import tifffile
import torch
from distributed import LocalCluster

from napari_dps import batch
from napari_dps.core import finish
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import Settings

Rows = list[list[str]]

OPTICS = {"na": 1.4, "emission_nm": 525.0, "pixel_size_nm": 65.0}
INPUT = {"angles": 3, "phases": 3, "camera_offset": 100.0}
SETTINGS = Settings.from_tables({"optics": OPTICS, "input": INPUT})
OPTIONS = [
    word
    for name, value in {**OPTICS, **INPUT}.items()
    for word in (f"--{name.replace('_', '-')}", str(value))
]
WORKERS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def write_lapse(path: Path, side: int, frames: int, seed: int = 1) -> Path:
    """Write raw SIM frames of one field, each time with other noise."""
    made = simulate(SimulationSettings(height_px=side, width_px=side, photons=300))
    mean = np.maximum(made.raw.data.reshape(9, side, side).astype(float) - 100, 0)
    rng = np.random.default_rng(seed)
    tifffile.imwrite(
        path,
        ((100 + rng.poisson(m)).astype(np.uint16) for _ in range(frames) for m in mean),
        shape=(frames, 9, side, side) if frames > 1 else (9, side, side),
        dtype=np.uint16,
        photometric="minisblack",
    )
    return path


def command(*words: object) -> list[str]:
    """Return the words of a run of the program with all stages."""
    return [
        sys.executable,
        "-m",
        "napari_dps.cli",
        "run",
        *map(str, words),
        *OPTIONS,
    ]


def timed(*words: object) -> float:
    """Run the program; return its seconds, the start included."""
    started = time.perf_counter()
    subprocess.run(command(*words), check=True, capture_output=True)
    return time.perf_counter() - started


def pixels(folder: Path) -> dict[str, Any]:
    """Return the images of a folder, as they lie in the files."""
    return {p.name: tifffile.memmap(p, mode="r") for p in folder.glob("*.ome.tif")}


def differing(one: Path, other: Path) -> str:
    """Say how many images of two folders differ."""
    mine, theirs = pixels(one), pixels(other)
    assert mine.keys() == theirs.keys()
    assert mine
    wrong = sum(not np.array_equal(mine[n], theirs[n]) for n in mine)
    return f"{wrong} of {len(mine)} images differ"


def memory(folder: Path, options: argparse.Namespace) -> Rows:
    """Measure the peak memory of a short and of a long time-lapse."""
    rows, peaks = [], []
    for frames in options.frames:
        path = write_lapse(folder / f"{frames}.tif", options.side, frames)
        seconds = timed(path, "--out", folder / "out", "--keep", "last")
        report = json.loads((folder / "out" / f"{frames}.report.json").read_text())
        peaks.append(report["peak_memory_mb"])
        what = f"peak memory, {options.side}² × 9 × {frames} frames, all stages"
        cost = f"{peaks[-1]:.0f} MiB; {seconds / frames:.2f} s a frame"
        rows.append([what, "", cost])
        path.unlink()
    change = f"{100 * (peaks[-1] / peaks[0] - 1):+.1f} %"
    rows.append(["long against short time-lapse", "within 10 %", change])
    return rows


def throughput(folder: Path, options: argparse.Namespace) -> Rows:
    """Compare a time-lapse with single runs; some of these stand for all."""
    side, frames, singles = options.lapse_side, options.lapse_frames, options.singles
    lapse = write_lapse(folder / "lapse.tif", side, frames)
    alone = [write_lapse(folder / f"{n}.tif", side, 1, seed=n) for n in range(singles)]
    timed(alone[0], "--out", folder / "warm")  # what lies on the disk is then cached
    before = [timed(p, "--out", folder / "alone") for p in alone[::2]]
    together = timed(lapse, "--out", folder / "out")
    after = [timed(p, "--out", folder / "alone") for p in alone[1::2]]
    each = float(np.mean(before + after))
    return [
        [
            f"{frames}-frame time-lapse, {side}²",
            "",
            f"{together / frames:.2f} s a frame",
        ],
        [f"single runs, mean of {singles}, {side}²", "", f"{each:.2f} s a frame"],
        ["throughput a frame", "3 ×", f"{each * frames / together:.2f} ×"],
    ]


def overhead(folder: Path, options: argparse.Namespace) -> Rows:
    """Compare the whole command with the seconds that its stages report.

    On two threads; what is more than the stages is imports, opening, hashing, writing,
    measuring and the picture.
    """
    os.environ.update(dict.fromkeys(WORKERS, "2"))
    rows = []
    for frames in (1, 20):
        path = write_lapse(folder / f"{frames}.tif", 512, frames)
        timed(path, "--out", folder / "warm")  # what lies on the disk is then cached
        seconds = timed(path, "--out", folder / "out")
        report = json.loads((folder / "out" / f"{frames}.report.json").read_text())
        stages = sum(stage["seconds"] for stage in report["stages"])
        cost = f"{seconds / frames:.2f} s a frame, stages {stages / frames:.2f} s"
        asked = "3.5 s" if frames == 1 else "1.15 × the stages"
        what = f"512² × 9 × {frames} frames, all stages, whole command, two threads"
        rows.append([what, asked, f"{cost}: {seconds / stages:.2f} ×"])
    os.environ.update(WORKERS)
    return rows


def sources(names: list[Path], out: Path) -> list[batch.Source]:
    """Return the inputs of a batch."""
    return batch.find_sources(map(str, names), out, SETTINGS)


def cluster(workers: int) -> LocalCluster:
    """Start workers of one thread each."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )


def workers(folder: Path, options: argparse.Namespace) -> Rows:
    """Compare two workers with one on eight files, in turns."""
    names = [
        write_lapse(folder / f"{n}.tif", options.worker_side, 1, seed=n)
        for n in range(8)
    ]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(options.repeats):
        for count in (1, 2):
            out = folder / f"out {count}"
            with cluster(count) as started:
                address = started.scheduler_address
                # Imports and weights, which a day's work pays for once.
                warm = batch.run_batch(
                    batch.Job(SETTINGS),
                    sources(names[:count], folder / "warm"),
                    scheduler=address,
                )
                finish(warm)
                begun = time.perf_counter()
                running = batch.run_batch(
                    batch.Job(SETTINGS), sources(names, out), scheduler=address
                )
                rows = finish(running)
                seconds[count].append(time.perf_counter() - begun)
            failed = [row["reason"] for row in rows if row["status"] != "done"]
            if failed:
                sys.exit(f"workers, repeat {repeat}: {failed}")
    best = {count: min(times) for count, times in seconds.items()}
    side = f"8 files of {options.worker_side}²"
    return [
        [f"{side}, one dask worker", "", f"{best[1]:.1f} s"],
        [f"{side}, two dask workers", "1.7 ×", f"{best[1] / best[2]:.2f} ×"],
        ["the same pixels", "", differing(folder / "out 1", folder / "out 2")],
    ]


class Blocks:
    """Which blocks of a folder are done, and which of them were done anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[str, int] = {}
        self.twice: set[str] = set()

    def look(self) -> int:
        """Look once; return how many have been seen."""
        for path in self.folder.glob(".*.part/*/done.json"):
            try:
                made = path.stat().st_mtime_ns
            except FileNotFoundError:  # the input is complete: its blocks are removed
                continue
            name = f"{path.parts[-3]}/{path.parts[-2]}"
            is_whole = path.parts[-2].isdigit()
            if is_whole and self.seen.setdefault(name, made) != made:
                self.twice.add(name)
        return len(self.seen)


def killed(folder: Path, options: argparse.Namespace) -> Rows:
    """Kill a worker, and a whole run that is resumed then."""
    names = [
        write_lapse(folder / f"{n}.tif", options.kill_side, options.kill_frames, seed=n)
        for n in range(2)
    ]
    timed(*names, "--out", folder / "whole")
    blocks = sum(-(-options.kill_frames // 16) for _ in names)
    rows = []
    for title, kill in (("a worker", _kill_worker), ("the whole run", _kill_run)):
        out = folder / title
        seen = kill(names, out, blocks)
        same = differing(folder / "whole", out)
        rows.append([f"{title} killed", "same pixels", same])
        done = f"{len(seen.twice)} of {blocks}"
        rows.append(["blocks done twice, beside those in flight", "0", done])
    return rows


def _kill_worker(names: list[Path], out: Path, blocks: int) -> Blocks:
    seen, is_killed = Blocks(out), False
    with cluster(2) as started:
        running = batch.run_batch(
            batch.Job(SETTINGS),
            sources(names, out),
            scheduler=started.scheduler_address,
        )
        for _ in running:
            if seen.look() >= 1 and not is_killed:
                os.kill(started.workers[0].pid, signal.SIGKILL)
                is_killed = True
    if not is_killed:
        sys.exit("no block was seen before the end: nothing was killed")
    return seen


def _kill_run(names: list[Path], out: Path, blocks: int) -> Blocks:
    seen = Blocks(out)
    running = subprocess.Popen(
        command(*names, "--out", out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while seen.look() < max(1, blocks // 2):
        if running.poll() is not None:
            sys.exit("the run ended before it could be killed")
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    if list(out.glob("*.json")) and len(list(out.glob("*.json"))) == len(names):
        sys.exit("all was done before the run was killed")
    resumed = subprocess.Popen(
        command(*names, "--out", out, "--resume"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while resumed.poll() is None:
        seen.look()
        time.sleep(0.02)
    return seen


def bad_files(folder: Path) -> Iterator[tuple[str, Callable[[Path], Any]]]:
    """Yield twelve names and what writes each."""
    good = write_lapse(folder / "good.tmp", 128, 1)
    frames, whole = tifffile.imread(good), good.read_bytes()
    good.unlink()
    broken = frames.astype(np.float32)
    broken[4, 60, 60] = np.nan
    swapped = frames.reshape(3, 3, 128, 128).swapaxes(0, 1).reshape(9, 128, 128)

    def tag(path: Path, name: str, value: int) -> None:
        path.write_bytes(whole)
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages[0].tags[name].overwrite(value)

    def write(data: np.ndarray, **how: Any) -> Callable[[Path], Any]:
        return lambda path: tifffile.imwrite(path, data, **how)

    colour = np.zeros((64, 64, 3), np.uint8)
    yield "truncated.tif", lambda path: path.write_bytes(whole[:100_000])
    yield "colour.tif", write(colour, photometric="rgb")
    yield "nan.tif", write(broken, photometric="minisblack")
    yield "count.tif", write(np.concatenate([frames, frames[:1]]))
    yield "empty.tif", lambda path: path.write_bytes(b"")
    yield "text.tif", lambda path: path.write_text("hello " * 99)
    yield "unreadable.tif", lambda path: path.symlink_to("no such file")
    yield "zero.tif", lambda path: tag(path, "ImageWidth", 0)
    yield "order.tif", write(swapped, photometric="minisblack")
    yield "huge.tif", lambda path: tag(path, "ImageLength", 2**30)
    yield "Zelle 3 (größte) µ.tif", lambda path: path.write_bytes(whole[:90_000])
    yield "blocked.tif", lambda path: path.write_bytes(whole)


def files(folder: Path, options: argparse.Namespace) -> Rows:
    """Run twelve bad files among twenty."""
    data, out = folder / "data", folder / "out"
    data.mkdir()
    (out / "blocked.dps.ome.tif").mkdir(parents=True)
    for name, write in bad_files(folder):
        write(data / name)
    for number in range(8):
        write_lapse(data / f"good {number}.tif", 128, 1, seed=number)
    done = subprocess.run(
        command(f"{data}/**/*.tif", "--out", out), capture_output=True, text=True
    )
    errors = [line for line in done.stderr.splitlines() if ": error: " in line]
    for line in errors:
        print(line.replace(f"{folder}/", ""))
    with (out / "batch.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    results = len(list(out.glob("*.report.json")))
    found = (
        f"{results} results, {len(errors) - 1} lines, exit code {done.returncode}, "
        f"{len(table)} rows"
    )
    return [
        ["12 bad files among 20", "8 results, 12 lines, exit code 1", found],
        ["tracebacks", "0", str(done.stderr.count("Traceback"))],
    ]


PARTS = {
    "memory": memory,
    "throughput": throughput,
    "overhead": overhead,
    "workers": workers,
    "kill": killed,
    "files": files,
}


def numbers(text: str) -> list[int]:
    """Read numbers with commas between them."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Measure, print, and write the page if that is asked."""
    parser = page.options(__doc__)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--side", type=int, default=512, help="of the memory, px")
    parser.add_argument("--frames", type=numbers, default=[50, 200])
    parser.add_argument("--lapse-side", type=int, default=256)
    parser.add_argument("--lapse-frames", type=int, default=100)
    parser.add_argument("--singles", type=int, default=10)
    parser.add_argument("--worker-side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--kill-side", type=int, default=128)
    parser.add_argument("--kill-frames", type=int, default=64)
    options = parser.parse_args()
    # One thread a process everywhere: otherwise the single worker had both cores.
    os.environ.update(WORKERS)
    torch.set_num_threads(1)
    rows = []
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            for row in PARTS[name](Path(folder), options):
                print(" | ".join(row), flush=True)
                rows.append(row)
    page.publish(
        f"""# Batches

`python benchmarks/batch.py {shlex.join(sys.argv[1:])}`

{page.table(["what", "asked", "measured"], rows, text_columns=3)}

{os.cpu_count()} cores, {page.machine("torch", "dask")}; one thread a process.
All stages of raw 3 × 3 frames with the default parameters. Peak memory is that of the
whole process (VmHWM). Times of single runs are those of the program, its start
included; dask workers had run once before. A block in flight when a run is killed is
done again; others are not.
""",
        options.out,
    )


if __name__ == "__main__":
    main()

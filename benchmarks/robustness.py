"""What interrupts, collides with and starves a run: counts of what came of it.

Signals at random moments (one input, a batch, a cluster), pairs of runs into one
folder, inputs that change while they are computed, full disks, little memory, names.
Everything happens in a scratch folder, each run in processes of its own.

    python benchmarks/robustness.py --scratch robust --trials 20 signals pairs
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import tifffile

SHAPES = {"long": (64, 96, 96), "plane": (96, 96)}
STAGES = ["--stages", "background"]
PROGRAM = [sys.executable, "-m", "napari_dps.cli"]
PATIENCE_S = 180


def main() -> int:
    """Run the experiments that are named, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiments", nargs="*", choices=[*EXPERIMENTS, []])
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    wrong = 0
    for name in options.experiments or EXPERIMENTS:
        counts: Counter[str] = Counter()
        for number in range(options.trials):
            folder = options.scratch / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            rng = random.Random(f"{options.seed} {name} {number}")
            found = EXPERIMENTS[name](folder, rng, number)
            counts[found[:60]] += 1
            print(f"{name} {number}: {found}", flush=True)
        wrong += sum(n for key, n in counts.items() if not key.startswith("right"))
        print(f"| {name} | {options.trials} | {dict(counts)} |", flush=True)
    return min(wrong, 1)


def image(path: Path, seed: int, kind: str = "long") -> Path:
    """Write an image of noise."""
    pixels = np.random.default_rng(seed).poisson(99, SHAPES[kind]).astype(np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack")
    return path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start the program in a folder."""
    return subprocess.Popen(
        [*PROGRAM, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def ended(process: subprocess.Popen[str]) -> tuple[int | None, str]:
    """Wait for the end of a run; its exit code, None for one that hangs, and words."""
    try:
        _, errors = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, ""
    return process.returncode, errors


def pixels(folder: Path) -> dict[str, str]:
    """Return hashes of the pixels of all images in a folder, by their names."""
    found = {}
    for path in sorted(folder.glob("*.ome.tif")):
        found[path.name] = hashlib.sha256(tifffile.imread(path).tobytes()).hexdigest()
    return found


def orphans(folder: Path) -> list[str]:
    """Return what is hidden in a folder."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def is_vouched(folder: Path) -> bool:
    """Whether every report in a folder records the files that are there."""
    for report in folder.glob("*.report.json"):
        for name, facts in json.loads(report.read_bytes())["files"].items():
            content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != facts["sha256"]:
                return False
    return True


def inputs(folder: Path, rng: random.Random, count: int, kind: str) -> list[str]:
    """Write inputs; their names."""
    seeds = [rng.randrange(10**6) for _ in range(count)]
    return [image(folder / f"{n}.tif", seed, kind).name for n, seed in enumerate(seeds)]


def reference(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the right pixels."""
    ended(start(folder, "run", *names, "--out", "reference", *STAGES))
    return pixels(folder / "reference")


def signals(folder: Path, rng: random.Random, number: int) -> str:
    """Stop a run at a random moment, and go on."""
    many = number % 2
    names = inputs(folder, rng, 3 if many else 1, "long")
    expected = reference(folder, names)
    words = ["run", *names, "--out", "out", *STAGES, "--jobs", str(1 + many)]
    began = time.monotonic()
    ended(start(folder, *words))
    length = time.monotonic() - began
    shutil.rmtree(folder / "out")
    process = start(folder, *words)
    time.sleep(rng.uniform(0, length))
    kind = rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    process.send_signal(kind)
    code, errors = ended(process)
    return _stopped(folder, words, expected, kind, code, errors)


def cluster(folder: Path, rng: random.Random, number: int) -> str:
    """Stop a run on a cluster, or kill what it runs on; go on without it."""
    names = inputs(folder, rng, 2, "long")
    expected = reference(folder, names)
    words = ["run", *names, "--out", "out", *STAGES]
    what = ("scheduler", "workers", "signal")[number % 3]
    with ExitStack() as stack:
        address, scheduler, workers = lent_cluster(folder, stack)
        process = start(folder, *words, "--scheduler", address)
        # Not before the run has begun: a scheduler that it never reached is a wrong
        # address, which is another failure (exit code 2).
        while process.poll() is None and not (folder / "out").is_dir():
            time.sleep(0.1)
        time.sleep(rng.uniform(3, 8))
        kind = signal.SIGKILL
        if what == "scheduler":
            scheduler.kill()
        elif what == "workers":
            for worker in workers:
                worker.kill()
        else:
            kind = rng.choice([signal.SIGINT, signal.SIGTERM])
            process.send_signal(kind)
        code, errors = ended(process)
    if what != "signal" and code not in (0, 1):
        return f"{what} gone: exit {code}: {errors[-300:]}"
    if what != "signal" and code == 1 and not (folder / "out/batch.csv").is_file():
        return f"{what} gone: no table"
    if what != "signal":
        kind, code = signal.SIGKILL, 0
    return _stopped(folder, words, expected, kind, code, errors)


def lent_cluster(
    folder: Path, stack: ExitStack, count: int = 2
) -> tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]:
    """Start a scheduler and its workers, which listen on the loopback alone."""

    def begin(*words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    file = folder / "scheduler.json"
    host = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = begin(
        "dask_scheduler", "--port", "0", *host, "--scheduler-file", file.name
    )
    while not file.is_file() or not file.read_text():
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    workers = [
        begin("dask_worker", address, "--nthreads", "1", "--no-nanny", *host)
        for _ in range(count)
    ]
    return address, scheduler, workers


def _stopped(
    folder: Path,
    words: list[str],
    expected: dict[str, str],
    kind: signal.Signals,
    code: int | None,
    errors: str,
) -> str:
    """Judge a run that was stopped, and what the next one makes of it."""
    allowed = {
        signal.SIGINT: (0, 130, -signal.SIGINT),
        signal.SIGTERM: (0, 143, -signal.SIGTERM),
        signal.SIGKILL: (0, -signal.SIGKILL),
    }
    if code not in allowed[kind]:
        return f"{kind.name}: exit {code}: {errors[-400:]}"
    if "Traceback" in errors and code in (130, 143):
        return f"{kind.name}: traceback: {errors[-400:]}"
    out = folder / "out"
    half = {k: v for k, v in pixels(out).items() if expected.get(k) != v}
    if half:
        return f"{kind.name}: half files {sorted(half)}"
    code, errors = ended(start(folder, *words, "--resume"))
    if code != 0 or pixels(out) != expected:
        return f"{kind.name}: resumed with exit {code}: {errors[-300:]}"
    return "right" if not orphans(out) else f"{kind.name}: orphans {orphans(out)}"


def pairs(folder: Path, rng: random.Random, number: int) -> str:
    """Let two runs write into one folder, of the same settings or of others."""
    names = inputs(folder, rng, rng.choice([1, 2]), "long")
    radii = ["9", rng.choice(["9", "20"])]
    right = []
    for radius in radii:
        more = ["--background.radius-px", radius]
        ended(start(folder, "run", *names, "--out", f"r{radius}", *STAGES, *more))
        right.append(pixels(folder / f"r{radius}"))
    resume = ["--resume"] * rng.choice([0, 1])
    runs = []
    for radius in radii:
        more = ["--background.radius-px", radius, *resume]
        runs.append(start(folder, "run", *names, "--out", "out", *STAGES, *more))
        time.sleep(rng.uniform(0, 2))
    codes = [ended(process) for process in runs]
    if any(code != 0 for code, _ in codes):
        return f"exits {codes}"
    found = pixels(folder / "out")
    if not all(found[name] in {r[name] for r in right} for name in right[0]):
        return "other pixels"
    if not is_vouched(folder / "out"):
        return "a report vouches for the files of another run"
    left = orphans(folder / "out")
    return f"orphans {left}" if left else "right"


def replaced(folder: Path, rng: random.Random, number: int) -> str:
    """Change an input while it is computed."""
    kind = ("replaced", "truncated", "extended", "removed", "overwritten")[number % 5]
    (name,) = inputs(folder, rng, 1, rng.choice(["long", "long", "plane"]))
    before = reference(folder, [name])
    path, other = folder / name, image(folder / "other", 7, "long")
    process = start(folder, "run", name, "--out", "out", *STAGES)
    time.sleep(rng.uniform(0.5, 4))
    if kind == "replaced":
        os.replace(other, path)
    elif kind == "removed":
        path.unlink()
    elif kind == "truncated":
        os.truncate(path, rng.randrange(path.stat().st_size))
    elif kind == "extended":
        with path.open("ab") as file:
            file.write(b"more")
    else:
        path.write_bytes(other.read_bytes())
    code, errors = ended(process)
    if code == 2:
        refused = not (folder / "out").exists() or not pixels(folder / "out")
        return f"right: refused {kind}" if refused else f"{kind}: refused, images stay"
    if code != 0:
        return f"{kind}: exit {code}: {errors[-300:]}"
    after = {} if kind in ("removed", "truncated") else reference(folder, [name])
    found = pixels(folder / "out")
    return "right" if found in (before, after) else f"{kind}: a mix"


def disk(folder: Path, rng: random.Random, number: int) -> str:
    """Let files grow no larger than a limit, or fill a small file system."""
    (name,) = inputs(folder, rng, 1, "long")
    expected = reference(folder, [name])
    (folder / "out").mkdir()
    size = rng.randrange(4, 9000) * 1024
    is_mounted = not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder / "out"],
        stderr=subprocess.DEVNULL,
    )
    try:
        code, errors = _run_limited(
            folder, name, [] if is_mounted else [(resource.RLIMIT_FSIZE, size)]
        )
        lines = errors.splitlines()
        if code == 0:
            return "right: it sufficed"
        words = ("disk is full", "larger than")
        if code != 2 or len(lines) != 1 or not any(word in errors for word in words):
            return f"{size}: exit {code}: {errors[-400:]}"
        if is_mounted:
            subprocess.call(["mount", "-o", "remount,size=99m", folder / "out"])
        code, errors = ended(
            start(folder, "run", name, "--out", "out", *STAGES, "--resume")
        )
        if code != 0 or pixels(folder / "out") != expected or orphans(folder / "out"):
            return f"{size}: resumed: {code} {orphans(folder / 'out')} {errors[-300:]}"
        return "right"
    finally:
        if is_mounted:
            subprocess.call(["umount", folder / "out"])


def memory(folder: Path, rng: random.Random, number: int) -> str:
    """Limit the address space."""
    (name,) = inputs(folder, rng, 1, "long")
    size = (300 + 70 * (number % 10)) * 2**20
    code, errors = _run_limited(folder, name, [(resource.RLIMIT_AS, size)])
    lines = [line for line in errors.splitlines() if line.strip()]
    if code == 0:
        return "right: it sufficed"
    if code != 1 or len(lines) != 1 or "memory" not in errors:
        return f"{size >> 20} MiB: exit {code}: {errors[-500:]}"
    return "right"


def _run_limited(
    folder: Path, name: str, limits: Sequence[tuple[int, int]]
) -> tuple[int | None, str]:
    def limit() -> None:
        for kind, size in limits:
            resource.setrlimit(kind, (size, size))

    process = subprocess.Popen(
        [*PROGRAM, "run", name, "--out", "out", *STAGES],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )
    return ended(process)


def names(folder: Path, rng: random.Random, number: int) -> str:
    """Run twenty-five files of hostile names."""
    alphabet = [*"$^\\{}_=+-@',; %~aB0.#&*?[](|<\n\t\r\x07"]
    alphabet += ["細", "胞", "é", "😀", "\x9b", "\u202e", "\u200b", "\u2028"]
    alphabet += ['"', "\x1b[2J", "\udcff", "\udc80"]
    made = set()
    while len(made) < 25:
        name = "".join(rng.choices(alphabet, k=rng.randint(1, 30))).lstrip(".-")
        if name and len(os.fsencode(name)) < 200:
            made.add(name)
    (folder / "in").mkdir()
    source = image(folder / "image", number, "plane").read_bytes()
    for name in made:
        (folder / "in" / f"{name}.tif").write_bytes(source)
    process = subprocess.run(
        [*PROGRAM, "run", "in", "--out", "out", *STAGES],
        cwd=folder,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, "LC_ALL": rng.choice(["C", "C.UTF-8"])},
    )
    said = (process.stdout + process.stderr).decode("utf-8", "strict")
    pictures = len(list((folder / "out").glob("*.png")))
    rows = (folder / "out/batch.csv").read_text("utf-8").splitlines()
    is_clean = all(x.isprintable() for line in said.splitlines() for x in line)
    found = (process.returncode, process.stderr, pictures, len(rows), is_clean)
    return "right" if found == (0, b"", 25, 26, True) else f"{found} {said[-500:]}"


EXPERIMENTS: dict[str, Callable[[Path, random.Random, int], str]] = {
    "signals": signals,
    "cluster": cluster,
    "pairs": pairs,
    "replaced": replaced,
    "disk": disk,
    "memory": memory,
    "names": names,
}

if __name__ == "__main__":
    sys.exit(main())

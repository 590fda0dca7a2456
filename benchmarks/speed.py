"""Where the time goes: filter, network and whole chain, and how it grows with pixels.

    python benchmarks/speed.py [--out docs/benchmarks/speed.md]

CPU seconds are those of one thread, wall clock is that of two, each the least of some
runs in turns. What is compared is compared in one run of this script. Memory is the
most that a process of its own has held.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch
from dps_methods import plain_richardson_lucy, stage, usual_richardson_lucy
from dps_protocol import record, structure
from page import machine, options, publish, seconds_of, table, take_turns

import napari_dps
from napari_dps.core import ImageStack
from napari_dps.core.device import resolve_device
from napari_dps.physics.sim.wiener import WienerSolver
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulated import Simulation

ROUNDS = 10
NETWORK_SIDE_PX = 512
FILTER_SIDES_PX = (512, 1024, 2048)
TRANSFORMS = ("fft", "ifft", "rfft", "irfft", "rfft2", "irfft2")
LINES = {"Wiener filter": "o", "`dps` alone": "s", "whole chain": "^"}
FIRST_RUN = """
import pickle, re, sys, time
sys.path.insert(0, sys.argv[1])
import speed, torch
raw = pickle.load(open(sys.argv[2], "rb"))
torch.set_num_threads(2)
wall = speed.seconds_of(lambda: speed.run_chain(raw), time.perf_counter)
status = open("/proc/self/status").read()
print(f"{wall:.1f}", int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024)
"""


@cache
def recording(side_px: int) -> Simulation:
    """Return 3 × 3 simulated frames of microtubules at 200 photons."""
    size = {"height_px": side_px, "width_px": side_px}
    return simulate(SimulationSettings(photons=200, modulation=0.8, seed=1, **size))


def run_chain(raw: ImageStack) -> None:
    """Run all default stages on raw frames."""
    napari_dps.run(raw, device="cpu", camera_offset=100)


@contextmanager
def transforms_timed() -> Iterator[list[float]]:
    """Collect the CPU seconds that torch spends in Fourier transforms."""
    usual = {name: getattr(torch.fft, name) for name in TRANSFORMS}
    spent = [0.0]

    def timed(function: Callable[..., object]) -> Callable[..., object]:
        def call(*values: object, **more: object) -> object:
            started = time.thread_time()
            result = function(*values, **more)
            spent[0] += time.thread_time() - started
            return result

        return call

    for name, function in usual.items():
        setattr(torch.fft, name, timed(function))
    try:
        yield spent
    finally:
        for name, function in usual.items():
            setattr(torch.fft, name, function)


def solver(side_px: int) -> Callable[[], object]:
    """Return the Wiener reconstruction of frames whose patterns are known."""
    simulation = recording(side_px)
    optics = simulation.raw.optics
    frames = torch.from_numpy(simulation.raw.data.astype(np.float32) - 100)
    made = WienerSolver((side_px, side_px), simulation.patterns, optics)

    def solve() -> object:
        with torch.inference_mode():
            return made.combine(made.separate(frames))

    return solve


def wiener_row(side_px: int) -> list[str]:
    """Return the time of the filter, and the share that its transforms have."""
    solve, found = solver(side_px), []
    for _ in range(ROUNDS):
        with transforms_timed() as spent:
            found.append((seconds_of(solve), spent[0]))
    whole, inside = min(found)
    share = f"{100 * inside / whole:.0f} %"
    return [f"{side_px}²", f"{1e3 * whole:.0f}", f"{1e3 * inside:.0f}", share]


def network_rows() -> list[list[str]]:
    """Time the stage against Richardson–Lucy: CPU of one thread, wall clock of two."""
    tile = structure("glyphs", 1000, 256).clean
    repeats = NETWORK_SIDE_PX // len(tile)
    image = record(np.tile(tile, (repeats, repeats)), 200, 0)
    methods = {
        "RL, 50 iterations, scikit-image": usual_richardson_lucy,
        "RL, 50 iterations": plain_richardson_lucy(50),
        "`rl`": stage(method="rl"),
        "**`network`** (default)": stage(),
    }
    calls = {name: partial(method, image) for name, method in methods.items()}
    cpu, wall = least(calls, 1), least(calls, 2)
    reference = cpu["RL, 50 iterations"]
    return [
        [name, f"{cpu[name]:.2f}", f"{cpu[name] / reference:.2f}", f"{wall[name]:.2f}"]
        for name in calls
    ]


def least(
    calls: dict[str, Callable[[], object]], threads: int, rounds: int = 3
) -> dict[str, float]:
    """Return the least CPU seconds of one thread, or wall clock of more."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    taken = take_turns(calls, rounds, clock)
    torch.set_num_threads(1)
    return {name: min(seconds) for name, seconds in taken.items()}


def chain_row(side_px: int) -> list[str]:
    """Return the time and the memory of all stages, wall clock of a first run."""
    raw = recording(side_px).raw
    cpu = seconds_of(partial(run_chain, raw), time.process_time)
    with TemporaryDirectory() as folder:
        file = Path(folder, "raw.pickle")
        file.write_bytes(pickle.dumps(raw))
        words = [FIRST_RUN, str(Path(__file__).parent), str(file)]
        done = subprocess.run(
            [sys.executable, "-c", *words], check=True, capture_output=True, text=True
        )
    row = [f"{side_px}²", f"{cpu:.1f}", *done.stdout.split()]
    print(*row, sep=" | ", flush=True)
    return row


def growth(sides_px: Sequence[int], chain: dict[int, float]) -> dict[str, list[float]]:
    """Return CPU seconds for each size, of the filter, of `dps`, of the chain."""
    alone = stage()
    tile = structure("glyphs", 1000, 256).clean
    found: dict[str, list[float]] = {name: [] for name in LINES}
    for side in sides_px:
        image = record(np.tile(tile, (side // 256, side // 256)), 200, 0)
        calls = {"Wiener filter": solver(side), "`dps` alone": partial(alone, image)}
        for name, seconds in least(calls, 1, 3).items():
            found[name].append(seconds)
        found["whole chain"].append(chain[side])
    return found


def plot(sides_px: Sequence[int], found: dict[str, list[float]], file: Path) -> None:
    """Draw time over pixels, and what grows as they do."""
    pixels = np.array([side**2 for side in sides_px]) / 1e6
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, seconds in found.items():
        (line,) = axes.loglog(
            pixels, seconds, LINES[name] + "-", label=name.replace("`", "")
        )
        axes.loglog(
            pixels, seconds[1] * pixels / pixels[1], ":", color=line.get_color()
        )
    axes.set_xlabel("megapixels of a frame (dps alone: of the image)")
    axes.set_ylabel("CPU seconds of one thread")
    axes.set_title("dotted: in proportion to the pixels")
    axes.legend()
    figure.savefig(file, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run the benchmark."""
    parser = options(__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024, 2048])
    chosen = parser.parse_args()
    resolve_device("cpu")
    torch.set_num_threads(1)
    networks = network_rows()
    print(networks, flush=True)
    filters = [wiener_row(side) for side in FILTER_SIDES_PX]
    print(filters, flush=True)
    chains = [chain_row(side) for side in chosen.sides]
    chain_cpu = {s: float(row[1]) for s, row in zip(chosen.sides, chains, strict=True)}
    found = growth(chosen.sides, chain_cpu)
    if chosen.out is not None:
        plot(chosen.sides, found, chosen.out.with_suffix(".png"))
    slopes = [
        [name, f"{np.polyfit(np.log(chosen.sides), np.log(seconds), 1)[0] / 2:.2f}"]
        for name, seconds in found.items()
    ]
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    publish(
        PAGE.format(
            networks=table(["method", "CPU, s", "over RL 50", "wall, s"], networks),
            filters=table(["frames", "CPU, ms", "in transforms, ms", "share"], filters),
            chains=table(["frames", "CPU, s", "wall, s", "memory, MiB"], chains),
            slopes=table(["", "power of the number of pixels"], slopes),
            machine=machine("torch", "numpy"),
            load=load,
        ),
        chosen.out,
    )


PAGE = """# Speed

`OMP_WAIT_POLICY=PASSIVE python benchmarks/speed.py --out docs/benchmarks/speed.md`
(threads that wait for one another then leave the cores to others)

CPU seconds are those of one thread, wall clock is that of two. What is compared is the
least of some runs in turns; the chain ran once for each, its wall clock and the most
memory that it held are those of a process that has run nothing before. Load average
{load}, which makes wall clock longer than it is on a machine that does nothing else.

{machine}.

## The network of `dps` against Richardson–Lucy

512² to 1024² pixels.

{networks}

Both share the imaging model, so what makes one faster makes the other faster too.

## The Wiener filter and its transforms

3 × 3 frames, patterns known. What is not in Fourier transforms is separation, phase
ramps, padding, and the weights.

{filters}

## The whole chain

All default stages from 3 × 3 raw frames: patterns, `denoise`, `reconstruct`,
`artifacts`, `background`, `dps` with its fit of the raw frames; microtubules at 200
photons.

{chains}

## Growth

A power of 1 is time in proportion to pixels.

{slopes}

![Time over pixels](speed.png)
"""


if __name__ == "__main__":
    main()

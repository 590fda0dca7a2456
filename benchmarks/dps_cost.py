"""Time and memory of the methods of `benchmarks/dps.py`."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

import numpy as np
import torch
from dps_methods import METHODS, usual_richardson_lucy
from dps_protocol import Method, record, structure
from page import Clock, take_turns

TIMED: dict[str, Method] = {
    "RL, 50 iterations, scikit-image": usual_richardson_lucy,
    **{
        name: method
        for name, method in METHODS.items()
        if not any(word in name for word in ("200", "input", "weights", "`sparse`, "))
    },
}
TIMED_SIDE_PX = 512
REFERENCE = "RL, 50 iterations"


def speed_rows(rounds: int) -> list[list[str]]:
    """Time every method in turns: CPU on one thread, wall clock on two; the least."""
    tile = structure("glyphs", 1000, 256).clean
    repeats = TIMED_SIDE_PX // len(tile)
    image = record(np.tile(tile, (repeats, repeats)), 200, 0)
    calls = {name: partial(method, image) for name, method in TIMED.items()}
    clocks: dict[int, Clock] = {1: time.process_time, 2: time.perf_counter}
    best = {name: [np.inf, np.inf] for name in TIMED}
    for _ in range(rounds):
        for column, (threads, clock) in enumerate(clocks.items()):
            torch.set_num_threads(threads)
            for name, seconds in take_turns(calls, 1, clock).items():
                best[name][column] = min(best[name][column], *seconds)
    torch.set_num_threads(1)
    reference_s = best[REFERENCE][0]
    return [
        [name, f"{cpu:.2f}", f"{reference_s / cpu:.1f}×", f"{wall:.2f}"]
        for name, (cpu, wall) in best.items()
    ]


def peak_memory_mib(name: str, size: int) -> int:
    """Return the most memory of a process that runs one stage on size² pixels."""
    code = (
        "import re, numpy, torch; torch.set_num_threads(1)\n"
        "from napari_dps.core import *\n"
        "from napari_dps.stages.dps import *\n"
        f"data = numpy.random.default_rng(0).poisson(20, ({size}, {size}))\n"
        "optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)\n"
        "image = ImageStack(data.astype('float32'), 'YX', 65, optics=optics)\n"
        f"finish(STAGE.run(image, DpsParameters(method={name!r})))\n"
        # Not ru_maxrss, which a child inherits from its parent.
        "status = open('/proc/self/status').read()\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return int(done.stdout)

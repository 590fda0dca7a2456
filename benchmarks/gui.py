"""How the window answers while stages run, how fast they run there, how docks open.

    QT_QPA_PLATFORM=offscreen python benchmarks/gui.py [--size 1024] [--out FILE.md]

Latency: a timer of 5 ms in the event loop; what a beat comes late is what a click would
wait. Speed: the same stage in the plugin's worker and in a plain script, in one
process, interleaved, the least of the repeats.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
from page import machine, options, publish, table
from qtpy.QtCore import QEventLoop, QObject, QTimer
from qtpy.QtWidgets import QApplication

from napari_dps._qt.bridge.runner import Runner
from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import choose_steps, run
from napari_dps.stages import STAGES

BEAT_MS = 5

OPEN = """
import time
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari.components import ViewerModel
import napari.layers, napari.viewer, napari.utils.notifications
viewer = ViewerModel()
start, cpu = time.perf_counter(), time.process_time()
from napari_dps._qt.{module} import {name}
dock = {name}(viewer)
dock.show()
app.processEvents()
print(time.perf_counter() - start, time.process_time() - cpu)
"""
DOCKS = (
    ("dock_widgets", "ReconstructWidget"),
    ("dock_widgets", "BackgroundWidget"),
    ("dock_widgets", "DpsWidget"),
    ("dock_widgets", "PsfWidget"),
    ("dock_widgets", "CompareWidget"),
    ("dock_widgets", "PipelineWidget"),
)


def run_in_worker(steps: Any) -> tuple[float, list[float], Any]:
    """Run in the plugin's worker; return seconds, lateness of beats in ms, result."""
    parent = QObject()
    runner, loop, late, results = Runner(parent), QEventLoop(), [], []
    last = [time.perf_counter()]

    def beat() -> None:
        now = time.perf_counter()
        late.append(1e3 * (now - last[0]) - BEAT_MS)
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(BEAT_MS)
    runner.returned.connect(results.append)
    runner.failed.connect(lambda failure: sys.exit(failure.text))
    runner.finished.connect(loop.quit)
    start = last[0] = time.perf_counter()
    runner.start(steps)
    loop.exec()
    return time.perf_counter() - start, late, results[0]


def measure(stage: str, image: ImageStack, repeats: int) -> tuple[dict[str, Any], Any]:
    """Run a stage both ways, interleaved."""
    steps = choose_steps(image, [stage])

    def make() -> Any:
        return run(image, steps, Context())

    script, worker, late = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        result = finish(make())
        script.append(time.perf_counter() - start)
        seconds, beats, _ = run_in_worker(make)
        worker.append(seconds)
        late += beats
    row = {
        "stage": stage,
        "script_s": min(script),
        "worker_s": min(worker),
        "ratio": min(worker) / min(script),
        "p50_ms": float(np.percentile(late, 50)),
        "p95_ms": float(np.percentile(late, 95)),
        "max_ms": max(late),
    }
    return row, result.images[0]


def open_docks() -> list[tuple[str, float, float]]:
    """Time the first opening of each dock, in a fresh process where napari is up."""
    rows = []
    for module, name in DOCKS:
        code = OPEN.format(module=module, name=name)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        wall, cpu = (float(x) for x in done.stdout.split()[-2:])
        rows.append((name, wall, cpu))
    return rows


def preview_ms() -> tuple[float, float]:
    """Return median and 95th percentile of the time from slider to picture."""
    from napari.components import ViewerModel

    from napari_dps._qt.bridge.microscope import Microscope
    from napari_dps._qt.docks.psf import PsfWidget

    dock = PsfWidget(ViewerModel(), microscope=Microscope())
    dock.resize(400, 900)
    dock.show()
    QApplication.processEvents()
    times = []
    for tick in range(300, 700, 2):
        start = time.perf_counter()
        dock.form.editors["na"].slider.setValue(tick)
        QApplication.processEvents()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times)), float(np.percentile(times, 95))


def main() -> None:
    """Measure and print a Markdown table."""
    parser = options(__doc__)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=2)
    chosen = parser.parse_args()
    application = QApplication.instance() or QApplication([])
    size = chosen.size
    settings = SimulationSettings(height_px=size, width_px=size, photons=120)
    raw = simulate(settings).raw
    raw = raw.derive(raw.data.astype(np.float32) - np.float32(settings.offset_counts))
    rows = []
    image = raw
    for stage in STAGES:
        if stage.id == "dps":  # 1024² in, like the others
            part = image.data[:size, :size]
            image = replace(image, data=part)
        row, image = measure(stage.id, image, chosen.repeats)
        rows.append(
            [
                row["stage"],
                *(f"{row[key]:.2f}" for key in ("script_s", "worker_s", "ratio")),
                *(f"{row[key]:.1f}" for key in ("p50_ms", "p95_ms")),
                f"{row['max_ms']:.0f} ms",
            ]
        )
        print(" | ".join(rows[-1]), flush=True)
    header = ["stage", "script (s)", "worker (s)", "ratio", "median (ms)"]
    docks = [[name, f"{wall:.2f}", f"{cpu:.2f}"] for name, wall, cpu in open_docks()]
    median, slow = preview_ms()
    publish(
        f"""# The plugin

`QT_QPA_PLATFORM=offscreen python benchmarks/gui.py --out docs/benchmarks/gui.md`

Raw frames of {size}² pixels; later stages on the result of the one before.

{table([*header, "95 % (ms)", "worst"], rows)}

{table(["dock", "first opening (s)", "of the processor (s)"], docks)}

srPSF preview, slider to picture: {median:.1f} ms median, {slow:.1f} ms 95th percentile.

{machine("napari", "pyqt6", "torch")}.
""",
        chosen.out,
    )
    application.quit()


if __name__ == "__main__":
    main()

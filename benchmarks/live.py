"""Watching a recording: latency, rate, memory, on the disk and in the dock.

    QT_QPA_PLATFORM=offscreen python benchmarks/live.py [--size 512] [--sets 200]
        [--only-cpu] [--out FILE.md]

Sets of 3 × 3 simulated frames are recorded by another process (a folder of files) or
put into a layer by a timer, at the interval of each row; `temporal` averages each with
the three sets before it. Latency: from the last frame
to the result on the disk, or in its layer. A rate that is kept computes (nearly) every
set; processor seconds a set are those of the process that computes, its refreshes
included. Memory: resident, at the tenth set and at the last. Wall-clock times count on
a machine that does nothing else; processor times do not depend on that.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from napari.components import ViewerModel
from napari.layers import Image
from page import machine, options, publish, table
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QApplication

from napari_dps import io
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.live import LiveWidget
from napari_dps.core import finish
from napari_dps.live import Clock, LiveSession, watch
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import InputSettings, Settings
from napari_dps.results import write_images

OPTICS = {"na": 1.4, "emission_nm": 525.0, "pixel_size_nm": 65.0}
INPUT = InputSettings(angles=3, phases=3, camera_offset=100)
STAGES = {
    "reconstruct": 0.1,
    "denoise,reconstruct": 1.0,
    "temporal,denoise,reconstruct": 1.0,
}
"""Stages, and the interval of the sets in seconds that is asked of them."""

RECORD = """
import os, sys, time
import numpy as np, tifffile
frames, folder = np.load(sys.argv[1]), sys.argv[2]
sets, interval = map(float, sys.argv[3:])
due = time.monotonic()
for number in range(int(sets)):
    due += interval
    time.sleep(max(0, due - time.monotonic()))
    name = f"{folder}/{number:05d}.tif"
    tifffile.imwrite(name + ".part", np.roll(frames, number, axis=-1))
    os.rename(name + ".part", name)
"""


def main() -> None:
    """Measure, and write the page."""
    parser = options(__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument(
        "--only-cpu",
        action="store_true",
        help="leave out what a busy machine falsifies",
    )
    asked = parser.parse_args()
    app = QApplication([])  # it has to outlast every dock
    made = simulate(
        SimulationSettings(height_px=asked.size, width_px=asked.size, photons=200)
    )
    frames = np.asarray(made.raw.data).reshape(9, asked.size, asked.size)
    costs = [
        [stages, *cost(frames, stages, asked.sets if interval < 1 else 5)]
        for stages, interval in STAGES.items()
    ]
    rows = []
    for stages, interval in {} if asked.only_cpu else STAGES.items():
        sets = asked.sets if interval < 1 else max(asked.sets // 10, 5)
        for where, measure in (("watch", on_disk), ("dock", in_layer)):
            rows.append([where, stages, *measure(frames, stages, interval, sets)])
    heading = ["", "stages", "recorded", "sets/s asked", "computed", "skipped",
               "latency (s)", "95 % (s)", "CPU s a set", "memory (MiB)"]  # fmt: skip
    cost_heading = ["stages", "sets", "CPU s a set", "with refreshes",
                    "writing", "memory (MiB)"]  # fmt: skip
    text = (
        "# Live\n\n"
        f"Sets of nine frames of {asked.size}² pixels, 200 photons, recorded at the "
        "rate asked for; 'computed' and 'skipped' of those recorded.\n\n"
        f"{table(cost_heading, costs)}\n\n"
        f"{table(heading, rows, text_columns=2)}\n\n"
        f"{machine('numpy', 'torch', 'napari')}"
    )
    publish(text, asked.out)
    app.quit()


def settings_of(stages: str) -> Settings:
    """Return the settings of a row."""
    return Settings(tuple(stages.split(",")), optics=OPTICS, input=INPUT)


def cost(frames: Any, stages: str, sets: int) -> list[str]:
    """Return processor seconds of a set, one after the other without waiting.

    The middle one; the mean, what refreshes take included; of writing the images; and
    memory at the tenth set and at the last.
    """
    process, memory = psutil.Process(), []
    seconds, writing = [], []
    with (
        tempfile.TemporaryDirectory() as place,
        LiveSession(settings_of(stages)) as live,
    ):
        for number in range(sets + 1):
            raw = io.RawImage(np.roll(frames, number, axis=-1), "QYX", io.Metadata())
            began = time.process_time()
            result = finish(live.process(raw))
            done = time.process_time()
            write_images(result, io.ResultFiles(Path(place), "newest"))
            seconds.append(done - began)
            writing.append(time.process_time() - done)
            memory.append(process.memory_info().rss / 2**20)
    return [
        str(sets), f"{np.median(seconds[1:]):.3f}", f"{np.mean(seconds[1:]):.3f}",
        f"{np.median(writing):.3f}", f"{memory[min(10, sets)]:.0f} → {memory[-1]:.0f}",
    ]  # fmt: skip


class Meter:
    """Memory at the tenth set and at the last, and processor time since the first."""

    def __init__(self) -> None:
        self._process, self._memory, self._cpu = psutil.Process(), 0.0, 0.0
        self.count = 0

    def tick(self) -> None:
        """Note a result."""
        self.count += 1
        if self.count == 1:
            self._cpu = time.process_time()
        if self.count == 10 or not self._memory:
            self._memory = self._process.memory_info().rss / 2**20

    def row(self, clock: Clock, interval: float, sets: int) -> list[str]:
        """Return the numbers of a row."""
        cpu = (time.process_time() - self._cpu) / max(self.count - 1, 1)
        memory = self._process.memory_info().rss / 2**20
        return [
            str(sets), f"{1 / interval:g}", str(clock.done), str(clock.skipped),
            f"{clock.latency_s(50) or 0:.3f}", f"{clock.latency_s(95) or 0:.3f}",
            f"{cpu:.3f}", f"{self._memory:.0f} → {memory:.0f}",
        ]  # fmt: skip


def on_disk(frames: Any, stages: str, interval: float, sets: int) -> list[str]:
    """Record into a folder, in another process, and watch it."""
    settings, meter, clock = settings_of(stages), Meter(), Clock()
    with tempfile.TemporaryDirectory() as place:
        folder, results = Path(place, "in"), Path(place, "out")
        folder.mkdir()
        np.save(Path(place, "frames.npy"), frames)
        source = io.open_growing(folder, 9)

        def put(arrived: Any) -> None:
            write_images(arrived.result, io.ResultFiles(results, "newest"))
            meter.tick()

        with LiveSession(settings) as session:
            finish(session.process(io.RawImage(frames, "QYX", io.Metadata())))
            recording = subprocess.Popen(
                [sys.executable, "-c", RECORD, f"{place}/frames.npy", str(folder),
                 str(sets), str(interval)]
            )  # fmt: skip
            finish(watch(source, session, put, clock=clock, until_idle_s=5))
            recording.wait()
    return meter.row(clock, interval, sets)


def in_layer(frames: Any, stages: str, interval: float, sets: int) -> list[str]:
    """Replace the pixels of a layer by a timer, while the dock follows it."""
    viewer, microscope = ViewerModel(), Microscope()
    shape = (3, 3, *frames.shape[-2:])
    layer = Image(frames.reshape(shape), name="camera", scale=(1, 1, 65, 65),
                  units=("pixel", "pixel", "nm", "nm"),
                  axis_labels=("angle", "phase", "y", "x"))  # fmt: skip
    viewer.add_layer(layer)
    dock = LiveWidget(viewer, microscope=microscope)
    microscope.update({"na": 1.4, "emission_nm": 525.0})
    microscope.set_camera_offset(100)
    for name, box in dock.stages.boxes.items():
        box.setChecked(name in stages.split(","))
    dock.show()
    meter, loop = Meter(), QEventLoop()
    runner = dock.panel.bar.runner
    dock.panel.bar.run_button.click()
    while dock.result is None:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
        if not runner.is_running:
            raise RuntimeError(str(dock.panel.bar.messages.texts))
    clock = dock.feed.clock = Clock()
    dock.result.events.data.connect(lambda _: meter.tick())
    timer, sent = QTimer(), [0]

    def send() -> None:
        if sent[0] == sets:
            timer.stop()
            QTimer.singleShot(5000, loop.quit)
            return
        sent[0] += 1
        layer.data = np.roll(frames, sent[0], axis=-1).reshape(shape)

    timer.setInterval(int(1000 * interval))
    timer.timeout.connect(send)
    timer.start()
    loop.exec()
    row = meter.row(clock, interval, sets)
    runner.finished.connect(loop.quit)
    dock.stop()
    loop.exec()
    dock.close()
    return row


if __name__ == "__main__":
    main()

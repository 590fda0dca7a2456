"""The whole story in a real viewer: sample, stages, comparison, pipeline, files.

    xvfb-run -a python tests/qt/story.py FOLDER

leaves in the folder what the command line needs to do the same (``raw.ome.tif``,
``pipeline.toml``), the layers of the GUI as ``gui.<stage>.npy``, screenshots of every
dock in both themes, and ``story.json`` with what was seen on the way.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
from clipping import clipped
from napari.utils.notifications import notification_manager
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import QEventLoop, QSettings, QTimer
from qtpy.QtWidgets import QApplication, QScrollArea

import napari_dps

OUT = Path(sys.argv[-1]).absolute()
SIZE = (1600, 1000)
DOCKS = {
    "denoise": "Denoise",
    "reconstruct": "SIM reconstruction",
    "artifacts": "Artifact removal",
    "background": "Background removal",
    "dps": "DPS super-resolution",
}
"""Stages and the titles of their docks, in the order in which they are clicked."""


def register() -> None:
    """Let napari know the plugin of this very checkout, installed or not."""
    manager = PluginManager.instance()
    manager.discover()
    if "napari-dps" not in manager._manifests:
        file = Path(napari_dps.__file__).with_name("napari.yaml")
        manager.register(PluginManifest.from_file(file))


def spin(seconds: float) -> None:
    """Let the window work."""
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def click_run(dock: Any) -> None:
    """Click Run as a person does, and wait for the end."""
    assert dock.panel.bar.run_button.isEnabled(), dock.panel.bar.status.text()
    loop = QEventLoop()
    dock.panel.bar.runner.finished.connect(loop.quit)
    dock.panel.bar.run_button.click()
    loop.exec()
    assert dock.panel.bar.status.text().startswith("done"), (
        dock.panel.bar.messages.texts
    )


class Story:
    """A viewer, and what was seen in it."""

    def __init__(self) -> None:
        register()
        self.viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(*SIZE)
        self.seen: dict[str, Any] = {"docks_s": {}, "clipped": {}}
        spin(0.3)

    def open(self, title: str) -> Any:
        """Open a dock from the menu's command, and take its time."""
        start = time.perf_counter()
        dock, widget = self.viewer.window.add_plugin_dock_widget("napari-dps", title)
        QApplication.processEvents()
        self.seen["docks_s"][title] = round(time.perf_counter() - start, 3)
        widget.story_dock = dock
        spin(0.2)
        return widget

    def close(self, widget: Any) -> None:
        """Close a dock by its cross."""
        widget.story_dock.close()
        spin(0.05)

    def shoot(self, name: str, widget: Any) -> None:
        """Save a screenshot in each theme; note what is clipped."""
        for theme in ("light", "dark"):
            self.viewer.theme = theme
            spin(0.3)
            file = OUT / f"{name}-{theme}.png"
            self.viewer.screenshot(str(file), canvas_only=False, flash=False)
        if found := clipped(widget):
            self.seen["clipped"][name] = found

    def keep(self, stage: str) -> None:
        """Keep the pixels of the uppermost layer."""
        np.save(OUT / f"gui.{stage}.npy", np.asarray(self.viewer.layers[-1].data))


def tell(story: Story) -> None:
    """Open a sample, run the stages, compare, save the pipeline."""
    viewer = story.viewer
    viewer.open_sample("napari-dps", "microtubules")
    raw = viewer.layers["Microtubules"]
    truth = viewer.layers["Microtubules · truth (DPS)"]
    before = "torch" in sys.modules
    layer = raw
    for stage, title in DOCKS.items():
        dock = story.open(title)
        if layer is raw:
            story.seen["torch_before_run"] = before or "torch" in sys.modules
        dock.panel.combo.setValue(layer)
        click_run(dock)
        spin(1.0)
        layer = viewer.layers[-1]
        story.keep(stage)
        story.shoot(stage, dock)
        if stage == "reconstruct":
            dock.patterns_widget.layers_button.click()
            story.shoot("spectrum", dock)
            dock.patterns_widget.layers_button.click()
        story.close(dock)
    dock = story.open("srPSF preview")
    dock.form.editors["modulation_factor"].setValue(1.9)
    story.shoot("psf", dock)
    story.close(dock)
    compare(story, raw, truth)
    dock = story.open("Pipeline")
    dock.panel.combo.setValue(raw)
    click_run(dock)
    stages = dock.settings().stages
    for layer, stage in zip(viewer.layers[-len(stages) :], stages, strict=True):
        np.save(OUT / f"pipeline.{stage}.npy", np.asarray(layer.data))
    dock.save(OUT / "pipeline.toml")
    story.shoot("pipeline", dock)
    raw.save(str(OUT / "raw.ome.tif"), plugin="napari-dps")
    batch(story, dock)
    story.close(dock)
    live(story, raw)


def batch(story: Story, dock: Any) -> None:
    """Run the folder of a day, with a file in it that is none."""
    inputs = OUT / "2026-11-22"
    inputs.mkdir()
    for name in ("cell 1", "cell 2", "cell 3"):
        shutil.copy(OUT / "raw.ome.tif", inputs / f"{name}.ome.tif")
    (inputs / "notes.tif").write_text("cell 2 moved")
    os.chdir(OUT)  # the names in the picture are short, and the same everywhere
    for name, box in dock.stages.boxes.items():
        box.setChecked(name in ("reconstruct", "background"))
    dock.batch.inputs.setValue(inputs.name)
    dock.batch.results.setValue("results")
    dock.batch_section.setOpen(True)
    loop = QEventLoop()
    dock.batch.bar.runner.finished.connect(loop.quit)
    dock.batch.bar.run_button.click()
    loop.exec()
    spin(0.5)
    scroll = dock.findChild(QScrollArea).verticalScrollBar()
    scroll.setValue(scroll.maximum())
    story.seen["batch"] = dock.batch.bar.status.text()
    story.shoot("batch", dock)


def live(story: Story, raw: Any) -> None:
    """Follow a layer whose cell moves, set by set."""
    viewer = story.viewer
    frames = np.asarray(raw.data)
    _, kwargs, _ = raw.as_layer_data_tuple()
    for other in viewer.layers:
        other.visible = False
    layer = viewer.add_image(frames, **{**kwargs, "name": "camera", "visible": True})
    dock = story.open("Live")
    dock.panel.combo.setValue(layer)
    dock.panel.bar.run_button.click()
    while dock.result is None and dock.panel.bar.runner.is_running:
        spin(0.1)
    for number in range(20):
        spin(0.25)
        layer.data = np.roll(frames, number + 1, axis=-1)
    assert dock.result is not None, dock.panel.bar.messages.texts
    story.seen["live"] = dock.panel.bar.status.text()
    story.shoot("live", dock)
    loop = QEventLoop()
    dock.panel.bar.runner.finished.connect(loop.quit)
    dock.panel.bar.cancel_button.click()
    loop.exec()


def compare(story: Story, raw: Any, truth: Any) -> None:
    """Rank all images against the truth, with a profile."""
    viewer = story.viewer
    dock = story.open("Compare")
    images = [layer for layer in viewer.layers if "truth" not in layer.name]
    dock.inputs.reference.setValue(truth)
    dock.inputs.layers.setValue(images)
    loop = QEventLoop()
    dock.runner.finished.connect(loop.quit)
    dock.buttons["Measure"].click()
    loop.exec()
    dock.add_shapes("line")
    line = viewer.layers[-1]
    line.add_lines(np.array([[16000, 15400], [16000, 16400]]))
    line.mode = "pan_zoom"
    for _ in range(100):
        if len(dock.plot.curves) == len(images) and not dock.runner.is_running:
            break
        spin(0.2)
    story.seen["psnr_db"] = {row["layer"]: row["psnr_db"] for row in dock.rows}
    story.seen["profiles"] = len(dock.plot.curves)
    viewer.scene.camera.center = (0, 16000, 16200)
    viewer.scene.camera.zoom *= 4
    story.shoot("compare", dock)
    line.visible = False
    dock.inputs.layers.setValue([raw, images[-1]])
    dock.buttons["Split view"].click()
    story.shoot("split", dock)
    dock.buttons["Split view"].click()
    story.close(dock)
    viewer.reset_view()
    viewer.layers.remove(line)


def main() -> None:
    """Tell the story and write down what was seen."""
    QSettings.setPath(
        QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(OUT / "settings")
    )
    OUT.mkdir(parents=True, exist_ok=True)
    story = Story()
    tell(story)
    story.seen["notifications"] = [str(x) for x in notification_manager.records]
    (OUT / "story.json").write_text(
        json.dumps(story.seen, indent=2, ensure_ascii=False)
    )
    story.viewer.close()


if __name__ == "__main__":
    main()

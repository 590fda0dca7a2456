"""A result is saved from its dock as the command line saves it, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtWidgets import QMessageBox

from napari_dps import io
from napari_dps._qt import dock_widgets
from napari_dps._qt.bridge.files import get_reader
from napari_dps._qt.bridge.layers import FILE, METADATA
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.stage import StageWidget
from napari_dps.cli import main
from napari_dps.core import InputError

STAGES = ["--stages", "reconstruct", "--camera-offset", "100"]


@pytest.fixture
def raw_file(tmp_path: Path, raw_stack: Any) -> Path:
    return io.save(raw_stack, tmp_path / "cell.ome.tif")


@pytest.fixture
def dock(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_file: Path
) -> StageWidget:
    """Return the dock of a stage after its run."""
    read = get_reader(str(raw_file))
    assert read is not None
    ((data, kwargs, _),) = read(str(raw_file))
    kwargs["metadata"][METADATA][FILE] = str(raw_file)  # napari tells it of a real one
    viewer.add_layer(Image(data, **kwargs))
    widget = dock_widgets.ReconstructWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    widget.show()
    widget.panel.microscope.editors["camera_offset"].setValue(100)
    assert not widget.panel.save.isVisible()
    with qtbot.waitSignal(widget.panel.bar.runner.finished, timeout=120_000):
        widget.panel.bar.run_button.click()
    assert widget.panel.save.isVisible()
    return widget


def _save(qtbot: Any, dock: StageWidget, name: Path) -> None:
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=120_000):
        dock.panel.save.choose(name)


def _facts(report: Path) -> dict[str, Any]:
    """Return what a report says, but for times and memory."""
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    for name in ("created", "peak_memory_mb", "key", "files", "device"):
        found.pop(name)
    for stage in found["stages"]:
        stage.pop("seconds")
    return found


def test_saved_result_is_what_the_command_line_writes(
    qtbot: Any, dock: StageWidget, raw_file: Path, tmp_path: Path
) -> None:
    _save(qtbot, dock, tmp_path / "gui" / "cell.ome.tif")
    assert dock.panel.bar.messages.texts[0].startswith("written to ")
    assert main(["run", str(raw_file), "--out", str(tmp_path / "cli"), *STAGES]) == 0
    written = {path.name for path in (tmp_path / "gui").iterdir()}
    assert written == {path.name for path in (tmp_path / "cli").iterdir()}
    images = [
        io.load(tmp_path / where / "cell.reconstruct.ome.tif")
        for where in ("gui", "cli")
    ]
    assert np.array_equal(images[0].data, images[1].data)
    assert images[0].patterns == images[1].patterns
    reports = [tmp_path / where / "cell.report.json" for where in ("gui", "cli")]
    assert _facts(reports[0]) == _facts(reports[1])


def test_result_is_written_as_zarr(
    qtbot: Any, dock: StageWidget, viewer: ViewerModel, tmp_path: Path
) -> None:
    _save(qtbot, dock, tmp_path / "out" / "mine.zarr")
    stack = io.load(tmp_path / "out" / "mine.reconstruct.ome.zarr")
    assert np.array_equal(stack.data, viewer.layers[-1].data)


def test_nothing_is_left_of_a_saving_that_fails_or_is_stopped(
    qtbot: Any, dock: StageWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = dock.panel.save.record
    assert record is not None
    files = record.files(tmp_path / "out" / "cell.ome.tif")
    steps = record.steps(files)
    next(steps)
    steps.close()
    assert not any((tmp_path / "out").iterdir())

    def fail(*_: Any, **__: Any) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr("napari_dps.results.save.write_report", fail)
    _save(qtbot, dock, tmp_path / "out" / "cell.ome.tif")
    assert dock.panel.bar.messages.texts == ("the disk is full",)
    assert not any((tmp_path / "out").iterdir())


def test_input_is_not_overwritten_and_other_files_only_when_allowed(
    qtbot: Any, dock: StageWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cell.png").write_text("a picture of mine")
    refused = QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *_: refused)
    dock.panel.save.choose(tmp_path / "cell.reconstruct.ome.tif")
    assert not dock.panel.bar.runner.is_running
    assert (tmp_path / "cell.png").read_text() == "a picture of mine"


def test_without_its_layers_a_result_is_not_offered(
    dock: StageWidget, viewer: ViewerModel
) -> None:
    viewer.layers.remove(viewer.layers[-1])
    dock.panel.refresh_layers()
    assert not dock.panel.save.isVisible()

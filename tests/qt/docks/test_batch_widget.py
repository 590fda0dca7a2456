"""Batches over a folder from the dock of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_dps import io
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.batch import BatchWidget
from napari_dps._qt.docks.pipeline import PipelineWidget
from napari_dps.cli import main
from napari_dps.core import ImageStack


@pytest.fixture
def folder(tmp_path: Path, raw_stack: ImageStack) -> Path:
    """Two raw stacks and a file that is none."""
    inputs = tmp_path / "inputs"
    for name in ("a", "b"):
        io.save(raw_stack, inputs / f"{name}.ome.tif")
    (inputs / "c.tif").write_text("hello")
    return inputs


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, microscope: Microscope) -> PipelineWidget:
    microscope.update({"na": 1.4, "emission_nm": 525.0})
    microscope.set_camera_offset(100)
    widget = PipelineWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    for name, box in widget.stages.boxes.items():
        box.setChecked(name in ("reconstruct", "background"))
    return widget


def _run(qtbot: Any, batch: BatchWidget, inputs: Path, results: Path) -> None:
    batch.inputs.setValue(str(inputs))
    batch.results.setValue(str(results))
    with qtbot.waitSignal(batch.bar.runner.finished, timeout=120_000):
        batch.bar.run_button.click()


def _rows(batch: BatchWidget) -> list[list[str]]:
    table = batch.table
    return [
        [table.item(row, column).text() for column in range(table.columnCount())]
        for row in range(table.rowCount())
    ]


def test_a_folder_is_run_and_each_file_has_its_row(
    qtbot: Any, dock: PipelineWidget, folder: Path, tmp_path: Path
) -> None:
    _run(qtbot, dock.batch, folder, tmp_path / "out")
    rows = _rows(dock.batch)
    assert [row[:2] for row in rows] == [
        ["a.ome.tif", "done"],
        ["b.ome.tif", "done"],
        ["c.tif", "failed"],
    ]
    assert "not an image file" in rows[2][2]
    assert "2 of 3 inputs are done" in dock.batch.bar.status.text()
    assert (tmp_path / "out" / "batch.csv").is_file()
    assert dock.batch.bar.run_button.isEnabled()


@pytest.mark.slow
def test_pixels_are_those_of_the_command_line(
    qtbot: Any, dock: PipelineWidget, folder: Path, tmp_path: Path
) -> None:
    _run(qtbot, dock.batch, folder / "a.ome.tif", tmp_path / "gui")
    options = (
        "--stages reconstruct,background --camera-offset 100 --na 1.4 "
        "--emission-nm 525 --angles 3 --phases 3"
    )
    raw, out = str(folder / "a.ome.tif"), str(tmp_path / "cli")
    assert main(["run", raw, "--out", out, *options.split()]) == 0
    name = "a.background.ome.tif"
    ours, theirs = (io.load(tmp_path / who / name).data for who in ("gui", "cli"))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_second_batch_goes_on_where_the_first_has_stopped(
    qtbot: Any, dock: PipelineWidget, folder: Path, tmp_path: Path
) -> None:
    for status in ("done", "was done"):
        _run(qtbot, dock.batch, folder / "*.ome.tif", tmp_path / "out")
        assert [row[1] for row in _rows(dock.batch)] == [status, status]


@pytest.mark.slow
def test_cancel_keeps_what_is_done(
    qtbot: Any, dock: PipelineWidget, folder: Path, tmp_path: Path
) -> None:
    batch = dock.batch
    batch.inputs.setValue(str(folder))
    batch.results.setValue(str(tmp_path / "out"))

    seen: list[list[str]] = []

    def stop(report: Any) -> None:
        seen.append([row[1] for row in _rows(batch)])
        if report.message.startswith("2 of 2"):
            batch.bar.cancel()

    batch.bar.runner.progressed.connect(stop)
    with qtbot.waitSignal(batch.bar.runner.cancelled, timeout=120_000):
        batch.run()
    assert (tmp_path / "out" / "a.report.json").is_file()
    assert not (tmp_path / "out" / "b.report.json").exists()
    assert seen[0][:2] == ["running", "waiting"]
    assert seen[0][2] in ("waiting", "failed")  # what cannot be read fails at once
    assert "running" not in [row[1] for row in _rows(batch)]
    assert _rows(batch)[0][1] == "done"
    assert batch.bar.run_button.isEnabled()


@pytest.mark.parametrize(
    ("inputs", "results", "message"),
    [
        ("", "out", "name the inputs"),
        ("inputs", "", "name the inputs"),
        ("inputs/*.czi", "out", "czi"),
    ],
)
def test_what_is_missing_is_said_before_anything_runs(
    dock: PipelineWidget,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    inputs: str,
    results: str,
    message: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    dock.batch.inputs.setValue(inputs)
    dock.batch.results.setValue(results)
    dock.batch.bar.run_button.click()
    assert message in dock.batch.bar.messages.texts[0].lower()
    assert not dock.batch.bar.runner.is_running


def test_stages_that_do_not_fit_are_said(
    dock: PipelineWidget, folder: Path, tmp_path: Path
) -> None:
    dock.batch.inputs.setValue(str(folder))
    dock.batch.results.setValue(str(tmp_path / "out"))
    dock.stages.boxes["reconstruct"].setChecked(False)
    dock.batch.bar.run_button.click()
    assert "raw SIM frames" in dock.batch.bar.messages.texts[0]

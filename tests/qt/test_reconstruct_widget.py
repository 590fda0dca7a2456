"""Patterns and live preview of the SIM reconstruction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps._qt.dock_widgets import ReconstructWidget
from napari_dps._qt.microscope import Microscope
from napari_dps._qt.patterns_widget import PatternsWidget
from napari_dps.core import Pattern
from napari_dps.io import load_patterns

FOUND = (
    Pattern(
        angle_index=0,
        angle_deg=12.0,
        period_nm=208.0,
        modulation=0.6,
        confidence=99.0,
        status="found",
        phases_deg=(0, 120, 240),
    ),
    Pattern(angle_index=1, status="not found"),
)


@pytest.fixture
def dock(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> ReconstructWidget:
    microscope.set_camera_offset(100)
    viewer.add_layer(raw_layer)
    widget = ReconstructWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def table(qtbot: Any) -> PatternsWidget:
    widget = PatternsWidget()
    qtbot.addWidget(widget)
    widget.setValue(FOUND)
    return widget


def _run(qtbot: Any, dock: ReconstructWidget) -> None:
    with qtbot.waitSignal(dock.bar.runner.finished, timeout=60_000):
        dock.bar.run_button.click()


def test_table_shows_each_pattern_and_what_is_missing(table: PatternsWidget) -> None:
    rows = [
        [table.table.item(row, column).text() for column in range(6)]
        for row in range(2)
    ]
    assert rows == [
        ["1", "12.00°", "208.0 nm", "0.60", "99", "found"],
        ["2", "–", "–", "0.00", "–", "not found"],
    ]
    assert table.value() == ()


def test_angle_set_by_hand_is_given_and_used(table: PatternsWidget) -> None:
    table.table.item(0, 1).setText("192,5")
    (first, second) = table.value()
    assert (first.angle_deg, first.period_nm, first.status) == (12.5, 208.0, "given")
    assert second.status == "not found"
    table.table.item(1, 1).setText("72")
    table.table.item(1, 2).setText("208 nm")
    assert table.value()[1].is_usable


@pytest.mark.parametrize("text", ["", "abc", "nan", "-3"])
def test_text_that_is_no_period_changes_nothing(
    table: PatternsWidget, text: str
) -> None:
    table.table.item(0, 2).setText(text)
    assert table.shown() == FOUND


def test_patterns_are_saved_for_the_command_line(
    table: PatternsWidget, tmp_path: Path
) -> None:
    table.save(tmp_path / "patterns.json")
    assert load_patterns(tmp_path / "patterns.json") == FOUND
    table.setValue(())
    table.load(tmp_path / "patterns.json")
    assert table.value() == FOUND


def test_run_shows_patterns_and_spectra_and_uses_those_set_by_hand(
    qtbot: Any, dock: ReconstructWidget, viewer: ViewerModel
) -> None:
    _run(qtbot, dock)
    panel = dock.patterns_widget
    assert [pattern.status for pattern in panel.shown()] == ["found"] * 3
    qtbot.waitUntil(panel.spectrum.isVisible, timeout=20_000)
    panel.use_box.setChecked(True)
    _run(qtbot, dock)
    assert [pattern.status for pattern in panel.shown()] == ["given"] * 3
    first, second = (layer.data for layer in viewer.layers[-2:])
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.999


def test_preview_is_what_a_run_would_give_and_stays_one_layer(
    qtbot: Any, dock: ReconstructWidget, viewer: ViewerModel
) -> None:
    _run(qtbot, dock)
    dock.live.setChecked(True)
    for value in (0.2, 0.1):
        with qtbot.waitSignal(dock.previewer.returned, timeout=20_000):
            dock.form.setValue({"wiener_parameter": value})
    qtbot.waitUntil(lambda: not dock.previewer.is_running)
    preview = viewer.layers[-1]
    assert [layer.name.endswith("preview") for layer in viewer.layers].count(True) == 1
    assert len(viewer.layers) == 3
    dock.live.setChecked(False)
    _run(qtbot, dock)
    assert np.array_equal(viewer.layers[-1].data, preview.data)


def test_other_layer_forgets_the_patterns(
    qtbot: Any, dock: ReconstructWidget, viewer: ViewerModel, raw_layer: Image
) -> None:
    _run(qtbot, dock)
    other = viewer.add_image(np.ones((9, 32, 32)), name="other")
    dock.combo.set_layer(other)
    assert dock.patterns_widget.shown() == ()
    assert dock.patterns() == ()

"""Patterns and live preview of the SIM reconstruction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps._qt.bridge.layers import METADATA, part_of
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.spectrum_layers import SpectrumScene
from napari_dps._qt.dock_widgets import ReconstructWidget
from napari_dps._qt.widgets.patterns import PatternsWidget
from napari_dps.core import Pattern
from napari_dps.figures.spectrum_picture import spectrum_pictures
from napari_dps.io import load_patterns
from napari_dps.physics.simulate import SimulationSettings, simulate

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
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=60_000):
        dock.panel.bar.run_button.click()


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
    dock.live.setValue(True)
    for value in (0.2, 0.1):
        with qtbot.waitSignal(dock.preview.runner.returned, timeout=20_000):
            dock.form.setValue({"wiener_parameter": value})
    qtbot.waitUntil(lambda: not dock.preview.runner.is_running)
    preview = viewer.layers[-1]
    assert [layer.name.endswith("preview") for layer in viewer.layers].count(True) == 1
    assert len(viewer.layers) == 3
    dock.live.setValue(False)
    _run(qtbot, dock)
    assert np.array_equal(viewer.layers[-1].data, preview.data)


def test_other_layer_forgets_the_patterns(
    qtbot: Any, dock: ReconstructWidget, viewer: ViewerModel, raw_layer: Image
) -> None:
    _run(qtbot, dock)
    other = viewer.add_image(np.ones((9, 32, 32)), name="other")
    dock.panel.combo.setValue(other)
    assert dock.patterns_widget.shown() == ()
    assert dock.patterns_widget.value() == ()


@pytest.fixture
def shown(qtbot: Any, dock: ReconstructWidget) -> ReconstructWidget:
    """The dock after a run, with the spectrum as layers."""
    _run(qtbot, dock)
    button = dock.patterns_widget.layers_button
    qtbot.waitUntil(button.isVisible, timeout=20_000)
    button.click()
    return dock


def _parts(viewer: ViewerModel) -> list[Any]:
    return [layer for layer in viewer.layers if part_of(layer)]


def test_marks_lie_on_the_wave_vectors_in_cycles_per_um(
    shown: ReconstructWidget, viewer: ViewerModel
) -> None:
    spectrum, circle, marks = _parts(viewer)
    orders = [p.orders[0] for p in shown.patterns_widget.shown()]
    assert marks.features["period_nm"].tolist() == [o.period_nm for o in orders] * 2
    radii = np.hypot(*marks.data.T)
    assert np.allclose(radii, 1000 / marks.features["period_nm"])
    optics = shown.panel.combo.value().metadata[METADATA]["optics"]
    reach = np.hypot(*circle.data[0].T)
    assert np.allclose(reach, 1000 / optics.cutoff_period_nm)
    assert spectrum.axis_labels == ("k_y (1/µm)", "k_x (1/µm)")
    assert viewer.layers.extent.units is not None  # else napari warns
    # The frequencies beside zero are 1/(80 px · 65 nm) from it; zero is at the origin.
    assert spectrum.scale[-1] == pytest.approx(1000 / (80 * 65))
    assert spectrum.data_to_world((40, 40)) == pytest.approx((0, 0))


def test_stripes_are_the_brightest_spots_and_lie_inside_the_marks(
    viewer: ViewerModel,
) -> None:
    simulation = simulate(SimulationSettings(height_px=200, width_px=230))
    scene = SpectrumScene(viewer)
    scene.show_spectra(spectrum_pictures(simulation.raw), simulation.patterns)
    spectrum, _, marks = _parts(viewer)
    for place in marks.data:
        y, x = np.round(spectrum.world_to_data(place)).astype(int)
        assert (
            spectrum.data[y - 1 : y + 2, x - 1 : x + 2].max() > 3 * spectrum.data.mean()
        )


def test_spectrum_hides_the_others_and_leaves_all_as_it_was(
    shown: ReconstructWidget, viewer: ViewerModel
) -> None:
    own = [layer for layer in viewer.layers if not part_of(layer)]
    assert not any(layer.visible for layer in own)
    assert viewer.scene.camera.center[-2:] == pytest.approx((0, 0), abs=0.1)
    shown.patterns_widget.layers_button.click()
    assert list(viewer.layers) == own
    assert all(layer.visible for layer in own)
    assert viewer.scene.camera.center[-2:] != pytest.approx((0, 0), abs=0.1)


@pytest.mark.slow
def test_angle_set_by_hand_moves_its_mark_and_not_the_view(
    shown: ReconstructWidget, viewer: ViewerModel
) -> None:
    viewer.scene.camera.zoom = 7.0
    shown.patterns_widget.table.item(0, 1).setText("90")
    *_, marks = _parts(viewer)
    (y, x) = marks.data[0]
    assert abs(x) < 1e-6 < y
    assert marks.features["status"][0] == "given"
    assert viewer.scene.camera.zoom == 7.0


@pytest.mark.slow
def test_spectrum_without_any_pattern_has_no_marks(
    shown: ReconstructWidget, viewer: ViewerModel
) -> None:
    shown.patterns_widget.setValue(FOUND[1:])
    assert [layer.name for layer in _parts(viewer)] == [
        "power spectrum",
        "cut-off of the detection",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["close", "delete", "other"])
def test_spectrum_leaves_with_what_it_shows(
    shown: ReconstructWidget, viewer: ViewerModel, action: str
) -> None:
    if action == "close":
        shown.close()
    elif action == "delete":
        viewer.layers.remove(_parts(viewer)[1])
    else:
        other = viewer.add_image(np.ones((9, 32, 32)), name="other")
        shown.panel.combo.setValue(other)
        assert shown.patterns_widget.layers_button.isHidden()
    assert _parts(viewer) == []
    assert not shown.patterns_widget.layers_button.isChecked()

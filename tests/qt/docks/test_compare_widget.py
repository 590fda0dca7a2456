"""The dock that compares layers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from qtpy.QtCore import Qt
from scipy.ndimage import gaussian_filter

from napari_dps._qt.bridge.compare import (
    measure_all,
    profile_all,
    why_not_compared,
)
from napari_dps._qt.bridge.curves import profile_curves
from napari_dps._qt.bridge.layers import part_of, pixel_size_nm, place_in_nm, why_not
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.docks.compare import CompareWidget
from napari_dps.core import ImageStack, finish


@pytest.fixture
def layers(viewer: ViewerModel) -> dict[str, Image]:
    """A truth, a good and a bad image of it, and one on a coarser grid."""
    rng = np.random.default_rng(3)
    truth = 1000 * gaussian_filter(
        (rng.random((96, 96)) > 0.99).astype(np.float32), 1.5
    )
    coarse = truth.reshape(48, 2, 48, 2).mean(axis=(1, 3))
    found = {
        "truth": Image(truth, name="truth", scale=(32.5,) * 2, units="nm"),
        "good": Image(
            truth + rng.normal(0, 1, truth.shape),
            name="good",
            scale=(32.5,) * 2,
            units="nm",
        ),
        "bad": Image(
            truth + rng.normal(0, 20, truth.shape),
            name="bad",
            scale=(0.0325,) * 2,
            units="µm",
        ),
        "coarse": Image(
            coarse, name="coarse", scale=(65,) * 2, translate=(16.25,) * 2, units="nm"
        ),
    }
    for layer in found.values():
        viewer.add_layer(layer)
    return found


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, layers: dict[str, Image]) -> CompareWidget:
    widget = CompareWidget(viewer)
    qtbot.addWidget(widget)
    widget.show()
    return widget


def _measure(qtbot: Any, dock: CompareWidget) -> dict[str, Any]:
    with qtbot.waitSignal(dock.runner.finished, timeout=60_000):
        dock.buttons["Measure"].click()
    return {row["layer"]: row for row in dock.rows}


def _column(dock: CompareWidget, title: str) -> list[str]:
    titles = [
        dock.table.horizontalHeaderItem(n).text()
        for n in range(dock.table.columnCount())
    ]
    place = titles.index(title)
    return [dock.table.item(n, place).text() for n in range(dock.table.rowCount())]


def test_layers_are_ranked_against_a_reference_and_grids_are_registered(
    qtbot: Any, dock: CompareWidget, layers: dict[str, Image]
) -> None:
    dock.inputs.reference.setValue(layers["truth"])
    dock.inputs.layers.setValue([layers["good"], layers["bad"], layers["coarse"]])
    rows = _measure(qtbot, dock)
    assert rows["good"]["psnr_db"] > rows["bad"]["psnr_db"] + 15
    assert rows["good"]["shift_x_px"] == pytest.approx(0, abs=0.02)
    # On another grid, at its place in the world: nothing is refused or shifted.
    assert rows["coarse"]["psnr_db"] > 25
    assert rows["coarse"]["shift_x_px"] == pytest.approx(0, abs=0.1)
    assert dock.table.rowCount() == 3


def test_units_of_layers_do_not_matter(
    qtbot: Any, dock: CompareWidget, layers: dict[str, Image]
) -> None:
    dock.inputs.reference.setValue(layers["truth"])
    dock.inputs.layers.setValue([layers["bad"]])
    assert abs(_measure(qtbot, dock)["bad"]["shift_y_px"]) < 0.1


def test_table_sorts_by_number(
    qtbot: Any, dock: CompareWidget, layers: dict[str, Image]
) -> None:
    dock.inputs.reference.setValue(layers["truth"])
    dock.inputs.layers.setValue([layers["good"], layers["bad"], layers["coarse"]])
    _measure(qtbot, dock)
    for order, sign in (
        (Qt.SortOrder.AscendingOrder, 1),
        (Qt.SortOrder.DescendingOrder, -1),
    ):
        dock.table.sortItems(1, order)
        values = [sign * float(text) for text in _column(dock, "PSNR (dB)")]
        assert values == sorted(values)


def test_without_a_reference_each_is_measured_alone(
    qtbot: Any, dock: CompareWidget
) -> None:
    rows = _measure(qtbot, dock)
    assert set(rows) == {"truth", "good", "bad", "coarse"}
    assert "psnr_db" not in rows["good"]
    assert _column(dock, "SNR (dB)")


def test_region_is_the_same_field_in_every_layer(
    qtbot: Any, dock: CompareWidget, viewer: ViewerModel, layers: dict[str, Image]
) -> None:
    corners = np.array([[325, 650], [325, 1950], [1625, 1950], [1625, 650]])
    shapes = Shapes(name="part", units="nm")
    shapes.add_rectangles(corners)
    viewer.add_layer(shapes)
    dock.inputs.region.setValue(shapes)
    stacks = {
        name: dock.comparison().item(viewer, layers[name]).stack()
        for name in ("truth", "bad", "coarse")
    }
    assert stacks["truth"].shape == (41, 41)
    assert stacks["bad"].shape == (41, 41)
    assert np.array_equal(stacks["truth"].data, layers["truth"].data[10:51, 20:61])
    assert stacks["truth"].origin_nm == (325, 650)
    assert stacks["coarse"].origin_nm == pytest.approx((341.25, 666.25))


@pytest.mark.slow
def test_line_profiles_agree_between_grids(
    qtbot: Any, dock: CompareWidget, viewer: ViewerModel, layers: dict[str, Image]
) -> None:
    y, x = np.unravel_index(layers["truth"].data.argmax(), (96, 96))
    ends = np.array([[y, x - 8], [y, x + 8]]) * 32.5
    shapes = Shapes(name="line", units="nm")
    shapes.add_lines(ends)
    viewer.add_layer(shapes)
    dock.inputs.layers.setValue([layers["truth"], layers["coarse"]])
    with qtbot.waitSignal(dock.profiles.finished, timeout=20_000):
        dock.inputs.line.setValue(shapes)
    qtbot.waitUntil(lambda: len(dock.plot.curves) == 2)
    for curve in dock.plot.curves:
        assert curve.x[-1] == pytest.approx(16 * 32.5)
        assert curve.x[curve.y.argmax()] == pytest.approx(8 * 32.5, abs=35)
        assert "nm" in curve.label


def test_profiles_of_z_stacks_tell_the_width_in_z(
    viewer: ViewerModel, dock: CompareWidget
) -> None:
    z, y, x = np.mgrid[:24, :96, :80]
    spot = np.exp(-0.5 * ((z - 9) ** 2 / 6.25 + ((y - 60) ** 2 + (x - 50) ** 2) / 16))
    stack = ImageStack(spot, "ZYX", pixel_size_nm=40, z_step_nm=125)
    data, kwargs, _ = stack_layer(stack, "spot")
    layer = viewer.add_layer(Image(data, **kwargs))
    viewer.dims.set_current_step(0, 9)
    shapes = Shapes(name="line", units="nm")
    shapes.add_lines(np.array([[60, 30], [60, 70]]) * 40.0)
    viewer.add_layer(shapes)
    asked = replace(dock.comparison(), layers=(layer,), line=shapes)
    found = finish(profile_all(asked.items(viewer)))
    (curve,) = profile_curves(found)
    assert f"FWHM {4 * 2.3548 * 40:.0f} nm" in curve.label
    in_z = float(curve.label.split("in z ")[1].split()[0])
    assert in_z == pytest.approx(2.5 * 2.3548 * 125, rel=0.01)
    (row,) = finish(measure_all(asked.items(viewer), None))
    assert "resolution_z_decorrelation_nm" in row


def test_error_map_lies_on_its_reference(
    qtbot: Any, dock: CompareWidget, viewer: ViewerModel, layers: dict[str, Image]
) -> None:
    dock.inputs.reference.setValue(layers["coarse"])
    dock.inputs.layers.setValue([layers["good"]])
    with qtbot.waitSignal(dock.runner.finished, timeout=20_000):
        dock.buttons["Error maps"].click()
    result = viewer.layers["good · error map"]
    assert tuple(result.scale) == (65, 65)
    assert np.allclose(result.translate, 16.25)
    assert "RSP" in dock.messages.texts[0]


def test_error_map_without_a_reference_asks_for_one(dock: CompareWidget) -> None:
    dock.buttons["Error maps"].click()
    assert "choose a reference" in dock.messages.texts[0]


def test_measures_follow_the_layers(
    qtbot: Any, dock: CompareWidget, viewer: ViewerModel, layers: dict[str, Image]
) -> None:
    dock.inputs.reference.setValue(layers["truth"])
    dock.inputs.layers.setValue([layers["bad"]])
    before = _measure(qtbot, dock)["bad"]["psnr_db"]
    with qtbot.waitSignal(dock.runner.finished, timeout=20_000):
        layers["bad"].data = layers["good"].data
    assert dock.rows[0]["psnr_db"] > before + 15


def test_csv_and_png_are_written(
    qtbot: Any, dock: CompareWidget, layers: dict[str, Image], tmp_path: Path
) -> None:
    dock.inputs.layers.setValue([layers["good"], layers["coarse"]])
    _measure(qtbot, dock)
    dock.export_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["layer"] for row in rows} == {"good", "coarse"}
    key = "resolution_decorrelation_nm"
    assert float(rows[0][key]) == pytest.approx(dock.rows[0][key])
    with qtbot.waitSignal(dock.runner.finished, timeout=60_000):
        dock.export_png(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_side_by_side_shows_the_chosen_layers_alone(
    dock: CompareWidget, viewer: ViewerModel, layers: dict[str, Image]
) -> None:
    dock.inputs.layers.setValue([layers["good"], layers["bad"]])
    dock.buttons["Side by side"].click()
    assert viewer.canvas.grid.enabled
    assert {layer.name for layer in viewer.layers if layer.visible} == {"good", "bad"}
    dock.buttons["Side by side"].click()
    assert not viewer.canvas.grid.enabled


def test_layer_that_cannot_be_measured_does_not_stop_the_others(
    qtbot: Any, dock: CompareWidget, viewer: ViewerModel, layers: dict[str, Image]
) -> None:
    broken = np.full((32, 32), np.nan, np.float32)
    viewer.add_image(broken, name="broken", scale=(32.5,) * 2, units="nm")
    dock.inputs.reference.setValue(layers["truth"])
    dock.inputs.layers.setValue([viewer.layers["broken"], layers["good"]])
    rows = _measure(qtbot, dock)
    assert "not finite" in rows["broken"]["error"]
    assert rows["good"]["psnr_db"] > 20
    assert "broken" in dock.messages.texts[0]


def test_raw_frames_serve_as_their_widefield_image(
    qtbot: Any, viewer: ViewerModel, raw_stack: Any
) -> None:
    data, kwargs, _ = stack_layer(raw_stack, "raw")
    viewer.add_layer(Image(data, **kwargs))
    dock = CompareWidget(viewer)
    qtbot.addWidget(dock)
    dock.show()
    rows = _measure(qtbot, dock)
    assert rows["raw"]["mcnr"] > 0


def test_hidden_dock_leaves_no_callback_behind(
    dock: CompareWidget, viewer: ViewerModel, layers: dict[str, Image]
) -> None:
    events = [layer.events.data for layer in layers.values()]
    shown = sum(len(emitter.callbacks) for emitter in events)
    dock.hide()
    assert sum(len(emitter.callbacks) for emitter in events) == shown - len(layers)


def _split(dock: CompareWidget, *chosen: Image) -> list[Image]:
    """Click Split view and return the copies that it adds."""
    dock.inputs.layers.setValue(chosen)
    dock.buttons["Split view"].click()
    return [x for x in dock.viewer.layers if isinstance(x, Image) and part_of(x)]


def _left_edge_nm(layer: Image) -> float:
    return place_in_nm(layer)[1] - (pixel_size_nm(layer) or 0) / 2


@pytest.mark.slow
@pytest.mark.parametrize("upper", ["bad", "coarse"])  # another unit, another grid
@pytest.mark.parametrize("position", [0, 250, 500, 980, 1000])
def test_border_of_the_split_view_stands_where_the_slider_does(
    dock: CompareWidget, layers: dict[str, Image], upper: str, position: int
) -> None:
    (part,) = _split(dock, layers["truth"], layers[upper])
    dock.views.split.slider.setValue(position)
    border = -16.25 + position / 1000 * 96 * 32.5
    step = pixel_size_nm(part)
    assert step is not None
    end = _left_edge_nm(part) + part.data.shape[1] * step
    assert end == pytest.approx(-16.25 + 96 * 32.5)
    if position < 1000:
        assert abs(_left_edge_nm(part) - border) <= step / 2 + 1e-6
    assert part.visible == (position != 1000)
    assert np.shares_memory(part.data, layers[upper].data)
    assert layers["truth"].visible
    assert not layers[upper].visible


def test_split_view_of_three_has_two_borders_in_order(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    parts = _split(dock, layers["truth"], layers["good"], layers["coarse"])
    first, second = (_left_edge_nm(part) for part in parts)
    assert first == pytest.approx(-16.25 + 96 * 32.5 / 3, abs=16.3)
    assert second == pytest.approx(-16.25 + 2 * 96 * 32.5 / 3, abs=32.6)
    assert dock.views.split.names.text() == "truth | good | coarse"


def test_border_is_dragged_on_the_image(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    _split(dock, layers["truth"], layers["bad"])
    view, viewer = dock.views.split, dock.viewer
    viewer.scene.camera.zoom = 0.1  # 8 px of the screen are 80 nm
    border = -16.25 + 48 * 32.5

    def drag(start: float, end: float) -> None:
        event = SimpleNamespace(type="mouse_press", position=(0.0, start))
        steps = view._drag(viewer, event)
        for kind, place in (("mouse_move", end), ("mouse_release", end)):
            if next(steps, "over") == "over":
                return
            assert not viewer.scene.camera.mouse_pan
            event.type, event.position = kind, (0.0, place)
        assert next(steps, "over") == "over"

    drag(border + 200, 300)  # too far: the image is moved instead
    assert view.value() == 0.5
    drag(border + 40, border + 40 - 0.25 * 96 * 32.5)
    assert view.value() == pytest.approx(0.25, abs=2e-3)
    assert viewer.scene.camera.mouse_pan
    dock.buttons["Split view"].click()
    assert view._drag not in viewer.mouse_drag_callbacks


def test_names_of_the_table_stay_while_it_is_scrolled(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    names = dock.table._names
    dock.show_rows([{"layer": "good", "psnr_db": 30.0}, {"layer": "bad"}])
    dock.more.setValue(True)
    assert names.model() is dock.table.model()
    dock.table.horizontalScrollBar().setValue(300)
    assert names.x() == dock.table.frameWidth()
    assert not names.isColumnHidden(0)
    assert names.isColumnHidden(1)


def test_error_maps_share_a_scale_and_show_it(
    qtbot: Any, dock: CompareWidget, layers: dict[str, Image]
) -> None:
    dock.inputs.reference.setValue(layers["coarse"])
    dock.inputs.layers.setValue([layers["good"], layers["bad"]])
    with qtbot.waitSignal(dock.runner.finished, timeout=60_000):
        dock.buttons["Error maps"].click()
    one, other = dock.viewer.layers[-2:]
    assert one.contrast_limits == other.contrast_limits
    assert [x.colorbar.visible for x in (one, other)] == [True, False]


def test_leaving_the_split_view_leaves_everything_as_it_was(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    layers["good"].visible = False
    before = {x: (x.visible, x.contrast_limits) for x in dock.viewer.layers}
    _split(dock, layers["good"], layers["bad"])
    dock.views.split.slider.setValue(300)
    dock.buttons["Split view"].click()
    assert {x: (x.visible, x.contrast_limits) for x in dock.viewer.layers} == before
    assert not dock.views.split.isVisible()


def test_contrast_set_in_the_split_view_is_that_of_the_layer(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    (part,) = _split(dock, layers["good"], layers["bad"])
    part.contrast_limits = (0, 42)
    part.colormap = "magma"
    assert layers["bad"].contrast_limits == [0, 42]
    assert layers["bad"].colormap.name == "magma"


def test_parts_of_the_split_view_are_not_compared(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    (part,) = _split(dock, layers["good"], layers["bad"])
    assert set(dock.inputs.layers.value()) == {layers["good"], layers["bad"]}
    assert "split view" in why_not(part, "YX")
    assert "split view" in why_not_compared(part)


def test_split_view_of_one_layer_says_what_is_missing(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    assert _split(dock, layers["good"]) == []
    assert "two layers" in dock.messages.texts[0]
    assert not dock.buttons["Split view"].isChecked()


@pytest.mark.parametrize("which", ["layer", "part"])
def test_deleting_a_layer_of_the_split_view_ends_it(
    dock: CompareWidget, layers: dict[str, Image], which: str
) -> None:
    (part,) = _split(dock, layers["good"], layers["bad"])
    dock.viewer.layers.remove(part if which == "part" else layers["bad"])
    assert not dock.views.split.layers.is_on
    assert not any(part_of(layer) for layer in dock.viewer.layers)
    assert layers["good"].visible


def test_split_view_and_grid_exclude_each_other(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    _split(dock, layers["good"], layers["bad"])
    dock.buttons["Side by side"].click()
    assert dock.viewer.canvas.grid.enabled
    assert not dock.views.split.layers.is_on
    dock.buttons["Split view"].click()
    assert not dock.viewer.canvas.grid.enabled
    assert dock.views.split.layers.is_on


def test_closing_the_dock_ends_the_split_view(
    dock: CompareWidget, layers: dict[str, Image]
) -> None:
    _split(dock, layers["good"], layers["bad"])
    dock.close()
    assert not any(part_of(layer) for layer in dock.viewer.layers)


def test_split_view_keeps_the_sliders_of_a_time_lapse(qtbot: Any) -> None:
    viewer = ViewerModel()
    films = [
        viewer.add_image(
            np.random.default_rng(n).random((4, 20, 30)),
            name=str(n),
            axis_labels=("t", "y", "x"),
        )
        for n in range(2)
    ]
    dock = CompareWidget(viewer)
    qtbot.addWidget(dock)
    dock.show()
    (part,) = _split(dock, *films)
    assert part.data.shape == (4, 20, 15)
    viewer.dims.set_current_step(0, 2)
    assert np.array_equal(part._data_view, films[1].data[2, :, 15:])

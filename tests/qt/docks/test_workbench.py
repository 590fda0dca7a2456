"""The workbench: pages that share what is set, Next, and tabs in place of a pile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_dps._qt import dock_widgets
from napari_dps._qt.bridge import samples
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.docks.workbench import COMPARE, RAW, WorkbenchWidget
from napari_dps.core import ImageStack
from napari_dps.stages import STAGES


@pytest.fixture
def bench(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> WorkbenchWidget:
    viewer.add_layer(raw_layer)
    widget = WorkbenchWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    widget.show()
    widget.page(RAW).panel.microscope.editors["camera_offset"].setValue(100)
    return widget


def _run(qtbot: Any, page: Any) -> None:
    with qtbot.waitSignal(page.panel.bar.runner.finished, timeout=120_000):
        page.panel.bar.run_button.click()


def test_there_is_a_page_for_every_step(bench: WorkbenchWidget) -> None:
    ids = [stage.id for stage in STAGES]
    assert list(bench.steps.buttons) == [RAW, *ids, COMPARE]
    for step, button in bench.steps.buttons.items():
        button.click()
        assert bench.pages.currentWidget() is bench.page(step)
        assert bench.purpose.text()
    for stage in STAGES:
        assert stage.purpose.endswith(".")
        assert type(bench.page(stage.id)) is getattr(
            dock_widgets, type(bench.page(stage.id)).__name__
        )


def test_next_carries_the_right_layer_on(
    qtbot: Any, bench: WorkbenchWidget, viewer: ViewerModel, raw_layer: Image
) -> None:
    assert bench.next_button.text() == "Next: Denoise"
    bench.steps.setValue("reconstruct")
    sim = bench.page("reconstruct")
    assert sim.panel.combo.value() is raw_layer
    assert sim.panel.microscope.camera_offset == 100  # typed on another page
    _run(qtbot, sim)
    result = viewer.layers[-1]
    assert bench.steps.buttons["reconstruct"].text() == "SIM ✓"
    assert bench.next_button.text() == "Next: Artefacts"
    bench.next_button.click()
    assert bench.steps.value() == "artifacts"
    assert bench.page("artifacts").panel.combo.value() is result


def test_run_all_uses_the_parameters_of_the_pages_and_leads_to_the_comparison(
    qtbot: Any, bench: WorkbenchWidget, viewer: ViewerModel, raw_layer: Image
) -> None:
    bench.page("background").form.editors["radius_px"].setValue(20)
    raw = bench.page(RAW)
    raw.boxes.setValue(("reconstruct", "background"))
    _run(qtbot, raw)
    history = viewer.layers[-1].metadata["napari-dps"]["history"]
    assert history[-1].parameters["radius_px"] == 20
    assert bench.next_button.text() == "Next: Compare"
    bench.next_button.click()
    compare = bench.page(COMPARE)
    assert compare.comparison().reference is raw_layer
    qtbot.waitUntil(lambda: len(compare.rows) > 0, timeout=60_000)
    assert {row["layer"] for row in compare.rows} == {"raw · SIM", "raw · Background"}
    assert "reward blur" in compare.messages.texts[0]
    assert "background that was removed" in compare.messages.texts[0]


@pytest.mark.parametrize("time_points", [1, 3])
def test_progress_of_run_all_never_goes_backwards(
    qtbot: Any, bench: WorkbenchWidget, raw_stack: ImageStack, time_points: int
) -> None:
    ids = ["denoise", "reconstruct", "artifacts", "background", "dps"]
    if time_points > 1:
        ids = ["temporal", *ids]
        lapse = raw_stack.derive(np.stack([raw_stack.data] * 3), axes="TAPYX")
        data, kwargs, _ = stack_layer(lapse, "lapse")
        bench.viewer.add_layer(Image(data, **kwargs))
    raw = bench.page(RAW)
    raw.panel.combo.setValue(bench.viewer.layers[-1])
    raw.panel.microscope.editors["camera_offset"].setValue(100)
    raw.boxes.setValue(ids)
    shares: list[float] = []
    shown: list[int] = []
    bar = raw.panel.bar
    bar.runner.progressed.connect(lambda r: shares.append(r.done / max(r.total, 1)))
    bar.bar.valueChanged.connect(shown.append)
    _run(qtbot, raw)
    assert bar.status.text().startswith("done"), bar.messages.texts
    assert shares == sorted(shares)
    assert shown.pop() <= 0  # emptied at the end
    assert shown == sorted(shown)
    assert len(shown) > 10


def test_basic_hides_what_few_need_and_keeps_what_was_changed(
    bench: WorkbenchWidget,
) -> None:
    bench.steps.setValue("background")
    page = bench.page("background")
    radius, tolerance = (page.form.editors[n] for n in ("radius_px", "tolerance"))
    assert radius.isVisible()
    assert not tolerance.isVisible()
    bench.advanced.setValue(True)
    assert tolerance.isVisible()
    tolerance.setValue(0.02)
    bench.advanced.setValue(False)
    assert tolerance.isVisible()
    assert not page.form.editors["smoothing_px"].isVisible()


def test_inputs_are_chosen_by_history(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope
) -> None:
    layers = samples.raw_stack("actin", height_px=64, width_px=64)
    *truths, raw = (Image(data, **kwargs) for data, kwargs, _ in layers)
    for layer in (raw, *truths):  # the truths lie above, and one is looked at
        viewer.add_layer(layer)
    truths[-1].visible = True
    viewer.layers.selection.active = truths[-1]
    background = dock_widgets.BackgroundWidget(viewer, microscope=microscope)
    qtbot.addWidget(background)
    background.show()
    assert background.panel.combo.value() is None  # no truth, and no raw frames
    sim = dock_widgets.ReconstructWidget(viewer, microscope=microscope)
    qtbot.addWidget(sim)
    sim.show()
    _run(qtbot, sim)
    result = viewer.layers[-1]
    assert background.panel.combo.value() is result
    _run(qtbot, background)
    assert background.panel.combo.value() is result  # not what it has made itself
    again = dock_widgets.BackgroundWidget(viewer, microscope=microscope)
    qtbot.addWidget(again)
    again.show()
    assert again.panel.combo.value() is result


def test_patterns_of_an_input_show_in_words(qtbot: Any, bench: WorkbenchWidget) -> None:
    raw = bench.page(RAW)
    raw.boxes.setValue(("denoise",))
    _run(qtbot, raw)
    bench.steps.setValue("denoise")
    bench.steps.setValue("reconstruct")
    sim = bench.page("reconstruct")
    sim.panel.combo.setValue(bench.viewer.layers[-1])
    words = sim.patterns_widget.words
    assert words.isVisible()
    assert words.text().count("●●●●●  found") == 3
    assert not sim.patterns_widget.table.isVisible()


def test_docks_join_as_tabs(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope
) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    docks = []
    for cls in (dock_widgets.DpsWidget, dock_widgets.BackgroundWidget):
        dock = QDockWidget(cls.__name__, window)
        dock.setWidget(cls(viewer, microscope=microscope))
        window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
        dock.show()
        docks.append(dock)
        qtbot.wait(20)
    assert window.tabifiedDockWidgets(docks[0]) == [docks[1]]

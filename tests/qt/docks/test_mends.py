"""Warnings that carry their mend, and the self-check of a stage."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from scipy.ndimage import gaussian_filter

import napari_dps
from napari_dps._qt import dock_widgets
from napari_dps._qt.bridge.meanings import MEANINGS, meaning_of
from napari_dps._qt.bridge.mends import mend_of
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.docks.stage import StageWidget
from napari_dps.core import ImageStack, Optics
from napari_dps.io import check_order
from napari_dps.methods.effective_psf.estimate import modulation_factor_auto
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import first_plane

OPTICS = {"na": 1.4, "emission_nm": 525.0, "camera_offset": 100.0}


def _run(qtbot: Any, dock: StageWidget, click: Callable[[], None]) -> None:
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=120_000):
        click()


def test_wrong_order_is_mended_by_a_click(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_stack: Any
) -> None:
    microscope.update(OPTICS)
    frames = raw_stack.data.transpose(1, 0, 2, 3).reshape(9, *raw_stack.shape[-2:])
    viewer.add_image(frames, scale=(1, 65, 65), units=("pixel", "nm", "nm"))
    dock = dock_widgets.ReconstructWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    bar = dock.panel.bar
    _run(qtbot, dock, bar.run_button.click)
    assert any("look like order payx" in text for text in bar.messages.texts)
    (mend,) = bar.messages.buttons
    assert mend.text() == "Use payx 3×3 and run again"
    _run(qtbot, dock, mend.click)
    assert dock.panel.frames.value().order == "payx"
    assert bar.messages.texts == ()
    assert bar.messages.buttons == ()


def test_texts_of_warnings_are_those_that_are_mended() -> None:
    raw = simulate(SimulationSettings(height_px=96, width_px=80, photons=400)).raw
    frames = raw.data.transpose(1, 0, 2, 3).reshape(9, *raw.shape[-2:])
    order = mend_of(check_order(frames, angles=3, phases=3).message)
    assert order is not None
    assert order.frames is not None
    assert order.frames.order == "payx"
    assert mend_of("hot pixels were replaced") is None


def test_measured_psf_is_used_at_a_click() -> None:
    settings = SimulationSettings(height_px=192, width_px=192, photons=4000)
    plane = first_plane(simulate(settings).raw)
    wrong = Optics(na=1.45, emission_nm=350, pixel_size_nm=plane.pixel_size_nm or 65)
    found = modulation_factor_auto(np.asarray(plane.data, np.float32), wrong)
    assert "wider" in (found.warning or "")
    mend = mend_of(found.warning or "")
    assert mend is not None
    assert mend.parameters == {"dps": {"psf": "measured"}}


def test_pixel_size_typed_in_micrometres_is_mended(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope
) -> None:
    viewer.add_image(np.ones((16, 16)))
    dock = dock_widgets.DpsWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    widget = dock.panel.microscope
    widget.editors["pixel_size_nm"].setValue(0.08)
    assert widget.mend_button.isVisibleTo(widget)
    assert widget.mend_button.text().endswith("use 80 nm")
    widget.mend_button.click()
    assert widget.value()["pixel_size_nm"] == pytest.approx(80)
    assert not widget.mend_button.isVisibleTo(widget)


def test_resolution_is_checked_on_the_image(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope
) -> None:
    rng = np.random.default_rng(0)
    spots = gaussian_filter(3000.0 * (rng.random((64, 64)) > 0.985), 1.6)
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
    image = rng.poisson(20 + spots).astype(np.float32)
    stack = ImageStack(image, "YX", pixel_size_nm=65, optics=optics)
    data, kwargs, _ = stack_layer(stack, "image")
    viewer.add_layer(Image(data, **kwargs))
    dock = dock_widgets.DpsWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    dock.form.editors["method"].setValue("rl")
    dock.check_button.click()
    qtbot.waitUntil(lambda: "before" in dock.trust.text(), timeout=120_000)
    lines, points = dock.trust.text().splitlines()
    assert lines.startswith("lines: ")
    assert points.startswith("points: ")
    assert len(viewer.layers) == 1
    other = dock_widgets.BackgroundWidget(viewer, microscope=microscope)
    qtbot.addWidget(other)
    other.show()
    assert not other.check_button.isVisible()


def test_offset_that_nobody_has_subtracted_is_subtracted_at_a_click(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> None:
    microscope.update({"na": 1.4, "emission_nm": 525.0})
    del raw_layer.metadata["napari-dps"]["optics"]
    viewer.add_layer(raw_layer)
    dock = dock_widgets.ReconstructWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    bar = dock.panel.bar
    _run(qtbot, dock, bar.run_button.click)
    (mend,) = bar.messages.buttons
    assert "Dark pixels are not 0" in bar.messages._label.toolTip()
    _run(qtbot, dock, mend.click)
    assert dock.panel.microscope.camera_offset == pytest.approx(100, abs=10)
    assert not any("counts without" in text for text in bar.messages.texts)


def test_sim_image_of_another_program_is_known_in_the_dock(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope
) -> None:
    made = simulate(
        SimulationSettings(structure="er", height_px=96, width_px=96, photons=300)
    )
    solver = WienerSolver(
        (96, 96), made.patterns, made.settings.optics, WienerSettings()
    )
    data = solver.solve(made.raw.data - made.settings.offset_counts)
    viewer.add_image(data, scale=(32.5, 32.5), units=("nm", "nm"))
    microscope.update({**OPTICS, "camera_offset": 0.0})
    dock = dock_widgets.DpsWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    dock.form.editors["method"].setValue("rl")
    bar = dock.panel.bar
    _run(qtbot, dock, bar.run_button.click)
    (text,) = bar.messages.texts
    assert "sharper than its optics allow" in text
    assert meaning_of(text)
    dock.form.editors["psf"].setValue("stated")
    _run(qtbot, dock, bar.run_button.click)
    assert not any("sharper than" in text for text in bar.messages.texts)


def test_every_meaning_is_that_of_a_warning() -> None:
    root = Path(napari_dps.__file__).parent
    files = [f for f in root.rglob("*.py") if f.name != "meanings.py"]
    source = " ".join(f.read_text("utf-8") for f in files)
    source = re.sub(r'"\s+f?"', "", source)  # texts over several lines
    assert [part for part in MEANINGS if part not in source] == []


def test_meanings_are_those_of_the_page_on_trust() -> None:
    page = Path(__file__).parents[3] / "docs" / "trust.md"
    if not page.is_file():
        pytest.skip("documentation is not beside the tests")
    rows = re.findall(r"^\| … (.+) … \| (.+) \|$", page.read_text("utf-8"), re.M)
    assert dict(rows) == MEANINGS
    assert [words for words, _ in rows] == list(MEANINGS)

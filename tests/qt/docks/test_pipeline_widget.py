"""The dock of the whole pipeline and its file of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps._qt.bridge.layers import METADATA
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.pipeline import PipelineWidget
from napari_dps.core import InputError
from napari_dps.pipeline import Settings, read_tables, save_settings
from napari_dps.stages import STAGES


@pytest.fixture
def dock(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> PipelineWidget:
    microscope.set_camera_offset(100)
    viewer.add_layer(raw_layer)
    widget = PipelineWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    widget.show()
    return widget


def _run(qtbot: Any, dock: PipelineWidget) -> None:
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=120_000):
        dock.panel.bar.run_button.click()


def _tick(dock: PipelineWidget, *names: str) -> None:
    for name, box in dock.stages.boxes.items():
        box.setChecked(name in names)


def test_every_stage_has_a_box_and_a_form(dock: PipelineWidget) -> None:
    assert list(dock.stages.boxes) == [stage.id for stage in STAGES]
    for stage in STAGES:
        assert dock.stages.forms[stage.id].value() == stage.parameters()
        assert dock.stages.boxes[stage.id].isChecked() == stage.runs_by_default(3)


def test_ticked_stages_run_in_order_and_each_gives_a_layer(
    qtbot: Any, dock: PipelineWidget, viewer: ViewerModel
) -> None:
    _tick(dock, "reconstruct", "background")
    _run(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == [
        "raw",
        "raw · SIM",
        "raw · Background",
    ]
    history = viewer.layers[-1].metadata[METADATA]["history"]
    assert [entry.stage for entry in history][-2:] == ["reconstruct", "background"]


def test_frames_that_are_picked_are_run_alone(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> None:
    frames = np.asarray(raw_layer.data).reshape(9, *raw_layer.data.shape[-2:])
    with_widefield = np.concatenate([frames, frames[:1]])
    scale = (1, *raw_layer.scale[-2:])
    units = ("pixel", *raw_layer.units[-2:])
    viewer.add_layer(Image(with_widefield, name="ten", scale=scale, units=units))
    microscope.update({"na": 1.4, "emission_nm": 525})
    dock = PipelineWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    _tick(dock, "reconstruct")
    dock.panel.frames.is_raw.setChecked(True)
    dock.panel.frames.instrument.setValue("n-sim")
    assert dock.settings().input.order == "montage"
    dock.panel.frames.order.setValue("apyx")
    dock.panel.options.editors["frames"].setValue("0-8")
    asked = dock.settings().input
    assert (asked.angles, asked.phases, asked.frames) == (3, 3, "0-8")
    _run(qtbot, dock)
    height, width = frames.shape[-2:]
    assert viewer.layers[-1].data.shape == (2 * height, 2 * width)


def test_only_the_last_result_is_added_when_asked(
    qtbot: Any, dock: PipelineWidget, viewer: ViewerModel
) -> None:
    _tick(dock, "reconstruct", "background")
    dock.keep_all.setChecked(False)
    _run(qtbot, dock)
    names = [layer.name for layer in viewer.layers]
    assert names == ["raw", "raw · Background"]


def test_maps_of_a_chain_are_told_and_have_boxes(
    qtbot: Any, dock: PipelineWidget, viewer: ViewerModel
) -> None:
    assert not dock.panel.maps.isVisible()
    _tick(dock, "reconstruct", "artifacts", "dps")
    dock.stages.forms["artifacts"].setValue({"uncertainty": True})
    asked = {"method": "rl", "uncertainty": True, "invented": True}
    dock.stages.forms["dps"].setValue(asked)
    _run(qtbot, dock)
    sentence = dock.panel.maps.sentence
    assert sentence.isVisible()
    assert "of the light is beyond what the data support" in sentence.text()
    boxes = dock.panel.maps.boxes
    assert list(boxes) == ["Artefacts · uncertainty", "DPS · uncertainty", "invented?"]
    boxes["DPS · uncertainty"].setValue(False)
    hidden = [layer.name for layer in viewer.layers if not layer.visible]
    assert hidden == ["raw · DPS · uncertainty"]
    _tick(dock, "reconstruct")
    _run(qtbot, dock)
    assert not dock.panel.maps.isVisible()


def test_stages_that_do_not_follow_one_another_are_refused_at_once(
    dock: PipelineWidget,
) -> None:
    _tick(dock, "background")
    assert not dock.panel.bar.run_button.isEnabled()
    assert "raw SIM frames" in dock.panel.bar.status.text()
    _tick(dock)
    assert not dock.panel.bar.run_button.isEnabled()
    _tick(dock, "reconstruct")
    assert dock.panel.bar.run_button.isEnabled()


def test_plain_layer_goes_past_the_stages_for_raw_frames(
    dock: PipelineWidget, viewer: ViewerModel, plain_layer: Image
) -> None:
    viewer.add_layer(plain_layer)
    dock.panel.combo.setValue(plain_layer)
    assert "reconstruct" not in dock.settings().stages
    assert "background" in dock.settings().stages


def test_unnamed_frames_may_be_raw_or_a_time_lapse(
    dock: PipelineWidget, viewer: ViewerModel
) -> None:
    viewer.add_image(np.ones((9, 16, 16)), name="frames")
    dock.panel.combo.setValue(viewer.layers["frames"])
    assert dock.panel.frames.is_raw.isChecked()
    assert "reconstruct" in dock.settings().stages
    dock.panel.frames.is_raw.setChecked(False)
    assert dock.settings().stages[0] == "background"
    assert dock.settings().input.angles is None


def test_settings_survive_saving_and_loading(
    qtbot: Any, dock: PipelineWidget, tmp_path: Path, viewer: ViewerModel
) -> None:
    _tick(dock, "reconstruct", "dps")
    dock.stages.forms["reconstruct"].setValue(
        {"wiener_parameter": 0.0123, "layout": "linear"}
    )
    dock.stages.forms["dps"].setValue({"strength": 0.8})
    saved = dock.settings()
    dock.save(tmp_path / "pipeline.toml")
    assert Settings.from_tables(read_tables(tmp_path / "pipeline.toml")) == saved
    for form in dock.stages.forms.values():
        form.reset()
    _tick(dock, "background")
    dock.panel.microscope.editors["na"].setValue(1.1)
    dock.load(tmp_path / "pipeline.toml")
    assert dock.settings() == saved


def test_file_of_known_patterns_is_saved_and_loaded(
    dock: PipelineWidget, tmp_path: Path
) -> None:
    file = tmp_path / "known.toml"
    tables = [
        f"[[patterns]]\nangle_deg = {a}\nperiod_nm = 240.0\n" for a in (0, 60, 120)
    ]
    file.write_text("".join(tables))
    _tick(dock, "reconstruct")
    dock.patterns.setValue(str(file))
    saved = dock.settings()
    assert saved.input.patterns == str(file)
    dock.save(tmp_path / "pipeline.toml")
    dock.patterns.setValue("auto")
    assert dock.settings().input.patterns is None
    dock.load(tmp_path / "pipeline.toml")
    assert dock.settings() == saved
    dock.patterns.setValue("none.toml")
    assert "no file none.toml" in dock.panel.bar.status.text()
    assert not dock.panel.bar.run_button.isEnabled()


def test_listed_patterns_are_refused_before_anything_changes(
    dock: PipelineWidget, tmp_path: Path
) -> None:
    before = dock.settings()
    file = tmp_path / "listed.toml"
    file.write_text("[[input.patterns]]\nangle_deg = 3.0\nperiod_nm = 240.0\n")
    with pytest.raises(InputError, match="lists patterns"):
        dock.load(file)
    assert dock.settings() == before


def test_file_of_the_command_line_is_taken_over(
    dock: PipelineWidget, tmp_path: Path, microscope: Microscope
) -> None:
    settings = Settings(
        stages=("reconstruct",), optics={"na": 1.27, "emission_nm": 600.0}
    )
    save_settings(settings, tmp_path / "cli.toml")
    dock.load(tmp_path / "cli.toml")
    assert dock.panel.microscope.value()["na"] == 1.27
    assert "na" not in microscope.values  # it counts for the layer alone
    assert dock.stages.boxes["reconstruct"].isChecked()
    assert not dock.stages.boxes["background"].isChecked()


def test_bad_file_is_refused_and_changes_nothing(
    dock: PipelineWidget, tmp_path: Path
) -> None:
    before = dock.settings()
    file = tmp_path / "bad.toml"
    file.write_text("[background]\nradius_px = 9999\n")
    with pytest.raises(InputError, match="radius_px"):
        dock.load(file)
    assert dock.settings() == before

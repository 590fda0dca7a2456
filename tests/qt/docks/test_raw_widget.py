"""The raw strip: a plain stack becomes raw frames with named axes, or stays images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps._qt.bridge.layers import axes_of, pixel_size_nm
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.raw import RawWidget
from napari_dps.pipeline import find_stage


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, microscope: Microscope) -> RawWidget:
    widget = RawWidget(viewer, microscope, lambda name: find_stage(name).parameters())
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def frames(raw_stack: Any) -> np.ndarray:
    """Raw frames as a plain stack, angle by angle."""
    return raw_stack.data.reshape(9, *raw_stack.shape[-2:])


def _open(qtbot: Any, dock: RawWidget, data: Any, name: str = "plain") -> Image:
    layer = dock.panel.viewer.add_image(data, name=name)
    dock.panel.combo.setValue(layer)
    qtbot.waitUntil(lambda: dock.strip.is_settled, timeout=20_000)
    return layer


def test_frames_are_asked_about_with_pictures(
    qtbot: Any, dock: RawWidget, frames: np.ndarray
) -> None:
    _open(qtbot, dock, frames)
    text = dock.strip.question.text()
    assert text == "9 frames: 3 angles × 3 phases, angle by angle?"
    assert dock.strip.is_on
    assert dock.strip.radios[0].text().endswith("✓")
    first = dock.strip.frames_picture.pixmap().toImage()
    assert first.width() > 50
    spectra = dock.strip.spectra_picture.pixmap().toImage()
    dock.strip.radios[1].setChecked(True)
    assert "phase by phase" in dock.strip.question.text()
    assert dock.strip.spectra_picture.pixmap().toImage() != spectra


def test_order_of_the_frames_is_seen(
    qtbot: Any, dock: RawWidget, raw_stack: Any
) -> None:
    shape = (9, *raw_stack.shape[-2:])
    _open(qtbot, dock, raw_stack.data.transpose(1, 0, 2, 3).reshape(shape))
    assert dock.strip.value().order == "payx"


def test_apply_names_the_axes_and_sets_the_scale(
    qtbot: Any, dock: RawWidget, viewer: ViewerModel, frames: np.ndarray
) -> None:
    plain = _open(qtbot, dock, frames, "cell 1")
    for name, value in (("na", 1.4), ("emission_nm", 525.0), ("pixel_size_nm", 65.0)):
        dock.panel.microscope.editors[name].setValue(value)
    dock.strip.apply_button.click()
    (layer,) = viewer.layers
    assert layer is not plain
    assert layer.name == "cell 1"
    assert axes_of(layer) == "APYX"
    assert layer.axis_labels == ("angle", "phase", "y", "x")
    assert pixel_size_nm(layer) == 65
    assert np.array_equal(layer.data.reshape(frames.shape), frames)
    assert dock.panel.combo.value() is layer
    assert not dock.strip.isVisibleTo(dock)
    assert dock.panel.microscope.value()["na"] == 1.4  # typed before, and kept
    dock.undo_button.click()
    assert list(viewer.layers) == [plain]
    assert dock.strip.isVisibleTo(dock)


def test_time_points_are_split_and_widefield_frames_set_apart(
    qtbot: Any, dock: RawWidget, viewer: ViewerModel, frames: np.ndarray
) -> None:
    mean = frames.mean(axis=0, keepdims=True).astype(frames.dtype)
    ten = np.concatenate([frames, mean])
    _open(qtbot, dock, np.concatenate([ten, ten, ten, ten]), "lapse")
    assert dock.strip.value().frames == "0-8/10"
    dock.strip.apply_button.click()
    widefield, raw = viewer.layers
    assert raw.name == "lapse"
    assert axes_of(raw) == "APTYX"
    assert raw.data.shape[:3] == (3, 3, 4)
    assert np.array_equal(raw.data[0, 0, 2], frames[0])
    assert widefield.name == "lapse · widefield frames"
    assert axes_of(widefield) == "TYX"
    assert np.array_equal(widefield.data[3], mean[0])


def test_lazy_frames_stay_lazy(qtbot: Any, dock: RawWidget, raw_stack: Any) -> None:
    import dask.array as da

    frames = raw_stack.data.reshape(9, *raw_stack.shape[-2:])
    _open(qtbot, dock, da.from_array(frames, chunks=(1, -1, -1)))
    dock.strip.apply_button.click()
    layer = dock.panel.combo.value()
    assert isinstance(layer.data, da.Array)
    assert np.array_equal(layer.data[1, 2].compute(), frames[5])


def test_images_without_stripes_stay_images(
    qtbot: Any, dock: RawWidget, viewer: ViewerModel
) -> None:
    noise = np.random.default_rng(0).poisson(50, (50, 40, 40))
    plain = _open(qtbot, dock, noise)
    assert dock.strip.question.text() == "50 frames: images?"
    assert not dock.strip.is_on
    assert not dock.strip.apply_button.isEnabled()
    dock.apply()
    assert list(viewer.layers) == [plain]


def test_another_layout_can_be_set(
    qtbot: Any, dock: RawWidget, frames: np.ndarray
) -> None:
    _open(qtbot, dock, frames[:6])
    dock.strip.radios[-2].setChecked(True)
    assert dock.strip.other.isVisibleTo(dock)
    dock.strip.other.angles.setValue(1)
    dock.strip.other.phases.setValue(6)
    assert (dock.strip.value().angles, dock.strip.value().phases) == (1, 6)
    dock.strip.apply_button.click()
    assert dock.panel.combo.value().data.shape[:2] == (1, 6)


def test_run_all_reads_the_frames_and_runs_what_is_ticked(
    qtbot: Any, dock: RawWidget, viewer: ViewerModel, frames: np.ndarray
) -> None:
    _open(qtbot, dock, frames, "cell")
    for name, value in (("na", 1.4), ("emission_nm", 525.0), ("pixel_size_nm", 65.0)):
        dock.panel.microscope.editors[name].setValue(value)
    dock.panel.microscope.editors["camera_offset"].setValue(100)
    dock.boxes.setValue(("reconstruct", "background"))
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=120_000):
        dock.panel.bar.run_button.click()
    names = [layer.name for layer in viewer.layers]
    assert names == ["cell", "cell · SIM", "cell · Background"]


def test_result_of_a_plain_lapse_shows_at_every_frame(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, frames: np.ndarray
) -> None:
    from napari_dps._qt import dock_widgets

    microscope.update({"na": 1.4, "emission_nm": 525.0, "camera_offset": 100})
    lapse = np.concatenate([frames, frames, frames])
    plain = viewer.add_image(lapse, scale=(1, 65, 65), units=("pixel", "nm", "nm"))
    widget = dock_widgets.ReconstructWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    widget.show()
    with qtbot.waitSignal(widget.panel.bar.runner.finished, timeout=120_000):
        widget.panel.bar.run_button.click()
    result = viewer.layers[-1]
    assert result.data.shape[0] == 3
    for frame in (0, 8, 9, 17, 18, 26):
        viewer.dims.set_point(0, plain.data_to_world((frame, 0, 0))[0])
        shown = round(result.world_to_data(viewer.dims.point)[0])
        assert shown == frame // 9


def test_instrument_that_the_file_mentions_is_offered_and_can_be_changed(
    qtbot: Any, dock: RawWidget, viewer: ViewerModel
) -> None:
    dark = np.random.default_rng(0).poisson(30, (30, 48, 40)).astype(np.uint16)
    metadata = {"napari-dps": {"instrument": "omx"}}
    layer = viewer.add_image(dark, name="of an OMX", metadata=metadata)
    dock.panel.combo.setValue(layer)
    qtbot.waitUntil(lambda: dock.strip.is_settled, timeout=20_000)
    frames = dock.strip.other
    assert dock.strip.question.text() == "30 frames: another layout?"
    assert frames.isVisibleTo(dock)
    assert (frames.instrument.value(), frames.order.value()) == ("omx", "azpyx")
    assert frames.instrument_source.text() == "file"
    asked = dock.panel.settings().input
    assert (asked.instrument, asked.angles, asked.phases) == ("omx", 3, 5)
    frames.instrument.setValue("elyra")
    assert frames.instrument_source.text() == "you"
    frames.instrument.setValue("omx")
    other = viewer.add_image(dark[:9], name="of nobody")
    dock.panel.combo.setValue(other)
    assert frames.instrument.value() == "auto"
    assert frames.instrument_source.text() == ""


def test_settings_of_the_input_are_read_once_a_check(
    dock: RawWidget, viewer: ViewerModel, raw_layer: Image
) -> None:
    viewer.add_layer(raw_layer)
    read = dock.panel.options.added_to
    asked: list[Any] = []
    dock.panel.options.added_to = lambda frames: asked.append(frames) or read(frames)
    dock.panel.check()
    assert len(asked) == 1


def test_what_the_data_do_not_support_is_told_after_run_all(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> None:
    asked = {"dps": {"method": "rl", "invented": True}}
    widget = RawWidget(
        viewer,
        microscope,
        lambda name: find_stage(name).parameters(**asked.get(name, {})),
    )
    qtbot.addWidget(widget)
    widget.show()
    viewer.add_layer(raw_layer)
    for name, box in widget.boxes.boxes.items():
        box.setChecked(name in ("reconstruct", "dps"))
    with qtbot.waitSignal(widget.panel.bar.runner.finished, timeout=120_000):
        widget.panel.bar.run_button.click()
    maps = widget.panel.maps
    assert "of the light is beyond what the data support" in maps.sentence.text()
    assert maps.sentence.isVisible()
    assert list(maps.boxes) == ["invented?"]

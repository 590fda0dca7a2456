"""Every dock of a stage: run, cancel, errors, wrong layers, closing, leaks."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QSizePolicy

from napari_dps._qt import dock_widgets
from napari_dps._qt.bridge.layers import METADATA
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.stage import StageWidget
from napari_dps.core import ImageStack, Progress

OPTICS = {"na": 1.4, "emission_nm": 525.0}

CLASSES = [
    widget
    for widget in vars(dock_widgets).values()
    if isinstance(widget, type)
    and issubclass(widget, StageWidget)
    and widget is not StageWidget
]
EVERY_DOCK = pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.stage_id)

Make = Callable[[type[StageWidget]], StageWidget]


@pytest.fixture
def make(qtbot: Any, viewer: ViewerModel, microscope: Microscope) -> Make:
    def make_dock(cls: type[StageWidget]) -> StageWidget:
        dock = cls(viewer, microscope=microscope)
        qtbot.addWidget(dock)
        dock.show()
        return dock

    return make_dock


def _destroy(widget: Any) -> None:
    widget.close()
    widget.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _run(qtbot: Any, dock: StageWidget) -> None:
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=60_000):
        dock.panel.bar.run_button.click()


def _input(cls: type[StageWidget], raw: Image, plain: Image) -> Image:
    return raw if cls.stage_id in ("denoise", "reconstruct") else plain


@EVERY_DOCK
def test_run_adds_a_layer_with_geometry_and_history(
    qtbot: Any,
    make: Make,
    viewer: ViewerModel,
    microscope: Microscope,
    raw_layer: Image,
    plain_layer: Image,
    cls: type[StageWidget],
) -> None:
    microscope.update(OPTICS)
    source = _input(cls, raw_layer, plain_layer)
    before = np.array(source.data)
    viewer.add_layer(source)
    dock = make(cls)
    assert dock.panel.combo.value() is source
    assert dock.panel.bar.run_button.isEnabled()
    _run(qtbot, dock)
    assert not dock.panel.bar.messages.property("failed")
    result = viewer.layers[-1]
    assert result.name == f"{source.name} · {dock.stage.name}"
    assert result.metadata[METADATA]["history"][-1].stage == cls.stage_id
    finer = result.data.shape[-1] / source.data.shape[-1]
    assert np.allclose(result.scale[-2:] * finer, source.scale[-2:])
    assert result.units[-2:] == source.units[-2:]
    assert np.array_equal(source.data, before)
    assert dock.panel.bar.run_button.isEnabled()
    assert not dock.panel.bar.cancel_button.isEnabled()
    _run(qtbot, dock)
    assert len(viewer.layers) == 3


@EVERY_DOCK
def test_dock_without_a_fitting_layer_says_what_to_do(
    make: Make, viewer: ViewerModel, cls: type[StageWidget]
) -> None:
    viewer.add_layer(Labels(np.zeros((8, 8), int)))
    dock = make(cls)
    assert dock.panel.combo.value() is None
    assert not dock.panel.bar.run_button.isEnabled()
    assert "Open" in dock.panel.bar.status.text()
    assert "holds no image" in dock.panel.combo.itemText(0)
    dock.panel.run()
    assert not dock.panel.bar.runner.is_running


@EVERY_DOCK
def test_dock_takes_the_height_that_napari_gives_it(
    make: Make, cls: type[StageWidget]
) -> None:
    dock = make(cls)
    content = dock.layout().itemAt(0).widget()
    # napari fills the space below a dock without a content that wants it.
    assert content.sizePolicy().verticalPolicy() == QSizePolicy.Policy.Expanding
    assert dock.layout().count() == 1


@EVERY_DOCK
def test_dock_follows_layers_only_while_it_is_seen(
    make: Make, viewer: ViewerModel, cls: type[StageWidget]
) -> None:
    dock = make(cls)

    def callbacks() -> int:
        events = viewer.layers.events
        return sum(
            len(emitter.callbacks) for emitter in (events.inserted, events.removed)
        )

    shown = callbacks()
    dock.hide()
    hidden = callbacks()
    assert hidden < shown
    viewer.add_image(np.zeros((9, 8, 8)), name="while hidden")
    assert dock.panel.combo.count() == 0
    for _ in range(20):
        dock.show()
        dock.hide()
    assert callbacks() == hidden
    dock.show()
    assert dock.panel.combo.count() == 1
    viewer.layers[0].name = "renamed"
    assert "renamed" in dock.panel.combo.itemText(0)
    viewer.layers.clear()
    assert dock.panel.combo.value() is None


@pytest.mark.slow
@EVERY_DOCK
def test_opening_and_closing_leaves_no_widget(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, cls: type[StageWidget]
) -> None:
    gone = []
    for _ in range(20):
        dock = cls(viewer, microscope=microscope)
        dock.show()
        gone.append(weakref.ref(dock))
        _destroy(dock)
        del dock
    gc.collect()
    assert [ref() for ref in gone] == [None] * 20
    assert microscope.receivers(microscope.changed) == 0


def test_optics_that_are_missing_are_named(make: Make, viewer: ViewerModel) -> None:
    viewer.add_image(np.ones((16, 16)))
    dock = make(dock_widgets.DpsWidget)
    text = dock.panel.bar.status.text()
    for title in ("NA", "Emission wavelength", "Pixel size"):
        assert title in text
    assert not dock.panel.bar.run_button.isEnabled()
    dock.panel.microscope.editors["na"].setValue(1.4)
    dock.panel.microscope.editors["emission_nm"].setValue(520)
    dock.panel.microscope.editors["pixel_size_nm"].setValue(65)
    assert dock.panel.bar.run_button.isEnabled()


def test_microscope_set_in_one_dock_shows_in_the_other(
    make: Make, viewer: ViewerModel, plain_layer: Image
) -> None:
    viewer.add_layer(plain_layer)
    one, two = make(dock_widgets.DpsWidget), make(dock_widgets.DpsWidget)
    one.panel.microscope.editors["na"].setValue(1.27)
    assert two.panel.microscope.editors["na"].value() == 1.27
    assert two.panel.microscope.editors["pixel_size_nm"].value() == 65


class Hold:
    """A stage that waits after its first step."""

    def __init__(self) -> None:
        self.go, self.reached, self.closed = (threading.Event() for _ in range(3))
        self.runs = 0

    def __call__(
        self, image: ImageStack, parameters: Any, context: Any
    ) -> Generator[Progress, None, ImageStack]:
        self.runs += 1
        try:
            yield Progress(1, 2, "half of it")
            self.reached.set()
            self.go.wait(10)
            yield Progress(2, 2)
            context.warn("mind the gap")
            return image.derive(image.data.astype(np.float32))
        finally:
            self.closed.set()


@pytest.fixture
def hold(stage_function: Callable[..., None]) -> Hold:
    hold = Hold()
    stage_function(hold)
    return hold


@pytest.fixture
def dock(make: Make, viewer: ViewerModel, plain_layer: Image) -> StageWidget:
    viewer.add_layer(plain_layer)
    return make(dock_widgets.BackgroundWidget)


def test_second_click_never_starts_a_second_run(
    qtbot: Any, hold: Hold, dock: StageWidget, viewer: ViewerModel
) -> None:
    dock.panel.bar.run_button.click()
    assert hold.reached.wait(10)
    assert not dock.panel.bar.run_button.isEnabled()
    dock.panel.bar.run_button.click()
    dock.panel.run()
    with qtbot.waitSignal(dock.panel.bar.runner.finished):
        hold.go.set()
    qtbot.wait(20)
    assert hold.runs == 1
    assert len(viewer.layers) == 2
    assert dock.panel.bar.messages.texts == ("mind the gap",)
    assert "done in" in dock.panel.bar.status.text()


def test_cancel_leaves_no_layer_and_a_usable_button(
    qtbot: Any, hold: Hold, dock: StageWidget, viewer: ViewerModel
) -> None:
    dock.panel.bar.run_button.click()
    assert hold.reached.wait(10)
    qtbot.waitUntil(lambda: "half of it" in dock.panel.bar.status.text())
    with qtbot.waitSignal(dock.panel.bar.runner.finished):
        dock.panel.bar.cancel_button.click()
        hold.go.set()
    assert dock.panel.bar.status.text() == "cancelled"
    assert len(viewer.layers) == 1
    assert hold.closed.is_set()
    assert dock.panel.bar.run_button.isEnabled()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "cannot be multi"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "enough memory"),
        (MemoryError(), "enough memory"),
        (ValueError("something odd"), "something odd"),
    ],
)
def test_error_is_shown_and_the_next_run_works(
    qtbot: Any,
    stage_function: Callable[..., None],
    dock: StageWidget,
    viewer: ViewerModel,
    error: Exception,
    words: str,
) -> None:
    failing = [True]

    def function(image: ImageStack, parameters: Any, context: Any) -> Any:
        yield Progress(0, 1)
        if failing:
            raise error
        return image.derive(image.data.astype(np.float32))

    stage_function(function)
    _run(qtbot, dock)
    assert words in dock.panel.bar.messages.texts[0]
    assert dock.panel.bar.status.text() == "failed"
    assert any(words in str(note.message) for note in notification_manager.records)
    assert len(viewer.layers) == 1
    failing.clear()
    _run(qtbot, dock)
    assert len(viewer.layers) == 2
    assert dock.panel.bar.messages.texts == ()


def test_hidden_dock_finishes_its_run(
    qtbot: Any, hold: Hold, dock: StageWidget, viewer: ViewerModel
) -> None:
    dock.panel.bar.run_button.click()
    assert hold.reached.wait(10)
    dock.hide()
    with qtbot.waitSignal(dock.panel.bar.runner.finished):
        hold.go.set()
    assert len(viewer.layers) == 2


def test_dock_destroyed_while_it_runs_stops_the_run(
    qtbot: Any,
    viewer: ViewerModel,
    microscope: Microscope,
    hold: Hold,
    plain_layer: Image,
) -> None:
    viewer.add_layer(plain_layer)
    dock = dock_widgets.BackgroundWidget(viewer, microscope=microscope)
    dock.show()
    dock.panel.bar.run_button.click()
    assert hold.reached.wait(10)
    _destroy(dock)
    hold.go.set()
    assert hold.closed.wait(10)
    qtbot.wait(20)
    assert len(viewer.layers) == 1


def test_layer_removed_while_it_is_computed_does_no_harm(
    qtbot: Any, hold: Hold, dock: StageWidget, viewer: ViewerModel
) -> None:
    dock.panel.bar.run_button.click()
    assert hold.reached.wait(10)
    viewer.layers.clear()
    with qtbot.waitSignal(dock.panel.bar.runner.finished):
        hold.go.set()
    assert [layer.name for layer in viewer.layers] == ["plain · Background removal"]


def test_values_that_are_not_finite_are_refused_in_words(
    qtbot: Any, make: Make, viewer: ViewerModel
) -> None:
    data = np.ones((16, 16), np.float32)
    data[3, 4] = np.nan
    viewer.add_image(data)
    dock = make(dock_widgets.BackgroundWidget)
    _run(qtbot, dock)
    assert "not finite" in dock.panel.bar.messages.texts[0]


def test_current_frame_only_runs_one_frame(
    qtbot: Any, make: Make, viewer: ViewerModel
) -> None:
    viewer.add_image(np.random.default_rng(0).random((4, 24, 20)) * 100, name="movie")
    viewer.dims.set_current_step(0, 2)
    dock = make(dock_widgets.BackgroundWidget)
    dock.panel.frame_only.setChecked(True)
    _run(qtbot, dock)
    assert viewer.layers[-1].data.shape == (24, 20)
    dock.panel.frame_only.setChecked(False)
    _run(qtbot, dock)
    assert viewer.layers[-1].data.shape == (4, 24, 20)
    assert np.array_equal(viewer.layers[-1].data[2], viewer.layers[-2].data)


def test_device_that_is_absent_is_named(
    qtbot: Any,
    make: Make,
    viewer: ViewerModel,
    microscope: Microscope,
    raw_layer: Image,
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    viewer.add_layer(raw_layer)
    dock = make(dock_widgets.ReconstructWidget)
    microscope.set_device("cuda")
    _run(qtbot, dock)
    assert "cuda" in dock.panel.bar.messages.texts[0]
    microscope.set_device("cpu")
    _run(qtbot, dock)
    assert dock.panel.bar.status.text().startswith("done")


def test_several_sets_of_unnamed_frames_are_time_points(
    qtbot: Any, make: Make, viewer: ViewerModel, microscope: Microscope, raw_stack: Any
) -> None:
    microscope.update(OPTICS)
    microscope.set_camera_offset(100)
    frames = np.tile(raw_stack.data.reshape(9, *raw_stack.shape[-2:]), (2, 1, 1))
    viewer.add_image(frames, scale=(1, 65, 65), units=("pixel", "nm", "nm"))
    dock = make(dock_widgets.ReconstructWidget)
    _run(qtbot, dock)
    result = viewer.layers[-1]
    assert result.data.shape[0] == 2
    assert result.axis_labels == ("t", "y", "x")
    assert np.array_equal(result.data[0], result.data[1])


def test_raw_layer_without_names_asks_for_its_frames(
    qtbot: Any, make: Make, viewer: ViewerModel, microscope: Microscope, raw_stack: Any
) -> None:
    microscope.update(OPTICS)
    microscope.set_camera_offset(100)
    frames = raw_stack.data.transpose(1, 0, 2, 3).reshape(9, *raw_stack.shape[-2:])
    viewer.add_image(frames, scale=(1, 65, 65), units=("pixel", "nm", "nm"))
    dock = make(dock_widgets.ReconstructWidget)
    assert dock.panel.frames.isVisible()
    assert (dock.panel.frames.angles.value(), dock.panel.frames.phases.value()) == (
        3,
        3,
    )
    dock.panel.frames.detect_button.click()
    qtbot.waitUntil(lambda: dock.panel.frames.order.value() == "payx", timeout=20_000)
    _run(qtbot, dock)
    assert dock.panel.bar.messages.texts == ()
    found = viewer.layers[-1].metadata[METADATA]["patterns"]
    assert [pattern.status for pattern in found] == ["found"] * 3


def test_live_preview_follows_the_strength_and_says_when_it_cannot(
    qtbot: Any,
    make: Make,
    viewer: ViewerModel,
    plain_layer: Image,
    stage_function: Callable[..., None],
) -> None:
    def fill(
        image: ImageStack, parameters: Any, _: Any
    ) -> Generator[Progress, None, ImageStack]:
        yield Progress(1, 1)
        return image.derive(np.full(image.shape, parameters.radius_px, np.float32))

    stage_function(fill)
    viewer.add_layer(plain_layer)
    dock = make(dock_widgets.BackgroundWidget)
    dock.show_basic(True)
    assert dock.live.isVisible()
    for radius in (20, 30):
        with qtbot.waitSignal(dock.preview.runner.finished, timeout=20_000):
            dock.form.editors["radius_px"].setValue(radius)
            dock.live.setValue(True)
        assert dock.live_note.text() == ""
        assert float(viewer.layers[-1].data[0, 0]) == radius
    (layer,) = viewer.layers[1:]
    assert layer.name == "plain · Background removal · preview"
    large = viewer.add_image(np.ones((600, 600)), scale=(0.065, 0.065), units="µm")
    dock.panel.combo.setValue(large)
    dock.form.editors["radius_px"].setValue(40)
    qtbot.waitUntil(lambda: "600 × 600 px" in dock.live_note.text())
    assert len(viewer.layers) == 3


def test_run_stays_in_its_place_whatever_a_run_says(
    qtbot: Any,
    make: Make,
    viewer: ViewerModel,
    plain_layer: Image,
    stage_function: Callable[..., None],
) -> None:
    def steps(
        image: ImageStack, parameters: Any, context: Any
    ) -> Generator[Progress, None, ImageStack]:
        context.warn("every pixel holds about 40 counts without the noise of light")
        context.warn("a long warning " * 12)
        yield Progress(0, 1, "Rolling the ball, and saying at length what is done")
        return image

    stage_function(steps)
    viewer.add_layer(plain_layer)
    dock = make(dock_widgets.BackgroundWidget)
    dock.resize(420, 760)
    button = dock.panel.bar.run_button
    places = {button.mapTo(dock, button.rect().topLeft()).y()}
    note = dock.panel.bar.runner.progressed.connect
    note(lambda _: places.add(button.mapTo(dock, button.rect().topLeft()).y()))
    _run(qtbot, dock)
    qtbot.wait(50)
    places.add(button.mapTo(dock, button.rect().topLeft()).y())
    assert len(dock.panel.bar.messages.texts) == 2
    assert dock.panel.bar.messages.buttons
    assert len(places) == 1


def test_maps_of_dps_are_told_shown_and_hidden(
    qtbot: Any,
    make: Make,
    viewer: ViewerModel,
    microscope: Microscope,
    plain_layer: Image,
) -> None:
    microscope.update(OPTICS)
    viewer.add_layer(plain_layer)
    dock = make(dock_widgets.DpsWidget)
    assert not dock.panel.maps.isVisible()
    dock.form.setValue({"method": "rl", "uncertainty": True, "invented": True})
    _run(qtbot, dock)
    names = [layer.name.rpartition(" · ")[2] for layer in viewer.layers[1:]]
    assert names == ["DPS", "uncertainty", "invented?"]
    invented = viewer.layers[-1]
    assert invented.contrast_limits[0] == -invented.contrast_limits[1] < 0
    assert invented.blending == "additive"
    assert np.allclose(invented.colormap.map(0.5)[..., :3], 0)  # nothing is black
    sentence = dock.panel.maps.sentence
    assert "of the light is beyond what the data support" in sentence.text()
    assert sentence.isVisible()
    boxes = dock.panel.maps.boxes
    assert list(boxes) == ["uncertainty", "invented?"]
    boxes["invented?"].setValue(False)
    assert not invented.visible
    viewer.layers[-2].visible = False
    assert not boxes["uncertainty"].value()
    viewer.layers.remove(invented)
    assert list(dock.panel.maps.boxes) == ["uncertainty"]
    dock.hide()
    viewer.layers[-1].visible = True
    assert not dock.panel.maps.boxes["uncertainty"].value()  # followed no more
    dock.show()
    assert dock.panel.maps.boxes["uncertainty"].value()
    dock.form.setValue({"method": "rl", "uncertainty": True, "invented": False})
    _run(qtbot, dock)
    assert viewer.layers[-1].name.endswith("uncertainty [1]")
    assert list(dock.panel.maps.boxes) == ["uncertainty"]  # of the last run
    dock.panel.maps.boxes["uncertainty"].setValue(False)
    assert not viewer.layers[-1].visible
    dock.form.setValue({"method": "rl", "uncertainty": False, "invented": False})
    _run(qtbot, dock)
    assert not sentence.isVisible()
    assert not dock.panel.maps.isVisible()

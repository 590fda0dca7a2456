"""The Live dock: follows a layer, shows the newest, stops when it should."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_dps._qt.bridge.layers import METADATA
from napari_dps._qt.bridge.live import LiveFeed
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.live import LiveWidget
from napari_dps.core.context import Context
from napari_dps.pipeline import InputSettings, Settings

WAIT_MS = 60_000


@pytest.fixture
def dock(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> LiveWidget:
    microscope.set_camera_offset(100)
    viewer.add_layer(raw_layer)
    widget = LiveWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    widget.show()
    return widget


def start(qtbot: Any, dock: LiveWidget) -> Image:
    """Click Start and wait for the first result."""
    dock.panel.bar.run_button.click()
    qtbot.waitUntil(lambda: dock.result is not None, timeout=WAIT_MS)
    assert dock.result is not None
    return dock.result


def stop(qtbot: Any, dock: LiveWidget) -> None:
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=WAIT_MS):
        dock.panel.bar.cancel_button.click()


def shown(dock: LiveWidget) -> int:
    return 0 if dock.feed is None else dock.feed.clock.done


def test_a_layer_that_changes_is_reconstructed_into_one_layer(
    qtbot: Any, dock: LiveWidget, viewer: ViewerModel, raw_layer: Image
) -> None:
    result = start(qtbot, dock)
    assert result.name == "raw · Live"
    assert result.data.shape == (192, 160)
    before = np.array(result.data)
    raw_layer.data = np.asarray(raw_layer.data)[..., ::-1, :].copy()
    qtbot.waitUntil(lambda: shown(dock) == 2, timeout=WAIT_MS)
    assert not np.array_equal(result.data, before)
    assert len(viewer.layers) == 2
    history = result.metadata[METADATA]["history"]
    assert history[-1].stage == "reconstruct"
    assert "latency" in dock.panel.bar.status.text()
    stop(qtbot, dock)
    assert dock.feed is None
    assert dock.panel.combo.isEnabled()


def test_pixels_changed_in_place_count_when_the_layer_is_refreshed(
    qtbot: Any, dock: LiveWidget, raw_layer: Image
) -> None:
    start(qtbot, dock)
    raw_layer.data[...] = raw_layer.data[..., ::-1].copy()
    raw_layer.refresh()
    qtbot.waitUntil(lambda: shown(dock) == 2, timeout=WAIT_MS)
    raw_layer.refresh()  # shown anew, and nothing has changed
    qtbot.wait(300)
    assert shown(dock) == 2
    stop(qtbot, dock)


def test_a_second_click_starts_no_second_run(qtbot: Any, dock: LiveWidget) -> None:
    start(qtbot, dock)
    feed = dock.feed
    dock.panel.run()
    assert dock.feed is feed
    assert not dock.panel.bar.run_button.isEnabled()
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("napari-dps live") == 1
    stop(qtbot, dock)


@pytest.mark.parametrize("which", ["raw", "result"])
def test_removing_a_layer_stops_it(
    qtbot: Any, dock: LiveWidget, viewer: ViewerModel, raw_layer: Image, which: str
) -> None:
    result = start(qtbot, dock)
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=WAIT_MS):
        viewer.layers.remove(raw_layer if which == "raw" else result)
    assert dock.feed is None


def test_closing_the_dock_stops_it_and_leaves_no_callback(
    qtbot: Any, dock: LiveWidget, raw_layer: Image
) -> None:
    before = len(raw_layer.events.data.callbacks)
    start(qtbot, dock)
    assert len(raw_layer.events.data.callbacks) == before + 1
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=WAIT_MS):
        dock.close()
    assert len(raw_layer.events.data.callbacks) == before
    assert dock.feed is None


def test_taking_the_dock_out_of_the_window_does_not_stop_it(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> None:
    microscope.set_camera_offset(100)
    viewer.add_layer(raw_layer)
    window, holder = QMainWindow(), QDockWidget("Live")
    qtbot.addWidget(window)
    dock = LiveWidget(viewer, microscope=microscope)
    holder.setWidget(dock)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, holder)
    window.show()
    start(qtbot, dock)
    for is_out in (True, False):
        holder.setFloating(is_out)
        qtbot.wait(100)
        assert dock.feed is not None
    raw_layer.scale = [2 * step for step in raw_layer.scale]
    raw_layer.data = np.asarray(raw_layer.data)[..., ::-1, :].copy()
    qtbot.waitUntil(lambda: shown(dock) == 2, timeout=WAIT_MS)
    assert dock.result is not None
    assert np.allclose(2 * dock.result.scale, raw_layer.scale[-2:])
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=WAIT_MS):
        holder.close()
    assert dock.feed is None


def test_destroying_the_dock_stops_it(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, raw_layer: Image
) -> None:
    microscope.set_camera_offset(100)
    viewer.add_layer(raw_layer)
    dock = LiveWidget(viewer, microscope=microscope)
    dock.show()
    start(qtbot, dock)
    runner_job = dock.panel.bar.runner._link.job
    dock.close()
    dock.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert runner_job.stop.is_set()


def test_a_set_that_cannot_be_computed_is_told_and_the_next_is_shown(
    qtbot: Any, dock: LiveWidget, raw_layer: Image
) -> None:
    start(qtbot, dock)
    clock, data = dock.feed.clock, np.asarray(raw_layer.data)
    raw_layer.data = np.zeros_like(data)  # the light was off
    qtbot.waitUntil(lambda: clock.failed == 1, timeout=WAIT_MS)
    assert "no signal" in dock.panel.bar.messages.texts[-1]
    raw_layer.data = data[..., ::-1].copy()
    qtbot.waitUntil(lambda: clock.done == 2, timeout=WAIT_MS)
    assert not any("no signal" in text for text in dock.panel.bar.messages.texts)
    stop(qtbot, dock)


def test_a_first_set_that_cannot_be_computed_ends_it(
    qtbot: Any, dock: LiveWidget, raw_layer: Image
) -> None:
    raw_layer.data = np.zeros_like(raw_layer.data)
    with qtbot.waitSignal(dock.panel.bar.runner.failed, timeout=WAIT_MS):
        dock.panel.bar.run_button.click()
    assert dock.feed is None


def feed_of(data: np.ndarray, labels: tuple[str, ...], frames: int) -> LiveFeed:
    return LiveFeed(Image(data, axis_labels=labels), frames)


def test_of_a_layer_that_grows_the_newest_set_is_taken_and_the_others_counted() -> None:
    stack = np.zeros((5, 9, 8, 8), np.float32)
    stack += np.arange(5, dtype=np.float32)[:, None, None, None]
    feed = feed_of(stack[:1], ("t", "q", "y", "x"), 9)
    newest, skipped = feed.sets.take()
    assert (newest.snapshot.axes, newest.snapshot.data.max(), skipped) == ("QYX", 0, 0)
    feed.layer.data = stack[:2]
    feed.layer.data = stack[:5]
    newest, skipped = feed.sets.take()
    assert (newest.snapshot.data.max(), skipped) == (4, 3)
    feed.stop()
    feed.layer.data = stack[:3]
    assert feed.sets.take() is None


def test_frames_that_nothing_names_count_when_their_set_is_whole() -> None:
    frames = np.arange(20, dtype=np.float32)[:, None, None] + np.zeros((8, 8))
    feed = feed_of(frames[:9], ("n", "y", "x"), 9)
    feed.sets.take()
    feed.layer.data = frames[:15]
    assert feed.sets.take() is None
    feed.layer.data = frames[:19]
    newest, _ = feed.sets.take()
    assert newest.snapshot.data[:, 0, 0].tolist() == list(range(9, 18))
    feed.stop()


def test_results_that_were_not_shown_count_as_skipped() -> None:
    rng = np.random.default_rng(0)
    feed = feed_of(rng.random((16, 16), np.float32), ("y", "x"), 1)
    settings = Settings(stages=("background",), input=InputSettings())
    steps = feed.steps(settings, Context())
    for _ in range(3):
        feed.layer.data = rng.random((16, 16), np.float32)
        while feed.results._held is None:
            next(steps)
        shown_before = feed.clock.done
        feed.layer.data = rng.random((16, 16), np.float32)
        held = feed.results._held
        while feed.results._held is held:
            next(steps)
        assert feed.take() is not None
        assert feed.clock.done == shown_before + 1
    assert feed.clock.skipped >= 3
    steps.close()
    feed.stop()

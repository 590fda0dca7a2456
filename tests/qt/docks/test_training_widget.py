"""The dock that trains: from ticked layers to weights that are tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.docks.training import TrainingWidget
from napari_dps.core import ImageStack, Optics
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.train.fine_tune import FineTuned, Look
from napari_dps.train.judgement import Judgement

OPTICS = Optics(na=1.4, emission_nm=525.0, pixel_size_nm=65.0)
BETTER = Judgement(1.0, 0.9, 0.01, 8, True)
WORSE = Judgement(1.0, 1.1, 0.01, 8, False)


@pytest.fixture
def dock(
    qtbot: Any, viewer: ViewerModel, microscope: Microscope, tmp_path: Path
) -> TrainingWidget:
    raw = simulate(SimulationSettings(height_px=160, width_px=160, photons=100)).raw
    frame = raw.data[0, 0].astype(np.float32) - 100
    stack = ImageStack(frame, "YX", pixel_size_nm=65.0, optics=OPTICS)
    data, kwargs, _ = stack_layer(stack, "cell 1")
    viewer.add_layer(Image(data, **kwargs))
    widget = TrainingWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    widget.show()
    widget.target.setValue(str(tmp_path / "weights"))
    return widget


def test_training_is_judged_and_can_be_stopped(
    qtbot: Any, dock: TrainingWidget, tmp_path: Path
) -> None:
    assert dock.name.value() == "cell-1"
    dock.minutes.setValue(0.05)
    with qtbot.waitSignal(dock.bar.runner.finished, timeout=300_000):
        dock.bar.run_button.click()
        assert dock.stop_button.isEnabled()
        dock.stop_button.click()
    (text,) = dock.bar.messages.texts
    assert text.startswith(("better", "not better"))
    assert "left out" in text
    assert len(dock.plot.curves) == 1
    is_kept = (tmp_path / "weights" / "cell-1.safetensors").is_file()
    assert is_kept == text.startswith("better")
    assert dock.try_button.isEnabled() == is_kept


def test_verdict_is_told_and_weights_that_are_better_can_be_tried(
    dock: TrainingWidget,
) -> None:
    dock._on_returned(FineTuned(None, WORSE, 90, 60.0))
    dock._on_finished()
    assert dock.bar.messages.texts[0].startswith("not better")
    assert not dock.try_button.isEnabled()
    dock._on_returned(FineTuned(Path("mine.safetensors"), BETTER, 90, 60.0))
    dock._on_finished()
    assert "mine.safetensors" in dock.bar.messages.texts[0]
    assert dock.try_button.isEnabled()


def test_weights_are_tried_on_the_ticked_layer(
    qtbot: Any, dock: TrainingWidget
) -> None:
    from napari_dps.methods.dps.methods import weights_file

    dock.weights = weights_file("physics")
    with qtbot.waitSignal(dock.bar.runner.finished, timeout=300_000):
        dock.try_on_layer()
    layer = dock.viewer.layers[-1]
    assert layer.name == "cell 1 · DPS (dps-physics)"
    history = layer.metadata["napari-dps"]["history"]
    assert history[-1].parameters["weights"] == str(dock.weights)


def test_what_is_missing_is_said(
    dock: TrainingWidget, viewer: ViewerModel, microscope: Microscope
) -> None:
    dock.layers.setValue([])
    assert not dock.bar.run_button.isEnabled()
    assert "Tick layers" in dock.bar.status.text()
    plain = viewer.add_image(np.ones((64, 64)), name="plain")
    dock.layers.setValue([plain])
    assert "Set the microscope" in dock.bar.status.text()


def test_curve_grows_with_the_looks(dock: TrainingWidget) -> None:
    dock.training = None
    dock._show_curve()
    assert not dock.plot.curves
    dock.train()
    training = dock.training
    assert training is not None
    dock.bar.cancel()
    training.looks[:] = [Look(10, 0.5), Look(20, 0.4)]
    dock._on_progress(None)
    assert dock.plot.curves[0].y.tolist() == [0.5, 0.4]

"""The dock that trains: from ticked layers to weights that are tried."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tomli_w
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.dock_widgets import DenoiseWidget
from napari_dps._qt.docks.training import TrainingWidget
from napari_dps.core import ImageStack, Optics
from napari_dps.nets.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    shipped_weights,
)
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.train.fine_tune import FineTuned, Look
from napari_dps.train.judgement import Judgement
from napari_dps.train.models import MODELS
from napari_dps.train.recipe import load_recipe

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
    dock.minutes.setValue(10)
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
    from napari_dps.methods.dps.by_network import weights_file

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


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny denoiser that sees light where there is none, and a recipe for it."""
    import torch

    from napari_dps.nets.res_unet import SimDenoiser
    from napari_dps.train import fine_tune
    from napari_dps.train.denoise.adapt import DenoiseAdaptRecipe

    values = load_recipe(DenoiseAdaptRecipe, "adapt").model_dump(mode="json")
    values |= {"batch": 2, "patch_px": 32, "learning_rate": 1e-2, "ema": 0.5}
    (tmp_path / "quick.toml").write_text(tomli_w.dumps(values))
    entry = MODELS["denoise"]._replace(recipe_for_images=str(tmp_path / "quick.toml"))
    monkeypatch.setattr(fine_tune, "MODELS", {"denoise": entry})
    # As many steps in the time that is set, however busy the machine is.
    clock = SimpleNamespace(monotonic=time.process_time)
    monkeypatch.setattr(fine_tune, "time", clock)
    # So many steps, however busy the machine is.
    of_steps = partial(fine_tune.fine_tune, steps=40)
    monkeypatch.setattr(fine_tune, "fine_tune", of_steps)
    network = SimDenoiser(channels=8, blocks=1)
    with torch.no_grad():
        network.trunk.leave.bias[:16] = 0.1
    described = load_checkpoint(shipped_weights("denoise")).metadata.model_dump()
    described |= {"network": {"channels": 8, "blocks": 1}}
    path = tmp_path / "poor.safetensors"
    save_checkpoint(path, dict(network.state_dict()), described)
    return path


def test_denoiser_is_imported_trained_better_and_used_in_all_docks(
    qtbot: Any, dock: TrainingWidget, quick: Path, microscope: Microscope
) -> None:
    simulated = simulate(SimulationSettings(height_px=160, width_px=160, photons=60))
    data, kwargs, _ = stack_layer(simulated.raw, "raw")
    dock.viewer.add_layer(Image(data, **kwargs))
    dock.network.setValue("denoise")
    (raw,) = dock.layers.value()
    assert raw.name == "raw"
    dock.import_weights(quick)
    stage = DenoiseWidget(dock.viewer, microscope=microscope)
    qtbot.addWidget(stage)
    assert stage.form.value().weights == str(quick)
    dock.microscope.set_camera_offset(100)
    dock.minutes.setValue(0.1)
    shares: list[tuple[str, float]] = []
    dock.bar.runner.progressed.connect(
        lambda r: shares.append((r.message, r.done / max(r.total, 1)))
    )
    with qtbot.waitSignal(dock.bar.runner.finished, timeout=300_000):
        dock.bar.run_button.click()
    (text,) = dock.bar.messages.texts
    assert text.startswith("better"), text
    # What comes before the training leaves the bar to it.
    assert {done for text, done in shares if "stripes" in text} == {0}
    assert [done for _, done in shares] == sorted(done for _, done in shares)
    assert dock.plot.curves[0].y.min() < dock.plot.curves[0].y[0]
    dock.use_button.click()
    new = Path(dock.target.value()) / "raw.safetensors"
    assert stage.form.value().weights == str(new)
    assert load_checkpoint(new).metadata.recipe["name"] == "raw"


def test_weights_of_another_network_are_refused(dock: TrainingWidget) -> None:
    dock.import_weights(shipped_weights("denoise"))
    (text,) = dock.bar.messages.texts
    assert "sim_denoiser" in text
    assert dock.shared.weights.parameters("dps") == {}


def test_network_that_is_in_use_is_exported(
    qtbot: Any, dock: TrainingWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_dps.nets import bioimageio_package

    def write(checkpoint: Checkpoint, name: str, path: Path) -> None:
        path.write_text(f"{name} {checkpoint.metadata.architecture}")

    monkeypatch.setattr(bioimageio_package, "write_package", write)
    dock.shared.weights.use("dps", shipped_weights("dps-physics"))
    with qtbot.waitSignal(dock.bar.runner.finished, timeout=300_000):
        dock.export(tmp_path / "mine")
    assert dock.bar.messages.texts == (f"exported: {tmp_path / 'mine.zip'}",)
    assert (tmp_path / "mine.zip").read_text() == "dps-physics res_u_dbpn"

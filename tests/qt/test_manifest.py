"""Manifest, stages and classes list the same docks."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest

import napari_dps
from napari_dps._qt import dock_widgets
from napari_dps._qt.bridge import samples
from napari_dps._qt.docks.stage import StageWidget
from napari_dps.stages import STAGES


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(str(files(napari_dps) / "napari.yaml"))


def _python_names(manifest: PluginManifest, wanted: set[str]) -> dict[str, str]:
    commands = {c.id: c.python_name for c in manifest.contributions.commands}
    return {name: str(commands[name]) for name in wanted}


def test_every_python_name_can_be_imported(manifest: PluginManifest) -> None:
    manifest.validate_imports()


def test_every_stage_has_one_class_and_one_dock(manifest: PluginManifest) -> None:
    classes = {
        widget.stage_id: f"{dock_widgets.__name__}:{name}"
        for name, widget in vars(dock_widgets).items()
        if isinstance(widget, type)
        and issubclass(widget, StageWidget)
        and widget is not StageWidget
    }
    assert set(classes) == {stage.id for stage in STAGES}
    docks = {widget.command for widget in manifest.contributions.widgets}
    names = _python_names(manifest, docks)
    stage_docks = {
        command.removeprefix("napari-dps."): name
        for command, name in names.items()
        if name in classes.values()
    }
    assert stage_docks == classes


def test_module_of_docks_lists_those_of_the_manifest(manifest: PluginManifest) -> None:
    docks = {widget.command for widget in manifest.contributions.widgets}
    names = set(_python_names(manifest, docks).values())
    listed = {f"{dock_widgets.__name__}:{name}" for name in dock_widgets.__all__}
    assert names == listed


def test_every_command_is_offered_somewhere(manifest: PluginManifest) -> None:
    contributions = manifest.contributions
    offered = {widget.command for widget in contributions.widgets}
    offered |= {sample.command for sample in contributions.sample_data}
    offered |= {item.command for item in contributions.readers or ()}
    offered |= {item.command for item in contributions.writers or ()}
    assert {command.id for command in contributions.commands} == offered


def test_every_stage_is_in_the_menu_of_layers(manifest: PluginManifest) -> None:
    menus = manifest.contributions.menus
    listed = {item.command for items in menus.values() for item in items}
    assert {f"napari-dps.{stage.id}" for stage in STAGES} <= listed


def test_icon_is_shipped(manifest: PluginManifest) -> None:
    package, name = str(manifest.icon).split(":")
    assert files(package).joinpath(name).read_text("utf-8").startswith("<svg")


@pytest.mark.parametrize("structure", samples._TITLES)
def test_sample_holds_raw_frames_and_their_truth(structure: str) -> None:
    *truths, (raw, kwargs, kind) = samples.raw_stack(
        structure, height_px=64, width_px=48
    )
    assert kind == "image"
    assert raw.shape == (3, 3, 64, 48)
    assert kwargs["axis_labels"] == ["angle", "phase", "y", "x"]
    for truth, known, _ in truths:
        assert truth.shape == (128, 96)
        # The truth covers the same field as the frames.
        assert known["scale"][-1] * 2 == kwargs["scale"][-1]
        assert np.isclose(known["translate"][-1], -kwargs["scale"][-1] / 4)
        assert not known["visible"]
    (of_sim, _, _), (of_dps, _, _) = truths
    assert of_dps.std() > of_sim.std()  # the same light in finer detail
    assert of_dps.mean() == pytest.approx(of_sim.mean(), rel=0.01)


def test_sample_is_the_same_every_time() -> None:
    def data() -> Any:
        return samples.raw_stack("actin", height_px=48, width_px=48)[-1][0]

    assert np.array_equal(data(), data())


@pytest.mark.slow
def test_dock_loads_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from qtpy.QtWidgets import QApplication\n"
        "app = QApplication([])\n"
        "from napari.components import ViewerModel\n"
        "from napari_dps._qt import dock_widgets\n"
        "viewer = ViewerModel()\n"
        "docks = [getattr(dock_widgets, name)(viewer)"
        " for name in dock_widgets.__all__]\n"
        "for dock in docks: dock.show()\n"
        "print(len(docks), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [str(len(dock_widgets.__all__)), "False"], done.stderr

"""The microscope in use is one of napari's Preferences."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from napari.layers import Image
from napari.settings._plugin_config_generator import plugin_configuration_generator
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import QSettings

import napari_dps
from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.bridge.preferences import PLUGIN, Preferences


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    """What napari makes of the manifest, kept in a folder of the test."""
    manager = PluginManager()
    manager.register(PluginManifest.from_file(files(napari_dps) / "napari.yaml"))
    made = plugin_configuration_generator(manager)[PLUGIN]
    return made(config_path=tmp_path / "plugin.yaml")


def _store(settings: Any, tmp_path: Path) -> Preferences:
    ini = QSettings(str(tmp_path / "rest.ini"), QSettings.Format.IniFormat)
    return Preferences(settings, ini)


def test_microscope_in_use_is_kept_in_the_preferences(
    qapp: Any, settings: Any, tmp_path: Path
) -> None:
    Microscope(_store(settings, tmp_path)).update({"na": 1.3, "emission_nm": 660.0})
    assert (settings.microscope.na, settings.microscope.emission_nm) == (1.3, 660)
    assert "1.3" in (tmp_path / "plugin.yaml").read_text()
    later = Microscope(_store(settings, tmp_path))
    assert later.values == {"na": 1.3, "emission_nm": 660, "refractive_index": 1.518}
    later.update({"na": None})
    assert "na" not in Microscope(_store(settings, tmp_path)).values


def test_docks_follow_the_preferences(
    qapp: Any, settings: Any, tmp_path: Path, plain_layer: Image
) -> None:
    microscope = Microscope(_store(settings, tmp_path))
    seen: list[float] = []
    microscope.changed.connect(lambda: seen.append(microscope.values["na"]))
    settings.microscope.na = 1.49
    assert seen == [1.49]
    assert microscope.unconfirmed(plain_layer)["na"] == 1.49
    settings.computing.device = "cpu"
    assert Microscope(_store(settings, tmp_path)).device == "cpu"


def test_wavelengths_of_channels_are_kept_beside_the_preferences(
    qapp: Any, settings: Any, tmp_path: Path
) -> None:
    microscope = Microscope(_store(settings, tmp_path))
    microscope.update({"emission_nm": (525.0, 610.0)})
    assert settings.microscope.emission_nm == 0
    later = Microscope(_store(settings, tmp_path))
    assert later.of(None)["emission_nm"].value == (525, 610)
    later.update({"emission_nm": 525.0})
    assert Microscope(_store(settings, tmp_path)).values["emission_nm"] == 525

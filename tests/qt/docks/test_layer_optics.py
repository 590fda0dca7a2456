"""Optics belong to the layer: none leaks to another, and each channel has its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image
from napari.layers._source import layer_source
from qtpy.QtCore import QSettings

from napari_dps._qt import dock_widgets
from napari_dps._qt.bridge import samples
from napari_dps._qt.bridge.files import get_reader
from napari_dps._qt.bridge.layer_optics import told_by
from napari_dps._qt.bridge.microscope import FILE, MICROSCOPE, NOT_CONFIRMED, YOU
from napari_dps._qt.bridge.microscope import Microscope as Shared
from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.docks.stage import StageWidget
from napari_dps._qt.widgets.microscope import MicroscopeWidget
from napari_dps.cli import main
from napari_dps.core import ImageStack, Optics
from napari_dps.io import load, save
from napari_dps.physics.simulate import SimulationSettings, simulate


def _sources(widget: MicroscopeWidget) -> dict[str, str]:
    return {n: label.text() for n, label in widget.sources.items() if label.text()}


def _run(qtbot: Any, dock: StageWidget) -> None:
    with qtbot.waitSignal(dock.panel.bar.runner.finished, timeout=120_000):
        dock.panel.bar.run_button.click()


def test_nothing_leaks_from_a_sample_to_a_file_to_a_confocal_image(
    qtbot: Any, viewer: ViewerModel, tmp_path: Path
) -> None:
    store = QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)
    shared = Shared(store)
    sample = [
        Image(data, **kwargs)
        for data, kwargs, _ in samples.raw_stack("actin", height_px=64, width_px=64)
    ]
    real = Image(np.ones((9, 32, 32)), name="real file")
    confocal = Image(np.ones((32, 32)), name="confocal")
    finer = Optics(na=1.2, emission_nm=700, pixel_size_nm=20, modulation_factor=1.8)
    result = ImageStack(np.ones((32, 32)), "YX", pixel_size_nm=20, optics=finer)
    data, kwargs, _ = stack_layer(result, "result of another microscope")
    layers = [*sample, Image(data, **kwargs), real, confocal]
    dock = dock_widgets.PipelineWidget(viewer, microscope=shared)
    qtbot.addWidget(dock)
    dock.show()
    for layer in layers:
        viewer.add_layer(layer)
        dock.panel.combo.setValue(layer)
        assert dock.panel.combo.value() is layer
        if layer in (real, confocal):
            assert dock.panel.microscope.value() == {}
            assert dock.panel.microscope.camera_offset == 0
            assert _sources(dock.panel.microscope) == {}
            assert not dock.panel.bar.run_button.isEnabled()
        if layer is real:  # what is typed for the one is not for the other
            for name, value in (("na", 1.3), ("emission_nm", 660.0)):
                dock.panel.microscope.editors[name].setValue(value)
            dock.panel.microscope.editors["camera_offset"].setValue(100)
            dock.panel.microscope.editors["modulation_factor"].setValue(1.7)
    assert shared.values == {"refractive_index": 1.518}
    assert shared.camera_offset == 0
    assert Shared(store).values == shared.values


def test_every_value_tells_where_it_comes_from(
    qtbot: Any, microscope: Shared, viewer: ViewerModel
) -> None:
    microscope.update({"na": 1.3, "emission_nm": 660.0})
    layer = viewer.add_image(
        np.ones((32, 32)), scale=(65, 65), units=("nm", "nm"), name="plain"
    )
    dock = dock_widgets.DpsWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    widget = dock.panel.microscope
    assert _sources(widget) == {
        "na": NOT_CONFIRMED,
        "emission_nm": NOT_CONFIRMED,
        "pixel_size_nm": FILE,
    }
    assert dock.panel.bar.run_button.text() == "Run with NA 1.3, 660 nm?"
    widget.editors["emission_nm"].setValue(670)
    assert _sources(widget)["emission_nm"] == YOU
    _run(qtbot, dock)
    assert _sources(widget)["na"] == MICROSCOPE
    assert dock.panel.bar.run_button.text() == "Run"
    microscope.update({"na": 1.1})  # another microscope: the layer keeps its own
    assert widget.value()["na"] == 1.3
    assert microscope.of(layer)["na"].source == MICROSCOPE


def test_microscope_is_saved_with_camera_otf_and_instrument(
    qtbot: Any, viewer: ViewerModel, tmp_path: Path
) -> None:
    store = QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)
    dock = dock_widgets.ReconstructWidget(viewer, microscope=Shared(store))
    qtbot.addWidget(dock)
    options = dock.panel.options.editors
    for name, text in (("otf", "beads.tif"), ("camera_gain", "2"), ("frames", "0-8")):
        options[name].setValue(text)
    dock.panel.microscope.save_as("SIM 2")
    later = dock_widgets.ReconstructWidget(viewer, microscope=Shared(store))
    qtbot.addWidget(later)
    options = later.panel.options.editors
    assert options["otf"].value() == ""
    later.panel.microscope._choose("SIM 2")
    assert options["otf"].value() == "beads.tif"
    assert float(options["camera_gain"].value()) == 2
    assert options["frames"].value() == ""  # of the input, not of the microscope


def test_microscope_is_saved_by_name_and_offered_again(
    qtbot: Any, tmp_path: Path
) -> None:
    store = QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)
    widget = MicroscopeWidget(Shared(store))
    qtbot.addWidget(widget)
    widget.set_layer(Image(np.ones((9, 8, 8))))
    for name, value in (("na", 1.3), ("emission_nm", 660.0), ("camera_offset", 100.0)):
        widget.editors[name].setValue(value)
    widget.editors["modulation_factor"].setValue(1.9)
    widget.save_as("SIM 2")
    later = Shared(store)
    assert later.saved["SIM 2"]["na"] == 1.3
    other = Image(np.ones((9, 8, 8)))
    assert later.unconfirmed(other)["camera_offset"] == 100
    assert later.of(other)["modulation_factor"].value == 1
    later.update({"na": 1.45})
    later.choose("SIM 2", other)
    assert (later.of(other)["na"].value, later.of(other)["na"].source) == (
        1.3,
        MICROSCOPE,
    )


@pytest.fixture
def two_colours() -> ImageStack:
    """Raw frames of two channels that differ in wavelength alone."""
    settings = SimulationSettings(height_px=64, width_px=64, photons=400)
    raw = simulate(settings).raw
    assert raw.optics is not None
    each = tuple(
        raw.optics.model_copy(update={"emission_nm": nm}) for nm in (525.0, 610.0)
    )
    return raw.derive(
        np.stack([raw.data, raw.data]),
        axes="CAPYX",
        optics=each[0],
        channel_optics=each,
        channel_names=("green", "red"),
    )


def test_channels_in_the_dock_give_the_pixels_of_the_command_line(
    qtbot: Any,
    microscope: Shared,
    viewer: ViewerModel,
    two_colours: ImageStack,
    tmp_path: Path,
) -> None:
    path = save(two_colours, tmp_path / "two.ome.tif")
    data, kwargs, _ = stack_layer(load(path), "two")
    viewer.add_layer(Image(data, **kwargs))
    dock = dock_widgets.ReconstructWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    dock.panel.microscope.editors["camera_offset"].setValue(100)
    _run(qtbot, dock)
    shown = viewer.layers[-1].data
    arguments = ["run", str(path), "--stages", "reconstruct", "--camera-offset", "100"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    written = tifffile.imread(tmp_path / "out" / "two.reconstruct.ome.tif")
    assert np.array_equal(written.reshape(shown.shape), shown)
    assert not np.array_equal(shown[0], shown[1])  # each with its wavelength


def test_wavelength_of_each_channel_can_be_typed(
    qtbot: Any, microscope: Shared, two_colours: ImageStack
) -> None:
    data, kwargs, _ = stack_layer(two_colours, "two")
    layer = Image(data, **kwargs)
    widget = MicroscopeWidget(microscope)
    qtbot.addWidget(widget)
    widget.show()
    widget.set_layer(layer)
    assert widget.channels.value() == (525, 610)
    widget.channels.editors[1].setValue(670)
    assert widget.value()["emission_nm"] == (525, 670)
    assert _sources(widget)["emission_nm"] == YOU
    widget.set_layer(None)
    assert not widget.channels.isVisibleTo(widget)


def test_wavelengths_of_channels_are_saved_and_go_to_as_many_channels(
    qtbot: Any, two_colours: ImageStack, tmp_path: Path
) -> None:
    store = QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat)
    shared = Shared(store)
    data, kwargs, _ = stack_layer(two_colours, "two")
    widget = MicroscopeWidget(shared)
    qtbot.addWidget(widget)
    widget.set_layer(Image(data, **kwargs))
    widget.save_as("two colours")
    store.sync()
    later = Shared(QSettings(str(tmp_path / "s.ini"), QSettings.Format.IniFormat))
    assert later.saved["two colours"]["emission_nm"] == (525, 610)
    del kwargs["metadata"]["napari-dps"]["optics"]
    two = Image(data, **kwargs)
    one = Image(data[0], scale=kwargs["scale"][1:], name="one")
    assert later.unconfirmed(two)["emission_nm"] == (525, 610)
    assert later.of(one).keys() >= {"na"}
    assert "emission_nm" not in later.of(one)
    later.choose("two colours", two)
    found = later.of(two)["emission_nm"]
    assert (found.value, found.source) == ((525, 610), MICROSCOPE)


def test_channels_of_a_file_open_as_layers_of_their_own(
    two_colours: ImageStack, microscope: Shared, tmp_path: Path
) -> None:
    path = save(two_colours, tmp_path / "two.ome.tif")
    read = get_reader(str(path))
    assert read is not None
    layers = [Image(data, **kwargs) for data, kwargs, _ in read(str(path))]
    assert [layer.name for layer in layers] == ["two · green", "two · red"]
    assert [layer.colormap.name for layer in layers] == ["green", "yellow"]
    emissions = [microscope.of(layer)["emission_nm"] for layer in layers]
    assert [one.value for one in emissions] == [525, 610]
    assert {one.source for one in emissions} == {FILE}
    for number, layer in enumerate(layers):
        assert np.array_equal(layer.data, two_colours.data[number])


def test_file_that_napari_has_opened_tells_its_pixel_size(
    microscope: Shared, tmp_path: Path
) -> None:
    path = tmp_path / "imagej.tif"
    data = np.ones((9, 32, 32), np.uint16)
    size = {"resolution": (1 / 0.065, 1 / 0.065), "metadata": {"unit": "um"}}
    tifffile.imwrite(path, data, imagej=True, **size)
    with layer_source(path=str(path)):  # as napari's own reader leaves it
        layer = Image(data, name="imagej")
    assert tuple(layer.scale) == (1, 1, 1)
    found = microscope.of(layer)["pixel_size_nm"]
    assert (found.value, found.source) == (pytest.approx(65), FILE)


def test_stage_that_needs_no_optics_confirms_none(
    qtbot: Any, microscope: Shared, viewer: ViewerModel
) -> None:
    microscope.update({"na": 1.4, "emission_nm": 525.0, "camera_offset": 10.0})
    layer = viewer.add_image(
        np.random.default_rng(0).poisson(50, (40, 40)).astype(np.float32),
        scale=(65, 65),
        units=("nm", "nm"),
    )
    dock = dock_widgets.BackgroundWidget(viewer, microscope=microscope)
    qtbot.addWidget(dock)
    dock.show()
    assert dock.panel.bar.run_button.text() == "Run with offset 10?"
    _run(qtbot, dock)
    assert microscope.of(layer)["camera_offset"].source == MICROSCOPE
    assert microscope.of(layer)["na"].source == NOT_CONFIRMED
    assert "na" not in told_by(viewer.layers[-1])

"""The preview of the PSF."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_dps._qt.bridge.microscope import Microscope
from napari_dps._qt.docks.psf import PsfWidget
from napari_dps.core import Optics
from napari_dps.physics.psf import first_zero_nm, fwhm_nm


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, microscope: Microscope) -> PsfWidget:
    microscope.update({"na": 1.3, "emission_nm": 600.0})
    widget = PsfWidget(viewer, microscope=microscope)
    qtbot.addWidget(widget)
    widget.show()
    return widget


def test_preview_starts_with_the_shared_microscope(dock: PsfWidget) -> None:
    assert dock.form.value() == Optics(na=1.3, emission_nm=600, pixel_size_nm=32.5)


def test_numbers_are_those_of_the_physics(dock: PsfWidget) -> None:
    dock.form.editors["modulation_factor"].setValue(1.9)
    optics = dock.form.value()
    text = dock.numbers.text()
    for value in (fwhm_nm(optics), first_zero_nm(optics)):
        assert f"{value:.1f} nm" in text
    (curve,) = dock.profile.curves
    inside = np.searchsorted(curve.x, fwhm_nm(optics) / 2)
    assert curve.y[inside] == pytest.approx(0.5, abs=0.02)


def test_slider_and_box_move_one_another(dock: PsfWidget) -> None:
    dock.form.editors["na"].slider.setValue(500)
    assert dock.form.editors["na"].value() == pytest.approx(1.05)
    dock.form.editors["na"].setValue(1.7)
    assert (
        dock.form.editors["na"].slider.value()
        == dock.form.editors["na"].slider.maximum()
    )


def test_coarse_pixels_are_warned_of(dock: PsfWidget) -> None:
    assert dock.messages.texts == ()
    dock.form.editors["pixel_size_nm"].setValue(150)
    assert "nder-sampled" in dock.messages.texts[0]
    dock.form.editors["pixel_size_nm"].setValue(30)
    assert dock.messages.texts == ()


def test_impossible_na_is_said_and_the_picture_kept(dock: PsfWidget) -> None:
    dock.form.editors["refractive_index"].setValue(1.2)
    assert "refractive index" in dock.messages.texts[0]
    dock.use()
    dock.add_layer()
    assert len(dock.viewer.layers) == 0


def test_psf_layer_has_its_peak_at_the_origin(dock: PsfWidget) -> None:
    dock.add_layer()
    (layer,) = dock.viewer.layers
    peak = np.unravel_index(layer.data.argmax(), layer.data.shape)
    assert np.allclose(layer.data_to_world(peak), 0)
    assert tuple(layer.scale) == (32.5, 32.5)
    assert layer.data.sum() == pytest.approx(1, abs=1e-5)


def test_use_hands_the_values_to_all_docks(
    dock: PsfWidget, microscope: Microscope
) -> None:
    dock.form.editors["na"].setValue(1.45)
    assert microscope.values["na"] == 1.3
    dock.use()
    assert microscope.values["na"] == 1.45
    assert "pixel_size_nm" not in microscope.values

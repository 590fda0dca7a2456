"""From file to stack: axes, pixel size, optics, warnings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

from napari_dps.core import ImageStack, InputError
from napari_dps.io import load, save


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw.tif"
    data = np.random.default_rng(0).integers(0, 99, (18, 16, 20)).astype(np.uint16)
    per_um = (1 / 0.065, 1 / 0.065)
    metadata = {"axes": "TYX", "unit": "um"}
    tifffile.imwrite(path, data, imagej=True, resolution=per_um, metadata=metadata)
    return path


def test_load_gives_time_angle_phase_when_counts_are_given(raw: Path) -> None:
    stack = load(raw, angles=3, phases=3)
    assert stack.axes == "TAPYX"
    assert_array_equal(stack.data.reshape(18, 16, 20), tifffile.imread(raw))


def test_load_gives_a_time_series_when_no_counts_are_given(raw: Path) -> None:
    assert load(raw).axes == "TYX"


def test_given_pixel_size_wins_with_a_warning_when_it_differs(raw: Path) -> None:
    messages: list[str] = []
    assert load(raw, pixel_size_nm=80, warn=messages.append).pixel_size_nm == 80
    assert messages == [
        "pixel size 80 nm is used; the file's metadata says 65 nm",
    ]


def test_given_pixel_size_is_silent_when_it_agrees_to_one_per_cent(raw: Path) -> None:
    messages: list[str] = []
    assert load(raw, pixel_size_nm=65.5, warn=messages.append).pixel_size_nm == 65.5
    assert messages == []


@pytest.mark.parametrize("size", [0, -65, float("nan"), float("inf")])
def test_impossible_pixel_size_is_refused(raw: Path, size: float) -> None:
    with pytest.raises(InputError, match="pixel size"):
        load(raw, pixel_size_nm=size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"angles": 3}, "belong together"),
        ({"angles": 0, "phases": 3}, "1 or more"),
        ({"angles": 3, "phases": 5}, "18 frames do not fit"),
        ({"order": "montage"}, "needs angles"),
        ({"angles": 3, "phases": 3, "order": "montage"}, "cannot be cut"),
    ],
)
def test_counts_that_do_not_fit_are_refused(
    raw: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load(raw, **options)


def test_montage_time_series_becomes_time_angle_phase(tmp_path: Path) -> None:
    tiles = np.arange(2 * 3 * 5 * 8 * 6, dtype=np.uint16).reshape(2, 3, 5, 8, 6)
    planes = tiles.swapaxes(-3, -2).reshape(2, 24, 30)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes)
    stack = load(path, angles=3, phases=5, order="montage")
    assert stack.axes == "TAPYX"
    assert_array_equal(stack.data, tiles)


def test_own_raw_file_needs_no_counts_and_refuses_wrong_ones(tmp_path: Path) -> None:
    stack = ImageStack(np.zeros((2, 3, 5, 8, 6), np.uint16), "TAPYX")
    path = save(stack, tmp_path / "a.ome.tif")
    assert load(path).axes == "TAPYX"
    assert load(path, angles=3, phases=5).axes == "TAPYX"
    with pytest.raises(InputError, match=r"allowed: 3 angles × 5 phases"):
        load(path, angles=5, phases=3)


def test_optics_follow_the_given_pixel_size(tmp_path: Path) -> None:
    from napari_dps.core import Optics

    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
    stack = ImageStack(np.zeros((8, 6)), "YX", pixel_size_nm=65, optics=optics)
    path = save(stack, tmp_path / "a.ome.tif")
    back = load(path, pixel_size_nm=80, warn=lambda message: None)
    assert back.optics == optics.at_pixel_size(80)


def test_impossible_optics_of_a_file_are_ignored_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    xml = (
        '<OME xmlns="x"><Instrument><Objective ID="o" LensNA="14"/></Instrument><Image>'
        '<Pixels ID="p" DimensionOrder="XYZCT" Type="uint8" SizeX="6" SizeY="8" '
        'SizeZ="1" SizeC="1" SizeT="1" PhysicalSizeX="0.1"><Channel '
        'EmissionWavelength="525"/><TiffData IFD="0" PlaneCount="1"/></Pixels></Image>'
        "</OME>"
    )
    tifffile.imwrite(path, np.zeros((8, 6), np.uint8), description=xml, metadata=None)
    messages: list[str] = []
    assert load(path, warn=messages.append).optics is None
    assert any("impossible" in message for message in messages)

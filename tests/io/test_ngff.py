"""OME-Zarr: checked by the models of the specification, read in both versions."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal
from ome_zarr_models.v05 import Image

from napari_dps.core import ImageStack, InputError
from napari_dps.io import load, save

DATA = np.arange(2 * 3 * 8 * 6, dtype=np.uint16).reshape(2, 3, 8, 6)


def group_04(folder: Path, **changes: object) -> Path:
    """A group as version 0.4 prescribes it, in Zarr format 2."""
    group = zarr.create_group(folder, zarr_format=2)
    group.create_array("s0", data=DATA)
    unit = {"type": "space", "unit": "micrometer"}
    image = {
        "version": "0.4",
        "axes": [
            {"name": "c", "type": "channel"},
            *({"name": name, **unit} for name in "zyx"),
        ],
        "datasets": [
            {
                "path": "s0",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1, 0.1, 0.05, 0.05]}
                ],
            }
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [1, 2, 1.3, 1.3]}],
    }
    group.attrs["multiscales"] = [{**image, **changes}]
    return folder


def test_written_group_fits_the_models_of_version_05(tmp_path: Path) -> None:
    stack = ImageStack(
        np.zeros((2, 2, 3, 3, 8, 6), np.float32),
        "TCAPYX",
        pixel_size_nm=65.0,
        origin_nm=(-16.25, 3.0),
        frame_interval_s=2.0,
        channel_names=("a", "b"),
    )
    path = save(stack, tmp_path / "a.ome.zarr")
    image = Image.from_zarr(zarr.open_group(path, mode="r")).attributes.ome
    multiscale = image.multiscales[0]
    assert [axis.name for axis in multiscale.axes] == ["t", "c", "z", "y", "x"]
    scale, shift = multiscale.datasets[0].coordinateTransformations
    assert scale.scale == [2.0, 1.0, 1.0, 65.0, 65.0]
    assert shift.translation == [0.0, 0.0, 0.0, -16.25, 3.0]


def test_version_04_is_read_with_both_scales(tmp_path: Path) -> None:
    stack = load(group_04(tmp_path / "a.zarr"))
    assert stack.axes == "CZYX"
    assert stack.pixel_size_nm == pytest.approx(65)
    assert stack.z_step_nm == pytest.approx(200)
    assert_array_equal(stack.data, DATA)


def test_folder_written_anew_replaces_the_old_group(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    save(ImageStack(np.zeros((9, 8), np.float32), "YX"), path)
    save(ImageStack(np.ones((5, 4), np.float32), "YX"), path, compression="zlib")
    assert_array_equal(load(path).data, np.ones((5, 4)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_ordinary_folder_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="is a folder"):
        save(ImageStack(np.zeros((9, 8)), "YX"), folder)
    assert (folder / "thesis.txt").read_text() == "x"


@pytest.mark.parametrize(
    "changes",
    [
        {"axes": []},
        {"axes": [{"name": "y"}] * 4},
        {"datasets": []},
        {"datasets": [{"path": "../../etc"}]},
        {"datasets": [{"path": "none"}]},
        {"datasets": None},
    ],
)
def test_damaged_group_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"a\.zarr"):
        load(group_04(tmp_path / "a.zarr", **changes))


def test_group_of_damaged_json_is_refused(tmp_path: Path) -> None:
    path = save(ImageStack(np.zeros((9, 8)), "YX"), tmp_path / "a.zarr")
    text = (path / "zarr.json").read_text()
    for broken in (text[:50], "[]", json.dumps({"zarr_format": 9})):
        (path / "zarr.json").write_text(broken)
        with pytest.raises(InputError, match="not a readable OME-Zarr"):
            load(path)


def test_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = group_04(tmp_path / "a.zarr")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match=r'pip install "napari-dps\[zarr\]"'):
        load(path)
    with pytest.raises(InputError, match=r'pip install "napari-dps\[zarr\]"'):
        save(ImageStack(np.zeros((9, 8)), "YX"), tmp_path / "b.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]

"""Zarr of other writers, and Zarr that is not whole."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from napari_dps.core import ImageStack, InputError
from napari_dps.io import content_hash, find_inputs, load, read, save

FRAMES = np.random.default_rng(0).poisson(100, (9, 16, 24)).astype(np.uint16)
MULTISCALES = [
    {
        "version": "0.4",
        "axes": [
            {"name": "z", "type": "space", "unit": "micrometer"},
            {"name": "y", "type": "space", "unit": "micrometer"},
            {"name": "x", "type": "space", "unit": "micrometer"},
        ],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [0.2, 0.065, 0.065]}
                ],
            }
        ],
    }
]


def image(group: Any, path: str, value: int = 0) -> None:
    inside = group.create_group(path)
    array = inside.create_array("0", shape=FRAMES.shape, dtype="u2", chunks=(1, 16, 24))
    array[...] = FRAMES + value
    inside.attrs["multiscales"] = MULTISCALES


@pytest.fixture(params=[2, 3])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return zarr.open_group(
        tmp_path / "a.zarr", mode="w", zarr_format=request.param, attributes={}
    )


def test_first_image_of_bioformats2raw_is_read_and_the_others_listed(
    group: Any, tmp_path: Path
) -> None:
    for i in range(11):
        image(group, str(i), i)
    group.attrs["bioformats2raw.layout"] = 3
    messages: list[str] = []
    stack = load(tmp_path / "a.zarr", warn=messages.append)
    assert_array_equal(stack.data, FRAMES)
    assert stack.pixel_size_nm == pytest.approx(65)
    assert messages == [
        "11 images: 0 is read; others: 1, 2, 3, 4, 5, 6, 7, 8 and 2 more"
    ]
    assert_array_equal(load(tmp_path / "a.zarr" / "3").data, FRAMES + 3)
    assert_array_equal(np.asarray(read(tmp_path / "a.zarr", series=3).data), FRAMES + 3)
    with pytest.raises(InputError, match="got 11; allowed: 0 to 10"):
        read(tmp_path / "a.zarr", series=11)
    assert len(find_inputs(tmp_path)) == 1


def test_series_that_are_listed_go_before_numbers(group: Any, tmp_path: Path) -> None:
    for i, name in enumerate(("second", "first")):
        image(group, name, i)
    group.create_group("OME").attrs["series"] = ["first", "second"]
    group.attrs["bioformats2raw.layout"] = 3
    messages: list[str] = []
    assert_array_equal(load(tmp_path / "a.zarr", warn=messages.append).data, FRAMES + 1)
    assert messages == ["2 images: first is read; others: second"]


def test_first_field_of_a_plate_is_read_and_the_wells_listed(
    group: Any, tmp_path: Path
) -> None:
    group.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "A/2"}]}
    for i, well in enumerate(("A/1", "A/2")):
        inside = group.create_group(well)
        inside.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
        image(group, f"{well}/0", i)
        image(group, f"{well}/1", 5)
    messages: list[str] = []
    assert_array_equal(load(tmp_path / "a.zarr", warn=messages.append).data, FRAMES)
    assert messages == ["2 wells of a plate: A/1 is read; others: A/2"]
    messages.clear()
    second = load(tmp_path / "a.zarr" / "A" / "2", warn=messages.append)
    assert_array_equal(second.data, FRAMES + 1)
    assert messages == ["2 fields of a well: 0 is read; others: 1"]


@pytest.mark.parametrize("names", [None, ("z", "y", "x"), ("a", "b", None)])
@pytest.mark.parametrize("lazy", [False, True])
def test_bare_array_is_read(
    tmp_path: Path, lazy: bool, names: tuple[str, ...] | None
) -> None:
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        path, shape=FRAMES.shape, dtype="u2", chunks=(2, 8, 24), dimension_names=names
    )
    array[...] = FRAMES
    raw = read(path, lazy=lazy)
    assert raw.axes == ("ZYX" if names and names[0] == "z" else "QYX")
    assert_array_equal(np.asarray(raw.data), FRAMES)


def test_bare_array_of_version_2_is_found_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.open_array(path, mode="w", shape=(9, 16, 24), dtype="u2", zarr_format=2)[
        ...
    ] = FRAMES
    assert [found for found, _ in find_inputs(tmp_path)] == [path]
    assert_array_equal(load(path).data, FRAMES)
    assert content_hash(path)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "no multiscales.*it holds deep, other: open one"),
        ({"plate": {"wells": 3}}, "list no wells"),
        ({"plate": {"wells": [{"path": "Z/9"}]}}, "'Z/9', which it lists first"),
        ({"plate": {"wells": [{"path": "../b.zarr"}]}}, "which it lists first"),
        ({"multiscales": []}, "not a readable"),
        ({"multiscales": [{"datasets": [{"path": "9"}]}]}, "lack"),
    ],
)
def test_group_without_an_image_says_what_it_holds(
    group: Any, tmp_path: Path, attributes: dict[str, Any], message: str
) -> None:
    image(group, "deep")
    group.create_group("other")
    group.attrs.update(attributes)
    with pytest.raises(InputError, match=rf"a\.zarr.*{message}"):
        load(tmp_path / "a.zarr")


@pytest.mark.parametrize("lazy", [False, True])
def test_missing_chunks_are_refused_or_filled_with_a_warning(
    tmp_path: Path, lazy: bool
) -> None:
    path = save(ImageStack(FRAMES, "TYX"), tmp_path / "a.ome.zarr")
    for i in (4, 6):
        shutil.rmtree(path / "0" / "c" / str(i))
    with pytest.raises(
        InputError, match=r"2 of 9 chunks are missing.*c/4/0/0"
    ) as caught:
        load(path, lazy=lazy)
    assert caught.value.fields == ("input.allow_missing",)
    messages: list[str] = []
    stack = load(path, lazy=lazy, allow_missing=True, warn=messages.append)
    expected = FRAMES.copy()
    expected[[4, 6]] = 0
    assert_array_equal(stack.data, expected)
    assert [m for m in messages if "2 of 9 chunks are missing" in m]


def test_chunk_that_is_lost_after_opening_is_an_error(tmp_path: Path) -> None:
    path = save(ImageStack(FRAMES, "TYX"), tmp_path / "a.ome.zarr")
    data = read(path, lazy=True).data
    shutil.rmtree(path / "0" / "c" / "5")
    assert_array_equal(data[4], FRAMES[4])
    with pytest.raises(InputError, match="chunk c/5/0/0 is missing"):
        data[5]


def test_dark_image_that_we_wrote_is_whole(tmp_path: Path) -> None:
    dark = ImageStack(np.zeros((3, 8, 8), np.uint16), "TYX")
    assert load(save(dark, tmp_path / "a.ome.zarr")).data.max() == 0


@pytest.mark.parametrize("shape", [(10**9, 16, 24), (9, 10**7, 10**7), (10**12, 1, 1)])
def test_shape_is_compared_with_what_the_folder_holds(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(path, shape=shape, dtype="u2", chunks=(1, 16, 24))
    with pytest.raises(InputError, match="more than its 1 files can hold"):
        read(path, lazy=True, allow_missing=True)

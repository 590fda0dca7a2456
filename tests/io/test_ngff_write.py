"""OME-Zarr written by blocks, from several processes."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal
from ome_zarr_models.v05 import Image

from napari_dps.core import ImageStack, InputError, Optics
from napari_dps.io import ZarrBlocks, load, save

DATA = np.random.default_rng(0).normal(50, 9, (6, 2, 3, 3, 16, 20)).astype(np.float32)
LAYOUT = {"shape": DATA.shape, "axes": "TCAPYX", "dtype": DATA.dtype}


def stack_of(data: np.ndarray) -> ImageStack:
    return ImageStack(
        data,
        "TCAPYX",
        pixel_size_nm=32.5,
        origin_nm=(-16.25, 1.0),
        optics=Optics(na=1.3, emission_nm=660, pixel_size_nm=32.5),
        frame_interval_s=2.0,
        channel_names=("a", "b"),
    )


def create_and_write(folder: Path, start: int) -> None:
    ZarrBlocks.create(folder, **LAYOUT, compressed=True)
    ZarrBlocks.write(folder, start, DATA[start : start + 1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.ome.zarr", "b.zarr"])
def test_blocks_of_several_processes_give_the_same_folder_as_save(
    tmp_path: Path, name: str
) -> None:
    part, path = tmp_path / "part", tmp_path / name
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(create_and_write, [part] * 6, range(6)))
    empty = np.broadcast_to(np.float32(0), DATA.shape)
    assert ZarrBlocks.finish(part, path, stack_of(empty)) == path
    whole = save(stack_of(DATA), tmp_path / "whole" / name, compression="zlib")
    files = sorted(p.relative_to(whole) for p in whole.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(path) for p in path.rglob("*") if p.is_file())
    for file in files:
        assert (path / file).read_bytes() == (whole / file).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "whole"])
    assert_array_equal(load(path).data, DATA)


def test_metadata_of_finished_blocks_fit_the_models(tmp_path: Path) -> None:
    part, path = tmp_path / "part", tmp_path / "a.ome.zarr"
    ZarrBlocks.create(part, **LAYOUT)
    ZarrBlocks.write(part, 0, DATA)
    ZarrBlocks.finish(part, path, stack_of(DATA))
    ome = Image.from_zarr(zarr.open_group(path, mode="r")).attributes.ome
    assert ome.multiscales[0].name == "a"
    window = ome.omero["channels"][0]["window"]
    assert (window["min"], window["max"]) == (DATA.min(), DATA.max())


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("ZAPYX", (4, 3, 3, 8, 6)),
        ("APYX", (3, 5, 8, 6)),
        ("CYX", (3, 8, 6)),
        ("TZYX", (4, 2, 8, 6)),
        ("YX", (8, 6)),
    ],
)
def test_blocks_go_along_the_first_axis_whatever_it_is(
    tmp_path: Path, axes: str, shape: tuple[int, ...]
) -> None:
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    part = tmp_path / "part"
    ZarrBlocks.create(part, shape=shape, axes=axes, dtype=data.dtype)
    step = len(data) if axes == "YX" else 2
    for start in reversed(range(0, len(data), step)):
        ZarrBlocks.write(part, start, data[start : start + step])
    path = ZarrBlocks.finish(part, tmp_path / "a.zarr", ImageStack(data, axes))
    back = load(path)
    assert back.axes == axes
    assert_array_equal(back.data, data)


def test_second_creator_keeps_what_the_first_one_wrote(tmp_path: Path) -> None:
    part = tmp_path / "deep" / "part"
    ZarrBlocks.create(part, **LAYOUT)
    ZarrBlocks.write(part, 1, DATA[1:3])
    ZarrBlocks.create(part, **LAYOUT)
    ZarrBlocks.write(part, 0, DATA[:1])
    ZarrBlocks.write(part, 3, DATA[3:])
    path = ZarrBlocks.finish(part, tmp_path / "a.zarr", stack_of(DATA))
    assert_array_equal(load(path).data, DATA)
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (7, 2, 3, 3, 16, 20)},
        {"dtype": "uint16"},
        {"axes": "TZAPYX"},
        {"compressed": True},
    ],
)
def test_another_layout_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    ZarrBlocks.create(tmp_path / "part", **LAYOUT)
    with pytest.raises(InputError, match="holds something else"):
        ZarrBlocks.create(tmp_path / "part", **{**LAYOUT, **change})
    assert [p.name for p in tmp_path.iterdir()] == ["part"]


def test_ordinary_folder_is_refused_and_kept(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "thesis.txt").touch()
    with pytest.raises(InputError, match="holds something else"):
        ZarrBlocks.create(part, **LAYOUT)
    with pytest.raises(InputError, match="holds no blocks"):
        ZarrBlocks.write(part, 0, DATA)
    assert [p.name for p in part.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("start", "shape"),
    [
        (5, (2, 2, 3, 3, 16, 20)),
        (-1, (1, 2, 3, 3, 16, 20)),
        (0, (1, 2, 3, 3, 16, 21)),
        (0, (1, 1, 3, 3, 16, 20)),
    ],
)
def test_block_that_does_not_fit_is_refused(
    tmp_path: Path, start: int, shape: tuple[int, ...]
) -> None:
    ZarrBlocks.create(tmp_path / "part", **LAYOUT)
    with pytest.raises(InputError, match="does not fit"):
        ZarrBlocks.write(tmp_path / "part", start, np.zeros(shape, np.float32))


def test_axes_must_be_canonical(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in order TCZAPYX"):
        ZarrBlocks.create(tmp_path / "p", shape=(2, 2, 8, 6), axes="PAYX", dtype="u2")


def test_finish_refuses_another_shape_and_an_ordinary_folder(tmp_path: Path) -> None:
    part, path = tmp_path / "part", tmp_path / "a.zarr"
    ZarrBlocks.create(part, **LAYOUT)
    with pytest.raises(InputError, match="holds"):
        ZarrBlocks.finish(part, path, stack_of(DATA[:5]))
    path.mkdir()
    (path / "thesis.txt").touch()
    with pytest.raises(InputError, match="is a folder"):
        ZarrBlocks.finish(part, path, stack_of(DATA))
    assert (part / "0" / "zarr.json").is_file()
    assert (path / "thesis.txt").is_file()


def test_finish_replaces_an_older_result_and_drops_half_chunks(tmp_path: Path) -> None:
    part, path = tmp_path / "part", tmp_path / "a.ome.zarr"
    save(ImageStack(np.zeros((5, 4), np.float32), "YX"), path)
    ZarrBlocks.create(part, **LAYOUT)
    ZarrBlocks.write(part, 0, DATA)
    (part / "0" / "c" / "0" / "1.ab.partial").write_bytes(b"half")
    ZarrBlocks.finish(part, path, stack_of(DATA))
    assert_array_equal(load(path).data, DATA)
    assert list(path.rglob("*.partial")) == []
    assert json.loads((path / "zarr.json").read_text())["node_type"] == "group"


def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    ZarrBlocks.create(tmp_path / "part", **LAYOUT)
    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    with pytest.raises(InputError, match="the disk is full"):
        ZarrBlocks.write(tmp_path / "part", 0, DATA)

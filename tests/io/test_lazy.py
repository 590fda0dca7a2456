"""Lazy reading: the same pixels, read when asked for."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from napari_dps.core import ImageStack, InputError
from napari_dps.io import RawImage, arrange, load, read, save
from napari_dps.io.lazy import Planes
from napari_dps.io.raw import Metadata
from napari_dps.io.tiff_pages import Pages

STACK = np.random.default_rng(0).integers(0, 1000, (36, 32, 40)).astype(np.uint16)


@pytest.fixture
def pages_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the TIFF pages that were read."""
    numbers: list[int] = []
    original = Pages.__call__

    def counted(self: Pages, block: int) -> np.ndarray:
        numbers.append(block)
        return original(self, block)

    monkeypatch.setattr(Pages, "__call__", counted)
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": True},
        {"compression": "zstd", "tile": (16, 16)},
        {"compression": "zlib", "byteorder": ">", "bigtiff": True},
        {"compression": "zlib", "rowsperstrip": 5},
        {"tile": (16, 16)},
        {"byteorder": ">"},
        {"byteorder": ">", "imagej": True, "metadata": {"axes": "TYX"}},
        {"ome": True, "metadata": {"axes": "TYX"}, "compression": "zlib"},
    ],
)
def test_lazy_pixels_are_those_of_every_kind_of_tiff(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "raw ünï (1).tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **options)
    stack = load(path, angles=3, phases=3, order="tpayx", lazy=True)
    assert isinstance(stack.data, da.Array)
    assert stack.data.chunksize == (1, 1, 1, 32, 40)
    assert stack.data.dtype == np.uint16
    expected = STACK.reshape(4, 3, 3, 32, 40).swapaxes(1, 2)
    assert_array_equal(stack.data, expected)
    part = (2, slice(None), 1, slice(3, 9), slice(30, None, 2))
    assert_array_equal(stack.data[part], expected[part])


def test_separate_pages_that_are_not_compressed_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in STACK:
            writer.write(frame[None], contiguous=False, metadata=None)
            writer.filehandle.write(b"gap " * 7)
    stack = load(path, lazy=True, warn=lambda message: None)
    assert isinstance(stack.data, da.Array)
    assert_array_equal(stack.data, STACK)


def test_contiguous_file_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK)
    for options in (
        {},
        {"order": "tpayx", "angles": 3, "phases": 3},
        {"angles": 2, "phases": 4, "order": "montage"},
    ):
        data = load(path, lazy=True, **options).data
        assert isinstance(data, da.Array)
        assert set(data.chunks[0]) == {1}


@pytest.mark.parametrize("lazy", [False, True])
def test_file_that_shrinks_is_an_error_and_does_not_end_the_process(
    tmp_path: Path, lazy: bool
) -> None:
    # A map of the file would end it with SIGBUS.
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK)
    code = f"""
import os
from napari_dps.core import InputError
from napari_dps.io import fetch, load
data = load({str(path)!r}, lazy={lazy}).data
os.truncate({str(path)!r}, 4096)
try:
    print(int(fetch(data[-1]).max()))
except InputError as error:
    print("refused", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = "refused a.tif: plane 36" if lazy else str(STACK[-1].max())
    assert done.stdout.startswith(expected)


def test_ome_tiff_of_several_files_is_read(tmp_path: Path) -> None:
    names = ("a.ome.tif", "b.ome.tif")
    blocks = "".join(
        f'<TiffData FirstT="{9 * i}" IFD="0" PlaneCount="9"><UUID FileName="{name}">'
        f"urn:uuid:{i}</UUID></TiffData>"
        for i, name in enumerate(names)
    )
    for i, name in enumerate(names):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="http://x" UUID="urn:uuid:{i}"><Image '
            'ID="Image:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" '
            'SizeX="40" SizeY="32" SizeZ="1" SizeC="1" SizeT="18">'
            f'<Channel ID="C:0"/>{blocks}</Pixels></Image></OME>'
        )
        part = STACK[9 * i : 9 * (i + 1)]
        tifffile.imwrite(
            tmp_path / name, part, description=xml, metadata=None, compression="zlib"
        )
    assert_array_equal(load(tmp_path / names[0], lazy=True).data, STACK[:18])


def test_order_check_reads_few_pages_whatever_the_number_of_frames(
    tmp_path: Path, pages_read: list[int]
) -> None:
    counts = []
    for images in (30, 120):
        path = tmp_path / f"{images}.tif"
        frames = np.random.default_rng(1).poisson(50, (images * 9, 24, 24))
        tifffile.imwrite(path, frames.astype(np.uint8), compression="zlib")
        pages_read.clear()
        load(path, angles=3, phases=3, lazy=True)
        counts.append(len(pages_read))
    assert counts[0] <= 200
    assert counts[1] <= counts[0] + 20


def test_memory_of_a_lazy_load_is_headers_only(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((400, 256, 256), np.uint16), compression="zlib", metadata=None
    )
    load(path, lazy=True)  # imports
    tracemalloc.start()
    stack = load(path, lazy=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stack.shape == (400, 256, 256)
    assert peak < 3e6  # one frame is 0.13 MB, all are 52 MB


def test_lazy_stack_can_be_sent_to_another_process(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for options in ({"compression": "zlib"}, {"byteorder": ">"}):
        tifffile.imwrite(path, STACK, **options)
        sent = pickle.dumps(load(path, lazy=True).data)
        assert len(sent) < STACK.nbytes / 4
        with dask.config.set(scheduler="synchronous"):
            assert_array_equal(pickle.loads(sent), STACK)
    group = save(ImageStack(STACK, "TYX"), tmp_path / "a.ome.zarr")
    sent = pickle.dumps(load(group, lazy=True).data)
    assert_array_equal(pickle.loads(sent), STACK)


@pytest.mark.slow
def test_threads_read_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, compression="zlib")
    data = load(path, lazy=True).data
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: np.asarray(data[i % 36]), range(144)))
    assert_array_equal(found, np.concatenate([STACK] * 4))


def test_damaged_page_names_the_file_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[5].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(100))
    data = load(path, lazy=True).data
    assert_array_equal(data[4], STACK[4])
    with pytest.raises(InputError, match=r"a\.tif: plane 6 cannot be read"):
        np.asarray(data[5])


@pytest.mark.parametrize("options", [{"compression": "zlib"}, {"byteorder": ">"}])
def test_file_cut_short_after_the_load_is_named(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, **options)
    data = load(path, lazy=True).data
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"a\.tif: plane 36 cannot be read"):
        np.asarray(data[35])


def test_truncated_file_is_refused_at_load_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in STACK:
            writer.write(frame, compression="zlib", contiguous=False, metadata=None)
    whole = path.read_bytes()
    for length in np.linspace(1, len(whole) - 40, 30, dtype=int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            load(path, lazy=True)


def test_lazy_load_does_not_search_for_nan(tmp_path: Path) -> None:
    data = np.full((3, 8, 10), np.nan, np.float32)
    for compression in (None, "zlib"):
        path = tmp_path / f"{compression}.tif"
        tifffile.imwrite(path, data, compression=compression, photometric="minisblack")
        assert load(path, lazy=True).shape == (3, 8, 10)


def test_montage_page_is_read_once_for_its_tiles(
    tmp_path: Path, pages_read: list[int]
) -> None:
    tiles = np.arange(2 * 3 * 5 * 8 * 6, dtype=np.uint16).reshape(2, 3, 5, 8, 6)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, tiles.swapaxes(-3, -2).reshape(2, 24, 30), compression="zlib"
    )
    stack = load(path, angles=3, phases=5, order="montage", lazy=True)
    assert stack.axes == "TAPYX"
    assert stack.data.chunksize == (1, 3, 5, 8, 6)
    pages_read.clear()
    assert_array_equal(stack.data, tiles)
    assert sorted(pages_read) == [0, 1]


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_own_file_is_restored_when_lazy(tmp_path: Path, name: str) -> None:
    data = STACK.reshape(2, 2, 3, 3, 32, 40)
    stack = ImageStack(data, "TCAPYX", pixel_size_nm=65.0, channel_names=("a", "b"))
    back = load(save(stack, tmp_path / name, compression="zlib"), lazy=True)
    assert isinstance(back.data, da.Array)
    assert (back.axes, back.pixel_size_nm) == ("TCAPYX", 65.0)
    assert_array_equal(back.data, data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((1, 1, 16, 16), (1, 1, 1, 32, 40)),
        ((1, 9, 32, 40), (1, 3, 3, 32, 40)),
        ((2, 3, 32, 40), (2, 1, 3, 32, 40)),
        ((3, 4, 20, 20), (3, 2, 3, 32, 40)),
    ],
)
def test_ome_zarr_is_read_in_the_chunks_of_the_file(
    tmp_path: Path, chunks: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    path = save(ImageStack(STACK[:1], "TYX"), tmp_path / "a.ome.zarr")
    group = zarr.open_group(path, mode="r+")
    attributes = dict(group.attrs)
    attributes.pop("napari-dps")
    axes = attributes["ome"]["multiscales"][0]["axes"]
    axes.insert(1, {"name": "z", "type": "space"})
    for part in attributes["ome"]["multiscales"][0]["datasets"][0].values():
        if isinstance(part, list):
            for transform in part:
                transform[transform["type"]].insert(1, 1.0)
    group = zarr.create_group(path, zarr_format=3, overwrite=True)
    group.create_array("0", data=STACK.reshape(4, 9, 32, 40), chunks=chunks)
    group.attrs.update(attributes)
    stack = load(path, angles=3, phases=3, lazy=True)
    assert stack.axes == "TAPYX"
    assert stack.data.chunksize == expected
    assert_array_equal(stack.data, STACK.reshape(4, 3, 3, 32, 40))


def test_dask_array_of_another_reader_stays_lazy() -> None:
    lazy = da.from_array(STACK, chunks=(9, 16, 40))
    raw = RawImage(data=lazy, axes="QYX", metadata=Metadata())
    stack = arrange(raw, angles=3, phases=3)
    assert isinstance(stack.data, da.Array)
    assert stack.data.chunksize == (1, 3, 3, 32, 40)
    assert_array_equal(stack.data, STACK.reshape(4, 3, 3, 32, 40))


def test_read_gives_planes_when_lazy(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, compression="zlib")
    assert isinstance(read(path, lazy=True).data, Planes)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_planes_are_indexed_like_the_array_they_come_from(data: st.DataObject) -> None:
    lead = data.draw(st.lists(st.integers(1, 5), min_size=0, max_size=3))
    chunk = [data.draw(st.integers(1, n)) for n in lead]
    array = np.arange(np.prod([*lead, 3, 4], dtype=int)).reshape(*lead, 3, 4)
    order = (*data.draw(st.permutations(range(len(lead)))), len(lead), len(lead) + 1)
    source = da.from_array(array, chunks=(*chunk, 3, 4))
    planes = Planes.of(source).transpose(*order)
    expected = array.transpose(order)
    assert planes.shape == expected.shape
    key = tuple(
        data.draw(st.integers(-n, n - 1) | st.slices(n)) for n in expected.shape
    )
    assert_array_equal(planes[key], expected[key])
    assert_array_equal(planes.to_dask(), expected)


@pytest.mark.parametrize("shape", [(0, 8, 6), (1, 1, 6), (1, 8, 7)])
def test_plane_of_another_size_than_promised_is_an_error(
    shape: tuple[int, ...],
) -> None:
    planes = Planes(lambda _: np.zeros(shape), np.arange(3), (8, 6), np.dtype("f4"))
    with pytest.raises(InputError, match="a plane of 8 × 6 pixels is none"):
        planes[()]

"""Files and folders that grow: which sets are whole, and what they hold."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile

from napari_dps import io
from napari_dps.core import ImageStack, InputError
from napari_dps.io import growing_folder

SHAPE = (16, 24)


def frames(count: int, first: int = 0) -> np.ndarray:
    """Return frames whose pixels are their numbers."""
    numbers = np.arange(first, first + count, dtype=np.uint16)
    return np.broadcast_to(numbers[:, None, None], (count, *SHAPE)).copy()


def levels(raw: io.RawImage) -> list[int]:
    """Return the number of each frame that was read."""
    data = np.asarray(raw.data).reshape(-1, *SHAPE)
    assert (data == data[:, :1, :1]).all()
    return [int(frame[0, 0]) for frame in data]


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_sets_of_a_growing_tiff_are_those_that_are_whole(
    tmp_path, bigtiff, compression
):
    path = tmp_path / "cell.tif"
    source = io.open_growing(path, 3)
    assert source.arrived() == 0
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
        for number, frame in enumerate(frames(8)):
            writer.write(frame, contiguous=False, compression=compression)
            writer._fh.flush()
            assert source.arrived() == (number + 1) // 3
    assert levels(source.read(1)) == [3, 4, 5]
    assert source.name(1) == "cell.000001"
    assert source.newest_written == pytest.approx(path.stat().st_mtime, abs=5)


def test_a_page_whose_pixels_are_not_written_yet_does_not_count(tmp_path):
    whole, part = tmp_path / "whole.tif", tmp_path / "part.tif"
    with tifffile.TiffWriter(whole) as writer:
        for frame in frames(3):
            writer.write(frame, contiguous=False)
    stored = whole.read_bytes()
    source = io.open_growing(part, 3)
    arrived = []
    for end in range(0, len(stored) + 1, 97):
        part.write_bytes(stored[:end])
        arrived.append(source.arrived())
    assert arrived[-1] == 0
    part.write_bytes(stored)
    assert source.arrived() == 1
    assert levels(source.read(0)) == [0, 1, 2]


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("step", [7, 97])
def test_room_that_is_made_before_it_is_filled_holds_nothing_up(
    tmp_path, bigtiff, step
):
    whole, part = tmp_path / "whole.tif", tmp_path / "part.tif"
    with tifffile.TiffWriter(whole, bigtiff=bigtiff) as writer:
        for frame in frames(4):
            writer.write(frame, contiguous=False)
    stored = whole.read_bytes()
    source = io.open_growing(part, 2)
    arrived = []
    for end in range(0, len(stored) + step, step):
        filled = stored[:end]
        part.write_bytes(filled + bytes(len(stored) - len(filled)))
        arrived.append(source.arrived())
    assert arrived == sorted(arrived)
    assert arrived[0] == 0
    part.write_bytes(stored)
    assert source.arrived() == 2
    assert levels(source.read(1)) == [2, 3]


def test_what_is_written_within_a_tick_of_the_clock_is_seen(tmp_path):
    path = tmp_path / "cell.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in frames(2):
            writer.write(frame, contiguous=False)
    stored = path.read_bytes()
    first = int.from_bytes(stored[4:8], "little")
    tags = int.from_bytes(stored[first : first + 2], "little")
    link = first + 2 + 12 * tags
    path.write_bytes(stored[:link] + bytes(4) + stored[link + 4 :])
    at = path.stat().st_mtime_ns
    source = io.open_growing(path, 1)
    assert source.arrived() == 1
    path.write_bytes(stored)
    os.utime(path, ns=(at, at))
    assert source.arrived() == 2


def test_a_circle_of_pages_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames(1)[0])
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[4:8], "little")
    tags = int.from_bytes(data[first : first + 2], "little")
    at = first + 2 + 12 * tags
    data[at : at + 4] = data[4:8]
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        io.open_growing(path, 1).arrived()


@pytest.mark.parametrize("per_place", [1, 3])
def test_sets_of_a_zarr_that_gets_longer(tmp_path, per_place):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "cell.zarr"
    source = io.open_growing(path, 3)
    assert source.arrived() == 0
    lead = () if per_place == 1 else (per_place,)
    array = zarr.create_array(
        path, shape=(0, *lead, *SHAPE), chunks=(1, *lead, *SHAPE), dtype="u2"
    )
    whole = frames(9, first=1).reshape(-1, *lead, *SHAPE)
    for place in range(len(whole)):
        array.resize((place + 1, *whole.shape[1:]))
        assert source.arrived() == place * per_place // 3
        array[place] = whole[place]
        assert source.arrived() == (place + 1) * per_place // 3
    assert levels(source.read(2)) == [7, 8, 9]


def test_a_zarr_made_in_full_length_grows_by_its_chunks(tmp_path):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "cell.zarr"
    array = zarr.create_array(path, shape=(4, 3, *SHAPE), chunks=(1, 1, *SHAPE),
                              dtype="u2")  # fmt: skip
    source = io.open_growing(path, 3)
    array[0] = frames(3, first=1)
    array[1, :2] = frames(2, first=4)
    assert source.arrived() == 1
    array[1, 2] = frames(1, first=6)[0]
    assert source.arrived() == 2
    assert levels(source.read(1)) == [4, 5, 6]


def test_a_time_point_of_a_saved_lapse_keeps_its_axes(tmp_path):
    pytest.importorskip("zarr")
    data = frames(12, first=1).reshape(2, 3, 2, *SHAPE)
    stack = ImageStack(data, "TAPYX", pixel_size_nm=65)
    path = io.save(stack, tmp_path / "lapse.ome.zarr")
    source = io.open_growing(path, 6)
    assert source.arrived() == 2
    image = io.arrange(source.read(1))
    assert (image.axes, image.pixel_size_nm) == ("APYX", 65)
    assert levels(source.read(1)) == list(range(7, 13))
    assert source.name(1) == "lapse.000001"


def test_chunks_of_several_time_points_are_refused(tmp_path):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "cell.zarr"
    zarr.create_array(path, shape=(4, 3, *SHAPE), chunks=(2, 3, *SHAPE), dtype="u2")
    with pytest.raises(InputError, match="allowed: of 1"):
        io.open_growing(path, 3).arrived()


def test_each_whole_file_of_a_folder_is_a_set(tmp_path):
    source = io.open_growing(tmp_path, 3)
    for name, first in (("cell_9.tif", 0), ("cell_10.tif", 3)):
        tifffile.imwrite(
            tmp_path / f".{name}.part", frames(3, first), photometric="minisblack"
        )
        assert source.arrived() == (first > 0)
        (tmp_path / f".{name}.part").rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert source.arrived() == 2
    assert [source.name(n) for n in (0, 1)] == ["cell_9", "cell_10"]
    assert levels(source.read(1)) == [3, 4, 5]


def test_a_file_that_is_copied_slowly_counts_when_it_is_whole(tmp_path):
    tifffile.imwrite(tmp_path / ".all", frames(3), photometric="minisblack")
    stored = (tmp_path / ".all").read_bytes()
    source = io.open_growing(tmp_path, 3)
    (tmp_path / "cell.tif").write_bytes(stored[: len(stored) // 2])
    assert source.arrived() == 0
    (tmp_path / "cell.tif").write_bytes(stored)
    assert source.arrived() == 1


def test_single_frames_of_a_folder_make_sets(tmp_path, monkeypatch):
    monkeypatch.setattr(growing_folder, "_REST_S", 0.0)
    source = io.open_growing(tmp_path, 3)
    for number, frame in enumerate(frames(6)):
        tifffile.imwrite(tmp_path / f"f{number + 8}.tif", frame)
        source.arrived()
    assert source.arrived() == 2
    assert levels(source.read(1)) == [3, 4, 5]
    assert source.name(1).endswith(".000001")


def test_a_broken_file_holds_up_the_others_only_for_a_while(tmp_path, monkeypatch):
    source = io.open_growing(tmp_path, 3)
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    tifffile.imwrite(tmp_path / "b.tif", frames(3), photometric="minisblack")
    assert source.arrived() == 0
    monkeypatch.setattr(growing_folder, "_PATIENCE_S", 0.0)
    assert source.arrived() == 1
    assert source.name(0) == "b"


def test_what_cannot_grow_is_refused(tmp_path):
    with pytest.raises(InputError, match="what to watch"):
        io.open_growing(tmp_path / "nothing", 9)
    with pytest.raises(InputError, match="folder of the outputs"):
        io.open_growing(tmp_path, 9, exclude=tmp_path)

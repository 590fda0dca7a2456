"""Writing of lazy data: the same bytes, few planes in memory at a time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

from napari_dps.core import ImageStack
from napari_dps.io import lazy, load, save

DATA = np.arange(4 * 2 * 3 * 3 * 8 * 6, dtype=np.uint16).reshape(4, 2, 3, 3, 8, 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
@pytest.mark.parametrize(
    "chunks",
    [(1, 1, 1, 1, 8, 6), (3, 1, 3, 3, 8, 6), (4, 2, 2, 3, 5, 4), (1, 2, 1, 3, 8, 6)],
)
def test_lazy_stack_is_written_like_one_in_memory(
    tmp_path: Path, name: str, chunks: tuple[int, ...]
) -> None:
    stack = ImageStack(da.from_array(DATA, chunks=chunks), "TCAPYX", pixel_size_nm=65.0)
    back = load(save(stack, tmp_path / name))
    assert back.axes == "TCAPYX"
    assert_array_equal(back.data, DATA)


def test_axes_of_a_lazy_stack_are_put_in_order(tmp_path: Path) -> None:
    lazy_data = da.from_array(DATA[:, 0], chunks=(2, 3, 1, 8, 6))
    back = load(save(ImageStack(lazy_data, "PTAYX"), tmp_path / "a.tif"))
    assert back.axes == "TAPYX"
    assert_array_equal(back.data, DATA[:, 0].transpose(1, 2, 0, 3, 4))


def test_each_chunk_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[tuple[int, ...]] = []

    def made(block_info: dict) -> np.ndarray:
        info = block_info[None]
        computed.append(info["chunk-location"])
        return DATA[tuple(slice(a, b) for a, b in info["array-location"])]

    chunks = ((3, 1), (1, 1), (2, 1), (3,), (8,), (6,))
    data = da.map_blocks(made, chunks=chunks, dtype=DATA.dtype, meta=DATA[:0])
    assert_array_equal(list(lazy.planes(data)), DATA.reshape(-1, 8, 6))
    assert len(computed) == len(set(computed)) == 8
    # With little memory, chunks are computed again, and the planes are the same.
    monkeypatch.setattr(lazy, "LARGEST_BLOCK_BYTES", 1)
    assert_array_equal(list(lazy.planes(data)), DATA.reshape(-1, 8, 6))
    assert len(computed) > 16


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.ome.tif", "b.ome.zarr"])
@pytest.mark.parametrize("kind", ["plain", "zlib"])
def test_memory_does_not_grow_with_the_frames(
    tmp_path: Path, name: str, kind: str
) -> None:
    peaks = []
    for frames in (20, 100):
        source = tmp_path / "a.tif"
        tifffile.imwrite(
            source,
            np.ones((frames, 128, 128), np.float32),
            photometric="minisblack",
            compression=None if kind == "plain" else "zlib",
        )
        stack = load(source, lazy=True)
        assert isinstance(stack.data, da.Array)
        save(stack, tmp_path / name)  # imports
        tracemalloc.start()
        save(stack, tmp_path / name)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1.5e6  # 80 frames more are 5.2 MB

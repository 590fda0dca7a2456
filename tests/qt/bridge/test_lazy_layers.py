"""Layers whose pixels lie elsewhere are read block by block."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import dask.array as da
import numpy as np
from napari.layers import Image

from napari_dps._qt.bridge.run_request import RunRequest, work
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import finish
from napari_dps.core.context import Context
from napari_dps.pipeline import Settings

FRAMES = 200


class Stored:
    """An array that knows how many of the blocks it has handed out are alive."""

    shape, dtype, ndim = (FRAMES, 48, 40), np.dtype(np.uint16), 3

    def __init__(self) -> None:
        self.alive: list[weakref.ref[Any]] = []
        self.reads = self.most = 0

    def __getitem__(self, key: Any) -> Any:
        frames = np.arange(FRAMES)[key[0]]
        block = np.random.default_rng(int(frames[0])).poisson(50, (len(frames), 48, 40))
        block = block.astype(np.uint16)[:, key[1], key[2]]
        self.reads += len(frames)
        self.alive = [ref for ref in self.alive if ref() is not None]
        self.alive.append(weakref.ref(block))
        self.most = max(self.most, len(self.alive))
        return block


def test_lapse_of_dask_is_read_with_two_blocks_in_memory_at_most() -> None:
    stored = Stored()
    lazy = da.from_array(
        stored, chunks=(1, 48, 40), meta=np.empty((0, 0, 0), np.uint16)
    )
    layer = Image(lazy, axis_labels=("time", "y", "x"), contrast_limits=(0, 100))
    gc.collect()
    stored.reads = stored.most = 0
    settings = Settings(stages=("background",))
    outcome = finish(work(RunRequest(LayerSnapshot.of(layer), settings, Context())))
    shown, _, _ = outcome.layers[0]
    assert shown.shape == (FRAMES, 48, 40)
    assert stored.reads >= FRAMES
    assert stored.most <= 2
    eager = Image(np.asarray(lazy), axis_labels=("time", "y", "x"))
    other = finish(work(RunRequest(LayerSnapshot.of(eager), settings, Context())))
    assert np.array_equal(other.layers[0][0], shown)

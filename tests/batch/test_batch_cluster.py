"""The same batch on the workers of a dask cluster, one of which is killed."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_scenes import (
    assert_same,
    hidden,
    in_memory,
    raw_settings,
    raw_stack,
    results,
    run,
    start,
)

from napari_dps import io
from napari_dps.core import InputError

distributed = pytest.importorskip("distributed", reason="needs the extra distributed")

NAMES = ("a", "b", "c")
BLOCKS = 4 * len(NAMES)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two processes of one thread each, that come back when they are killed."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    ) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compressed time-lapses of four blocks each, as the workers cut them."""
    folder = tmp_path_factory.mktemp("cluster")
    for seed, name in enumerate(NAMES):
        stack = raw_stack("TZ", seed=seed)
        longer = stack.derive(stack.data.repeat(6, axis=0))
        io.save(longer, folder / f"{name}.ome.tif", compression="zlib")
    return folder


def _check(folder: Path, out: Path, rows: list[Any]) -> None:
    assert [row["reason"] for row in rows] == [""] * len(NAMES)
    asked = raw_settings()
    for name in NAMES:
        expected = in_memory(folder / f"{name}.ome.tif", asked)
        assert_same(results(out, name, asked), expected)
    assert not hidden(out)


@pytest.mark.slow
def test_workers_give_the_same_pixels(
    tmp_path: Path, folder: Path, cluster: Any
) -> None:
    address = cluster.scheduler_address
    rows = run([folder], tmp_path, raw_settings(), scheduler=address)
    assert {row["status"] for row in rows} == {"done"}
    _check(folder, tmp_path, rows)
    rows = run([folder], tmp_path, raw_settings(), scheduler=address, resume=True)
    assert {row["status"] for row in rows} == {"was done"}


@pytest.mark.slow
def test_killed_worker_is_made_good_for(
    tmp_path: Path, folder: Path, cluster: Any
) -> None:
    address = cluster.scheduler_address
    batch = start([folder], tmp_path, raw_settings(), scheduler=address)
    before: dict[Path, int] = {}
    while len(before) < 2:  # of twelve blocks
        next(batch)
        before = {p: p.stat().st_mtime_ns for p in tmp_path.glob(".*.part/*/done.json")}
    with pytest.raises(ValueError, match="No clients found"):
        distributed.default_client()  # that a viewer's lazy layers would be computed by
    os.kill(cluster.workers[0].pid, signal.SIGKILL)
    kept: set[Path] = set()
    rows = None
    while rows is None:
        try:
            next(batch)
        except StopIteration as end:
            rows = end.value
        for path, time_ns in before.items():
            if path.exists():
                assert path.stat().st_mtime_ns == time_ns
                kept.add(path)
    assert kept, "no block outlived the worker: nothing was looked at"
    _check(folder, tmp_path, rows)


@pytest.mark.slow
def test_scheduler_that_is_not_there_is_named(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_dps.batch.engine._CONNECT_S", 1)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    for address in ("tcp://127.0.0.1:1", "nonsense://"):
        with pytest.raises(InputError, match="scheduler: got"):
            run([folder], tmp_path, raw_settings(), scheduler=address)

"""``napari-dps watch``: results as the sets arrive, a table, and codes."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_options import RAW_OPTIONS

from napari_dps import io


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "watch.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_stack_that_grows_is_reconstructed_as_it_grows(napari_dps, simulation):
    raw = np.asarray(simulation.raw.data).reshape(9, 128, 115)
    writer = tifffile.TiffWriter("cell.tif")

    def record() -> None:
        for _ in range(4):
            for frame in raw:
                writer.write(frame, contiguous=False)
            time.sleep(0.3)
        writer.close()

    recording = threading.Thread(target=record)
    recording.start()
    done = napari_dps("watch", "cell.tif", "--out", "o", *RAW_OPTIONS,
                      "--until-idle", "3")  # fmt: skip
    recording.join()
    assert (done.code, done.errors) == (0, [])
    rows = rows_of(Path("o"))
    assert rows[-1]["name"] == "cell.000003"
    assert 1 + sum(int(row["skipped"]) for row in rows) <= 4
    image = io.load("o/cell.000003.reconstruct.ome.tif")
    assert image.shape == (256, 230)
    assert image.patterns
    assert "latency" in done.out
    assert not list(Path("o").glob(".*"))


def test_files_of_a_folder_and_one_that_is_damaged(napari_dps, files, monkeypatch):
    monkeypatch.setattr("napari_dps.io.growing_folder._PATIENCE_S", 0.0)
    Path("in").mkdir()
    image = (files / "image.tif").read_bytes()
    Path("in/1.tif").write_bytes(image)
    done = napari_dps("watch", "in", "--out", "o", "--count", "1", "--keep", "last")
    assert (done.code, done.errors) == (0, [])
    assert [row["name"] for row in rows_of(Path("o"))] == ["1"]
    assert io.load("o/1.background.ome.tif").shape == (128, 115)
    assert done.out.startswith("1  ")
    quiet = napari_dps("watch", "in", "--out", "q", "--count", "1", "--quiet")
    assert quiet.out.startswith("sets")


def test_nothing_that_comes_is_told(napari_dps):
    Path("in").mkdir()
    done = napari_dps("watch", "in", "--out", "o", *RAW_OPTIONS, "--until-idle", "0.1")
    assert done.code == 2
    assert "no whole set of 9 frames" in done.errors[0]
    assert not Path("o").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_it_with_what_is_done(napari_dps, files, number, code):
    Path("in").mkdir()
    Path("in/1.tif").write_bytes((files / "image.tif").read_bytes())

    def stop() -> None:
        while not Path("o/1.background.ome.tif").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    # What a shell starts in the background ignores Ctrl-C, these tests included.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stopping = threading.Thread(target=stop)
    stopping.start()
    done = napari_dps("watch", "in", "--out", "o")
    stopping.join()
    signal.signal(signal.SIGINT, before)
    assert done.code == code
    assert "1 sets are done, no half-written file is left" in done.errors[0]
    assert len(rows_of(Path("o"))) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--count", "0"), ("--until-idle", "-1"), ("--refresh-every", "-1")],
)
def test_impossible_values_are_refused(napari_dps, option, value):
    done = napari_dps("watch", ".", "--out", "o", option, value)
    assert done.code == 2
    assert option in done.errors[0]

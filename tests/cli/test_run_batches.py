"""``napari-dps run`` on folders: bad files among good ones, resume, the table."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_options import OPTICS, RAW_OPTIONS

from napari_dps import io
from napari_dps.batch import job, work

GOOD = [f"day {1 + n % 2}/good {n}.tif" for n in range(8)]


def _good(path: Path, frames: np.ndarray) -> None:
    tifffile.imwrite(path, frames, photometric="minisblack")


def _truncated(path: Path, frames: np.ndarray) -> None:
    _good(path, frames)
    path.write_bytes(path.read_bytes()[:100_000])


def _nan(path: Path, frames: np.ndarray) -> None:
    broken = frames.astype(np.float32)
    broken[4, 60, 60] = np.nan
    _good(path, broken)


def _tag(path: Path, frames: np.ndarray, name: str, value: int) -> None:
    _good(path, frames)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[name].overwrite(value)


def _wrong_order(path: Path, frames: np.ndarray) -> None:
    _good(path, frames.reshape(3, 3, *frames.shape[1:]).swapaxes(0, 1))


BAD = {
    "truncated.tif": (_truncated, "truncated"),
    "colour.tif": (
        lambda p, f: tifffile.imwrite(
            p, np.zeros((40, 36, 3), np.uint8), photometric="rgb"
        ),
        "RGB",
    ),
    "nan.tif": (_nan, "NaN"),
    "count.tif": (lambda p, f: _good(p, np.concatenate([f, f[:1]])), "10"),
    "empty.tif": (lambda p, f: p.write_bytes(b""), "empty"),
    "text.tif": (lambda p, f: p.write_text("hello " * 99), "not an image file"),
    "unreadable.tif": (lambda p, f: p.symlink_to("no such file"), "No such file"),
    "zero.tif": (lambda p, f: _tag(p, f, "ImageWidth", 0), "empty"),
    "order.tif": (_wrong_order, "payx"),
    "huge.tif": (lambda p, f: _tag(p, f, "ImageLength", 2**30), "truncated"),
    "Zelle 3 (größte) µ.tif": (_truncated, "truncated"),
    "blocked.tif": (_good, "is a folder"),
}


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "batch.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


SLOW_NAMES = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("data", "data/**")
]


@pytest.fixture
def twenty(tmp_path, files):
    """Eight good files in two folders, twelve bad ones beside them."""
    frames = tifffile.imread(files / "raw.tif")
    for name in GOOD:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        _good(tmp_path / "data" / name, frames)
    for name, (write, _) in BAD.items():
        write(tmp_path / "data" / name, frames)
    (tmp_path / "out" / "blocked.reconstruct.ome.tif").mkdir(parents=True)
    return tmp_path / "data"


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_bad_files_never_stop_the_good_ones(napari_dps, tmp_path, twenty, jobs):
    options = ["--stages", "reconstruct", "--jobs", jobs, *RAW_OPTIONS]
    done = napari_dps("run", "data/**/*.tif", "--out", "out", *options)
    assert done.code == 1
    assert "Traceback" not in done.err
    *told, last = done.errors
    assert last.endswith("12 of 20 inputs failed: see above")
    rows = {Path(row["file"]).name: row for row in _table(tmp_path / "out")}
    assert (len(told), len(rows)) == (12, 20)
    for name, (_, words) in BAD.items():
        (line,) = [line for line in told if f"/{name}: " in line]
        assert words in line
        assert "fault" not in line
        assert rows[name]["status"] == "failed"
        assert words in rows[name]["reason"]
        assert "\n" not in rows[name]["reason"]
    for name in GOOD:
        stem = tmp_path / "out" / name.removesuffix(".tif")
        result = io.load(f"{stem}.reconstruct.ome.tif")
        assert result.shape == (256, 230)
        assert rows[Path(name).name]["status"] == "done"
        assert float(rows[Path(name).name]["reconstruct_decorrelation_nm"]) > 0
    made = {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert len(made) == 8 * 3 + 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads all")
def test_file_without_permission_fails_alone(napari_dps, tmp_path, files):
    for name in "ab":
        (tmp_path / f"{name}.tif").write_bytes((files / "image.tif").read_bytes())
    (tmp_path / "a.tif").chmod(0)
    done = napari_dps("run", "a.tif", "b.tif", "--out", "out")
    assert done.code == 1
    assert "ermission" in done.errors[0]


@pytest.fixture
def images(tmp_path, files):
    """A folder of three images, one of them in a folder below."""
    for name in ("a.tif", "b.tif", "below/c.tif"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((files / "image.tif").read_bytes())
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["data/**/*.tif", *SLOW_NAMES])
def test_folders_of_the_inputs_are_those_of_the_results(
    napari_dps, tmp_path, images, name
):
    done = napari_dps("run", name, "--out", "out")
    assert (done.code, done.errors) == (0, [])
    made = {str(p.relative_to(tmp_path)) for p in tmp_path.glob("out/**/*.report.json")}
    names = ("a.report.json", "b.report.json", "below/c.report.json")
    assert made == {os.path.join("out", *name.split("/")) for name in names}
    assert len(_table(tmp_path / "out")) == 3


@pytest.mark.slow
def test_results_inside_the_folder_are_not_read_again(napari_dps, tmp_path, images):
    for code in (0, 0):
        done = napari_dps("run", "data", "--out", "data/out")
        assert done.code == code
        assert len(_table(images / "out")) == 3


@pytest.mark.slow
def test_one_file_named_twice_is_run_once(napari_dps, tmp_path, images):
    done = napari_dps("run", "data/a.tif", images / "a.tif", "data/*.tif", "--out", "o")
    assert done.code == 0
    assert len(_table(tmp_path / "o")) == 2


@pytest.mark.slow
def test_resume_skips_what_is_done_and_tries_what_failed(
    napari_dps, tmp_path, images, monkeypatch
):
    (images / "b.tif").write_bytes(b"")
    assert napari_dps("run", "data", "--out", "out").code == 1
    good = (images / "a.tif").read_bytes()
    (images / "b.tif").write_bytes(good)
    done = napari_dps("run", "data", "--out", "out", "--resume")
    assert done.code == 0
    found = {Path(row["file"]).name: row["status"] for row in _table(tmp_path / "out")}
    assert found == {"a.tif": "was done", "b.tif": "done", "c.tif": "was done"}
    assert "a.tif: was done" in done.out


@pytest.mark.slow
def test_one_input_alone_is_resumed_too(napari_dps, tmp_path, images):
    command = ["run", "data/a.tif", "--out", "out"]
    assert napari_dps(*command).code == 0
    before = (tmp_path / "out" / "a.report.json").read_bytes()
    assert napari_dps(*command, "--resume").code == 0
    assert (tmp_path / "out" / "a.report.json").read_bytes() == before
    assert not (tmp_path / "out" / "batch.csv").exists()


@pytest.mark.slow
def test_interruption_tells_what_is_done_and_how_to_go_on(
    napari_dps, tmp_path, images, monkeypatch
):
    begin, begun = work.begin, []

    def interrupted(job, source):
        begun.append(source)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return begin(job, source)

    with monkeypatch.context() as patch:
        patch.setattr(work, "begin", interrupted)
        done = napari_dps("run", "data", "--out", "out")
    assert done.code == 130
    (line,) = done.errors
    assert "1 of 3 inputs are done" in line
    assert "--resume" in line
    assert [row["status"] for row in _table(tmp_path / "out")] == [
        "done", "left", "left",
    ]  # fmt: skip
    done = napari_dps("run", "data", "--out", "out", "--resume")
    assert done.code == 0
    assert [row["status"] for row in _table(tmp_path / "out")] == [
        "was done", "done", "done",
    ]  # fmt: skip


@pytest.mark.slow
def test_wavelengths_of_channels_are_told_on_the_command_line(
    napari_dps, tmp_path, files
):
    frames = tifffile.imread(files / "raw.tif")
    tifffile.imwrite(
        tmp_path / "two.tif", np.stack([frames, frames]), photometric="minisblack"
    )
    options = ["--order", "capyx", "--stages", "reconstruct", *RAW_OPTIONS]
    done = napari_dps("run", "two.tif", "--out", "o", *options, "--emission-nm",
                      "525,610")  # fmt: skip
    assert done.code == 0
    stack = io.load(tmp_path / "o" / "two.reconstruct.ome.tif")
    assert [stack.optics_of(n).emission_nm for n in (0, 1)] == [525, 610]
    assert np.abs(stack.data[0] - stack.data[1]).max() > 0
    report = json.loads((tmp_path / "o" / "two.report.json").read_text("utf-8"))
    assert [p["channel_index"] for p in report["patterns"]] == [0, 0, 0, 1, 1, 1]


@pytest.mark.slow
def test_patterns_every_n_frames_are_asked_for_on_the_command_line(
    napari_dps, tmp_path, files, monkeypatch
):
    monkeypatch.setattr(job, "BLOCK_UNITS", 1)
    command = ["run", files / "times.tif", "--order", "tapyx", "--stages",
               "reconstruct", *RAW_OPTIONS]  # fmt: skip
    assert napari_dps(*command, "--out", "once").code == 0
    every = ["--reconstruct.patterns-every", "1"]
    assert napari_dps(*command, *every, "--out", "each").code == 0
    once, each = (io.load(tmp_path / out / "times.reconstruct.ome.tif").data
                  for out in ("once", "each"))  # fmt: skip
    # Alone, the first frame gives other patterns than the average of all.
    assert np.abs(once[0] - each[0]).max() > 0
    refused = napari_dps(*command, "--reconstruct.patterns-from", "each", "--out", "x")
    assert refused.code == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"], "--jobs"),
        (["--tile-px", "8"], "--tile-px"),
        (["--keep", "first"], "output.keep"),
        (["--format", "png"], "output.format"),
        ([*OPTICS, "--emission-nm", "525,610"], "one a channel"),
    ],
)
def test_wrong_options_of_a_batch_are_refused(
    napari_dps, tmp_path, images, options, words
):
    done = napari_dps("run", "data/a.tif", "--out", "out", *options)
    assert done.code == 2
    assert words in done.errors[0]
    assert not (tmp_path / "out").exists()


def test_zarr_without_its_extra_is_said_before_any_work(
    napari_dps, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    command = ["run", files / "image.tif", "--out", "o", "--format", "zarr"]
    done = napari_dps(*command)
    assert done.code == 2
    assert "napari-dps[zarr]" in done.errors[0]
    assert not Path("o").exists()

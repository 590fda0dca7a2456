"""Inputs that change in mid-run, results that are lost, two runs in one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from batch_scenes import (
    Calls,
    assert_same,
    hidden,
    images,
    in_memory,
    results,
    run,
    settings,
    start,
)

from napari_dps import io
from napari_dps.batch import job
from napari_dps.batch.store import Store, new_owner
from napari_dps.core import finish
from napari_dps.core.errors import Failure
from napari_dps.io.owner import is_gone, process_mark
from napari_dps.io.result_files import ResultFiles

ASKED = settings("background")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


@pytest.fixture(params=["unit", "blocks"])
def path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """Return an image of one unit, or a time-lapse of several blocks."""
    monkeypatch.setattr(job, "BLOCK_UNITS", 1)
    stack = images("T")
    if request.param == "unit":
        stack = stack.derive(stack.data[0], axes="YX")
    return io.save(stack, tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    ("what", "harm"),
    [
        *(
            ("background.ome.tif", harm)
            for harm in ("gone", "short", "long", "damaged")
        ),
        *(("report.json", harm) for harm in ("gone", "short", "damaged")),
        *(("png", harm) for harm in ("gone", "long")),  # which is empty here
    ],
)
def test_results_that_are_not_whole_are_made_again(
    tmp_path: Path, path: Path, what: str, harm: str
) -> None:
    out = tmp_path / "out"
    run([path], out, ASKED)
    lost = out / f"a.{what}"
    before = lost.read_bytes()
    if harm == "gone":
        lost.unlink()
    elif harm == "damaged":
        lost.write_bytes(b"?" * len(before))
    else:
        half = before[: len(before) // 2]
        lost.write_bytes(half if harm == "short" else before + b"more")
    (row,) = run([path], out, ASKED, resume=True)
    assert row["status"] == "done"
    assert_same(results(out, "a", ASKED), in_memory(path, ASKED))
    (row,) = run([path], out, ASKED, resume=True)
    assert row["status"] == "was done"


def test_the_report_records_what_was_written(tmp_path: Path, path: Path) -> None:
    run([path], tmp_path, ASKED)
    report = json.loads((tmp_path / "a.report.json").read_bytes())
    assert set(report["files"]) == {"a.background.ome.tif", "a.png"}
    image = report["files"]["a.background.ome.tif"]
    assert image["bytes"] == (tmp_path / "a.background.ome.tif").stat().st_size
    assert image["sha256"] == io.content_hash(tmp_path / "a.background.ome.tif")


@pytest.mark.parametrize("harm", ["replaced", "truncated", "extended", "removed"])
def test_an_input_that_changes_in_mid_run_is_refused(
    tmp_path: Path, path: Path, calls: Calls, harm: str
) -> None:
    other = io.save(images("TZ", seed=9), tmp_path / "other.ome.tif")
    out, batch = tmp_path / "out", start([path], tmp_path / "out", ASKED)
    while not calls:
        next(batch)
    if harm == "replaced":
        os.replace(other, path)
    elif harm == "removed":
        path.unlink()
    elif harm == "truncated":
        os.truncate(path, 1000)
    else:
        with path.open("ab") as file:
            file.write(b"more")
    (row,) = finish(batch)
    assert row["status"] == "failed"
    assert not list(out.glob("*.report.json"))
    assert not list(out.glob("*.ome.tif"))


def test_weights_are_known_by_their_description_too(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    asked = settings("dps", dps={"weights": str(weights)})
    weights.write_bytes(b"same")
    keys = []
    for text in ("{}", "{ }"):
        weights.with_suffix(".json").write_text(text)
        keys.append(job.Job(asked).key("content"))
    assert keys[0] != keys[1]


@pytest.mark.parametrize("resume", [True, False])
def test_two_runs_in_one_folder_do_not_touch_each_other(
    tmp_path: Path, path: Path, calls: Calls, resume: bool
) -> None:
    out, other = tmp_path / "out", settings("background", background={"radius_px": 9})
    first = start([path], out, ASKED)
    while not calls:
        next(first)
    (row,) = run([path], out, other, resume=resume)
    assert row["status"] == "done"
    assert_same(results(out, "a", other), in_memory(path, other))
    assert [row["status"] for row in finish(first)] == ["done"]
    assert_same(results(out, "a", ASKED), in_memory(path, ASKED))
    assert not hidden(out)


def _dead_mark() -> str:
    code = "from napari_dps.io.owner import process_mark as m; print(m())"
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


def test_what_dead_runs_have_left_is_removed_or_resumed(
    tmp_path: Path, path: Path
) -> None:
    dead, alive = _dead_mark(), process_mark()
    assert (is_gone(dead), is_gone(alive)) == (True, False)
    out, files = tmp_path / "out", ResultFiles(tmp_path / "out", "a")
    out.mkdir()
    left = out / f".a.png.{dead}.0123abcd.part"
    kept = out / f".a.png.{alive}.0123abcd.part"
    foreign = out / ".notes.part"
    for file in (left, kept, foreign):
        file.write_bytes(b"half")
    for mark in (dead, alive):
        Store.of(files, "0" * 64, f"{mark}-12345678").root.mkdir()
    run([path], out, ASKED)
    assert sorted(p.name for p in hidden(out)) == sorted(
        [
            kept.name,
            foreign.name,
            Store.of(files, "0" * 64, f"{alive}-12345678").root.name,
        ]
    )


def test_blocks_of_a_killed_run_are_taken(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "BLOCK_UNITS", 1)
    path, out = io.save(images("T"), tmp_path / "a.ome.tif"), tmp_path / "out"
    with calls.raising(4, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        run([path], out, ASKED)
    (root,) = out.glob(".*.part")  # as if that run had been killed
    root.rename(root.with_name(f"{root.stem}~{_dead_mark()}-12345678.part"))
    (row,) = run([path], out, ASKED, resume=True)
    assert (row["status"], len(calls)) == ("done", 2)
    assert not hidden(out)


def test_owners_differ_and_a_cluster_that_is_gone_is_no_fault() -> None:
    assert new_owner() != new_owner()
    assert Failure("gone", kind="cluster").is_user_error

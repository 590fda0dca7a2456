"""Interrupted, killed, out of disk: what is done stays done, nothing is half there."""

from __future__ import annotations

import errno
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from batch_scenes import (
    Calls,
    assert_same,
    hidden,
    images,
    in_memory,
    raw_settings,
    raw_stack,
    results,
    run,
    settings,
    start,
)

from napari_dps import io
from napari_dps.batch import Job, Source, job, store, work
from napari_dps.batch.job import open_source
from napari_dps.core import ImageStack
from napari_dps.io import ResultFiles
from napari_dps.results import write as result_files

ASKED = settings("background")
UNITS = 5
"""Time points of the stack, and blocks: each has one."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a time-lapse that is cut into as many blocks as it has time points."""
    monkeypatch.setattr(job, "BLOCK_UNITS", 1)
    return io.save(images("T"), tmp_path / "a.ome.tif")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def _visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if not p.name.startswith(".")
                  and not any(part.startswith(".") for part in p.parts))  # fmt: skip


def _status(rows: list[dict[str, object]]) -> list[object]:
    return [row["status"] for row in rows]


def test_finished_input_is_skipped(tmp_path: Path, path: Path, calls: Calls) -> None:
    out = tmp_path / "out"
    (first,) = run([path], out, ASKED)
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    calls.stages.clear()
    (second,) = run([path], out, ASKED, resume=True)
    assert (second["status"], len(calls)) == ("was done", 0)
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == before
    assert {**first, "status": ""} == {**second, "status": ""}


def test_without_resume_all_is_done_anew(
    tmp_path: Path, path: Path, calls: Calls
) -> None:
    run([path], tmp_path / "out", ASKED)
    assert _status(run([path], tmp_path / "out", ASKED)) == ["done"]
    assert len(calls) == 2 * UNITS


@pytest.mark.slow
@pytest.mark.parametrize("what", ["parameter", "content", "offset", "a lost image"])
def test_what_has_changed_is_done_anew(
    tmp_path: Path, path: Path, calls: Calls, what: str
) -> None:
    out, asked = tmp_path / "out", ASKED
    run([path], out, asked)
    calls.stages.clear()
    if what == "parameter":
        asked = settings("background", background={"radius_px": 9})
    elif what == "content":
        io.save(images("T", seed=2), path)
    elif what == "offset":
        asked = settings("background", input={"camera_offset": 10})
    else:
        (out / "a.background.ome.tif").unlink()
    (row,) = run([path], out, asked, resume=True)
    assert (row["status"], len(calls)) == ("done", UNITS)
    assert_same(results(out, "a", asked), in_memory(path, asked))


@pytest.mark.slow
def test_one_new_input_is_all_that_is_computed(
    tmp_path: Path, path: Path, calls: Calls
) -> None:
    run([path], tmp_path / "out", ASKED)
    calls.stages.clear()
    other = io.save(images("T", seed=4), tmp_path / "b.ome.tif")
    rows = run([path, other], tmp_path / "out", ASKED, resume=True)
    assert (_status(rows), len(calls)) == (["was done", "done"], UNITS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "name"), [("dps", "weights"), ("denoise", "patterns")]
)
def test_named_file_of_other_content_is_another_parameter(
    tmp_path: Path, stage: str, name: str
) -> None:
    file = tmp_path / "own"
    asked = settings(stage, **{stage: {name: str(file)}})
    keys = []
    for content in (b"one", b"two"):
        file.write_bytes(content)
        keys.append(Job(asked).key("content"))
    assert keys[0] != keys[1]


@pytest.mark.parametrize("at", range(1, UNITS + 1))
def test_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, path: Path, calls: Calls, at: int
) -> None:
    out = tmp_path / "out"
    with calls.raising(at, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        run([path], out, ASKED)
    assert _visible(out) == []
    (row,) = run([path], out, ASKED, resume=True)
    assert (row["status"], len(calls)) == ("done", UNITS - at + 1)
    assert_same(results(out, "a", ASKED), in_memory(path, ASKED))
    assert not hidden(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tiff", "zarr"])
def test_interrupted_raw_frames_keep_their_patterns(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(job, "BLOCK_UNITS", 2)
    asked = raw_settings(output={"format": form})
    path, out = io.save(raw_stack("T"), tmp_path / "a.ome.tif"), tmp_path / "out"
    with calls.raising(6, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        run([path], out, asked)  # in the second block, of frames 3 and 4
    looked = []
    monkeypatch.setattr(work, "shared_by_blocks", looked.append)
    (row,) = run([path], out, asked, resume=True)
    assert (row["status"], len(calls), looked) == ("done", 2 * 3, [])
    assert_same(results(out, "a", asked), in_memory(path, asked))


@pytest.mark.slow
def test_interrupted_averaging_over_time_gives_the_same_pixels_in_threads(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "BLOCK_UNITS", 2)
    asked = raw_settings("temporal,reconstruct")
    path, out = io.save(raw_stack("T"), tmp_path / "a.ome.tif"), tmp_path / "out"
    with calls.raising(6, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        run([path], out, asked)
    (row,) = run([path], out, asked, resume=True, jobs=2)
    assert row["status"] == "done"
    found = results(out, "a", asked)
    assert_same(found, in_memory(path, asked))
    alone = in_memory(path, raw_settings("reconstruct"))
    assert np.abs(found[-1].data - alone[-1].data).max() > 0


def test_interrupted_while_writing_computes_nothing_again(
    tmp_path: Path, path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(result_files, "measure_result", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run([path], out, ASKED)
    assert not (out / "a.report.json").exists()
    calls.stages.clear()
    (row,) = run([path], out, ASKED, resume=True)
    assert (row["status"], len(calls)) == ("done", 0)
    assert not hidden(tmp_path)


@pytest.mark.slow
def test_interrupted_zarr_keeps_the_name_that_it_has_got(
    tmp_path: Path, path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = settings("background", output={"format": "zarr"})

    def interrupt(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work, "write_report", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run([path], tmp_path / "out", asked)
    calls.stages.clear()
    (row,) = run([path], tmp_path / "out", asked, resume=True)
    assert (row["status"], len(calls)) == ("done", 0)
    assert_same(results(tmp_path / "out", "a", asked), in_memory(path, asked))


def test_no_report_vouches_for_images_of_two_runs(
    tmp_path: Path, path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = tmp_path / "out", settings("background", background={"radius_px": 9})

    def interrupt(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    run([path], out, ASKED)
    with monkeypatch.context() as patch:
        patch.setattr(work, "write_report", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run([path], out, other)
    (row,) = run([path], out, ASKED, resume=True)
    assert row["status"] == "done"
    assert_same(results(out, "a", ASKED), in_memory(path, ASKED))


@pytest.mark.slow
def test_blocks_of_other_settings_are_not_taken(
    tmp_path: Path, path: Path, calls: Calls
) -> None:
    out, other = tmp_path / "out", settings("background", background={"radius_px": 9})
    with calls.raising(4, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        run([path], out, ASKED)
    (row,) = run([path], out, other, resume=True)
    assert (row["status"], len(calls)) == ("done", UNITS)
    assert_same(results(out, "a", other), in_memory(path, other))
    assert not hidden(tmp_path)


@pytest.mark.slow
def test_inputs_of_similar_long_names_do_not_touch_each_other(
    tmp_path: Path, path: Path, calls: Calls
) -> None:
    names = [f"{'well ' * 30}{end}.tif" for end in ("A1", "A2")]
    for name in names:
        (tmp_path / name).write_bytes(path.read_bytes())
    paths = [tmp_path / name for name in names]
    out = tmp_path / "out"
    with calls.raising(3, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        run(paths[:1], out, ASKED)
    run(paths[1:], out, ASKED)
    calls.stages.clear()
    run(paths[:1], out, ASKED, resume=True)
    assert len(calls) == UNITS - 2


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_full_disk_is_told_and_leaves_what_is_done(
    tmp_path: Path, path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch,
    error: int,
) -> None:  # fmt: skip
    out, put, written = tmp_path / "out", store.BlockWriter._put, []

    def full(self: store.BlockWriter, *arguments: object) -> None:
        written.append(arguments)
        if len(written) == 3:
            raise OSError(error, "of the system")
        put(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(store.BlockWriter, "_put", full)
        (row,) = run([path], out, ASKED)
    assert row["status"] == "failed"
    words = {errno.ENOSPC: "disk is full", errno.EDQUOT: "quota", errno.EACCES: "perm"}
    assert words[error] in row["reason"]
    assert "2 of 5 blocks are kept to resume from" in row["reason"]
    assert _visible(out) == []
    calls.stages.clear()
    (row,) = run([path], out, ASKED, resume=True)
    assert (row["status"], len(calls)) == ("done", UNITS - 2)
    assert_same(results(out, "a", ASKED), in_memory(path, ASKED))


def test_full_disk_at_the_end_leaves_no_half_image(
    tmp_path: Path, path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *arguments: object, **more: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "of the system")

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("tifffile.imwrite", full)
        (row,) = run([path], out, ASKED)
    assert "a.background.ome.tif: the disk is full" in row["reason"]
    assert _visible(out) == []
    calls.stages.clear()
    (row,) = run([path], out, ASKED, resume=True)
    assert (row["status"], len(calls)) == ("done", 0)


def test_failing_input_leaves_nothing_hidden(
    tmp_path: Path, path: Path, calls: Calls
) -> None:
    with calls.raising(1, RuntimeError("broken")):
        (row,) = run([path], tmp_path / "out", ASKED)
    assert row["status"] == "fault"
    assert "broken" in row["reason"]
    assert not hidden(tmp_path)


@pytest.mark.parametrize("jobs", [1, 2])
def test_nan_in_one_frame_names_the_frame(
    tmp_path: Path, path: Path, jobs: int
) -> None:
    data = images("T").data.copy()
    data[3, 5, 5] = np.nan
    io.save(ImageStack(data, "TYX", pixel_size_nm=65.0), tmp_path / "nan.ome.tif")
    names = [tmp_path / "nan.ome.tif", path]
    bad, good = run(names, tmp_path / "out", ASKED, jobs=jobs)
    assert (bad["status"], good["status"]) == ("failed", "done")
    assert "NaN" in bad["reason"]
    assert "T 4/5" in bad["reason"]


@pytest.mark.slow
def test_closing_stops_the_threads(tmp_path: Path, path: Path, calls: Calls) -> None:
    out, before = tmp_path / "out", threading.active_count()
    many = [path, *(tmp_path / f"{n}.ome.tif" for n in range(12))]
    for other in many[1:]:
        other.write_bytes(path.read_bytes())
    batch = start(many, out, ASKED, jobs=2)
    while not calls:
        next(batch)
    batch.close()
    done = len(calls)
    assert done < len(many) * UNITS
    time.sleep(0.2)
    assert len(calls) == done
    assert threading.active_count() <= before
    finished = list(out.glob("*.report.json"))
    rows = run(many, out, ASKED, jobs=2, resume=True)
    assert _status(rows).count("was done") == len(finished)
    assert "failed" not in _status(rows)
    assert not hidden(tmp_path)


def test_closing_keeps_the_blocks_that_are_done(
    tmp_path: Path, path: Path, calls: Calls
) -> None:
    batch = start([path], tmp_path / "out", ASKED)
    while len(calls) < 3:
        next(batch)
    batch.close()
    kept = len(list((tmp_path / "out").glob(".*.part/*/done.json")))
    assert 2 <= kept < UNITS
    calls.stages.clear()
    run([path], tmp_path / "out", ASKED, resume=True)
    assert len(calls) == UNITS - kept


def test_blocks_of_a_killed_writer_are_no_hindrance(
    tmp_path: Path, path: Path, calls: Calls
) -> None:
    out = tmp_path / "out"
    with calls.raising(3, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        run([path], out, ASKED)
    (left,) = hidden(out)
    (left / "00000002.123.abcdef00").mkdir()
    (left / "00000002.123.abcdef00" / "0.npy").write_bytes(b"half")
    (row,) = run([path], out, ASKED, resume=True)
    assert (row["status"], len(calls)) == ("done", UNITS - 2)
    assert_same(results(out, "a", ASKED), in_memory(path, ASKED))
    assert not hidden(tmp_path)


@pytest.mark.slow
def test_blocks_of_a_run_that_ended_after_the_report_are_removed(
    tmp_path: Path, path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: store.Store) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "remove", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run([path], tmp_path / "out", ASKED)
    assert hidden(tmp_path)
    (row,) = run([path], tmp_path / "out", ASKED, resume=True)
    assert row["status"] == "was done"
    assert not hidden(tmp_path)


@pytest.mark.slow
def test_report_of_a_resumed_run_tells_what_an_undisturbed_one_tells(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "BLOCK_UNITS", 1)
    path, asked = io.save(raw_stack("T"), tmp_path / "a.ome.tif"), raw_settings()
    run([path], tmp_path / "whole", asked)
    with calls.raising(5, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        run([path], tmp_path / "out", asked)
    run([path], tmp_path / "out", asked, resume=True)

    def told(out: str) -> dict[str, object]:
        report = json.loads((tmp_path / out / "a.report.json").read_text())
        for stage in report["stages"]:
            del stage["seconds"]
        report["files"] = sorted(report["files"])  # which hold the seconds too
        return {k: report[k] for k in report.keys() - {"created", "peak_memory_mb"}}

    assert told("out") == told("whole")


def test_pixels_stay_in_the_file_until_they_are_needed(path: Path) -> None:
    plan = open_source(Job(ASKED), Source(path, ResultFiles(path.parent, "a")))
    assert not isinstance(plan.stack.data, np.ndarray)
    assert job.blocks(plan) == tuple((n, n + 1) for n in range(UNITS))

"""A batch gives what a run in memory gives: in blocks, in threads, in any format."""

from __future__ import annotations

import json
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
)

from napari_dps import io
from napari_dps.batch import job
from napari_dps.core import ImageStack

SLOW_LEADING = [
    pytest.param(axes, marks=pytest.mark.slow)
    for axes in ("C", "Z", "TC", "TZ", "CZ", "TCZ")
]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut time into blocks of few units."""
    monkeypatch.setattr(job, "BLOCK_UNITS", 2)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("leading", ["", "T", *SLOW_LEADING])
def test_batch_gives_the_pixels_of_a_run_in_memory_for_images(
    tmp_path: Path, leading: str
) -> None:
    path, asked = tmp_path / "a.ome.tif", settings("background")
    io.save(images(leading), path)
    (row,) = run([path], tmp_path / "out", asked)
    assert (row["status"], row["reason"]) == ("done", "")
    assert_same(results(tmp_path / "out", "a", asked), in_memory(path, asked))
    assert not hidden(tmp_path)


@pytest.mark.parametrize("form", ["tiff", "zarr"])
def test_a_z_stack_is_measured_in_its_middle_plane(tmp_path: Path, form: str) -> None:
    path, asked = (
        tmp_path / "a.ome.tif",
        settings("background", output={"format": form}),
    )
    stack = images("Z")
    io.save(stack, path)
    run([path], tmp_path / "out", asked)
    report = json.loads((tmp_path / "out" / "a.report.json").read_text())
    (expected,) = in_memory(path, asked)
    for name, image in (("input", stack), ("background", expected)):
        middle = image.data[image.size("Z") // 2]
        assert report["metrics"][name]["mean"] == pytest.approx(middle.mean())
        assert image.data[0].mean() != pytest.approx(middle.mean())


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("leading", ["", "T", "CZ", "TCZ"])
def test_batch_gives_the_pixels_of_a_run_in_memory_for_raw_frames(
    tmp_path: Path, leading: str
) -> None:
    path, asked = tmp_path / "a.ome.tif", raw_settings()
    io.save(raw_stack(leading), path)
    (row,) = run([path], tmp_path / "out", asked)
    assert (row["status"], row["orders_found"]) == ("done", 6 if "C" in leading else 3)
    found = results(tmp_path / "out", "a", asked)
    assert found[0].axes == leading + "YX"
    assert_same(found, in_memory(path, asked))


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 2, 3, 100])
def test_size_of_the_blocks_changes_no_pixel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    monkeypatch.setattr(job, "BLOCK_UNITS", units)
    asked = raw_settings("denoise,reconstruct")
    path = tmp_path / "a.ome.tif"
    io.save(raw_stack("T"), path)
    run([path], tmp_path / "out", asked)
    assert_same(results(tmp_path / "out", "a", asked), in_memory(path, asked))


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 2])
def test_blocks_read_the_neighbours_in_time_beyond_their_edges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    monkeypatch.setattr(job, "BLOCK_UNITS", units)
    asked = raw_settings("temporal,reconstruct")
    path = tmp_path / "a.ome.tif"
    io.save(raw_stack("T"), path)
    run([path], tmp_path / "out", asked)
    found = results(tmp_path / "out", "a", asked)
    assert_same(found, in_memory(path, asked))
    alone = in_memory(path, raw_settings("reconstruct"))
    assert np.abs(found[-1].data - alone[-1].data).max() > 0


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("every", [1, 2, 3])
def test_patterns_found_anew_do_not_depend_on_the_blocks(
    tmp_path: Path, every: int
) -> None:
    path = tmp_path / "a.ome.tif"
    io.save(raw_stack("T"), path)
    asked = raw_settings(reconstruct={"patterns_every": every})
    run([path], tmp_path / "out", asked)
    found = results(tmp_path / "out", "a", asked)
    assert_same(found, in_memory(path, asked))
    once = in_memory(path, raw_settings())
    # The first frames alone, and frames after them, give other patterns than all.
    assert np.abs(found[0].data - once[0].data)[-1].max() > 0


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
def test_uncertainty_is_that_of_a_run_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    io.save(images("TC"), path)
    parameters = {"method": "rl", "uncertainty": True}
    asked = settings("dps", dps=parameters, optics=OPTICS_OF_IMAGES)
    run([path], tmp_path / "out", asked)
    (expected,) = in_memory(path, asked)
    assert_same(results(tmp_path / "out", "a", asked), [expected])
    spread = io.load(tmp_path / "out" / "a.dps.uncertainty.ome.tif")
    assert spread.axes == "TCYX"
    np.testing.assert_array_equal(spread.data, expected.uncertainty)
    assert spread.data.std() > 0


OPTICS_OF_IMAGES = {"na": 1.4, "emission_nm": 525.0, "pixel_size_nm": 65.0}


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
def test_measured_psf_is_the_same_for_all_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    io.save(images("TC"), path)
    parameters = {"method": "rl", "psf": "measured"}
    asked = settings("background,dps", dps=parameters, optics=OPTICS_OF_IMAGES)
    run([path], tmp_path / "out", asked)
    assert_same(results(tmp_path / "out", "a", asked), in_memory(path, asked))


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("leading", ["", "T", "TCZ"])
def test_zarr_by_chunk_holds_what_the_tiff_holds(tmp_path: Path, leading: str) -> None:
    path = tmp_path / "a.ome.tif"
    io.save(raw_stack(leading), path)
    stages = "denoise,reconstruct"
    as_tiff = raw_settings(stages)
    as_zarr = raw_settings(stages, output={"format": "zarr"})
    run([path], tmp_path / "tiff", as_tiff)
    run([path], tmp_path / "zarr", as_zarr, jobs=2)
    found = results(tmp_path / "zarr", "a", as_zarr)
    assert_same(found, results(tmp_path / "tiff", "a", as_tiff))
    assert not hidden(tmp_path)
    assert not list((tmp_path / "zarr").glob("*.ome.tif"))


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("form", ["tiff", "zarr"])
def test_last_image_alone_is_kept_where_that_is_asked(
    tmp_path: Path, form: str
) -> None:
    path = tmp_path / "a.ome.tif"
    io.save(raw_stack("T"), path)
    asked = raw_settings(output={"keep": "last", "format": form})
    run([path], tmp_path / "out", asked)
    images = sorted(p.name for p in (tmp_path / "out").glob("*.ome.*"))
    assert images == [f"a.background.ome.{'tif' if form == 'tiff' else form}"]
    found = io.load(tmp_path / "out" / images[0])
    np.testing.assert_array_equal(found.data, in_memory(path, asked)[-1].data)


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
def test_threads_give_the_same_pixels(tmp_path: Path) -> None:
    asked = raw_settings()
    paths = [tmp_path / f"{name}.ome.tif" for name in "abc"]
    for seed, path in enumerate(paths):
        io.save(raw_stack("T", seed=seed), path)
    rows = run(paths, tmp_path / "out", asked, jobs=2)
    assert [row["file"] for row in rows] == [str(path) for path in paths]
    assert {row["status"] for row in rows} == {"done"}
    for path, name in zip(paths, "abc", strict=True):
        assert_same(results(tmp_path / "out", name, asked), in_memory(path, asked))


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
def test_compressed_input_is_read_where_it_is_needed(tmp_path: Path) -> None:
    asked = raw_settings()
    io.save(raw_stack("T"), tmp_path / "a.ome.tif", compression="zlib")
    (row,) = run([tmp_path / "a.ome.tif"], tmp_path / "out", asked, jobs=2)
    assert row["status"] == "done"
    found = results(tmp_path / "out", "a", asked)
    assert_same(found, in_memory(tmp_path / "a.ome.tif", asked))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("inspects", [False, True])
def test_every_unit_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inspects: bool
) -> None:
    calls = Calls(monkeypatch)
    io.save(images("TCZ"), tmp_path / "a.ome.tif")
    asked = settings("background")
    if inspects:  # what the steps have made for that is used
        asked = settings(
            "background,dps", dps={"method": "rl"}, optics=OPTICS_OF_IMAGES
        )
    run([tmp_path / "a.ome.tif"], tmp_path / "out", asked)
    assert len(calls) == 5 * 2 * 2 * (1 + inspects)


def test_time_and_channels_keep_their_metadata(tmp_path: Path) -> None:
    data = images("TCZ").data
    stack = ImageStack(
        data,
        "TCZYX",
        pixel_size_nm=65.0,
        z_step_nm=125.0,
        frame_interval_s=0.5,
        channel_names=("green", "red"),
    )
    io.save(stack, tmp_path / "a.ome.tif")
    for form in ("tiff", "zarr"):
        asked = settings("background", output={"format": form})
        run([tmp_path / "a.ome.tif"], tmp_path / form, asked)
        (found,) = results(tmp_path / form, "a", asked)
        assert found.axes == "TCZYX"
        assert (found.z_step_nm, found.frame_interval_s) == (125.0, 0.5)
        assert found.channel_names == ("green", "red")

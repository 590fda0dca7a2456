"""``napari-dps run``: the files it leaves, the report, the options."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from cli_options import OPTICS, RAW_OPTIONS

from napari_dps import __version__, io
from napari_dps.io import patterns_json
from napari_dps.stages import STAGES

DEFAULT_STAGES = [stage for stage in STAGES if stage.by_default]


def _strict(path):
    def refuse(word):
        raise ValueError(word)

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, files):
    """A run of the default stages on a raw stack, shared by the tests that look."""
    from napari_dps.cli import main

    folder = tmp_path_factory.mktemp("first") / "new" / "results"
    assert (
        main(["run", str(files / "raw.tif"), "--out", str(folder), *RAW_OPTIONS]) == 0
    )
    return folder


def test_run_leaves_an_image_a_stage_a_report_and_a_picture(first_run):
    expected = {f"raw.{stage.id}.ome.tif" for stage in DEFAULT_STAGES}
    expected |= {"raw.dps.error.ome.tif", "raw.report.json", "raw.png"}
    assert {path.name for path in first_run.iterdir()} == expected


@pytest.mark.slow
def test_error_map_compares_the_finer_image_with_its_input(napari_dps, files, tmp_path):
    names = "reconstruct,background,dps"
    done = napari_dps(
        "run", files / "raw.tif", "--out", "o", "--stages", names, *RAW_OPTIONS
    )
    assert done.code == 0
    report = _strict(tmp_path / "o" / "raw.report.json")
    stages = {stage["id"]: stage for stage in report["stages"]}
    assert "error_map" not in stages["background"]
    told = stages["dps"]["error_map"]
    assert told["rsp"] > 0.9
    error = io.load(tmp_path / "o" / told["file"])
    assert error.shape == (256, 230)
    assert error.data.min() >= 0
    assert np.sqrt(np.mean(error.data**2)) == pytest.approx(told["rse"], rel=1e-4)
    assert told["rsf_sigma_nm"] > 0


def test_report_tells_all_that_the_contract_names(first_run):
    report = _strict(first_run / "raw.report.json")
    assert report["version"] == __version__
    assert report["device"]
    assert report["optics"]["na"] == 1.4
    assert report["input"]["shape"] == [3, 3, 128, 115]
    assert report["input"]["axes"] == "APYX"
    assert len(report["input"]["sha256"]) == 64
    assert report["peak_memory_mb"] > 50
    assert [stage["id"] for stage in report["stages"]] == [s.id for s in DEFAULT_STAGES]
    for stage in report["stages"]:
        assert {"title", "parameters", "seconds", "warnings", "output"} <= stage.keys()
        assert (first_run / stage["output"]).is_file()
    assert report["metrics"].keys() == {
        "input",
        *(stage.id for stage in DEFAULT_STAGES),
    }
    assert all(values["mean"] for values in report["metrics"].values())


def test_report_holds_the_patterns_that_were_simulated(first_run, simulation):
    report = _strict(first_run / "raw.report.json")
    stage = next(s for s in report["stages"] if s["id"] == "reconstruct")
    assert stage["patterns"] == report["patterns"]
    assert len(stage["patterns"]) == 3
    for found, true in zip(stage["patterns"], simulation.patterns, strict=True):
        assert found["period_nm"] == pytest.approx(true.period_nm, rel=0.01)
        turn = (found["angle_deg"] - true.angle_deg + 90) % 180 - 90
        assert abs(turn) < 1
        assert 0 <= found["angle_deg"] < 180
        assert len(found["phases_deg"]) == 3
        assert 0 < found["modulation"] <= 1.5
        assert found["confidence"] > 0


def test_images_carry_geometry_and_history(first_run):
    stack = io.load(first_run / "raw.reconstruct.ome.tif")
    assert (stack.axes, stack.shape) == ("YX", (256, 230))
    assert stack.data.dtype == np.float32
    assert stack.pixel_size_nm == pytest.approx(32.5)
    assert stack.origin_nm == pytest.approx((-16.25, -16.25))
    done = ["camera offset", "denoise", "reconstruct"]
    assert [entry.stage for entry in stack.history] == done


def test_picture_is_large_enough_to_see_the_detail(first_run):
    from matplotlib.image import imread

    height, width = imread(first_run / "raw.png").shape[:2]
    panels = 1 + sum(stage.gives == "YX" for stage in DEFAULT_STAGES)
    assert width > panels * 420
    assert height > 800


@pytest.mark.slow
def test_summary_names_the_files_and_the_patterns(napari_dps, files):
    done = napari_dps("run", files / "raw.tif", "--out", "o", *RAW_OPTIONS)
    assert done.code == 0
    assert done.errors == []
    for name in ("raw.reconstruct.ome.tif", "raw.report.json", "raw.png"):
        assert name in done.out
    assert "period (nm)" in done.out


def test_a_plain_image_starts_at_the_image_stages(napari_dps, files, tmp_path):
    done = napari_dps("run", files / "image.tif", "--out", "o")
    assert done.code == 0
    report = _strict(tmp_path / "o" / "image.report.json")
    images = [
        stage
        for stage in DEFAULT_STAGES
        if stage.takes == "YX" and not stage.only_after
    ]
    expected = [stage.id for stage in images if not stage.needs_optics]
    assert [stage["id"] for stage in report["stages"]] == expected
    left_out = [stage.id for stage in images if stage.needs_optics]
    assert len(report["warnings"]) == len(left_out)
    for stage_id, warning in zip(left_out, report["warnings"], strict=True):
        assert f"'{stage_id}' is left out" in warning
        assert "NA" in warning
    assert report["optics"] is None
    assert report["patterns"] == []


@pytest.mark.slow
def test_a_time_lapse_keeps_its_axes_and_its_intensities(napari_dps, files, tmp_path):
    options = ["--order", "tapyx", *RAW_OPTIONS, "--stages", "reconstruct"]
    done = napari_dps("run", files / "times.tif", "--out", "o", *options)
    assert done.code == 0
    stack = io.load(tmp_path / "o" / "times.reconstruct.ome.tif")
    assert stack.axes == "TYX"
    first, dimmer, third = stack.data
    # (counts/2 − offset) / (counts − offset) of the mean of the frames
    raw = tifffile.imread(files / "times.tif").astype(float)
    expected = (raw[1].mean() - 100) / (raw[0].mean() - 100)
    assert dimmer.mean() / first.mean() == pytest.approx(expected, rel=0.02)
    np.testing.assert_allclose(first, third)


def test_a_time_lapse_that_is_averaged_says_so_once(napari_dps, files, tmp_path):
    frames = tifffile.imread(files / "times.tif")[..., :64, :64]
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, frames)
    options = ["--out", "o", "--order", "tapyx", *RAW_OPTIONS, "--stages", "temporal"]
    done = napari_dps("run", "a.tif", "b.tif", *options, "--temporal.window", "2")
    assert done.code == 0
    said = [line for line in done.out.splitlines() if line.startswith("temporal: ")]
    assert len(said) == 1
    assert "up to 2 before and 2 after it" in said[0]
    assert "--temporal.window 0 leaves that out" in said[0]
    report = _strict(tmp_path / "o" / "a.report.json")
    assert "temporal.window 0" in report["stages"][0]["note"]
    alone = napari_dps("run", "a.tif", *options, "--temporal.window", "0")
    assert "temporal: " not in alone.out


@pytest.mark.slow
def test_self_check_is_told_and_reported(napari_dps, files, tmp_path):
    done = napari_dps("run", files / "image.tif", "--out", "o", *OPTICS, "--stages",
                      "dps", "--dps.method", "rl", "--camera-offset", "100",
                      "--self-check")  # fmt: skip
    assert done.code == 0
    checked = _strict(tmp_path / "o" / "image.report.json")["self_check"]
    found = [
        f"{kind} {pairs['result_nm']:.0f} nm (before: {pairs['input_nm']:.0f} nm)"
        for kind, pairs in checked.items()
    ]
    expected = f"self-check, least separation told apart: {', '.join(found)}"
    assert done.out.splitlines()[-1] == expected


@pytest.mark.slow
def test_own_files_need_no_options(napari_dps, files, tmp_path):
    done = napari_dps("run", files / "own.ome.tif", "--out", "o", "--stages",
                      "reconstruct", "--camera-offset", "100")  # fmt: skip
    assert done.code == 0
    report = _strict(tmp_path / "o" / "own.report.json")
    assert report["optics"]["emission_nm"] == 525


def test_stage_options_reach_the_stage(napari_dps, files, tmp_path):
    done = napari_dps("run", files / "image.tif", "--out", "o", "--stages",
                      "background", "--background.radius-px", "11")  # fmt: skip
    assert done.code == 0
    report = _strict(tmp_path / "o" / "image.report.json")
    assert report["stages"][0]["parameters"]["radius_px"] == 11


def test_options_override_the_file_of_settings(napari_dps, files, tmp_path):
    config = tmp_path / "pipeline.toml"
    config.write_text(
        '[pipeline]\nstages = ["reconstruct", "background"]\n'
        "[input]\nangles = 3\nphases = 3\ncamera_offset = 100\n"
        "[optics]\nna = 1.3\nemission_nm = 525\npixel_size_nm = 65\n"
        "[background]\nradius_px = 20\n"
    )
    done = napari_dps("run", files / "raw.tif", "--out", "o", "--config", config,
                      "--na", "1.4", "--background.radius-px", "30")  # fmt: skip
    assert done.code == 0
    report = _strict(tmp_path / "o" / "raw.report.json")
    assert report["optics"]["na"] == 1.4
    assert report["stages"][1]["parameters"]["radius_px"] == 30


@pytest.mark.slow
def test_patterns_of_another_run_are_taken(napari_dps, files, tmp_path, first_run):
    done = napari_dps("run", files / "raw.tif", "--out", "o", *RAW_OPTIONS,
                      "--patterns", first_run / "raw.report.json")  # fmt: skip
    assert done.code == 0
    before = _strict(first_run / "raw.report.json")["patterns"]
    after = _strict(tmp_path / "o" / "raw.report.json")["patterns"]
    assert [p["status"] for p in after] == ["given"] * 3
    assert [p["period_nm"] for p in after] == pytest.approx(
        [p["period_nm"] for p in before]
    )


@pytest.mark.slow
def test_patterns_written_by_hand_are_taken(napari_dps, files, tmp_path, simulation):
    known = patterns_json(simulation.patterns)
    lines = [
        f"[[patterns]]\nangle_deg = {p['angle_deg']}\nperiod_nm = {p['period_nm']}"
        for p in known
    ]
    (tmp_path / "known.toml").write_text("\n".join(lines))
    done = napari_dps("run", files / "raw.tif", "--out", "o", *RAW_OPTIONS,
                      "--patterns", "known.toml")  # fmt: skip
    assert done.code == 0
    after = _strict(tmp_path / "o" / "raw.report.json")["patterns"]
    assert [p["status"] for p in after] == ["given"] * 3


@pytest.mark.slow
def test_a_wrong_order_is_warned_of_in_words_and_report(napari_dps, tmp_path, files):
    frames = tifffile.imread(files / "raw.tif").reshape(3, 3, 128, 115)
    swapped = frames.swapaxes(0, 1).reshape(9, 128, 115)
    tifffile.imwrite(tmp_path / "swapped.tif", swapped)
    done = napari_dps("run", "swapped.tif", "--out", "o", *RAW_OPTIONS)
    assert done.code == 0
    report = _strict(tmp_path / "o" / "swapped.report.json")
    assert any("payx" in warning for warning in report["warnings"])
    assert any("payx" in warning for warning in done.warnings)


@pytest.mark.slow
def test_coarse_pixels_are_warned_of_in_words_and_report(napari_dps, tmp_path, files):
    options = ["--na", "1.4", "--emission-nm", "525", "--pixel-size-nm", "150"]
    done = napari_dps("run", files / "image.tif", "--out", "o", *options)
    report = _strict(tmp_path / "o" / "image.report.json")
    assert any("under-sampled" in warning for warning in report["warnings"])
    assert any("under-sampled" in warning for warning in done.warnings)


@pytest.mark.slow
def test_one_bad_input_does_not_stop_the_others(napari_dps, tmp_path, files):
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    done = napari_dps("run", "broken.tif", files / "raw.tif", files / "image.tif",
                      "--out", "o", *RAW_OPTIONS)  # fmt: skip
    assert done.code == 1
    assert "broken.tif" in done.errors[0]
    assert "image.tif" in done.errors[1]
    assert "2 of 3 inputs failed" in done.errors[2]
    made = {path.name.split(".")[0] for path in (tmp_path / "o").iterdir()}
    assert made == {"raw", "batch"}


@pytest.mark.slow
def test_a_second_run_replaces_the_files_of_the_first(napari_dps, tmp_path, files):
    command = ["run", files / "image.tif", "--out", "o"]
    for radius in ("5", "9"):
        assert napari_dps(*command, "--background.radius-px", radius).code == 0
    report = _strict(tmp_path / "o" / "image.report.json")
    assert report["stages"][-1]["parameters"]["radius_px"] == 9
    assert not [p for p in (tmp_path / "o").iterdir() if p.name.startswith(".")]


def test_help_tells_units_defaults_and_limits(napari_dps):
    text = " ".join(napari_dps("run", "--help").out.split())
    assert "--background.radius-px PX" in text
    assert "1 to 500 px; default: 50" in text
    assert "--emission-nm NM" in text
    assert OPTICS[0] in text

"""Mistakes of the user: exit code 2, one clear line, nothing left behind."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from cli_lines import told
from cli_options import OPTICS, RAW_OPTIONS

from napari_dps import batch
from napari_dps.batch import engine
from napari_dps.cli import main


def _frames(count=9, dtype=np.uint16):
    rng = np.random.default_rng(1)
    return rng.integers(90, 4000, (count, 40, 36)).astype(dtype)


def _nan(path):
    frames = _frames(dtype=np.float32)
    frames[4, 3, 3] = np.nan
    tifffile.imwrite(path, frames)


def _truncated(path):
    tifffile.imwrite(path, _frames())
    path.write_bytes(path.read_bytes()[:3000])


BAD_FILES = {
    "wrong count": lambda p: tifffile.imwrite(p, _frames(10)),
    "nan": _nan,
    "rgb": lambda p: tifffile.imwrite(
        p, np.zeros((40, 36, 3), np.uint8), photometric="rgb"
    ),
    "empty": lambda p: p.write_bytes(b""),
    "truncated": _truncated,
    "no tiff": lambda p: p.write_text("hello"),
    "complex": lambda p: tifffile.imwrite(p, _frames(dtype=np.complex64)),
    "missing": lambda p: None,
    "folder": lambda p: p.mkdir(),
}


def _is_refused(done, tmp_path, *words):
    assert done.code == 2
    assert len(done.errors) == 1
    assert done.err.splitlines()[-1] == done.errors[0]
    assert "Traceback" not in done.err
    assert done.out == ""
    assert not (tmp_path / "out").exists()
    for word in words:
        assert word in done.errors[0]


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_one_line_and_leaves_nothing(napari_dps, tmp_path, kind):
    path = tmp_path / "bad.tif"
    BAD_FILES[kind](path)
    done = napari_dps("run", path, "--out", "out", *RAW_OPTIONS)
    _is_refused(done, tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--na", "1.6"], ["NA 1.6", "1.518"]),
        (["--na", "nan"], ["optics.na"]),
        (["--na", "high"], ["optics.na", "'high'"]),
        (["--emission-nm", "52"], ["emission_nm", "200"]),
        (["--pixel-size-nm", "0"], ["pixel_size_nm"]),
        (["--angles", "0"], ["input.angles"]),
        (["--angles", "2.5"], ["input.angles"]),
        (["--camera-offset", "inf"], ["camera_offset"]),
        (["--order", "pxya"], ["order"]),
        (["--stages", "reconstruct,sharpen"], ["'sharpen'", "background"]),
        (["--stages", ""], ["stage"]),
        (["--stages", "background"], ["raw SIM frames"]),
        (["--stages", "reconstruct", "--background.radius-px", "9"], ["background"]),
        (["--background.radius-px", "0"], ["background.radius_px", "'0'"]),
        (["--background.radius-px", "ball"], ["background.radius_px"]),
        (["--background.size", "3"], ["--background.size"]),
        (["--sharpness", "3"], ["--sharpness"]),
        (["--device", "tpu"], ["device", "tpu"]),
        (["--device", "cuda:99"], ["device"]),
        (["--patterns", "none.toml"], ["none.toml"]),
        (["--config", "none.toml"], ["none.toml"]),
        (["--config", "broken.toml"], ["broken.toml", "TOML"]),
        (["--config", "wrong.toml"], ["background.radius_px"]),
    ],
)
def test_a_wrong_option_is_one_line_and_leaves_nothing(
    napari_dps, tmp_path, files, options, words
):
    (tmp_path / "broken.toml").write_text("[optics")
    (tmp_path / "wrong.toml").write_text("[background]\nradius_px = -3\n")
    command = ["run", files / "raw.tif", "--out", "out", *RAW_OPTIONS, *options]
    _is_refused(napari_dps(*command), tmp_path, *words)


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ([], "COMMAND"),
        (["reconstruct"], "reconstruct"),
        (["run", "--out", "out"], "RAW"),
        (["run", "raw.tif"], "--out"),
        (["measure"], "IMAGE"),
        (["measure", "none.tif"], "none.tif"),
        (["simulate", "--out", "out/a.png"], ".tif"),
        (["simulate", "--out", "out/a.tif", "--structure", "fog"], "structure"),
        (["simulate", "--out", "out/a.tif", "--phases", "2"], "phases"),
        (["psf", "--out", "out/a.tif", "--na", "1.4"], "emission_nm"),
        (["psf", "--out", "out/a.tif", *OPTICS, "--size", "0"], "--size"),
        (["psf", "--out", "out/a.tif", *OPTICS, "--size", "x"], "--size"),
        (["demo", "--device", "tpu", "--out", "out"], "device"),
    ],
)
def test_a_wrong_command_is_one_line_and_leaves_nothing(
    napari_dps, tmp_path, command, word
):
    _is_refused(napari_dps(*command), tmp_path, word)


def test_raw_frames_without_optics_are_refused(napari_dps, tmp_path, files):
    done = napari_dps("run", files / "raw.tif", "--out", "out", "--angles", "3",
                      "--phases", "3")  # fmt: skip
    usual = "for example --na 1.4 --emission-nm 525 --pixel-size-nm 65"
    _is_refused(done, tmp_path, usual)


def test_all_that_the_optics_lack_is_told_at_once(napari_dps, tmp_path, files):
    done = napari_dps(
        "run", files / "raw.tif", "--out", "out", "--angles", 3, "--phases", 3,
        "--na", 1.3)  # fmt: skip
    _is_refused(done, tmp_path, "for example --emission-nm 525 --pixel-size-nm 65")


def test_patterns_for_a_plain_image_are_refused(napari_dps, tmp_path, files):
    (tmp_path / "p.toml").write_text("[[patterns]]\nangle_deg = 1\nperiod_nm = 200\n")
    done = napari_dps(
        "run", files / "image.tif", "--out", "out", "--patterns", "p.toml"
    )
    _is_refused(done, tmp_path, "--patterns")


def test_inputs_of_one_name_are_refused_before_any_work(napari_dps, tmp_path, files):
    twin = tmp_path / "RAW.ome.tiff"
    twin.write_bytes((files / "raw.tif").read_bytes())
    done = napari_dps("run", files / "raw.tif", twin, "--out", "out", *RAW_OPTIONS)
    _is_refused(done, tmp_path, "raw.tif", "RAW.ome.tiff")


def test_results_never_overwrite_an_input(napari_dps, tmp_path, files):
    kept = (files / "image.tif").read_bytes()
    for name in ("a.tif", "a.background.ome.tif"):
        (tmp_path / name).write_bytes(kept)
    done = napari_dps("run", "a.tif", "a.background.ome.tif", "--out", ".")
    _is_refused(done, tmp_path, "overwrite", "a.background.ome.tif")
    assert (tmp_path / "a.background.ome.tif").read_bytes() == kept


def test_a_folder_that_cannot_be_made_is_found_before_any_work(
    napari_dps, tmp_path, files, monkeypatch
):
    monkeypatch.setattr(batch, "run_batch", pytest.fail)
    (tmp_path / "file").write_text("in the way")
    for out in ("file", "file/out"):
        done = napari_dps("run", files / "raw.tif", "--out", out, *RAW_OPTIONS)
        _is_refused(done, tmp_path, "cannot write into the folder")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root "
                    "cannot write to: /proc")  # fmt: skip
def test_a_folder_that_nobody_may_write_to_is_found_before_any_work(
    napari_dps, tmp_path, files, monkeypatch
):
    monkeypatch.setattr(batch, "run_batch", pytest.fail)
    for out in ("/proc", "/proc/self/out"):
        done = napari_dps("run", files / "raw.tif", "--out", out, *RAW_OPTIONS)
        _is_refused(done, tmp_path, "cannot write into the folder")


def _break(monkeypatch, problem):
    def work(*arguments):
        raise problem
        yield

    for name in ("begin", "whole"):
        monkeypatch.setattr(engine, name, work)


def test_an_unexpected_error_is_one_line_and_code_3(
    napari_dps, tmp_path, files, monkeypatch
):
    _break(monkeypatch, RuntimeError("shapes\ndo not match"))
    command = ["run", files / "raw.tif", "--out", "out", *RAW_OPTIONS]
    done = napari_dps(*command)
    assert done.code == 3
    assert len(done.told) == 1
    assert "shapes do not match" in done.errors[0]
    assert "report it" in done.errors[0]
    assert not (tmp_path / "out").exists()
    assert "Traceback" in napari_dps(*command, "--debug").err


def test_an_unexpected_error_outweighs_a_mistake(
    napari_dps, tmp_path, files, monkeypatch
):
    _break(monkeypatch, RuntimeError())
    done = napari_dps("run", files / "raw.tif", tmp_path / "none.tif", "--out", "out",
                      *RAW_OPTIONS)  # fmt: skip
    assert done.code == 3
    assert len(done.errors) == 3  # one an input, and how many failed


def test_too_little_memory_is_said_so(napari_dps, files, monkeypatch):
    _break(monkeypatch, MemoryError())
    done = napari_dps("run", files / "raw.tif", "--out", "out", *RAW_OPTIONS)
    assert done.code == 1
    assert "not enough memory" in done.errors[0]


def test_an_interruption_is_one_line_and_code_130(
    napari_dps, tmp_path, files, monkeypatch
):
    _break(monkeypatch, KeyboardInterrupt())
    done = napari_dps("run", files / "raw.tif", "--out", "out", *RAW_OPTIONS)
    assert done.code == 130
    assert len(done.told) == 1
    assert not (tmp_path / "out").exists()


def test_names_of_files_cannot_forge_lines(napari_dps, tmp_path):
    done = napari_dps("run", "a\nwarning: \x1b[2Jb.tif", "--out", "out")
    _is_refused(done, tmp_path)
    assert "\x1b" not in done.err


def _subprocess(*arguments, cwd):
    command = [sys.executable, "-m", "napari_dps.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.mark.slow
def test_the_program_computes_a_stack(tmp_path, files):
    done = _subprocess("run", files / "raw.tif", "--out", "out", *RAW_OPTIONS,
                       cwd=tmp_path)  # fmt: skip
    assert (done.returncode, told(done.stderr)) == (0, [])
    assert (tmp_path / "out" / "raw.report.json").is_file()


@pytest.mark.slow
def test_the_program_refuses_a_bad_file(tmp_path):
    tifffile.imwrite(tmp_path / "bad.tif", _frames(10))
    done = _subprocess("run", "bad.tif", "--out", "out", *RAW_OPTIONS, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("napari-dps: error: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_no_heavy_library(words):
    code = (
        "import sys; from napari_dps.cli import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'matplotlib', 'skimage', 'qtpy', 'napari', 'zarr'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, told(done.stderr)) == (0, [])
    assert done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--emision-nm", "660"], "did you mean --emission-nm? (see napari-dps run"),
        (["--background.radius", "3"], "did you mean --background.radius-px?"),
        (["--foo"], "unrecognized arguments: --foo (see napari-dps run --help)"),
    ],
)
def test_an_option_with_a_typo_is_named_with_what_was_meant(words, said, capsys):
    assert main(["run", "cell.tif", "--out", "out", *words]) == 2
    assert said in capsys.readouterr().err

"""Signals and full disks: one line, the code of the table, all files or none."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_lines import told
from cli_options import OPTICS

from napari_dps import io
from napari_dps.cli import console, main, stopping

COMMANDS = {
    "simulate": ["simulate", "--out", "o/s.ome.tif", "--height-px", "32",
                 "--width-px", "32", "--photons", "9"],
    "psf": ["psf", "--out", "o/p.tif", *OPTICS, "--size", "16"],
}  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_sigterm_ends_a_command_as_ctrl_c_does(napari_dps, monkeypatch):
    def terminated(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("napari_dps.cli.simulate.simulate", terminated)
    done = napari_dps(*COMMANDS["simulate"])
    assert done.code == console.TERMINATED == 143
    assert done.errors == ["napari-dps: error: terminated"]
    assert not Path("o").exists()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("signals", [[KeyboardInterrupt()], [stopping.Terminated("t")]])
def test_the_code_says_what_has_stopped_it(napari_dps, monkeypatch, signals):
    def stopped(*_):
        raise signals[0]

    monkeypatch.setattr("napari_dps.cli.psf.sr_psf", stopped)
    expected = 143 if isinstance(signals[0], stopping.Terminated) else 130
    assert napari_dps(*COMMANDS["psf"]).code == expected


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("at", [1, 2])
def test_a_full_disk_leaves_none_of_the_files(napari_dps, monkeypatch, command, at):
    writes, rename = [], os.replace

    def full(source, target):
        writes.append(target)
        if len(writes) == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "replace", full)
    done = napari_dps(*COMMANDS[command])
    assert done.code == 2
    assert len(done.told) == 1
    assert "the disk is full" in done.errors[0]
    assert ".part" not in done.errors[0]
    assert not Path("o").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of the system")
@pytest.mark.parametrize("size", [1, 3000, 12_000, 40_000])
def test_files_that_must_not_grow_are_said_in_one_line(tmp_path, size):
    pixels = np.random.default_rng(1).poisson(99, (40, 32, 32)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    command = [sys.executable, "-m", "napari_dps.cli", "run", "a.tif", "--out", "o",
               "--stages", "background"]  # fmt: skip
    limited = ["prlimit", f"--fsize={size}", *command]
    done = subprocess.run(
        limited, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    (line,) = told(done.stderr)
    assert "larger than" in line
    assert not list((tmp_path / "o").glob("[!.]*"))
    again = subprocess.run(
        [*command, "--resume"], cwd=tmp_path, capture_output=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert again.returncode == 0
    assert not list((tmp_path / "o").glob(".*"))
    assert io.load(tmp_path / "o/a.background.ome.tif").shape == (40, 32, 32)


def test_exit_codes_are_those_of_the_table():
    text = Path(__file__, "../../../docs/cli.md").resolve().read_text("utf-8")
    codes = [
        console.SOME_FAILED, console.USER_MISTAKE, console.OUR_FAULT,
        console.INTERRUPTED, console.TERMINATED,
    ]  # fmt: skip
    assert codes == [1, 2, 3, 130, 143]
    for code in (0, *codes):
        assert f"\n| {code} | " in text
    assert main(["--version"]) == 0

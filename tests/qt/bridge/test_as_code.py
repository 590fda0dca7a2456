"""What is copied does what was clicked."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

from napari_dps import io
from napari_dps._qt.bridge.as_code import as_command, as_python
from napari_dps.cli import settings_options
from napari_dps.core import Pattern
from napari_dps.pipeline import InputSettings, Settings, find_stage

SETTINGS = Settings(
    stages=("reconstruct", "dps"),
    parameters={
        "reconstruct": find_stage("reconstruct").parameters(layout="linear"),
        "dps": find_stage("dps").parameters(strength=0.7, raw_frames=False),
    },
    optics={"na": 1.4, "emission_nm": (525.0, 610.0), "pixel_size_nm": 65.0},
    input=InputSettings(angles=3, phases=5, order="apyx", camera_offset=100),
)


def test_command_line_reads_the_settings_back() -> None:
    words = shlex.split(as_command(SETTINGS, "my cell.tif"))
    assert words[:5] == ["napari-dps", "run", "my cell.tif", "--out", "results"]
    parser = argparse.ArgumentParser()
    settings_options.add(parser)
    read, _ = settings_options.read(parser.parse_args(words[5:]))
    assert read == SETTINGS


def test_patterns_set_by_hand_are_not_passed_over_in_silence() -> None:
    found = InputSettings(patterns=(Pattern(angle_deg=30, period_nm=200),))
    command = as_command(Settings(stages=("dps",), input=found), "cell.tif")
    assert command.endswith("save the settings of the dock Pipeline")
    assert shlex.split(command, comments=True)[-1] == "dps"


def test_python_program_runs(tmp_path: Path) -> None:
    from napari_dps.core import ImageStack

    rng = np.random.default_rng(0)
    stack = ImageStack(rng.poisson(30, (48, 40)).astype(np.float32), "YX")
    path = io.save(stack, tmp_path / "cell.tif")
    settings = Settings(stages=("background",))
    program = as_python(settings, str(path)).replace('f"result', f'f"{tmp_path}/result')
    (tmp_path / "copied.py").write_text(program, "utf-8")
    subprocess.run([sys.executable, tmp_path / "copied.py"], check=True)
    assert io.load(tmp_path / "result.background.ome.tif").shape == (48, 40)

"""Scripts that are played in a real window."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCREEN = "-screen 0 1700x1100x24"


def played(script: str, folder: Path, *arguments: Path, timeout_s: float) -> Path:
    """Play a script of this folder; return where its pictures are.

    Parameters
    ----------
    script : str
        Its name; it is called with the arguments and the folder for its pictures.
    folder : Path
        That one, unless NAPARI_DPS_SCREENSHOTS names another, which is kept.
    arguments : Path
        What comes before the folder.
    timeout_s : float
        Seconds.
    """
    if shutil.which("xvfb-run") is None:
        if os.environ.get("CI"):
            pytest.fail(f"xvfb-run is not installed: {script} cannot be played")
        pytest.skip("no xvfb-run: apt-get install xvfb (see .ci/run)")
    folder = Path(os.environ.get("NAPARI_DPS_SCREENSHOTS") or folder)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("QT_QPA_PLATFORM", "DISPLAY")
    }
    environment |= {"LIBGL_ALWAYS_SOFTWARE": "1", "XDG_CONFIG_HOME": str(folder / "x")}
    command = [sys.executable, Path(__file__).with_name(script), *arguments, folder]
    done = subprocess.run(
        ["xvfb-run", "-a", "-s", SCREEN, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder

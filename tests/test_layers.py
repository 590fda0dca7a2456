"""What is loaded when, and that command line and stages tell the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "matplotlib", "skimage", "zarr", "mrc"}
GUI = {"napari", "qtpy", "superqt", "magicgui", "PyQt6", "PySide6"}

IMPORT_ALL = """
import importlib, pkgutil, napari_dps
for module in pkgutil.walk_packages(napari_dps.__path__, "napari_dps."):
    # Classes of layers need torch when they are defined: loaded when a network is.
    # Widgets need the GUI, which nothing else may load.
    if not module.name.startswith(
        ("napari_dps.nets.", "napari_dps.train.", "napari_dps._qt")
    ):
        importlib.import_module(module.name)
"""
HELP = """
from napari_dps.cli import main
try:
    main(["run", "--help"])
except SystemExit:
    pass
"""


def _loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after the code."""
    report = "import sys\nprint(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import napari_dps", id="package"),
        pytest.param(HELP, id="help"),
        pytest.param(IMPORT_ALL, id="every-module"),
    ],
)
def test_import_loads_nothing_heavy_and_no_gui(code: str) -> None:
    loaded = _loaded_by(code)
    assert "napari_dps" in loaded
    assert not loaded & (HEAVY | GUI)


def test_loaded_modules_are_seen_by_the_check() -> None:
    assert "matplotlib" in _loaded_by("import matplotlib")


def test_command_line_version_is_that_of_the_package() -> None:
    from napari_dps import __version__

    done = subprocess.run(
        [sys.executable, "-c", "from napari_dps.cli import main; main(['--version'])"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[-1] == __version__


def test_help_of_run_offers_every_parameter_of_every_stage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from napari_dps.cli import main
    from napari_dps.core.params import describe
    from napari_dps.stages import STAGES

    main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    flags = {
        f"--{stage.id}.{info.name.replace('_', '-')}"
        for stage in STAGES
        for info in describe(stage.parameters)
    }
    assert flags
    assert {flag for flag in flags if flag not in text} == set()


def test_stages_have_unique_ids_and_described_parameters() -> None:
    from napari_dps.core.params import describe
    from napari_dps.stages import STAGES

    assert len({stage.id for stage in STAGES}) == len(STAGES) > 0
    for stage in STAGES:
        assert {stage.takes, stage.gives} <= {"APYX", "YX"}
        for info in describe(stage.parameters):
            assert info.title != info.name, f"{stage.id}.{info.name} has no title"
            assert info.description.endswith("."), f"{stage.id}.{info.name}"

"""Nothing is cut off in any dock, in a real window, small or large, light or dark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clipping import cut_texts
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

SCREEN = "-screen 0 1700x1100x24"
DOCKS, LOOKS = 12, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Look at the docks once; pictures stay where NAPARI_DPS_SCREENSHOTS says."""
    if shutil.which("xvfb-run") is None:
        if os.environ.get("CI"):
            pytest.fail("xvfb-run is not installed: the docks cannot be looked at")
        pytest.skip("no xvfb-run: apt-get install xvfb (see .ci/run)")
    kept = os.environ.get("NAPARI_DPS_SCREENSHOTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("docks")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("QT_QPA_PLATFORM", "DISPLAY")
    }
    environment |= {"LIBGL_ALWAYS_SOFTWARE": "1", "XDG_CONFIG_HOME": str(folder / "x")}
    script = Path(__file__).with_name("docks_story.py")
    done = subprocess.run(
        ["xvfb-run", "-a", "-s", SCREEN, sys.executable, str(script), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_nothing_is_cut_off_in_any_dock(folder: Path) -> None:
    seen: dict[str, Any] = json.loads((folder / "docks.json").read_text("utf-8"))
    assert len(list(folder.glob("dock-*.png"))) >= DOCKS * LOOKS
    assert seen["cut"] == {}
    assert seen["notifications"] == []


@pytest.fixture
def column(qtbot: Any) -> Iterator[QWidget]:
    widget = QWidget()
    QVBoxLayout(widget)
    qtbot.addWidget(widget)
    return widget


def test_text_that_is_cut_off_is_noticed(qtbot: Any, column: QWidget) -> None:
    label, button = QLabel("a label of some length"), QPushButton("a long button")
    for widget in (label, button):
        column.layout().addWidget(widget)
    column.show()
    qtbot.wait(20)
    assert cut_texts(column) == []
    label.setFixedWidth(20)
    button.setFixedWidth(30)
    qtbot.wait(20)
    found = cut_texts(column)
    assert len(found) == 2
    assert "a label of some length" in found[0]

"""Nothing is cut off in any dock, in a real window, small or large, light or dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clipping import cut_texts
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from real_window import played

DOCKS, LOOKS = 12, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Look at the docks once; pictures stay where NAPARI_DPS_SCREENSHOTS says."""
    folder = tmp_path_factory.mktemp("docks")
    return played("docks_story.py", folder, timeout_s=1500)


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

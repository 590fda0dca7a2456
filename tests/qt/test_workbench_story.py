"""Plain raw files become compared results in a few clicks, in a real window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from real_window import played

pytestmark = pytest.mark.slow

PERIODS_NM = {
    "hela": [[355.9], [356.4], [332.1]],
    "er": [[175.0], [175.6], [175.2]],
    "he": [[499, 245], [494, 244], [495, 246]],
}
"""Measured from the files by those who lend them."""
SHAPES = {
    "hela": (["angle", "phase", "y", "x"], [3, 3, 120, 120]),
    "er": (["angle", "phase", "t", "y", "x"], [3, 3, 3, 112, 512]),
    "he": (["angle", "phase", "y", "x"], [3, 5, 256, 256]),
}


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, data_dir: Path
) -> dict[str, dict[str, Any]]:
    """Tell the stories once; screenshots stay where NAPARI_DPS_SCREENSHOTS says."""
    folder = tmp_path_factory.mktemp("workbench")
    folder = played("workbench_story.py", folder, data_dir, timeout_s=1500)
    found: dict[str, dict[str, Any]] = json.loads(
        (folder / "workbench.json").read_text("utf-8")
    )
    return found


@pytest.mark.parametrize("name", PERIODS_NM)
def test_plain_file_is_compared_in_eight_clicks_and_four_values(
    seen: dict[str, Any], name: str
) -> None:
    found = seen[name]
    assert found["clicks"] <= 8
    assert found["typed"] <= 4
    assert (found["axes"], found["shape"]) == SHAPES[name]
    assert len(found["compared"]) >= 4
    for orders, expected in zip(found["periods_nm"], PERIODS_NM[name], strict=True):
        for period, true in zip(orders, expected, strict=True):
            assert period == pytest.approx(true, rel=0.03)


def test_nothing_is_clipped_and_docks_are_tabs(seen: dict[str, Any]) -> None:
    assert seen["tabs"] == 3
    assert all(seen[name]["clipped"] == {} for name in PERIODS_NM)
    assert all(seen[name]["rows_hidden_px"] == 0 for name in PERIODS_NM)


def test_training_comes_to_a_verdict(seen: dict[str, Any]) -> None:
    (text,) = seen["training"]["verdict"]
    assert text.startswith(("better", "not better"))
    assert seen["training"]["looks"]
    assert seen["training"]["clipped"] == {}


def test_napari_has_nothing_to_complain_of(seen: dict[str, Any]) -> None:
    assert seen["notifications"] == []

"""Pattern files: hand-written ones, reports, and bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_dps.core import InputError, Pattern
from napari_dps.io import load_patterns

TOML = """
[[patterns]]
angle_deg = 30
period_nm = 200

[[patterns]]
angle_deg = 90.5
period_nm = 201.5
phases_deg = [0, 120, 240]
modulation = 0.5
"""

FOUND = [
    Pattern(
        angle_index=index,
        phases_deg=(0, 120, 240),
        orders=[{"angle_deg": 60.0 * index, "period_nm": 200.0, "status": "found"}],
    )
    for index in range(3)
]


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_toml_tables_are_numbered_in_their_order(tmp_path: Path) -> None:
    first, second = load_patterns(write(tmp_path / "p.toml", TOML))
    assert (first.angle_index, first.angle_deg, first.period_nm) == (0, 30, 200)
    assert (second.angle_index, second.modulation) == (1, 0.5)
    assert second.phases_deg == (0, 120, 240)


@pytest.mark.parametrize("nesting", ["list", "top", "stage"])
def test_patterns_come_back_from_json(tmp_path: Path, nesting: str) -> None:
    patterns = [pattern.model_dump(mode="json") for pattern in FOUND]
    stages = [{"id": "denoise"}, {"id": "reconstruct", "patterns": patterns}]
    content = {
        "list": patterns,
        "top": {"patterns": patterns},
        "stage": {"version": "0.1", "device": "cpu", "stages": stages},
    }[nesting]
    assert load_patterns(write(tmp_path / "p.json", content)) == tuple(FOUND)


def test_pattern_not_found_may_lack_a_period(tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", [{"status": "not found"}])
    assert not load_patterns(path)[0].is_usable


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.json", "{", "no valid JSON"),
        ("p.json", "[" * 100_000, "nested too deeply"),
        ("p.toml", "patterns = [", "no valid TOML"),
        ("p.json", {}, "holds no patterns"),
        ("p.json", [], "holds no patterns"),
        ("p.json", {"patterns": 3}, "holds no patterns"),
        ("p.json", {"stages": [{"id": "background"}, 3]}, "holds no patterns"),
        ("p.json", 3, "holds no patterns"),
        ("p.json", [3], r"patterns\[0\]: got 3"),
        ("p.json", [{"angle_deg": 3}], r"patterns\[0\] needs"),
        ("p.json", [{"angle_deg": 3, "period_nm": -1}], "period_nm"),
        ("p.json", '[{"angle_deg": NaN, "period_nm": 200}]', "angle_deg"),
        ("p.json", [{"angle_deg": "x", "period_nm": 200}], "angle_deg"),
        ("p.json", [{"orders": []}], "orders"),
    ],
)
def test_bad_content_is_refused(
    tmp_path: Path, name: str, content: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_patterns(write(tmp_path / name, content))


def test_binary_missing_and_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "p.json", tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError):
            load_patterns(path)

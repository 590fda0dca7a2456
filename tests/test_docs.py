"""The code that the documentation shows runs as it is shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_dps.core import ImageStack, InputError, finish

DOCS = Path(__file__).resolve().parents[1] / "docs"


def _run_example(page: str) -> dict[str, Any]:
    """Run the first Python code of a page and return the names it leaves."""
    text = (DOCS / page).read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code, f"{page} shows no Python code"
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code[1], page, "exec"), names)
    return names


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return _run_example("add_a_stage.md")


def test_example_stage_removes_a_hot_pixel_and_keeps_the_geometry(
    example: dict[str, Any],
) -> None:
    data = np.full((31, 37), 7.0)
    data[10, 20] = 1000
    image = ImageStack(data, "YX", pixel_size_nm=65, origin_nm=(5, 9))
    result = finish(example["STAGE"].run(image, example["MedianParameters"]()))
    assert result.data.dtype == np.float32
    assert (result.data == 7).all()
    assert (result.pixel_size_nm, result.origin_nm) == (65, (5, 9))
    assert result.history[-1].stage == "median"
    assert image.data[10, 20] == 1000


def test_example_stage_refuses_raw_frames(example: dict[str, Any]) -> None:
    frames = ImageStack(np.zeros((3, 3, 8, 8)), "APYX")
    with pytest.raises(InputError, match="allowed: YX"):
        finish(example["STAGE"].run(frames, example["MedianParameters"]()))


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("physics.md", "(3, 3, 128, 160) uint16"),
        ("metrics.md", "None no signal above the noise"),
    ],
)
def test_example_prints_what_its_page_says(
    page: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in (DOCS / page).read_text(encoding="utf-8")
    _run_example(page)
    assert line in capsys.readouterr().out.splitlines()


def test_api_example_writes_every_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_dps.stages import STAGES

    frames = np.random.default_rng(1).poisson(200, (9, 48, 64)) + 100
    tifffile.imwrite(tmp_path / "cell.tif", frames.astype(np.uint16))
    monkeypatch.chdir(tmp_path)
    _run_example("api.md")
    expected = {f"cell.{stage.id}.ome.tif" for stage in STAGES if stage.by_default}
    assert expected < {path.name for path in tmp_path.iterdir()}

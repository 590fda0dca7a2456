"""The report: strict JSON, written whole."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_dps.core import ImageStack, Optics, Pattern
from napari_dps.io import load_patterns, patterns_json, strict_json, write_json
from napari_dps.pipeline import PipelineResult, choose_steps
from napari_dps.pipeline.result import StageOutput
from napari_dps.results.picture import picture
from napari_dps.results.report import peak_memory_mb

OPTICS = Optics(na=1.4, emission_nm=525.0, pixel_size_nm=65.0)


def test_json_is_strict():
    values = {
        "nan": float("nan"),
        "list": (1, np.float32(0.5), float("inf")),
        "numpy": np.int64(3),
        "flag": np.bool_(True),
        "text": "µm",
        "none": None,
    }
    assert strict_json(values) == {
        "nan": None,
        "list": [1, 0.5, None],
        "numpy": 3,
        "flag": True,
        "text": "µm",
        "none": None,
    }
    json.dumps(strict_json(values), allow_nan=False)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json({"a": 1}, path)
    with pytest.raises(TypeError):
        write_json({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_patterns_of_a_report_can_be_read_again(tmp_path):
    patterns = (
        Pattern(angle_index=0, angle_deg=12, period_nm=200, modulation=0.5,
                phases_deg=(0, 120, 240), status="found", confidence=30),
        Pattern(angle_index=1, orders=[{"status": "not found"}]),
    )  # fmt: skip
    write_json({"patterns": patterns_json(patterns)}, tmp_path / "r.report.json")
    assert load_patterns(tmp_path / "r.report.json") == patterns


@pytest.mark.parametrize(
    ("warnings", "footing"),
    [
        ((), []),
        (("dark",), ["Warning: dark"]),
        (("dark", "blurred", "moved"), ["3 warnings, the first: dark"]),
    ],
)
def test_picture_tells_how_many_warnings_there_are_and_the_first(warnings, footing):
    image = ImageStack(np.ones((32, 32), np.float32), "YX")
    result = PipelineResult(input=image, first=image, outputs=(), warnings=warnings)
    texts = [text.get_text() for text in picture(result, "a").texts]
    assert texts[1:] == footing


def test_picture_shows_denoised_frames_as_their_mean():
    frames = np.ones((3, 3, 32, 32), np.float32)
    raw = ImageStack(frames, "APYX", pixel_size_nm=65.0, optics=OPTICS)
    step = next(step for step in choose_steps(raw) if step.stage.id == "denoise")
    denoised = StageOutput(step, raw, "APYX", raw.shape, None, 0.0, (), {})
    result = PipelineResult(input=raw, first=raw, outputs=(denoised,), warnings=())
    texts = texts_of(picture(result, "a"))
    assert any("Denoising" in text for text in texts)
    assert any("mean frame" in text for text in texts)


def texts_of(figure):
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return found + [axes.get_title() for axes in figure.axes]


def test_picture_states_no_resolution_but_that_of_the_self_check():
    plain = ImageStack(
        np.ones((32, 32), np.float32), "YX", pixel_size_nm=65.0, optics=OPTICS
    )
    steps = choose_steps(plain, ["background", "dps"])
    outputs = tuple(
        StageOutput(step, plain, "YX", plain.shape, None, 0.0, (), {}) for step in steps
    )
    result = PipelineResult(input=plain, first=plain, outputs=outputs, warnings=())
    assert not any("apart" in text for text in texts_of(picture(result, "a")))
    lines = {"input_nm": 142.4, "result_nm": None, "pairs": 16}
    texts = texts_of(picture(result, "a", self_check={"lines": lines, "points": {}}))
    told = [text for text in texts if "lines" in text]
    assert told == ["tells lines 142 nm apart", "self-check: no lines told apart"]


def test_peak_memory_counts_what_was_held():
    before = peak_memory_mb()
    if before is None:
        pytest.skip("this system does not tell a process's peak memory")
    block = np.ones(300 * 2**17)  # 300 MiB
    after = peak_memory_mb()
    assert block.nbytes / 2**20 == 300
    assert after > 300
    assert after >= before

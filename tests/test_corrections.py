"""Drift and bleaching of results: undone, reported, the same in blocks; raw stays."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_dps import io
from napari_dps.batch import Job, find_sources, run_batch
from napari_dps.core import ImageStack, finish
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import SimulationSettings, simulate_object
from napari_dps.pipeline import Settings, open_input, run_plan

TABLES = {
    "pipeline": {"stages": ["reconstruct"]},
    "output": {"drift_correct": True, "bleach_correct": True},
}
BOTH = Settings.from_tables(TABLES)
FINE = 4
"""Pixels of the object to one of the camera."""
STEPS = ((0, 0), (2, -1), (4, -2), (5, -4), (6, -5), (8, -6))
DRIFT_PX = np.array(STEPS) / FINE
DECAY = np.exp(-np.arange(6) / 7)


@pytest.fixture(scope="module")
def lapse() -> ImageStack:
    """Return a lapse that drifts and bleaches."""
    settings = SimulationSettings(photons=2000, seed=5, oversampling=FINE)
    emitters = phantom("er", (96 * FINE, 96 * FINE), pixel_size_nm=65 / FINE, seed=5)
    frames = []
    for steps, brightness in zip(STEPS, DECAY, strict=True):
        made = simulate_object(np.roll(emitters, steps, axis=(0, 1)), settings)
        frames.append(brightness * made.clean)
    return made.raw.derive(
        np.array(frames, np.float32), axes="TAPYX", patterns=made.patterns
    )


@pytest.fixture(scope="module")
def corrected(lapse):
    return finish(run_plan(open_input(lapse, BOTH)))


def test_drift_and_bleaching_are_measured(corrected):
    found = corrected.corrections
    np.testing.assert_allclose(found.drift_px, DRIFT_PX, atol=0.06)
    np.testing.assert_allclose(found.bleaching[0], 1 / DECAY, rtol=0.02)
    assert found.warnings == ()


def test_results_lie_where_the_first_lies_and_are_as_bright(lapse, corrected):
    plain = finish(run_plan(open_input(lapse, Settings(stages=("reconstruct",)))))
    inside = (slice(16, -16), slice(16, -16))

    def difference(result) -> float:
        first, *_, last = result.images[0].data
        return float(np.abs(last[inside] - first[inside]).mean() / first[inside].mean())

    assert difference(corrected) < 0.15
    assert difference(plain) > 0.5
    np.testing.assert_array_equal(corrected.images[0].data[0], plain.images[0].data[0])
    assert corrected.images[0].history[-1].stage == "corrections"


def test_raw_frames_that_a_stage_gives_are_not_corrected(lapse):
    asked = Settings.from_tables({**TABLES, "pipeline": {"stages": ["denoise"]}})
    plain = Settings(stages=("denoise",))
    first, second = (
        finish(run_plan(open_input(lapse, one))).images[0] for one in (asked, plain)
    )
    np.testing.assert_array_equal(first.data, second.data)
    assert first.history[-1].stage == "denoise"


@pytest.mark.parametrize("block", [0, 2])
def test_blocks_and_the_report_tell_the_same(
    lapse, corrected, tmp_path, monkeypatch, block
):
    if block:
        monkeypatch.setattr("napari_dps.batch.job.BLOCK_UNITS", block)
    path = io.save(lapse, tmp_path / "lapse.ome.tif")
    sources = find_sources([path], tmp_path / "o", BOTH)
    finish(run_batch(Job(BOTH), sources))
    written = io.load(tmp_path / "o" / "lapse.reconstruct.ome.tif")
    np.testing.assert_array_equal(written.data, corrected.images[0].data)
    report = json.loads((tmp_path / "o" / "lapse.report.json").read_text())
    np.testing.assert_allclose(
        report["corrections"]["drift_px"], corrected.corrections.drift_px, atol=1e-3
    )


def test_brightness_that_jumps_is_told(lapse):
    data = lapse.data * np.array([1, 0.5, 1, 0.5, 1, 0.5], np.float32)[
        :, None, None, None, None
    ]  # fmt: skip
    asked = Settings.from_tables({**TABLES, "output": {"bleach_correct": True}})
    result = finish(run_plan(open_input(lapse.derive(data), asked)))
    assert any("does not fall as bleaching" in text for text in result.warnings)


def test_a_single_time_point_needs_no_correction(lapse):
    alone = lapse.derive(lapse.data[0], axes="APYX")
    result = finish(run_plan(open_input(alone, BOTH)))
    assert result.corrections.to_json() == {}
    assert result.images[0].history[-1].stage == "reconstruct"


def test_maps_in_counts_are_corrected_as_the_result_is(lapse):
    wide = lapse.derive(lapse.data.mean(axis=(1, 2))[:3], axes="TYX")
    asked = {"method": "rl", "uncertainty": True, "invented": True}
    tables = {"pipeline": {"stages": ["dps"]}, "dps": asked}
    corrected, plain = (
        finish(run_plan(open_input(wide, Settings.from_tables(tables | output))))
        for output in ({"output": {"bleach_correct": True}}, {})
    )
    factors = corrected.corrections.bleaching[0]
    assert factors[-1] > 1.1 * factors[0]
    for name, values in plain.images[0].maps.items():
        expected = values * np.array(factors, np.float32)[:, None, None]
        np.testing.assert_allclose(corrected.images[0].maps[name], expected, rtol=1e-4)
    assert set(plain.images[0].maps) == {"uncertainty", "invented"}

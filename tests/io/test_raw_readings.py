"""Ways to read a plain stack: what the stripes show comes first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dps.io import RawReading, raw_readings
from napari_dps.io.picking import frame_numbers
from napari_dps.physics.simulate import SimulationSettings, simulate


def _frames(**changes: object) -> np.ndarray:
    values = {"height_px": 96, "width_px": 80, "photons": 400, **changes}
    raw = simulate(SimulationSettings(**values)).raw  # type: ignore[arg-type]
    return raw.data


@pytest.mark.parametrize(("angles", "phases"), [(3, 3), (3, 5), (5, 3), (4, 3)])
@pytest.mark.parametrize("is_angle_first", [True, False])
def test_stripes_tell_counts_and_order(
    angles: int, phases: int, is_angle_first: bool
) -> None:
    data = _frames(angles=angles, phases=phases)
    if not is_angle_first:
        data = data.transpose(1, 0, 2, 3)
    first = raw_readings(data.reshape(-1, *data.shape[-2:]))[0]
    assert first.is_shown
    assert (first.angles, first.phases) == (angles, phases)
    assert first.is_angle_first == is_angle_first


def test_time_points_and_extra_frames_are_seen() -> None:
    data = _frames().reshape(9, 96, 80)
    lapse = raw_readings(np.concatenate([data] * 3))[0]
    assert (lapse.order, lapse.sets, lapse.extra, lapse.frames) == ("tapyx", 3, 0, None)
    ten = np.concatenate([data, data.mean(0, keepdims=True).astype(data.dtype)])
    extra = raw_readings(np.concatenate([ten] * 3))[0]
    assert (extra.order, extra.sets, extra.extra) == ("tapyx", 3, 1)
    assert frame_numbers(extra.frames or "") == (list(range(9)), 10)
    assert frame_numbers(extra.other_frames or "") == ([9], 10)
    assert extra.words.endswith("3 time points and a widefield frame after each set")


def test_without_stripes_nothing_is_said_to_fit() -> None:
    noise = np.random.default_rng(1).poisson(40, (15, 64, 64))
    found = raw_readings(noise)
    assert not any(one.is_shown for one in found)
    assert found[0] == RawReading(3, 5, "apyx", 1)


def test_numbers_that_fit_nothing_give_no_reading() -> None:
    assert raw_readings(np.zeros((1, 32, 32))) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sim9_hela_mito/raw.tif", "3 angles × 3 phases, angle by angle"),
        ("sim9_er_timelapse/raw.tif", "3 angles × 3 phases, angle by angle, 3 time"),
        ("sim15_microtubules_pair/he_frames.tif", "3 angles × 5 phases, angle by"),
    ],
)
def test_real_frames_are_read_right(data_dir: Path, name: str, words: str) -> None:
    first = raw_readings(tifffile.imread(data_dir / name))[0]
    assert first.is_shown
    assert first.words.startswith(words)

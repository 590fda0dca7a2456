"""``napari-dps check``: its table, its JSON, its refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

OPTICS = ["--na", "1.4", "--emission-nm", "525", "--pixel-size-nm", "65"]


@pytest.fixture
def image(tmp_path):
    y, x = np.mgrid[:130, :140]
    blobs = np.exp(-((y % 60 - 30) ** 2 + (x % 60 - 30) ** 2) / 18)
    counts = np.random.default_rng(1).poisson(10 + 900 * blobs) + 100
    path = tmp_path / "blobs.tif"
    tifffile.imwrite(path, counts.astype(np.uint16))
    return path


@pytest.mark.slow
def test_check_tells_input_and_result(napari_dps, image):
    command = ["check", image, *OPTICS, "--camera-offset", "100", "--dps.method", "rl"]
    done = napari_dps(*command)
    assert done.code == 0
    rows = done.out.splitlines()
    assert rows[0].split() == ["pairs", "input", "result"]
    assert "lines" in rows[1]
    assert "points" in rows[2]
    told = json.loads(napari_dps(*command, "--json").out)
    assert told["points"]["result_nm"] < told["points"]["input_nm"]
    assert f"{told['lines']['input_nm']:.0f} nm" in rows[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--na"),
        ([*OPTICS, "--brightness", "0"], "brightness"),
        ([*OPTICS, "--dps.strength", "2"], "dps.strength"),
        ([*OPTICS, "--device", "abacus"], "device"),
    ],
)
def test_mistakes_are_told(napari_dps, image, options, message):
    done = napari_dps("check", image, *options)
    assert done.code == 2
    assert len(done.errors) == 1
    assert message in done.errors[0]

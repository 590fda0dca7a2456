"""``run --stages dps``: the uncertainty's file, and the PSF that is measured."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
import scipy.ndimage
import tifffile
from cli_options import OPTICS

from napari_dps import io
from napari_dps.cli.arguments import optics_tables
from napari_dps.core import ImageStack, Optics
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import blur_truth
from napari_dps.results import finished_row

PLAIN = ["--stages", "dps", "--dps.method", "rl"]
NARROW = ["--na", "1.4", "--emission-nm", "700", "--pixel-size-nm", "65"]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Nuclear pores at 2000 photons, NA 1.4 and 525 nm, pixels of 65 nm."""
    side = 96
    emitters = phantom(
        "nuclear_pores", (4 * side, 4 * side), pixel_size_nm=65 / 4, seed=1
    )
    truth = emitters.reshape(2 * side, 2, 2 * side, 2).sum(axis=(1, 3))
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=32.5)
    stack = ImageStack(truth, "YX", pixel_size_nm=32.5, optics=optics)
    clean = blur_truth(stack, modulation_factor=1).data
    clean = np.maximum(clean.reshape(side, 2, side, 2).mean(axis=(1, 3)), 0)
    clean *= 2000 / np.percentile(clean, 99.9)
    path = tmp_path_factory.mktemp("pores") / "pores.tif"
    counts = np.random.default_rng(1).poisson(clean + 40)
    tifffile.imwrite(path, counts.astype(np.uint16))
    return path


@pytest.mark.parametrize(
    ("optics", "expected"),
    [
        ({}, {"optics": {}, "dps": {}}),
        (
            {"modulation_factor": "1.7"},
            {"optics": {"modulation_factor": "1.7"}, "dps": {}},
        ),
        (
            {"na": "1.3", "modulation_factor": "auto"},
            {"optics": {"na": "1.3"}, "dps": {"psf": "measured"}},
        ),
    ],
)
def test_auto_asks_for_the_measured_psf(optics, expected):
    named = {f"optics.{name}": value for name, value in optics.items()}
    assert optics_tables(argparse.Namespace(**named)) == expected


@pytest.mark.slow
def test_auto_takes_the_width_of_the_image(napari_dps, image, tmp_path):
    command = ["run", image, *PLAIN, *NARROW, "--out"]
    assert napari_dps(*command, "stated").code == 0
    done = napari_dps(*command, "auto", "--modulation-factor", "auto")
    assert done.code == 0
    assert any("narrower than" in line for line in done.warnings)
    told = json.loads((tmp_path / "auto" / "pores.report.json").read_text("utf-8"))
    assert told["stages"][0]["parameters"]["psf"] == "measured"
    named = napari_dps(*command, "named", "--dps.psf", "measured")
    assert named.code == 0
    stated, auto, same = (
        io.load(tmp_path / folder / "pores.dps.ome.tif").data
        for folder in ("stated", "auto", "named")
    )
    np.testing.assert_array_equal(auto, same)
    assert np.abs(auto - stated).max() > 0.05 * stated.max()


@pytest.mark.slow
def test_stated_optics_that_contradict_the_image_are_warned_of(napari_dps, image):
    done = napari_dps("run", image, *PLAIN, *NARROW, "--out", "o")
    assert any("--dps.psf measured" in line for line in done.warnings)
    right = napari_dps("run", image, *PLAIN, *OPTICS, "--out", "r")
    assert right.warnings == []


@pytest.mark.parametrize("word", ["automatic", "0.1", "9", ""])
def test_other_words_for_the_modulation_factor_are_refused(napari_dps, image, word):
    done = napari_dps(
        "run", image, *PLAIN, *OPTICS, "--out", "o", "--modulation-factor", word
    )
    assert done.code == 2
    assert "modulation_factor" in done.errors[0]


def test_auto_without_dps_among_the_stages_is_refused(napari_dps, image):
    done = napari_dps(
        "run", image, "--stages", "background", *OPTICS, "--out", "o",
        "--modulation-factor", "auto",
    )  # fmt: skip
    assert done.code == 2
    assert "'dps'" in done.errors[0]


@pytest.mark.slow
def test_check_takes_auto_too(napari_dps, image):
    command = ["check", image, *NARROW, "--dps.method", "rl", "--json"]
    stated = json.loads(napari_dps(*command).out)
    auto = json.loads(napari_dps(*command, "--modulation-factor", "auto").out)
    assert auto["lines"]["input_nm"] < stated["lines"]["input_nm"]


@pytest.mark.slow
def test_uncertainty_is_written_beside_the_result(napari_dps, image, tmp_path):
    done = napari_dps(
        "run", image, *PLAIN, *OPTICS, "--out", "o", "--dps.uncertainty", "true"
    )
    assert done.code == 0
    result = io.load(tmp_path / "o" / "pores.dps.ome.tif")
    spread = io.load(tmp_path / "o" / "pores.dps.uncertainty.ome.tif")
    assert spread.shape == result.shape == (192, 192)
    assert spread.pixel_size_nm == result.pixel_size_nm == 32.5
    assert spread.origin_nm == result.origin_nm
    assert 0 < spread.data.mean() < result.data.mean()


@pytest.mark.slow
def test_without_the_option_there_is_no_such_file(napari_dps, image, tmp_path):
    assert napari_dps("run", image, *PLAIN, *OPTICS, "--out", "o").code == 0
    assert not list((tmp_path / "o").glob("*uncertainty*"))


@pytest.mark.slow
def test_self_check_is_in_the_report_when_asked_for(napari_dps, tmp_path):
    rng = np.random.default_rng(0)
    image = np.zeros((160, 160))
    image[rng.integers(8, 152, 60), rng.integers(8, 152, 60)] = 1
    smooth = scipy.ndimage.gaussian_filter(image, 1.2)
    counts = rng.poisson(10 + 400 * smooth / smooth.max()).astype(np.uint16)
    tifffile.imwrite(tmp_path / "beads.tif", counts)
    optics = ["--na", "1.4", "--emission-nm", "525", "--pixel-size-nm", "65"]
    options = ["beads.tif", *optics, "--stages", "dps", "--dps.method", "rl"]
    done = napari_dps("run", *options, "--self-check", "--out", "o")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "o" / "beads.report.json").read_text("utf-8"))
    lines = report["self_check"]["lines"]
    assert lines["result_nm"] < lines["input_nm"]
    plain = ["beads.tif", *optics, "--stages", "background", "--self-check"]
    done = napari_dps("run", *plain, "--out", "p")
    assert done.code != 0
    assert "does not run" in done.err


@pytest.mark.slow
def test_what_is_invented_is_written_and_told(napari_dps, image, tmp_path):
    done = napari_dps(
        "run", image, *PLAIN, *OPTICS, "--out", "o", "--dps.invented", "true"
    )
    assert done.code == 0
    folder = tmp_path / "o"
    result = io.load(folder / "pores.dps.ome.tif")
    found = io.load(folder / "pores.dps.invented.ome.tif")
    assert found.shape == result.shape == (192, 192)
    assert found.pixel_size_nm == result.pixel_size_nm
    report = json.loads((folder / "pores.report.json").read_text(encoding="utf-8"))
    told = report["stages"][0]["invented"]
    light = float(np.maximum(result.data, 0).sum())
    assert told["share"] == pytest.approx(np.maximum(found.data, 0).sum() / light, 0.01)
    y, x = told["brightest_yx_px"]
    assert found.data[y, x] == found.data.max()
    assert any("beyond what the data support" in line for line in done.out.splitlines())
    assert "pores.dps.invented.ome.tif" in report["files"]
    row = finished_row(image, report, was_done=False)
    assert row["dps_invented"] == told["share"]
    assert napari_dps("run", image, *PLAIN, *OPTICS, "--out", "o").code == 0
    assert not list(folder.glob("*invented*"))

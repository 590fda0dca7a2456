"""``napari-dps measure``, ``simulate``, ``psf`` and ``demo``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from cli_options import OPTICS

from napari_dps import io
from napari_dps.cli import demo
from napari_dps.physics.psf import sr_psf
from napari_dps.stages import STAGES

DEFAULT_STAGES = [stage for stage in STAGES if stage.by_default]


def _cells(line):
    return [cell for cell in line.split("  ") if cell.strip()]


def test_measure_prints_a_table(napari_dps, files):
    done = napari_dps("measure", files / "image.tif")
    assert done.code == 0
    values = {line.split()[0]: line.split()[-1] for line in done.out.splitlines()}
    mean = tifffile.imread(files / "image.tif").mean()
    assert float(values["mean"]) == pytest.approx(mean, rel=1e-3)


def test_measure_prints_strict_json(napari_dps, files):
    done = napari_dps("measure", files / "image.tif", "--json", "--pixel-size-nm", "65",
                      "--reference", files / "image.tif")  # fmt: skip
    assert done.code == 0
    values = json.loads(done.out, parse_constant=pytest.fail)
    assert values["pearson"] == pytest.approx(1)
    assert values["ssim"] == pytest.approx(1)
    ratio = (
        values["resolution_decorrelation_nm"] / values["resolution_decorrelation_px"]
    )
    assert ratio == pytest.approx(65)


def test_measure_of_many_planes_says_that_it_takes_the_first(napari_dps, files):
    done = napari_dps("measure", files / "times.tif", "--json")
    assert done.code == 0
    assert "first of 27 planes" in done.warnings[0]
    first = tifffile.imread(files / "times.tif")[0, 0]
    assert json.loads(done.out)["mean"] == pytest.approx(first.mean())


def test_simulate_makes_a_three_beam_stack(napari_dps, tmp_path):
    done = napari_dps("simulate", "--three-beam", "--planes", "3", "--height-px", "32",
                      "--width-px", "36", "--out", "cell.ome.tif")  # fmt: skip
    assert done.code == 0, done.err
    raw = io.load(tmp_path / "cell.ome.tif")
    assert raw.axes == "ZAPYX"
    assert raw.shape == (3, 3, 5, 32, 36)


def test_simulate_writes_stack_truth_and_patterns(napari_dps, tmp_path):
    done = napari_dps("simulate", "--structure", "microtubules", "--out",
                      "new/cell.ome.tif", "--height-px", "40", "--width-px", "52",
                      "--phases", "5", "--seed", "4", *OPTICS)  # fmt: skip
    assert done.code == 0
    names = ["cell.ome.tif", "cell.patterns.json", "cell.truth.ome.tif"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    raw = io.load(tmp_path / "new" / "cell.ome.tif")
    assert (raw.axes, raw.shape) == ("APYX", (3, 5, 40, 52))
    assert raw.data.dtype == np.uint16
    assert raw.optics.emission_nm == 525
    truth = io.load(tmp_path / "new" / "cell.truth.ome.tif")
    assert truth.shape == (80, 104)
    assert truth.origin_nm == pytest.approx((-16.25, -16.25))
    patterns = io.load_patterns(tmp_path / "new" / "cell.patterns.json")
    assert [len(p.orders) for p in patterns] == [2, 2, 2]
    settings = json.loads((tmp_path / "new" / "cell.patterns.json").read_text())
    assert settings["simulation"]["seed"] == 4


def test_simulate_repeats_itself(napari_dps, tmp_path):
    for name in ("a", "b"):
        napari_dps("simulate", "--out", f"{name}.ome.tif", "--height-px", "32",
                   "--width-px", "32")  # fmt: skip
    first, second = (io.load(tmp_path / f"{n}.ome.tif").data for n in "ab")
    np.testing.assert_array_equal(first, second)


def test_psf_writes_image_and_plot(napari_dps, tmp_path):
    done = napari_dps("psf", *OPTICS, "--modulation-factor", "1.8", "--size", "33",
                      "--out", "p.tif")  # fmt: skip
    assert done.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.png", "p.tif"]
    psf = io.load(tmp_path / "p.tif")
    assert (psf.shape, psf.pixel_size_nm) == ((33, 33), pytest.approx(65))
    np.testing.assert_allclose(psf.data, sr_psf(psf.optics, (33, 33)), rtol=1e-6)
    assert "107.2 nm" in done.out  # 0.5145 λ/(mf NA)
    assert "127.0 nm" in done.out  # 0.6098 λ/(mf NA)
    assert "under-sampled" in done.warnings[0]


@pytest.mark.slow
def test_psf_chooses_pixels_and_size_that_show_it(napari_dps, tmp_path):
    done = napari_dps("psf", "--na", "1.4", "--emission-nm", "525", "--out", "p.tif")
    assert done.code == 0
    assert done.warnings == []
    psf = io.load(tmp_path / "p.tif")
    assert psf.pixel_size_nm == pytest.approx(525 / 2.8 / 4, abs=0.05)
    assert psf.shape[0] % 2 == 1
    assert psf.data.argmax() == psf.data.size // 2


@pytest.mark.slow
def test_demo_scores_every_stage_against_the_truth(napari_dps, tmp_path, monkeypatch):
    small = {**demo.SETTINGS, "height_px": 160, "width_px": 160, "photons": 1000}
    monkeypatch.setattr(demo, "SETTINGS", small)
    done = napari_dps("demo", "--out", "d")
    assert done.code == 0
    ids = [stage.id for stage in DEFAULT_STAGES]
    names = {f"demo.{one}.ome.tif" for one in ids}
    names |= {
        "demo.dps.error.ome.tif",
        "demo.ome.tif",
        "demo.truth.ome.tif",
        "demo.report.json",
        "demo.png",
    }
    assert {path.name for path in (tmp_path / "d").iterdir()} == names
    metrics = json.loads((tmp_path / "d" / "demo.report.json").read_text())["metrics"]
    gain = metrics["reconstruct"]["psnr_db"] - metrics["input"]["psnr_db"]
    assert gain > 2
    heading, *rows = done.out.splitlines()[: len(ids) + 2]
    assert _cells(heading)[0].strip() == "PSNR (dB)"
    assert [row.split()[0] for row in rows] == ["widefield", *ids]
    row = rows[1 + ids.index("reconstruct")]
    assert f"{metrics['reconstruct']['ssim']:.4g}" in row
    fair = done.out.splitlines()[len(ids) + 2]
    assert fair.startswith(f"{ids[-2]}, truth of dps ")
    assert float(_cells(rows[-1])[1]) > float(_cells(fair)[1])

"""``napari-dps otf``, and its result used with ``--otf``."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps import io
from napari_dps.core import ImageStack
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.physics.simulate_volume import simulate_emitters

LIGHT = {
    "phases": 5,
    "beams": "three",
    "modulation": 4 / 3,
    "second_modulation": 2 / 3,
    "pixel_size_nm": 80.0,
    "haze_fraction": 0.0,
    "period_nm": 395.0,
    "oversampling": 2,
}
LAYOUT = ["--angles", "3", "--phases", "5", "--camera-offset", "100"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A stack of beads and one of shells, as files."""
    folder = tmp_path_factory.mktemp("otf")
    settings = SimulationSettings(
        **LIGHT, structure="points", planes=32, height_px=64, width_px=64
    )
    emitters = np.zeros((32, 128, 128), np.float32)
    emitters[16, 65, 62] = 1
    io.save(simulate_emitters(emitters, settings).raw, folder / "beads.ome.tif")
    cell = simulate(
        SimulationSettings(
            **LIGHT, structure="shells", planes=8, height_px=64, width_px=64
        )
    )
    io.save(cell.raw, folder / "cell.ome.tif")
    return folder


def test_beads_give_an_otf_that_reconstructions_use(napari_dps, folder, tmp_path):
    done = napari_dps("otf", folder / "beads.ome.tif", "--out", "otf.ome.tif",
                      "--bead-nm", "0", "--period-nm", "395", *LAYOUT)  # fmt: skip
    assert done.code == 0, done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["otf.ome.tif", "otf.png"]
    likeness = [line.split()[-1] for line in done.out.splitlines() if "order" in line]
    assert [float(r) > 0.99 for r in likeness] == [True] * 3
    images = []
    for name, options in (("ideal", []), ("measured", ["--otf", "otf.ome.tif"])):
        done = napari_dps("run", folder / "cell.ome.tif", "--out", name, *LAYOUT,
                          "--stages", "reconstruct", *options)  # fmt: skip
        assert done.code == 0, done.err
        result = next((tmp_path / name).glob("*reconstruct*.tif"))
        images.append(io.load(result).data)
    noted = {entry.stage: entry.parameters for entry in io.load(result).history}
    assert noted["measured OTF"] == {"files": ["otf.ome.tif"]}
    assert not np.array_equal(*images)
    assert np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1] > 0.99


def test_an_otf_of_other_optics_is_refused(napari_dps, folder, tmp_path):
    napari_dps("otf", folder / "beads.ome.tif", "--out", "otf.ome.tif", *LAYOUT)
    done = napari_dps("run", folder / "cell.ome.tif", "--out", "out", *LAYOUT,
                      "--emission-nm", "680", "--otf", "otf.ome.tif")  # fmt: skip
    assert done.code != 0
    assert "525 nm" in done.err + done.out
    assert "--otf" in done.err + done.out


def test_no_file_is_left_where_there_are_no_beads(napari_dps, tmp_path):
    noise = np.random.default_rng(0).poisson(50, (20, 40, 40)).astype(np.uint16)
    io.save(
        ImageStack(noise, "ZYX", pixel_size_nm=80, z_step_nm=125), tmp_path / "n.tif"
    )
    done = napari_dps("otf", "n.tif", "--out", "otf.tif", "--na", "1.4",
                      "--emission-nm", "525")  # fmt: skip
    assert done.code == 2
    assert "no beads" in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["n.tif"]

"""Files of OTFs: our own, and those of softWoRx and cudasirecon."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tifffile

from napari_dps.core import InputError, Optics
from napari_dps.core.otf import MeasuredOtf
from napari_dps.io import read_otf, save_otf

OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=80)


def tables(orders=3, radii=9, axial=8):
    rng = np.random.default_rng(0)
    return rng.normal(size=(orders, radii, axial)).astype(np.float32)


def mrc_file(path, values, *, axial=0.1, radial=0.2, mode=4, order="<"):
    """As radialft writes it: x is kz, y is kr, steps in cycles per µm."""
    head = bytearray(1024)
    struct.pack_into(f"{order}4i", head, 0, *values.shape[::-1], mode)
    struct.pack_into(f"{order}2f", head, 40, axial, radial)
    struct.pack_into(f"{order}h", head, 96, -16224)
    path.write_bytes(bytes(head) + values.astype(f"{order}c8").tobytes())
    return path


@pytest.mark.parametrize("orders", [1, 3])
def test_what_is_written_is_read_back(tmp_path, orders):
    otf = MeasuredOtf(tables(orders), 1.5e-4, 8e-5, OPTICS)
    save_otf(otf, tmp_path / "otf.ome.tif", beads=4, optics=OPTICS)
    found = read_otf(tmp_path / "otf.ome.tif")
    np.testing.assert_array_equal(found.values, otf.values)
    assert (found.radial_step_per_nm, found.axial_step_per_nm) == (1.5e-4, 8e-5)
    assert found.optics is not None
    assert found.optics.na == OPTICS.na
    assert found.optics.emission_nm == OPTICS.emission_nm


@pytest.mark.parametrize("order", ["<", ">"])
def test_complex_sections_of_softworx_are_orders(tmp_path, order):
    values = tables() + 1j * tables()
    found = read_otf(mrc_file(tmp_path / "psf.otf", values, order=order))
    np.testing.assert_allclose(found.values, values)
    assert found.radial_step_per_nm == pytest.approx(2e-4)
    assert found.axial_step_per_nm == pytest.approx(1e-4)


def test_five_sections_are_cosines_and_sines(tmp_path):
    values = tables(5) + 0j
    found = read_otf(mrc_file(tmp_path / "psf.dv", values))
    np.testing.assert_allclose(found.values[2], values[3] + 1j * values[4])


def test_a_tiff_of_cudasirecon_has_the_steps_of_the_image(tmp_path):
    values = (tables() + 1j * tables()).astype(np.complex64)
    pages = values.view(np.float32)
    tifffile.imwrite(tmp_path / "otf.tif", pages, photometric="minisblack")
    found = read_otf(tmp_path / "otf.tif", pixel_size_nm=80, z_step_nm=125)
    np.testing.assert_allclose(found.values, values)
    assert found.radial_step_per_nm == pytest.approx(1 / (16 * 80))
    assert found.axial_step_per_nm == pytest.approx(1 / (8 * 125))
    with pytest.raises(InputError, match="does not tell its steps"):
        read_otf(tmp_path / "otf.tif")


def test_damaged_and_foreign_files_are_refused(tmp_path):
    whole = mrc_file(tmp_path / "a.otf", tables() + 0j)
    (tmp_path / "b.otf").write_bytes(whole.read_bytes()[:-1])
    with pytest.raises(InputError, match="truncated"):
        read_otf(tmp_path / "b.otf")
    with pytest.raises(InputError, match="not complex"):
        read_otf(mrc_file(tmp_path / "c.otf", tables() + 0j, mode=2))
    content = bytearray(mrc_file(tmp_path / "d.otf", tables() + 0j).read_bytes())
    struct.pack_into("<3i", content, 0, 1 << 30, 1 << 30, 1 << 30)
    (tmp_path / "d.otf").write_bytes(bytes(content))
    with pytest.raises(InputError, match="sections"):
        read_otf(tmp_path / "d.otf")
    with pytest.raises(InputError, match="cycles per"):
        read_otf(mrc_file(tmp_path / "e.otf", tables() + 0j, radial=0.0))
    tifffile.imwrite(tmp_path / "image.tif", np.zeros((9, 9), np.uint16))
    with pytest.raises(InputError, match="is no OTF"):
        read_otf(tmp_path / "image.tif")
    with pytest.raises(InputError, match="cannot read"):
        read_otf(tmp_path / "none.tif")


def test_impossible_steps_of_our_file_are_refused(tmp_path):
    otf = MeasuredOtf(tables(), 0.0, 8e-5, OPTICS)
    save_otf(otf, tmp_path / "otf.tif", beads=1, optics=OPTICS)
    with pytest.raises(InputError, match="steps are missing"):
        read_otf(tmp_path / "otf.tif")

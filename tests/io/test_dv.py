"""DeltaVision files, written by the library `mrc`."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import mrc
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from napari_dps.core import InputError
from napari_dps.io import load, read

FRAMES = np.arange(3 * 2 * 5 * 8 * 6, dtype=np.uint16).reshape(30, 8, 6)


@pytest.fixture
def omx(tmp_path: Path) -> Path:
    """Angle, z, phase in the Z axis, as an OMX writes it; a name without meaning."""
    path = tmp_path / "raw.bin"
    lens = {"LensNum": 10002, "wave": [525, 0, 0, 0, 0]}
    mrc.imwrite(str(path), FRAMES, resolution=(0.08, 0.08, 0.125), metadata=lens)
    return path


def test_omx_order_is_the_default_for_deltavision(omx: Path) -> None:
    stack = load(omx, angles=3, phases=5)
    assert stack.axes == "ZAPYX"
    assert_array_equal(
        stack.data, FRAMES[:, ::-1].reshape(3, 2, 5, 8, 6).swapaxes(0, 1)
    )


def test_metadata_come_from_the_header(omx: Path) -> None:
    metadata = read(omx).metadata
    assert metadata.pixel_size_nm == pytest.approx(80)
    assert metadata.z_step_nm == pytest.approx(125)
    assert metadata.emission_nm == 525
    assert metadata.channel_emission_nm == (525,)
    assert metadata.na == 1.4


def test_pixels_are_exact_for_big_endian_files(omx: Path) -> None:
    from mrc._new import BE_HDR, LE_HDR

    content = omx.read_bytes()
    header = BE_HDR.pack(*LE_HDR.unpack(content[:1024]))
    omx.write_bytes(header + FRAMES.astype(">u2").tobytes())
    stack = load(omx)
    assert stack.data.dtype.isnative
    assert_array_equal(stack.data, FRAMES[:, ::-1])


def test_truncated_file_is_refused_at_every_length(omx: Path) -> None:
    content = omx.read_bytes()
    for length in np.linspace(98, len(content) - 1, 30, dtype=int):
        omx.write_bytes(content[:length])
        with pytest.raises(InputError, match="truncated"):
            read(omx)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, 0), (0, -5), (0, 2**30), (8, 7), (12, 3), (12, 4), (12, 99)],
)
def test_damaged_header_is_refused(omx: Path, offset: int, value: int) -> None:
    content = bytearray(omx.read_bytes())
    struct.pack_into("<i", content, offset, value)
    if offset == 8:
        struct.pack_into("<h", content, 180, 2)  # seven sections at two times
    omx.write_bytes(content)
    with pytest.raises(InputError):
        read(omx)


def test_missing_extra_is_named(omx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mrc", None)
    with pytest.raises(InputError, match=r'pip install "napari-dps\[dv\]"'):
        read(omx)

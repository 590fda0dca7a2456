"""What `save` writes, `load` restores, and other programs open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from napari_dps.core import HistoryEntry, ImageStack, InputError, Optics, Pattern
from napari_dps.core.types import AXES
from napari_dps.io import load, save

TYPES = ("uint8", "uint16", "int8", "int16", "float32")

PATTERNS = (
    Pattern(angle_deg=30.0, period_nm=200.0, phases_deg=(0, 120, 240)),
    Pattern(angle_index=1, orders=[{"status": "not found"}]),
)
HISTORY = (
    HistoryEntry("denoise", {"name": "ü<&>", "on": True}, "0.1", 1.5, ("weak",)),
    HistoryEntry("background", {"radius_px": 50}, "0.1", 0.25, (), "ab12"),
)


def full_stack(data: np.ndarray, axes: str) -> ImageStack:
    return ImageStack(
        data,
        axes,
        pixel_size_nm=32.5,
        origin_nm=(-16.25, 1e-7),
        optics=Optics(na=1.3, emission_nm=660, pixel_size_nm=32.5),
        patterns=PATTERNS,
        history=HISTORY,
        z_step_nm=125.0,
        frame_interval_s=0.1,
        channel_names=("DAPI", 'µ "G"') if "C" in axes else (),
    )


@st.composite
def stacks(draw: st.DrawFn) -> ImageStack:
    lead = draw(st.sets(st.sampled_from("TCZAP")))
    axes = "".join(axis for axis in AXES if axis in lead) + "YX"
    shape = [draw(st.integers(1, 3)) for _ in lead]
    shape += [draw(st.integers(1, 17)), draw(st.integers(1, 17))]
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = rng.normal(0, 50, shape).astype(dtype)
    finite = st.floats(-1e9, 1e9)
    text = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=9)
    names = [draw(text) for _ in range(shape[axes.index("C")])] if "C" in axes else []
    values = st.one_of(st.integers(-9, 9), finite, st.booleans(), st.text(max_size=5))
    entry = HistoryEntry(
        draw(st.text(max_size=9)),
        draw(st.dictionaries(st.text(max_size=5), values, max_size=3)),
        "0.1",
        draw(st.floats(0, 1e6)),
    )
    return ImageStack(
        data,
        axes,
        pixel_size_nm=draw(st.none() | st.floats(1, 10000)),
        origin_nm=(draw(finite), draw(finite)),
        history=(entry,),
        z_step_nm=draw(st.none() | st.floats(1, 1e5)),
        frame_interval_s=draw(st.none() | st.floats(1e-6, 1e6)),
        channel_names=tuple(names) if any(names) else (),
    )


@pytest.mark.slow
@given(stack=stacks(), compression=st.sampled_from(["none", "zlib"]))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_load_restores_everything_when_save_wrote_any_stack(
    tmp_path: Path, stack: ImageStack, compression: str
) -> None:
    back = load(save(stack, tmp_path / "a.ome.tif", compression=compression))
    assert back.axes == stack.axes
    assert back.data.dtype == stack.data.dtype
    assert_array_equal(back.data, stack.data)
    for name in (
        "pixel_size_nm",
        "origin_nm",
        "history",
        "z_step_nm",
        "frame_interval_s",
        "channel_names",
    ):
        assert getattr(back, name) == getattr(stack, name)


@pytest.mark.parametrize("name", ["a.ome.tif", "b.tiff", "c.ome.zarr"])
@pytest.mark.parametrize("axes", ["YX", "APYX", "TCZAPYX", "ZPYX", "CZYX"])
def test_load_restores_optics_and_patterns_when_saved(
    tmp_path: Path, name: str, axes: str
) -> None:
    shape = dict(zip(AXES, (2, 2, 2, 3, 5, 12, 10), strict=True))
    data = np.arange(np.prod([shape[a] for a in axes]), dtype=np.float32)
    stack = full_stack(data.reshape([shape[a] for a in axes]), axes)
    back = load(save(stack, tmp_path / name))
    assert back.axes == axes
    assert_array_equal(back.data, stack.data)
    assert back.optics == stack.optics
    assert back.patterns == PATTERNS
    assert back.history == HISTORY
    assert back.origin_nm == stack.origin_nm
    assert back.pixel_size_nm == 32.5
    assert back.channel_names == stack.channel_names


@pytest.mark.parametrize("axes", ["YX", "APYX", "TCZAPYX", "PYX"])
def test_ome_xml_is_valid_against_the_schema(tmp_path: Path, axes: str) -> None:
    data = np.zeros([2] * (len(axes) - 2) + [8, 6], np.float32)
    path = save(full_stack(data, axes), tmp_path / "a.ome.tif")
    xml = tifffile.tiffcomment(path)
    ome_types.validate_xml(xml)
    pixels = ome_types.from_xml(xml).images[0].pixels
    assert pixels.physical_size_x == 32.5
    assert pixels.physical_size_x_unit.value == "nm"
    assert pixels.planes[0].position_y == -16.25
    assert pixels.channels[0].emission_wavelength == 660
    assert ome_types.from_xml(xml).instruments[0].objectives[0].lens_na == 1.3


def test_ome_xml_is_valid_when_names_hold_control_characters(tmp_path: Path) -> None:
    stack = ImageStack(
        np.zeros((2, 8, 6), np.uint8), "CYX", channel_names=("a\x00b", "\ud800\uffff")
    )
    path = save(stack, tmp_path / "a\x01.tif")
    ome_types.validate_xml(tifffile.tiffcomment(path))
    assert load(path).channel_names == ("a?b", "?")


def test_tifffile_sees_time_channel_z_and_folded_sim_frames(tmp_path: Path) -> None:
    data = np.arange(2 * 2 * 2 * 9 * 20, dtype=np.uint16)
    data = data.reshape(2, 2, 2, 3, 3, 5, 4)
    path = save(ImageStack(data, "TCZAPYX"), tmp_path / "a.ome.tif")
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert tif.series[0].axes == "TCZQYX"
        assert_array_equal(tif.asarray(), data.reshape(2, 2, 2, 9, 5, 4))


def test_save_writes_canonical_axes_when_the_stack_has_others(tmp_path: Path) -> None:
    data = np.arange(2 * 3 * 20, dtype=np.int16).reshape(2, 3, 5, 4)
    back = load(save(ImageStack(data, "PTYX"), tmp_path / "a.tif"))
    assert back.axes == "TPYX"
    assert_array_equal(back.data, data.swapaxes(0, 1))


@pytest.mark.parametrize("dtype", [">u2", "int32", "float64", "float16", ">f4"])
def test_save_stores_float32_unless_small_integers(tmp_path: Path, dtype: str) -> None:
    data = np.arange(20).astype(dtype).reshape(5, 4)
    back = load(save(ImageStack(data, "YX"), tmp_path / "a.tif"))
    assert back.data.dtype == ("uint16" if dtype == ">u2" else "float32")
    assert back.data.dtype.isnative
    assert_array_equal(back.data, data)


def test_load_keeps_no_hold_of_the_file(tmp_path: Path) -> None:
    stack = ImageStack(np.ones((3, 3, 8, 8), np.float32), "APYX")
    path = save(stack, tmp_path / "a.tif")
    data = load(path).data
    assert not isinstance(data, np.memmap)
    path.write_bytes(b"")
    assert data.min() == 1


def test_load_keeps_the_files_own_axes_when_it_was_cropped_elsewhere(
    tmp_path: Path,
) -> None:
    path = save(
        ImageStack(np.zeros((3, 3, 8, 8), np.float32), "APYX"), tmp_path / "a.tif"
    )
    xml = tifffile.tiffcomment(path).replace('SizeZ="9"', 'SizeZ="4"')
    xml = xml.replace('PlaneCount="9"', 'PlaneCount="4"').replace("modulo", "x")
    tifffile.imwrite(
        tmp_path / "b.tif",
        np.zeros((4, 8, 8), np.float32),
        photometric="minisblack",
        description=xml,
        metadata=None,
    )
    assert load(tmp_path / "b.tif").axes == "ZYX"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("history", '[{"stage": 3}]'),
        ("patterns", '[{"period_nm": -1}]'),
        ("optics", '{"na": 1.3}'),
        ("origin_nm", "[NaN, 0]x"),
        ("history", "[" * 5000),
    ],
)
def test_load_ignores_stored_json_with_a_warning_when_invalid(
    tmp_path: Path, name: str, wrong: str
) -> None:
    stack = full_stack(np.ones((8, 8), np.float32), "YX")
    path = save(stack, tmp_path / "a.tif")
    root = ome_types.from_tiff(path)
    for entry in root.structured_annotations.map_annotations[0].value.ms:
        if entry.k == name:
            entry.value = wrong
    xml = root.to_xml().encode("ascii", "xmlcharrefreplace").decode("ascii")
    tifffile.imwrite(path, np.ones((8, 8), np.float32), description=xml, metadata=None)
    messages: list[str] = []
    back = load(path, warn=messages.append)
    assert any(name in message for message in messages)
    assert back.pixel_size_nm == 32.5


@pytest.mark.parametrize("name", ["a.png", "a", "a.ome"])
def test_save_refuses_an_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="output name"):
        save(ImageStack(np.zeros((4, 4)), "YX"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_save_refuses_to_overwrite_an_input(tmp_path: Path) -> None:
    stack = ImageStack(np.zeros((4, 4), np.uint8), "YX")
    path = save(stack, tmp_path / "a.tif")
    before = path.read_bytes()
    other = tmp_path / "sub" / ".." / "a.tif"
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match="also an input"):
        save(stack, other, inputs=[path])
    assert path.read_bytes() == before


def test_save_leaves_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = ImageStack(np.zeros((4, 4), np.uint8), "YX")
    path = save(stack, tmp_path / "a.tif")
    before = path.read_bytes()

    def full(file: Path, *args: object, **options: object) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(InputError, match="the disk is full"):
        save(stack, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_save_asks_for_bigtiff_when_the_stack_exceeds_four_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}

    def imwrite(file: Path, *args: object, **options: object) -> None:
        seen.update(options)
        Path(file).touch()

    monkeypatch.setattr(tifffile, "imwrite", imwrite)
    row = np.broadcast_to(np.float32(0), (300, 2048, 2048))
    save(ImageStack(row, "TYX"), tmp_path / "a.tif")
    assert seen["bigtiff"] is True
    save(ImageStack(row[:10], "TYX"), tmp_path / "b.tif")
    assert seen["bigtiff"] is False

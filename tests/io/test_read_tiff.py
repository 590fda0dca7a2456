"""TIFF of other programs, and files that must be refused."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

from napari_dps.core import ImageStack, InputError
from napari_dps.io import load, read, save

STACK = np.random.default_rng(0).integers(0, 1000, (9, 32, 40)).astype(np.uint16)


def ome(**options: object) -> dict[str, object]:
    return {"ome": True, "metadata": {"axes": "ZYX", **options}}


@pytest.mark.parametrize(
    ("unit", "size"),
    [("nm", 65.0), ("µm", 0.065), ("mm", 65e-6), ("Å", 650.0), ("pm", 65000.0)],
)
def test_pixel_size_is_65_nm_for_every_ome_unit(
    tmp_path: Path, unit: str, size: float
) -> None:
    sizes = {f"PhysicalSize{a}": size for a in "XY"}
    units = {f"PhysicalSize{a}Unit": unit for a in "XY"}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, **ome(**sizes, **units))
    assert load(path).pixel_size_nm == pytest.approx(65)


def test_ome_lengths_are_micrometres_when_no_unit_is_given(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    sizes = {"PhysicalSizeX": 0.065, "PhysicalSizeY": 0.065, "PhysicalSizeZ": 0.2}
    tifffile.imwrite(path, STACK, **ome(**sizes, TimeIncrement=2.0))
    stack = load(path)
    assert stack.pixel_size_nm == pytest.approx(65)
    assert stack.z_step_nm == pytest.approx(200)
    assert stack.frame_interval_s == 2.0


def test_optics_come_from_ome_objective_and_channel(tmp_path: Path) -> None:
    # The attributes of a Bio-Formats export, 2013 schema, written by hand.
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/'
        '2013-06"><Instrument ID="Instrument:0"><Objective ID="Objective:0" '
        'LensNA="0.8"/><Objective ID="Objective:1" LensNA="1.4"/></Instrument>'
        '<Image ID="Image:0"><ObjectiveSettings ID="Objective:1"/>'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="40" '
        'SizeY="32" SizeZ="9" SizeC="1" SizeT="1" PhysicalSizeX="0.08" '
        'PhysicalSizeY="0.08"><Channel ID="Channel:0" Name="GFP" '
        'EmissionWavelength="525"/><TiffData IFD="0" PlaneCount="9"/></Pixels>'
        "</Image></OME>"
    )
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, description=xml, metadata=None)
    stack = load(path)
    assert stack.axes == "ZYX"
    assert stack.optics is not None
    assert (stack.optics.na, stack.optics.emission_nm) == (1.4, 525)
    assert stack.optics.pixel_size_nm == pytest.approx(80)
    assert stack.channel_names == ("GFP",)


@pytest.mark.parametrize(
    ("waves", "expected", "common"),
    [
        (("525", "610.5"), (525.0, 610.5), None),
        (("525", ""), (525.0, None), None),
        (("525", "525"), (525.0, 525.0), 525.0),
        (("", ""), (), None),
    ],
)
def test_emission_wavelengths_are_read_for_each_channel(
    tmp_path: Path,
    waves: tuple[str, ...],
    expected: tuple[float | None, ...],
    common: float | None,
) -> None:
    channels = "".join(
        f'<Channel EmissionWavelength="{wave}"/>' if wave else "<Channel/>"
        for wave in waves
    )
    xml = (
        '<OME xmlns="http://x"><Image ID="Image:0"><Pixels ID="P:0" Type="uint16" '
        'DimensionOrder="XYZCT" SizeX="40" SizeY="32" SizeZ="1" SizeC="2" SizeT="1">'
        f'{channels}<TiffData IFD="0" PlaneCount="2"/></Pixels></Image></OME>'
    )
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:2], description=xml, metadata=None)
    metadata = read(path).metadata
    assert metadata.channel_emission_nm == expected
    assert metadata.emission_nm == common


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m", "nm"])
def test_pixel_size_comes_from_imagej(tmp_path: Path, unit: str) -> None:
    size = 65.0 if unit == "nm" else 0.065
    spacing = 200.0 if unit == "nm" else 0.2
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        STACK,
        imagej=True,
        resolution=(1 / size, 1 / size),
        metadata={"axes": "ZYX", "unit": unit, "spacing": spacing},
    )
    stack = load(path)
    assert stack.axes == "ZYX"
    assert stack.pixel_size_nm == pytest.approx(65, rel=1e-6)
    assert stack.z_step_nm == pytest.approx(200)


def test_frame_interval_comes_from_imagej(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "TYX", "finterval": 0.5, "unit": "pixel"}
    tifffile.imwrite(path, STACK, imagej=True, resolution=(1, 1), metadata=metadata)
    stack = load(path)
    assert stack.frame_interval_s == 0.5
    assert stack.pixel_size_nm is None


@pytest.mark.parametrize(("axes", "interval_s"), [("TYX", 4.5), ("TZYX", 0.5)])
def test_frame_interval_of_raw_frames_is_that_between_sets(
    tmp_path: Path, axes: str, interval_s: float
) -> None:
    frames = np.random.default_rng(1).integers(90, 200, (18, 8, 9), dtype=np.uint16)
    data = frames if axes == "TYX" else frames.reshape(2, 9, 8, 9)
    metadata = {"axes": axes, "finterval": 0.5}
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata=metadata)
    stack = load(tmp_path / "a.tif", angles=3, phases=3)
    assert stack.axes == "TAPYX"
    assert stack.frame_interval_s == interval_s


@pytest.mark.parametrize("dpi", [72, 96, 300, 2400])
def test_pixel_size_is_unknown_when_the_resolution_is_a_printers(
    tmp_path: Path, dpi: int
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, resolution=(dpi, dpi), resolutionunit="INCH")
    messages: list[str] = []
    assert load(path, warn=messages.append).pixel_size_nm is None
    assert messages == []


def test_pixel_size_comes_from_a_microscopes_resolution_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    per_cm = (10_000_000, 65)
    tifffile.imwrite(
        path, STACK, resolution=(per_cm, per_cm), resolutionunit="CENTIMETER"
    )
    assert load(path).pixel_size_nm == pytest.approx(65, rel=1e-6)


def test_pixel_size_is_unknown_with_a_warning_when_not_square(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, **ome(PhysicalSizeX=0.065, PhysicalSizeY=0.13))
    messages: list[str] = []
    assert load(path, warn=messages.append).pixel_size_nm is None
    assert any("not square" in message for message in messages)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": True},
        {"compression": "zstd", "tile": (16, 16)},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"rowsperstrip": 5},
        {"photometric": "miniswhite"},
    ],
)
def test_pixels_are_exact_for_every_kind_of_plain_tiff(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "raw ünï (1).dat"  # the name says nothing
    tifffile.imwrite(path, STACK, **options)
    stack = load(path)
    assert stack.axes == "TYX"
    assert stack.data.dtype.isnative
    assert_array_equal(stack.data, STACK)


def test_only_the_first_series_is_read_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK)
        writer.write(STACK[0, :16, :16])
    messages: list[str] = []
    assert load(path, warn=messages.append).shape == STACK.shape
    assert any("2 images" in message for message in messages)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("separate", [False, True])
def test_truncated_file_is_refused_at_every_length(
    tmp_path: Path, compression: str | None, separate: bool
) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in STACK if separate else [STACK]:
            writer.write(
                frame, compression=compression, contiguous=False, metadata=None
            )
    whole = path.read_bytes()
    for length in np.linspace(1, len(whole) - 40, 60, dtype=int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            load(path)


def test_truncated_own_file_is_refused_at_every_length(tmp_path: Path) -> None:
    stack = ImageStack(STACK.reshape(3, 3, 32, 40), "APYX")
    path = save(stack, tmp_path / "a.tif")
    whole = path.read_bytes()
    # The last bytes hold resolution tags: without them all pixels are there.
    for length in np.linspace(1, len(whole) - 40, 60, dtype=int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            load(path)


def test_damaged_header_gives_an_image_or_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, compression="lzw")
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, 400, 2):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            load(path, warn=lambda message: None)
        except InputError:
            refused += 1
    assert refused > 50


def test_huge_header_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    tags = [(256, 4, 400_000), (257, 4, 400_000), (258, 3, 16), (259, 3, 8)]
    tags += [(262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, 400_000), (279, 4, 100)]
    ifd = struct.pack("<H", len(tags))
    for code, kind, value in tags:
        ifd += struct.pack("<HHII", code, kind, 1, value)
    head = struct.pack("<2sHI", b"II", 42, 108)
    path = tmp_path / "a.tif"
    path.write_bytes(head + bytes(100) + ifd + bytes(4))
    with pytest.raises(InputError, match="far more than the file can hold"):
        read(path)


def test_circular_chain_of_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0], metadata=None)
    data = bytearray(path.read_bytes())
    first = struct.unpack_from("<I", data, 4)[0]
    tags = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * tags, first)
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or damaged"):
        read(path)


def test_xml_entities_are_refused(tmp_path: Path) -> None:
    xml = '<!DOCTYPE a [<!ENTITY b "c">]><OME>&b;</OME>'
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, description=xml, metadata=None)
    with pytest.raises(InputError, match="entities"):
        read(path)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb_is_refused(tmp_path: Path, planar: str) -> None:
    shape = (16, 20, 3) if planar == "contig" else (3, 16, 20)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros(shape, np.uint8), photometric="rgb", planarconfig=planar
    )
    with pytest.raises(InputError, match=r"RGB.*one channel"):
        load(path)


@pytest.mark.parametrize("dtype", ["complex64", "bool"])
def test_complex_and_bool_are_refused(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 20), dtype))
    with pytest.raises(InputError, match="pixel type"):
        load(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_nan_and_inf_are_counted(tmp_path: Path, compression: str | None) -> None:
    data = np.ones((3, 8, 10), np.float32)
    data[0, 1, 2], data[2, 3, 4], data[2, 0, 0] = np.nan, np.inf, -np.inf
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, compression=compression, photometric="minisblack")
    with pytest.raises(InputError, match="3 of 240 pixels are not finite"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"just text, renamed", "not an image file"),
        (b"II*\0", "truncated"),
        (b"II*\0\0\0\0\0", "no image"),
        (b"PK\x03\x04rest", "ZIP.*Fiji"),
        (b"\x89PNG\r\n", "PNG"),
        (bytes(208) + b"MAP " + bytes(900), "electron"),
    ],
)
def test_other_content_is_named_and_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "none.tif")
    with pytest.raises(InputError, match="is a folder"):
        load(tmp_path)


def test_tifffile_logs_nothing_while_reading(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, **ome())
    whole = path.read_bytes()
    with caplog.at_level(logging.DEBUG):
        path.write_bytes(whole.replace(b'SizeZ="9"', b'SizeZ="8"'))
        read(path)
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError):
            read(path)
    assert [r for r in caplog.records if r.name == "tifffile"] == []


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("lead", "angles", "phases", "axes"),
    [
        ((3,), 1, 3, "APYX"),
        ((4,), 2, 2, "APYX"),
        ((3, 3), 3, 3, "APYX"),
        ((5, 3), 1, 3, "TAPYX"),
    ],
)
def test_planes_that_are_called_colours_are_frames_where_the_counts_say_so(
    tmp_path: Path,
    lead: tuple[int, ...],
    angles: int,
    phases: int,
    axes: str,
    compression: str | None,
    lazy: bool,
) -> None:
    frames = np.random.default_rng(0).integers(0, 99, (*lead, 16, 20)).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        frames,
        photometric="rgb",
        planarconfig="separate",
        compression=compression,
    )
    with pytest.raises(InputError, match=r"RGB.*how many angles and phases"):
        load(path, lazy=lazy)
    with pytest.raises(InputError, match="RGB"):
        load(path, angles=5, phases=5, lazy=lazy)
    stack = load(path, angles=angles, phases=phases, lazy=lazy, warn=lambda _: None)
    assert stack.axes == axes
    assert_array_equal(np.asarray(stack.data).reshape(frames.shape), frames)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_nine_samples_a_pixel_are_nine_frames(
    tmp_path: Path, planar: str, lazy: bool
) -> None:
    frames = np.random.default_rng(0).integers(0, 99, (9, 16, 20)).astype(np.uint8)
    data = frames if planar == "separate" else np.moveaxis(frames, 0, -1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, photometric="minisblack", planarconfig=planar)
    stack = load(path, angles=3, phases=3, lazy=lazy, warn=lambda _: None)
    assert_array_equal(np.asarray(stack.data).reshape(frames.shape), frames)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_frames_written_one_by_one_are_one_stack(
    tmp_path: Path, compression: str | None, lazy: bool
) -> None:
    frames = np.random.default_rng(0).integers(0, 99, (9, 16, 20)).astype(np.uint16)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in frames:
            writer.write(frame, compression=compression)
    messages: list[str] = []
    stack = load(path, angles=3, phases=3, lazy=lazy, warn=messages.append)
    assert_array_equal(np.asarray(stack.data).reshape(frames.shape), frames)
    assert "9 images of one plane each: read as one stack" in messages


def test_thumbnails_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK, photometric="minisblack")
        writer.write(STACK[0, ::4, ::4], subfiletype=1)
    messages: list[str] = []
    assert_array_equal(load(path, warn=messages.append).data, STACK)
    assert messages == []


def write_lsm(path: Path, frames: np.ndarray) -> None:
    """Write a z stack as Zeiss LSM does: a thumbnail after each plane."""
    info = bytearray(500)
    z, y, x = frames.shape
    struct.pack_into("<6i", info, 0, 0x0400494C, 500, x, y, z, 1)
    struct.pack_into("<2i", info, 24, 1, 2)
    struct.pack_into("<3d", info, 40, 65e-9, 65e-9, 2e-7)
    tags = [(34412, "B", 500, bytes(info), True)]
    with tifffile.TiffWriter(path, byteorder="<") as writer:
        for i, frame in enumerate(frames):
            writer.write(
                frame,
                photometric="minisblack",
                metadata=None,
                extratags=tags if i == 0 else (),
                contiguous=False,
            )
            writer.write(
                frame[::4, ::4], subfiletype=1, metadata=None, contiguous=False
            )


def test_voxel_size_of_lsm_is_read_and_its_thumbnails_are_not(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 99, (5, 16, 20)).astype(np.uint16)
    path = tmp_path / "a.lsm"
    write_lsm(path, frames)
    messages: list[str] = []
    stack = load(path, warn=messages.append)
    assert stack.axes == "ZYX"
    assert_array_equal(stack.data, frames)
    assert stack.pixel_size_nm == pytest.approx(65)
    assert stack.z_step_nm == pytest.approx(200)
    assert messages == []


def test_imagej_stack_that_promises_more_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    text = "ImageJ=1.54f\nimages=2000000000\nframes=2000000000\n"
    tifffile.imwrite(
        path,
        np.zeros((16, 20), np.uint8),
        photometric="minisblack",
        description=text,
        metadata=None,
    )
    with pytest.raises(InputError, match="truncated: 2000000000 planes promised"):
        load(path)

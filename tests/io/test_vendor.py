"""CZI, ND2 and LIF: real files where they can be written, a stand-in for the rest."""

from __future__ import annotations

import struct
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from napari_dps.core import InputError
from napari_dps.io import layout_of, load, read, suspect_raw
from napari_dps.io.instruments import recognised
from napari_dps.io.vendor import MARKS

DATA = np.arange(4 * 2 * 3 * 32 * 40, dtype=np.uint16).reshape(4, 2, 3, 32, 40)


def write_czi(path: Path, data: np.ndarray = DATA, **options: Any) -> Path:
    czi = pytest.importorskip("pylibCZIrw.czi", reason="CZI files cannot be written")
    pytest.importorskip("bioio_czi", reason="the extra formats is not installed")
    with czi.create_czi(str(path)) as document:
        for t, c, z in np.ndindex(data.shape[:3]):
            plane = {"T": t, "C": c, "Z": z}
            document.write(data[t, c, z][..., None], plane=plane, **options)
        document.write_metadata(
            channel_names={0: "GFP", 1: "RFP"},
            scale_x=65e-9,
            scale_y=65e-9,
            scale_z=200e-9,
        )
    return path


def write_lif(path: Path, scenes: int = 1) -> Path:
    """Write a LIF file by hand: a block of XML, then one of pixels for each scene."""
    pytest.importorskip("bioio_lif", reason="the extra formats is not installed")
    (t, c, z, y, x), item = DATA.shape, DATA.itemsize
    plane = y * x * item
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" Min="0" '
        f'Max="65535" Unit="" NameOfMeasuredQuantity="" IsLUTInverted="0" '
        f'LUTName="{name}" BytesInc="{i * plane}" BitInc="0"/>'
        for i, name in enumerate(("Green", "Red"))
    )
    axes = (
        (1, x, 65e-9, "m", item),
        (2, y, 65e-9, "m", x * item),
        (3, z, 200e-9, "m", c * plane),
        (4, t, 2.0, "s", z * c * plane),
    )
    dimensions = "".join(
        f'<DimensionDescription DimID="{number}" NumberOfElements="{size}" Origin="0" '
        f'Length="{step * (size - 1)}" Unit="{unit}" BytesInc="{increment}" '
        'BitInc="0"/>'
        for number, size, step, unit, increment in axes
    )
    image = (
        '<Data><Image><Attachment Name="HardwareSetting"><ATLCameraSettingDefinition '
        'NumericalAperture="1.4" RefractionIndex="1.518"/></Attachment>'
        f"<ImageDescription><Channels>{channels}</Channels><Dimensions>{dimensions}"
        "</Dimensions></ImageDescription></Image></Data>"
    )
    elements = "".join(
        f'<Element Name="Series{i}">{image}<Memory Size="{DATA.nbytes}" '
        f'MemoryBlockID="MemBlock_{i}"/><Children/></Element>'
        for i in range(1, scenes + 1)
    )
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="p"><Memory Size="0" '
        f'MemoryBlockID="MemBlock_0"/><Children>{elements}</Children></Element>'
        "</LMSDataContainerHeader>"
    )
    text = xml.encode("utf-16-le")
    content = struct.pack("<IIBI", 0x70, 5 + len(text), 0x2A, len(xml)) + text
    for i in range(scenes + 1):
        pixels = np.ascontiguousarray((DATA + max(i - 1, 0)).swapaxes(1, 2))
        held = pixels.astype(DATA.dtype).tobytes() if i else b""
        name = f"MemBlock_{i}"
        content += struct.pack("<IIBQ", 0x70, 14 + 2 * len(name), 0x2A, len(held))
        content += struct.pack("<BI", 0x2A, len(name)) + name.encode("utf-16-le") + held
    path.write_bytes(content)
    return path


class StandIn:
    """What the readers of BioIO offer, made of an array."""

    data = DATA
    order = "TCZYX"
    scenes = ("first",)
    channel_names = ("GFP", "RFP")
    time_interval = timedelta(seconds=2)
    physical_pixel_sizes = SimpleNamespace(X=0.065, Y=0.065, Z=0.2)
    xml = (
        '<OME xmlns="http://x"><Instrument><Objective ID="o" LensNA="1.49"/>'
        '</Instrument><Image ID="i"><ObjectiveSettings ID="o" RefractiveIndex="1.515"/>'
        '<Pixels ID="p"><Channel EmissionWavelength="525"/>'
        '<Channel EmissionWavelength="610"/></Pixels></Image></OME>'
    )

    def __init__(self, path: str) -> None:
        self.path = path
        self.dims = SimpleNamespace(order=self.order, shape=self.data.shape)
        self.dtype = self.data.dtype

    @property
    def ome_metadata(self) -> SimpleNamespace:
        return SimpleNamespace(to_xml=lambda: self.xml)

    @property
    def metadata(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.xml)

    def get_image_data(self, order: str, **where: int) -> np.ndarray:
        assert order == "YX"
        return self.data[tuple(where[axis] for axis in self.order[:-2])]


def stand_in(
    monkeypatch: pytest.MonkeyPatch, path: Path, kind: str, **attributes: object
) -> Path:
    module = ModuleType(f"bioio_{kind}")
    module.Reader = type("Reader", (StandIn,), attributes)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    mark = next(mark for mark, name in MARKS.items() if name == kind)
    path.write_bytes(mark + b"rest")
    return path


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("writer", [write_czi, write_lif])
def test_pixels_and_spacings_of_a_real_file(
    tmp_path: Path, writer: Any, lazy: bool
) -> None:
    messages: list[str] = []
    stack = load(writer(tmp_path / "a ü.dat"), lazy=lazy, warn=messages.append)
    assert isinstance(stack.data, da.Array if lazy else np.ndarray)
    assert stack.axes == "TCZYX"
    assert_array_equal(stack.data, DATA)
    assert stack.pixel_size_nm == pytest.approx(65)
    assert stack.z_step_nm == pytest.approx(200)
    assert len(stack.channel_names) == 2
    assert messages == []


def test_raw_frames_of_a_real_czi_file_are_arranged(tmp_path: Path) -> None:
    data = DATA.reshape(2, 1, 12, 32, 40)[:, :, :9]
    path = write_czi(tmp_path / "a.czi", data)
    stack = load(path, angles=3, phases=3, lazy=True)
    assert stack.axes == "TAPYX"
    assert stack.data.chunksize == (1, 1, 1, 32, 40)
    assert_array_equal(stack.data, data.reshape(2, 3, 3, 32, 40))


def test_optics_and_interval_of_a_real_lif_file(tmp_path: Path) -> None:
    metadata = read(write_lif(tmp_path / "a.lif")).metadata
    assert (metadata.na, metadata.refractive_index) == (1.4, 1.518)
    assert metadata.frame_interval_s == pytest.approx(2)
    assert metadata.channel_names == ("Green", "Red")


def test_first_scene_is_read_with_a_warning(tmp_path: Path) -> None:
    messages: list[str] = []
    stack = load(write_lif(tmp_path / "a.lif", scenes=2), warn=messages.append)
    assert_array_equal(stack.data, DATA)
    assert messages == ["2 scenes in the file: the first one, Series1, is read"]


@pytest.mark.parametrize("lazy", [False, True])
def test_scene_that_is_chosen_is_read(tmp_path: Path, lazy: bool) -> None:
    path = write_lif(tmp_path / "a.lif", scenes=2)
    image = read(path, lazy=lazy, series=1)
    assert_array_equal(np.asarray(image.data), DATA + 1)
    assert image.metadata.warnings == ()
    with pytest.raises(InputError, match="got 2; allowed: 0 to 1"):
        read(path, lazy=lazy, series=2)


@pytest.mark.slow
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("writer", [write_czi, write_lif])
def test_truncated_real_file_is_refused(
    tmp_path: Path, writer: Any, lazy: bool
) -> None:
    path = writer(tmp_path / "a.dat")
    load(path, lazy=lazy)
    whole = path.read_bytes()
    for length in np.linspace(20, len(whole) - 1, 15, dtype=int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.dat"):
            load(path, lazy=lazy)


def test_czi_file_of_colours_or_tiles_is_refused(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", np.zeros((1, 1, 1, 8, 6, 3), np.uint8)[..., 0])
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(tmp_path / "b.czi")) as document:
        document.write(np.zeros((8, 6, 3), np.uint8), plane={"T": 0, "C": 0, "Z": 0})
    with czi.create_czi(str(tmp_path / "c.czi")) as document:
        for x in (0, 5):
            document.write(
                np.zeros((8, 6, 1), np.uint8),
                plane={"T": 0, "C": 0, "Z": 0},
                location=(x, 0),
            )
    assert load(path).shape == (8, 6)
    with pytest.raises(InputError, match="RGB"):
        load(tmp_path / "b.czi")
    with pytest.raises(InputError, match="mosaic of 2 tiles"):
        load(tmp_path / "c.czi")


def test_nd2_metadata_come_from_bioio_and_its_ome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stand_in(monkeypatch, tmp_path / "a.nd2", "nd2")
    raw = read(path)
    assert raw.axes == "TCZYX"
    assert_array_equal(raw.data, DATA)
    metadata = raw.metadata
    assert metadata.pixel_size_nm == pytest.approx(65)
    assert metadata.frame_interval_s == 2
    assert metadata.channel_names == ("GFP", "RFP")
    assert (metadata.na, metadata.refractive_index) == (1.49, 1.515)
    assert metadata.channel_emission_nm == (525, 610)
    assert metadata.emission_nm is None


def test_czi_optics_come_from_the_xml_that_zen_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xml = (
        "<ImageDocument><Metadata><Information><Image><ObjectiveSettings>"
        '<ObjectiveRef Id="Objective:2"/><RefractiveIndex>1.518</RefractiveIndex>'
        "</ObjectiveSettings><Dimensions><Channels>"
        '<Channel Id="Channel:0"><EmissionWavelength>525.5</EmissionWavelength>'
        '</Channel><Channel Id="Channel:1"/></Channels></Dimensions></Image>'
        "<Instrument><Objectives>"
        '<Objective Id="Objective:1"><LensNA>0.8</LensNA></Objective>'
        '<Objective Id="Objective:2"><LensNA>1.4</LensNA></Objective>'
        "</Objectives></Instrument></Information></Metadata></ImageDocument>"
    )
    metadata = read(stand_in(monkeypatch, tmp_path / "a.czi", "czi", xml=xml)).metadata
    assert (metadata.na, metadata.refractive_index) == (1.4, 1.518)
    assert metadata.channel_emission_nm == (525.5, None)


@pytest.mark.parametrize(
    ("kind", "mention", "shape", "key"),
    [
        ("nd2", '<Image Name="N-SIM 488">', (2, 96, 96), "n-sim"),
        ("nd2", '<Image Name="3D-SIM, N-SIM">', (2, 96, 160), "n-sim-3d"),
        ("nd2", '<Image Name="Ti2">', (2, 96, 96), None),
        ("czi", '<Microscope Name="Elyra 7"/>', (9, 64, 64), "elyra-lattice"),
        ("czi", "<Microscope><System>ELYRA PS.1</System></Microscope>", (9, 64, 64),
         "elyra"),
        ("czi", '<Microscope Name="LSM 980"/>', (9, 64, 64), None),
    ],
)  # fmt: skip
def test_instrument_is_recognised_where_the_file_mentions_it(
    monkeypatch, tmp_path, kind, mention, shape, key
) -> None:
    xml = f"<Information><Instrument>{mention}</Instrument></Information>"
    if kind == "nd2":
        xml = f'<OME xmlns="http://x">{mention}<Pixels ID="p"/></Image></OME>'
    else:
        xml = f"<ImageDocument>{xml}</ImageDocument>"
    data = np.random.default_rng(0).poisson(9, (1, 1, *shape)).astype(np.uint16)
    made = {"xml": xml, "data": data, "channel_names": ("GFP",)}
    raw = read(stand_in(monkeypatch, tmp_path / f"a.{kind}", kind, **made))
    found = recognised(raw)
    assert (found and found.key) == key
    asked = suspect_raw(raw)
    if key is not None:
        assert f"add input.instrument {key}" in asked.message
    else:
        assert asked is None or "instrument" not in asked.message


def test_tiled_frames_of_n_sim_are_known_by_their_number(monkeypatch, tmp_path) -> None:
    data = np.random.default_rng(0).poisson(9, (1, 1, 2, 96, 96)).astype(np.uint16)
    made = {
        "xml": '<OME xmlns="x"><Image Name="N-SIM"><Pixels ID="p"/></Image></OME>',
        "data": data,
        "channel_names": ("GFP",),
    }
    path = stand_in(monkeypatch, tmp_path / "a.nd2", "nd2", **made)
    assert layout_of("auto", read(path), 3, 3, None) == (3, 3, "montage")
    assert layout_of("auto", read(path), 2, 1, None) == (2, 1, None)
    assert layout_of("auto", read(path), None, None, None) == (None, None, None)


def test_czi_rotations_and_phases_are_angles_and_phases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DATA.reshape(1, 3, 1, 5, -1)[..., :80].reshape(1, 3, 1, 5, 8, 10)
    options = {"data": data, "order": "TRCHYX", "xml": "<a/>", "channel_names": None}
    path = stand_in(monkeypatch, tmp_path / "a.czi", "czi", **options)
    assert read(path).axes == "APYX"
    for counts in ({}, {"angles": 3, "phases": 5}):
        stack = load(path, **counts)
        assert stack.axes == "APYX"
        assert_array_equal(stack.data, data.reshape(3, 5, 8, 10))


def test_czi_phases_that_count_all_raw_frames_are_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DATA.reshape(1, 15, -1)[..., :160].reshape(2, 15, 8, 10)
    options = {"data": data, "order": "THYX", "xml": "<a/>"}
    path = stand_in(monkeypatch, tmp_path / "a.czi", "czi", **options)
    stack = load(path, angles=3, phases=5)
    assert stack.axes == "TAPYX"
    assert_array_equal(stack.data, data.reshape(2, 3, 5, 8, 10))


@pytest.mark.parametrize("xml", ["<OME", "<!DOCTYPE a [<!ENTITY b 'c'>]><OME/>"])
def test_metadata_that_cannot_be_read_are_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xml: str
) -> None:
    messages: list[str] = []
    path = stand_in(monkeypatch, tmp_path / "a.nd2", "nd2", xml=xml)
    stack = load(path, warn=messages.append)
    assert stack.optics is None
    assert any("optics in the file's metadata" in message for message in messages)


@pytest.mark.parametrize("kind", ["czi", "nd2", "lif"])
def test_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = stand_in(monkeypatch, tmp_path / "a.tif", kind)
    monkeypatch.setitem(sys.modules, f"bioio_{kind}", None)
    expected = rf'{kind.upper()} file.*pip install "napari-dps\[formats\]"'
    with pytest.raises(InputError, match=expected):
        load(path)


def test_failure_of_a_reader_is_one_line_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: StandIn, path: str) -> None:
        raise RuntimeError("no\n  map")

    path = stand_in(monkeypatch, tmp_path / "a.nd2", "nd2", __init__=fail)
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value) == "a.nd2 is not a readable Nikon ND2 file: no map"


def write_plain_lif(path: Path, images: dict[str, dict[int, int]]) -> Path:
    """Write a LIF file of 8-bit images: names, and sizes by the number of the axis."""
    pytest.importorskip("bioio_lif", reason="the extra formats is not installed")
    elements, blocks = "", b""
    for i, (name, sizes) in enumerate(images.items()):
        axes, step = "", 1
        for number, size in sizes.items():
            axes += (
                f'<DimensionDescription DimID="{number}" NumberOfElements="{size}" '
                f'Origin="0" Length="1e-05" Unit="m" BitInc="0" BytesInc="{step}"/>'
            )
            step *= size
        elements += (
            f'<Element Name="{name}" Visibility="1" UniqueID="{i}"><Data><Image>'
            '<ImageDescription><Channels><ChannelDescription DataType="0" '
            'ChannelTag="0" Resolution="8" NameOfMeasuredQuantity="" Min="0" Max="255" '
            'Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="0" BitInc="0"/>'
            f"</Channels><Dimensions>{axes}</Dimensions></ImageDescription></Image>"
            f'</Data><Memory Size="{step}" MemoryBlockID="MemBlock_{i}"/></Element>'
        )
        memory = f"MemBlock_{i}".encode("utf-16-le")
        held = min(step, 100_000)
        blocks += struct.pack("<IIBQB", 0x70, 14 + len(memory), 0x2A, held, 0x2A)
        blocks += struct.pack("<I", len(memory) // 2) + memory + bytes(held)
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="p" Visibility="1" '
        f'UniqueID="p"><Children>{elements}</Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2)
    path.write_bytes(head + xml + blocks)
    return path


XYZ, LAMBDA, XZT = {1: 32, 2: 32, 3: 5}, {1: 32, 2: 32, 5: 10}, {1: 32, 3: 32, 4: 5}


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"scan": LAMBDA}, r"scan, has an axis that is not read: wavelength.* 10 "),
        ({"scan": {1: 8, 2: 8, 9: 3}}, "excitation wavelength"),
        ({"scan": {1: 8, 2: 8, 6: 3}}, "rotation"),
        ({"scan": XZT}, "has the axes T, Z, X, and no Y"),
        ({"scan": LAMBDA, "z": XYZ, "xz": XZT}, r"can be: (p/)?z; export"),
        ({"scan": {1: 32, 2: 32, 4: 2_000_000_000}}, "2000000000 planes"),
    ],
)
def test_lif_file_of_other_axes_names_them(
    tmp_path: Path, images: dict[str, dict[int, int]], message: str
) -> None:
    path = write_plain_lif(tmp_path / "a.lif", images)
    with pytest.raises(InputError, match=rf"a\.lif: .*{message}"):
        read(path)


def test_lif_axis_of_one_entry_does_not_matter(tmp_path: Path) -> None:
    path = write_plain_lif(tmp_path / "a.lif", {"scan": {1: 32, 2: 30, 5: 1}})
    assert read(path).data.shape == (30, 32)


def test_file_of_an_instrument_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = write_plain_lif(tmp_path / "a.lif", {"scan": XYZ})
    data = read(path, lazy=True).data
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(InputError, match="the file has become shorter"):
        data[0]


def test_logs_of_the_readers_stay_off_the_terminal(tmp_path: Path) -> None:
    path = write_plain_lif(tmp_path / "a.lif", {"scan": XYZ})
    code = f"""
import logging
from napari_dps.io import read
read({str(path)!r})
logging.getLogger("bioio_lif.reader").warning("for programmers")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

"""Small whole files of every kind that can be written here."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_dps.core import HistoryEntry, ImageStack, Optics, Pattern
from napari_dps.core.otf import MeasuredOtf
from napari_dps.io import patterns_json, save, save_otf
from napari_dps.pipeline import Settings
from napari_dps.stages import STAGES

FRAMES = np.random.default_rng(0).integers(0, 999, (9, 12, 16)).astype(np.uint16)
OPTICS = Optics(na=1.3, emission_nm=600, pixel_size_nm=65)
PATTERNS = (
    Pattern(angle_deg=30.0, period_nm=200.0, phases_deg=(0, 120, 240)),
    Pattern(angle_index=1, orders=[{"status": "not found"}]),
)


def stack() -> ImageStack:
    return ImageStack(
        FRAMES.reshape(3, 3, 12, 16),
        "APYX",
        pixel_size_nm=65.0,
        origin_nm=(10.0, -3.0),
        optics=OPTICS,
        patterns=PATTERNS,
        history=(HistoryEntry("background", {"radius_px": 50}, "0.1", 0.25, (), "ab"),),
    )


def _tiff(**options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tifffile.imwrite(path, FRAMES, photometric="minisblack", **options)

    return write


def _one_by_one(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        for frame in FRAMES:
            writer.write(frame)


def _own(path: Path) -> None:
    save(stack(), path)


def _two_files(path: Path) -> None:
    """An image in two files, of which the first is the seed."""
    names = [path.name, f"other-{path.name}"]
    blocks = "".join(
        f'<TiffData IFD="0" FirstT="{5 * i}" PlaneCount="{5 - i}">'
        f'<UUID FileName="{name}">urn:uuid:{i}</UUID></TiffData>'
        for i, name in enumerate(names)
    )
    for i, name in enumerate(names):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="http://x" UUID="urn:uuid:{i}"><Image '
            'ID="Image:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" '
            'SizeX="16" SizeY="12" SizeZ="1" SizeC="1" SizeT="9" PhysicalSizeX="0.065" '
            f'PhysicalSizeY="0.065"><Channel ID="C:0"/>{blocks}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            path.with_name(name),
            FRAMES[5 * i : 5 * i + 5],
            photometric="minisblack",
            description=xml,
            metadata=None,
        )


def _dv(path: Path) -> None:
    import mrc

    lens = {"LensNum": 10002, "wave": [525, 0, 0, 0, 0]}
    mrc.imwrite(str(path), FRAMES, resolution=(0.08, 0.08, 0.125), metadata=lens)


def _lif(path: Path) -> None:
    axes, step = "", 2
    for number, size in ((1, 16), (2, 12), (3, 9)):
        axes += (
            f'<DimensionDescription DimID="{number}" NumberOfElements="{size}" '
            f'Origin="0" Length="1e-06" Unit="m" BitInc="0" BytesInc="{step}"/>'
        )
        step *= size
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="p" Visibility="1" '
        'UniqueID="p"><Children><Element Name="a" Visibility="1" UniqueID="a"><Data>'
        "<Image><ImageDescription><Channels><ChannelDescription "
        'DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
        'Max="255" Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="0" BitInc="0"/>'
        f"</Channels><Dimensions>{axes}</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{step}" MemoryBlockID="MemBlock_1"/></Element></Children>'
        "</Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    memory = "MemBlock_1".encode("utf-16-le")
    path.write_bytes(
        struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2)
        + xml
        + struct.pack("<IIBQB", 0x70, 14 + len(memory), 0x2A, FRAMES.nbytes, 0x2A)
        + struct.pack("<I", len(memory) // 2)
        + memory
        + FRAMES.tobytes()
    )


IMAGES: dict[str, Callable[[Path], None]] = {
    "plain.tif": _tiff(),
    "zlib.tif": _tiff(compression="zlib"),
    "lzw-tiled.tif": _tiff(compression="lzw", tile=(16, 16)),
    "packbits.tif": _tiff(compression="packbits", rowsperstrip=5),
    "big.tif": _tiff(bigtiff=True, byteorder=">"),
    "imagej.tif": _tiff(
        imagej=True,
        resolution=(1 / 0.065, 1 / 0.065),
        metadata={"unit": "um", "finterval": 1.5, "spacing": 0.2, "axes": "TYX"},
    ),
    "ome.tif": _tiff(ome=True, metadata={"axes": "TYX", "PhysicalSizeX": 0.065}),
    "planar.tif": lambda path: tifffile.imwrite(
        path, stack().data, photometric="rgb", planarconfig="separate"
    ),
    "one-by-one.tif": _one_by_one,
    "own.tif": _own,
    "two-files.tif": _two_files,
    "a.dv": _dv,
    "a.lif": _lif,
}


def settings_toml() -> bytes:
    import tomli_w

    tables = {
        "pipeline": {"stages": ["reconstruct", "background"]},
        "input": {"angles": 3, "phases": 5, "order": "apyx", "camera_offset": 100.0},
        "optics": {"na": 1.3, "emission_nm": [525, 600], "pixel_size_nm": 65.0},
        "output": {"keep": "last", "format": "zarr"},
    }
    tables |= {s.id: s.parameters().model_dump(exclude_none=True) for s in STAGES}
    return tomli_w.dumps(Settings.from_tables(tables).to_tables()).encode()


def patterns_text(suffix: str) -> bytes:
    import tomli_w

    listed = patterns_json(PATTERNS)
    if suffix == ".json":
        return json.dumps({"patterns": listed}).encode()
    plain = [{"angle_deg": 121.0, "period_nm": 356.7}, {"angle_deg": 2, "period_nm": 9}]
    return tomli_w.dumps({"patterns": plain}).encode()


def write_otfs(folder: Path) -> dict[str, bytes]:
    """Return files of OTFs by their names: ours, and those of two other programs."""
    values = np.random.default_rng(3).normal(size=(3, 9, 8)).astype(np.float32)
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=80)
    ours = folder / "otf.ome.tif"
    save_otf(MeasuredOtf(values, 1.5e-4, 8e-5, optics), ours, beads=2, optics=optics)
    head = bytearray(1024)
    struct.pack_into("<4i", head, 0, *values.shape[::-1], 4)
    struct.pack_into("<2f", head, 40, 0.1, 0.2)
    struct.pack_into("<h", head, 96, -16224)
    theirs = folder / "cudasirecon.tif"
    tifffile.imwrite(theirs, values)
    return {
        ours.name: ours.read_bytes(),
        "softworx.otf": bytes(head) + values.astype("<c8").tobytes(),
        theirs.name: theirs.read_bytes(),
    }

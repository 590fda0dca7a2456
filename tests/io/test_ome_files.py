"""OME-TIFF in several files: the right planes, and none of any other file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

from napari_dps.core import InputError
from napari_dps.io import content_hash, find_inputs, load, read

FRAMES = np.random.default_rng(0).integers(0, 999, (9, 24, 32)).astype(np.uint16)
PIECES = [FRAMES[3 * i : 3 * i + 3] for i in range(3)]


def tiff_data(
    first: int, name: str, uuid: str, *, page: int = 0, count: int = 1
) -> str:
    return (
        f'<TiffData IFD="{page}" FirstZ="0" FirstC="0" FirstT="{first}" '
        f'PlaneCount="{count}"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
    )


def ome(uuid: str, images: Sequence[str], *, times: int = 9) -> str:
    inside = "".join(
        f'<Image ID="Image:{i}"><Pixels ID="Pixels:{i}" DimensionOrder="XYZCT" '
        f'Type="uint16" SizeX="32" SizeY="24" SizeZ="1" SizeC="1" SizeT="{times}" '
        f'PhysicalSizeX="0.0{i + 1}" PhysicalSizeY="0.0{i + 1}"><Channel ID="C:{i}" '
        f'SamplesPerPixel="1"/>{blocks}</Pixels></Image>'
        for i, blocks in enumerate(images)
    )
    return f'<?xml version="1.0"?><OME xmlns="http://x" UUID="{uuid}">{inside}</OME>'


def write(path: Path, frames: np.ndarray, xml: str, **options: object) -> None:
    tifffile.imwrite(
        path,
        frames,
        photometric="minisblack",
        description=xml.encode(),
        metadata=None,
        **options,
    )


def xml_of(path: Path) -> str:
    with tifffile.TiffFile(path) as tif:
        return tif.pages[0].description


def uuid_of(i: int) -> str:
    return f"urn:uuid:0000000{i}"


@pytest.fixture(params=[None, "zlib"])
def compression(request: pytest.FixtureRequest) -> str | None:
    return request.param


@pytest.fixture
def one_image(tmp_path: Path, compression: str | None) -> list[Path]:
    """A stack in three files, each of which describes all of it."""
    blocks = "".join(
        tiff_data(3 * i + t, f"s_{i}.ome.tif", uuid_of(i), page=t)
        for i in range(3)
        for t in range(3)
    )
    paths = [tmp_path / f"s_{i}.ome.tif" for i in range(3)]
    for i, path in enumerate(paths):
        write(path, PIECES[i], ome(uuid_of(i), [blocks]), compression=compression)
    return paths


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("opened", [0, 1, 2])
def test_image_in_several_files_is_whole_whichever_is_opened(
    one_image: list[Path], opened: int, lazy: bool
) -> None:
    messages: list[str] = []
    stack = load(one_image[opened], lazy=lazy, warn=messages.append)
    assert stack.axes == "TYX"
    assert_array_equal(stack.data, FRAMES)
    assert messages == []


def test_image_in_several_files_is_one_input_named_by_the_first(
    one_image: list[Path],
) -> None:
    folder = one_image[0].parent
    write(folder / "a.tif", FRAMES, "")
    names = [path.name for path, _ in find_inputs(folder)]
    assert names == ["a.tif", "s_0.ome.tif"]
    # Named alone, one of its files is itself.
    assert [path for path, _ in find_inputs(one_image[1])] == [one_image[1]]


@pytest.mark.parametrize("missing", [[1], [0, 2]])
def test_missing_files_are_named(one_image: list[Path], missing: list[int]) -> None:
    for i in missing:
        one_image[i].unlink()
    (left,) = {0, 1, 2} - set(missing) if len(missing) == 2 else {0}
    expected = ", ".join(one_image[i].name for i in missing)
    for function in (load, content_hash):
        with pytest.raises(InputError, match=f"{expected} of the 3 files"):
            function(one_image[left])
    assert len(find_inputs(one_image[0].parent)) == 1


def test_hash_sees_every_file_of_the_image(one_image: list[Path]) -> None:
    before = {content_hash(path) for path in one_image}
    content = bytearray(one_image[2].read_bytes())
    content[-1] ^= 1
    one_image[2].write_bytes(content)
    assert content_hash(one_image[0]) not in before


@pytest.mark.parametrize("lazy", [False, True])
def test_each_position_is_that_of_its_own_file(
    tmp_path: Path, compression: str | None, lazy: bool
) -> None:
    names = ["pos0.ome.tif", "pos1.ome.tif"]
    images = [tiff_data(0, n, uuid_of(i), count=9) for i, n in enumerate(names)]
    for i, name in enumerate(names):
        # Other tags, so that pixels lie at other places in each file.
        tags = [(65000, "s", 0, "x" * 1000 * i, True)] if i else []
        frames, xml = FRAMES + 1000 * i, ome(uuid_of(i), images)
        write(tmp_path / name, frames, xml, compression=compression, extratags=tags)
    for i, name in enumerate(names):
        messages: list[str] = []
        stack = load(tmp_path / name, lazy=lazy, warn=messages.append)
        assert_array_equal(stack.data, FRAMES + 1000 * i)
        assert stack.pixel_size_nm == pytest.approx(10 * (i + 1))
        assert [m for m in messages if f"number {i + 1}, which {name} holds" in m]
    assert len(find_inputs(tmp_path)) == 2


def test_metadata_in_another_file_are_followed(tmp_path: Path) -> None:
    blocks = "".join(
        tiff_data(3 * i, f"s_{i}.ome.tif", uuid_of(i), count=3) for i in range(3)
    )
    only = (
        '<?xml version="1.0"?><OME xmlns="http://x" UUID="{}"><BinaryOnly '
        'MetadataFile="s.companion.ome" UUID="urn:uuid:9"/></OME>'
    )
    for i, piece in enumerate(PIECES):
        write(tmp_path / f"s_{i}.ome.tif", piece, only.format(uuid_of(i)))
    companion = tmp_path / "s.companion.ome"
    with pytest.raises(InputError, match=r"s\.companion\.ome is missing"):
        load(tmp_path / "s_1.ome.tif")
    companion.write_text(ome("urn:uuid:9", [blocks]))
    assert_array_equal(load(tmp_path / "s_1.ome.tif").data, FRAMES)
    assert [path.name for path, _ in find_inputs(tmp_path)] == ["s_0.ome.tif"]
    before = content_hash(tmp_path / "s_1.ome.tif")
    companion.write_text(ome("urn:uuid:9", [blocks]) + " ")
    assert content_hash(tmp_path / "s_1.ome.tif") != before
    companion.write_text(ome("urn:uuid:8", [blocks]))
    with pytest.raises(InputError, match="metadata of other files"):
        load(tmp_path / "s_1.ome.tif")


@pytest.mark.parametrize("kind", ["relative", "absolute", "backslash", "link"])
def test_no_file_of_another_folder_is_read(tmp_path: Path, kind: str) -> None:
    secret, public = tmp_path / "secret", tmp_path / "public"
    secret.mkdir()
    public.mkdir()
    tifffile.imwrite(secret / "s.tif", PIECES[0], photometric="minisblack")
    name = {
        "relative": "../secret/s.tif",
        "absolute": str(secret / "s.tif"),
        "backslash": "..\\secret\\s.tif",
        "link": "link.tif",
    }[kind]
    if kind == "link":
        (public / "link.tif").symlink_to(secret / "s.tif")
    blocks = tiff_data(0, "a.ome.tif", uuid_of(0), count=3)
    blocks += tiff_data(3, name, uuid_of(1), count=3)
    write(public / "a.ome.tif", PIECES[1], ome(uuid_of(0), [blocks], times=6))
    with pytest.raises(InputError, match="only files of the same folder are read"):
        load(public / "a.ome.tif")


def test_pipe_among_the_files_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.ome.tif")
    blocks = tiff_data(0, "b.ome.tif", uuid_of(1), count=3)
    blocks += tiff_data(3, "a.ome.tif", uuid_of(0), count=3)
    write(tmp_path / "a.ome.tif", PIECES[1], ome(uuid_of(0), [blocks], times=6))
    with pytest.raises(InputError, match=r"b\.ome\.tif is a named pipe"):
        load(tmp_path / "a.ome.tif")


def test_file_of_another_set_is_refused(one_image: list[Path]) -> None:
    stray = xml_of(one_image[1])
    write(one_image[1], PIECES[1], stray.replace(f'UUID="{uuid_of(1)}"', 'UUID="x"'))
    with pytest.raises(InputError, match=r"s_1\.ome\.tif is another file"):
        load(one_image[0])


@pytest.mark.parametrize("change", ["size", "type", "pages", "byteorder"])
def test_pages_that_do_not_match_are_refused(
    one_image: list[Path], change: str
) -> None:
    xml = xml_of(one_image[2])
    frames, options = PIECES[2], {}
    if change == "size":
        frames = frames[:, :20]
    elif change == "type":
        frames = frames.astype(np.float32)
    elif change == "pages":
        frames = frames[:2]
    else:
        options = {"byteorder": ">"}
    write(one_image[2], frames, xml, **options)
    with pytest.raises(InputError, match=r"another size, type|truncated"):
        load(one_image[0])


def test_file_whose_planes_lie_elsewhere_is_refused(tmp_path: Path) -> None:
    blocks = tiff_data(0, "b.ome.tif", uuid_of(1), count=9)
    for i, name in enumerate(("a.ome.tif", "b.ome.tif")):
        write(tmp_path / name, FRAMES + i, ome(uuid_of(i), [blocks]))
    assert_array_equal(load(tmp_path / "b.ome.tif").data, FRAMES + 1)
    with pytest.raises(InputError, match=r"lies in b\.ome\.tif, not in this file"):
        load(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("with_uuid", [True, False])
def test_single_file_that_was_renamed_is_read(tmp_path: Path, with_uuid: bool) -> None:
    xml = ome(uuid_of(0), [tiff_data(0, "old.ome.tif", uuid_of(0), count=9)])
    if not with_uuid:
        xml = xml.replace(f' UUID="{uuid_of(0)}"', "", 1)
    write(tmp_path / "new.ome.tif", FRAMES, xml)
    assert_array_equal(load(tmp_path / "new.ome.tif").data, FRAMES)


PROMISES = [
    ('SizeT="9"', 'SizeT="100000000"'),
    ('PlaneCount="9"', 'PlaneCount="2000000000"'),
    ('SizeC="1"', 'SizeC="99999999999999999999"'),
    ('SizeT="9"', 'SizeT="10000" SizeQ="9"'),
]
ODD = [('IFD="0"', 'IFD="2000000000"'), ('SizeZ="1"', 'SizeZ="-3"')]


def promising(path: Path, before: str, after: str, uuid: int) -> Path:
    images = [tiff_data(0, path.name, uuid_of(0), count=9)]
    write(path, FRAMES, ome(uuid_of(uuid), images).replace(before, after))
    return path


@pytest.mark.parametrize(("before", "after"), PROMISES)
def test_promises_of_one_file_are_compared_with_it(
    tmp_path: Path, before: str, after: str
) -> None:
    path = promising(tmp_path / "a.ome.tif", before, after, 0)
    with pytest.raises(InputError, match=r"a\.ome\.tif: truncated"):
        read(path)


@pytest.mark.parametrize(("before", "after"), PROMISES + ODD)
def test_promises_of_a_set_are_compared_with_its_files(
    tmp_path: Path, before: str, after: str
) -> None:
    path = promising(tmp_path / "a.ome.tif", before, after, 7)
    with pytest.raises(InputError, match=r"a\.ome\.tif"):
        read(path)

"""Names, folders and patterns of inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_dps.core import ImageStack, InputError
from napari_dps.io import find_inputs, save

FILES = (
    "b.tif",
    "a.TIF",
    "notes.txt",
    "odd.dat",
    "day 1/c.ome.tif",
    "day 1/ü/d.czi",
    "day 1/ü/[x].dv",
    ".hidden/e.tif",
    ".f.tif.0a1b.part",
    "day 1/.g.tif",
    "out/b.tif",
    "out/day 1/c.ome.tif",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "scr*een"
    for name in FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    save(ImageStack(np.zeros((2, 8, 6), np.float32), "TYX"), root / "day 1/z.ome.zarr")
    return root


def names(found: list[tuple[Path, Path]], folder: Path) -> list[str]:
    for path, relative in found:
        assert path.exists()
        assert path.parent == folder / relative
    return [path.relative_to(folder).as_posix() for path, _ in found]


ALL = [
    "a.TIF",
    "b.tif",
    "day 1/c.ome.tif",
    "day 1/z.ome.zarr",
    "day 1/ü/[x].dv",
    "day 1/ü/d.czi",
]


def test_folder_gives_all_its_images_but_hidden_and_excluded_ones(
    folder: Path,
) -> None:
    assert names(find_inputs(folder, exclude=folder / "out"), folder) == ALL
    outputs = ["out/b.tif", "out/day 1/c.ome.tif"]
    assert names(find_inputs(str(folder)), folder) == [*ALL, *outputs]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.tif", ["b.tif"]),
        ("*.TIF", ["a.TIF"]),
        ("?.*", ["a.TIF", "b.tif"]),
        ("*", ["a.TIF", "b.tif"]),
        ("**/*.tif", ["b.tif", "day 1/c.ome.tif"]),
        ("**/*.zarr", ["day 1/z.ome.zarr"]),
        ("**", ALL),
        ("**/*", ALL),
        ("day*/*", ["day 1/c.ome.tif", "day 1/z.ome.zarr"]),
        ("**/ü/*", ["day 1/ü/[x].dv", "day 1/ü/d.czi"]),
        ("*/**/d.*", ["day 1/ü/d.czi"]),
        ("[ab].*", ["a.TIF", "b.tif"]),
        ("*.dat", ["odd.dat"]),
    ],
)
def test_pattern_gives_the_images_it_matches(
    folder: Path,
    pattern: str,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    if pattern in ("*.tif", "*.TIF") and Path("A.tif").exists():
        expected = ["a.TIF", "b.tif"]  # names differ in case alone are the same here
    found = find_inputs(pattern, exclude="out")
    assert names(found, Path(".")) == expected


def test_folders_are_relative_to_the_fixed_part(folder: Path) -> None:
    found = find_inputs(f"{folder.parent}/*/day 1/**/*.czi")
    assert [str(relative) for _, relative in found] == ["scr*een/day 1/ü"]


@pytest.mark.parametrize("name", ["b.tif", "notes.txt", "day 1/ü/[x].dv"])
def test_existing_name_gives_itself_whatever_its_characters(
    folder: Path, name: str
) -> None:
    assert find_inputs(str(folder / name)) == [(folder / name, Path("."))]


def test_ome_zarr_gives_itself(folder: Path) -> None:
    path = folder / "day 1" / "z.ome.zarr"
    assert find_inputs(path) == [(path, Path("."))]


def test_links_are_followed_but_not_round_in_a_circle(tmp_path: Path) -> None:
    data, more = tmp_path / "data", tmp_path / "more"
    data.mkdir()
    more.mkdir()
    (more / "a.tif").touch()
    (data / "link").symlink_to(more)
    (data / "loop").symlink_to(data)
    assert names(find_inputs(data), data) == ["link/a.tif"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.lif", r"no image found: .*\*\.lif"),
        ("none.tif", r"no such file or folder: .*none\.tif"),
        ("none/*.tif", "no such folder: .*none"),
        ("out/**/*.tif", "lies in the folder of the outputs"),
    ],
)
def test_nothing_found_is_an_error_that_names_the_pattern(
    folder: Path, pattern: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=message):
        find_inputs(pattern, exclude="out")

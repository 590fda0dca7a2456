"""Settings: absurd numbers, nesting, sizes, and files that are none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from napari_dps import io
from napari_dps.core import InputError
from napari_dps.io.text_files import LARGEST_TOML, read_json, read_toml
from napari_dps.nets.checkpoint import load_checkpoint

TOML = {
    "digits": ("a = " + "9" * 5000, "4300 digits"),
    "brackets": ("a=" + "[" * 5000, "nested too deeply"),
    "tables": ("a = " + "{a=" * 5000, "nested too deeply"),
    "dots": ("a" + ".a" * 100_000 + " = 1", "nested too deeply"),
    "header": ("[" + "a." * 1000 + "a]", "nested too deeply"),
    "size": ("# \n" * LARGEST_TOML, "too large"),
    "bytes": ("a = '\udcff'", "no valid TOML"),
    "zero": ("\0", "no valid TOML"),
}


@pytest.mark.parametrize("kind", TOML)
def test_absurd_toml_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    text, words = TOML[kind]
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=words) as caught:
        read_toml(path)
    assert len(str(caught.value)) < 300 + len(str(path))
    with pytest.raises(InputError, match=words):
        io.load_patterns(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9" * 5000, "4300 digits"),
        ("[" * 200_000, "nested too deeply"),
        (" " * 2000 + "1", "too large"),
        ("\udcff", "no valid JSON"),
    ],
)
def test_absurd_json_is_refused_in_one_line(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=words):
        read_json(path, 1000 if words == "too large" else 10**6)


@pytest.mark.skipif(sys.platform != "linux", reason="devices and pipes")
@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "/dev/null", "folder", "loop"])
def test_only_regular_files_are_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = tmp_path / name
    for read in (read_toml, io.load_patterns, load_checkpoint):
        link = tmp_path / f"{read.__name__}.json"
        link.symlink_to(path)
        with pytest.raises(InputError, match=r"no file|circle"):
            read(link)


def test_a_description_of_weights_is_small(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(" " * 2**21)
    (tmp_path / "w.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="too large"):
        load_checkpoint(tmp_path / "w.safetensors")

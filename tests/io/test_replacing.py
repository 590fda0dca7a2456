"""Outputs are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_dps.core import InputError
from napari_dps.io import replacing


def test_file_appears_under_its_name_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a b ü.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "whole"


def test_nothing_is_left_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [(13, "no permission"), (28, "the disk is full"), (30, "read-only"), (5, "error")],
)
def test_system_errors_become_input_errors(
    tmp_path: Path, number: int, reason: str
) -> None:
    with (
        pytest.raises(InputError, match=f"cannot write .*{reason}"),
        replacing(tmp_path / "a.txt"),
    ):
        raise OSError(number, os.strerror(number))


def test_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="cannot write"),
        replacing(tmp_path / "file" / "a.txt"),
    ):
        pass


def test_link_to_an_input_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "raw.tif"
    source.write_text("raw")
    link = tmp_path / "out.tif"
    link.symlink_to(source)
    with (
        pytest.raises(InputError, match="also an input"),
        replacing(link, inputs=[source]),
    ):
        pass


def test_name_of_the_longest_length_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".tif")
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"

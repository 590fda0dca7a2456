"""The hash of what a file holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from napari_dps.core import ImageStack, InputError
from napari_dps.io import content_hash, save


def test_hash_of_a_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(3_000_001)
    path = tmp_path / "a ü.tif"
    path.write_bytes(data)
    assert content_hash(path) == hashlib.sha256(data).hexdigest()


def test_hash_follows_the_content_not_the_name(tmp_path: Path) -> None:
    stack = ImageStack(np.ones((3, 8, 6), np.float32), "TYX")
    for suffix in ("tif", "ome.zarr"):
        first = save(stack, tmp_path / f"a.{suffix}")
        path = first.rename(tmp_path / f"b.{suffix}")
        again = content_hash(path)
        assert len(again) == 64
        other = stack.derive(stack.data * 2)
        assert content_hash(save(other, tmp_path / f"a.{suffix}")) != again


def test_hash_of_a_folder_sees_each_byte_and_each_name(tmp_path: Path) -> None:
    stack = ImageStack(np.arange(96, dtype=np.uint16).reshape(2, 8, 6), "TYX")
    path = save(stack, tmp_path / "a.zarr")
    found = {content_hash(path)}
    chunk = path / "0" / "c" / "1" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1
    chunk.write_bytes(data)
    found.add(content_hash(path))
    chunk.rename(chunk.with_name("2"))
    found.add(content_hash(path))
    chunk.write_bytes(b"")
    found.add(content_hash(path))
    assert len(found) == 4


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tif: No such file"):
        content_hash(tmp_path / "none.tif")
    with pytest.raises(InputError, match="is a folder"):
        content_hash(tmp_path)

"""What is no regular file is refused at once; what takes too long is given up."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dps.core import InputError
from napari_dps.core.files import open_regular, read_bytes
from napari_dps.io import content_hash, find_inputs, read, time_limit
from napari_dps.io.time_limit import limited


@pytest.fixture(params=["pipe", "socket", "device", "circle"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "a.tif"
    if request.param == "pipe":
        os.mkfifo(path)
        return path, "a named pipe"
    if request.param == "socket":
        here = Path.cwd()
        os.chdir(tmp_path)  # names of sockets are short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
        os.chdir(here)
        return path, "a socket"
    if request.param == "device":
        path.symlink_to("/dev/zero")
        return path, "a device"
    path.symlink_to(path.name)
    return path, "leads in a circle"


@pytest.mark.parametrize("function", [read, content_hash])
def test_what_is_no_file_is_named_at_once(
    special: tuple[Path, str], function: object
) -> None:
    path, kind = special
    with pytest.raises(InputError, match=kind):
        function(path)  # type: ignore[operator]


def test_what_is_no_file_fails_by_itself_in_a_folder(special: tuple[Path, str]) -> None:
    path, _ = special
    image = path.with_name("b.tif")
    tifffile.imwrite(image, np.ones((8, 8), np.uint16))
    assert [found for found, _ in find_inputs(path.parent)] == [path, image]
    assert [found for found, _ in find_inputs(path)] == [path]


def test_larger_file_than_expected_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(bytes(11))
    assert read_bytes(path, 11) == bytes(11)
    with pytest.raises(InputError, match="too large"):
        read_bytes(path, 10)
    with open_regular(path) as file:
        assert file.read() == bytes(11)


def test_task_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limit, "_LEAST_S", 0.05)
    stop = threading.Event()
    with pytest.raises(InputError, match="could not be read in"):
        limited(tmp_path, stop.wait)
    stop.set()


def test_error_of_a_limited_task_is_that_of_the_task(tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        limited(tmp_path, fail)

"""The real sample: fetched once, checked, and missed with a clear message."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image

from napari_dps._qt.bridge import real_sample
from napari_dps._qt.bridge.layers import METADATA, pixel_size_nm, why_not
from napari_dps.core import InputError

FRAMES = np.random.default_rng(5).poisson(80, (9, 64, 48)).astype(np.uint16)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """A server on this machine with a file of the sample's name."""
    shared = tmp_path / "served"
    shared.mkdir()
    tifffile.imwrite(shared / real_sample.NAME, FRAMES)
    handler = partial(SimpleHTTPRequestHandler, directory=str(shared))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def address(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: Any
) -> str:
    """The server's address, put in place of the authors'."""
    content = (tmp_path / "served" / real_sample.NAME).read_bytes()
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setenv(real_sample.FOLDER_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(real_sample, "BASE_URL", url)
    monkeypatch.setattr(real_sample, "SHA256", hashlib.sha256(content).hexdigest())
    return url


def test_real_frames_come_with_axes_and_optics(address: str) -> None:
    ((data, kwargs, _),) = real_sample.tubulin()
    layer = Image(data, **kwargs)
    assert np.array_equal(layer.data, FRAMES.reshape(3, 3, 64, 48))
    assert layer.axis_labels == ("angle", "phase", "y", "x")
    assert pixel_size_nm(layer) == 63
    assert layer.metadata[METADATA]["optics"] == real_sample.OPTICS
    assert why_not(layer, "APYX") == ""


def test_file_is_fetched_once(address: str, server: Any) -> None:
    real_sample.tubulin()
    server.shutdown()
    server.server_close()
    assert len(real_sample.tubulin()) == 1


def test_without_a_connection_it_says_so_and_what_to_do(
    address: str, server: Any, tmp_path: Path
) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match="connection to the internet") as caught:
        real_sample.tubulin()
    assert str(tmp_path / "cache") in str(caught.value)
    assert address in str(caught.value)


def test_missing_file_on_the_server_is_told_alike(address: str, tmp_path: Path) -> None:
    (tmp_path / "served" / real_sample.NAME).unlink()
    with pytest.raises(InputError, match=r"cannot be fetched \(HTTPError\)"):
        real_sample.tubulin()


def test_another_file_is_refused_and_not_kept(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_sample, "SHA256", "0" * 64)
    with pytest.raises(InputError, match="not those that are known"):
        real_sample.tubulin()
    assert not list((tmp_path / "cache").rglob("*.tif"))


def test_file_put_by_hand_needs_no_connection(
    address: str, server: Any, tmp_path: Path
) -> None:
    server.shutdown()
    server.server_close()
    (tmp_path / "cache").mkdir()
    content = (tmp_path / "served" / real_sample.NAME).read_bytes()
    (tmp_path / "cache" / real_sample.NAME).write_bytes(content)
    assert len(real_sample.tubulin()) == 1

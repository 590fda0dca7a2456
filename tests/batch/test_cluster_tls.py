"""The commands that the page of batches shows for TLS, run on the loopback."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

PAGE = Path(__file__).resolve().parents[2] / "docs" / "batch.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("openssl") is None or shutil.which("bash") is None,
        reason="needs openssl and bash",
    ),
]


def _script() -> str:
    """Return the commands, on a free port, and an end to what they start."""
    text = PAGE.read_text("utf-8")
    block = re.search(r"```console\n(\$ openssl.*?)```", text, re.DOTALL)
    assert block
    lines = [line[2:] for line in block[1].splitlines()]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = "\n".join(lines).replace("8786", str(port))
    commands = re.sub(
        r"^napari-dps", f"{sys.executable} -m napari_dps.cli", commands, flags=re.M
    )
    commands = re.sub(r"^dask ", f"{sys.executable} -m dask ", commands, flags=re.M)
    return f"set -e\ntrap 'kill $(jobs -p)' EXIT\n{commands}\n"


def test_cluster_with_tls_computes_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    image = np.random.default_rng(1).poisson(50, (64, 64)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "data" / "a.tif", image)
    (tmp_path / "pipeline.toml").write_text('[pipeline]\nstages = ["background"]\n')
    done = subprocess.run(
        ["bash", "-c", _script()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results/a.background.ome.tif").is_file()
    assert "tls://127.0.0.1" in done.stderr

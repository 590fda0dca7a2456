"""What all tests share: a quiet, repeatable environment and the real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Set before torch, numpy or matplotlib are imported, and inherited by subprocesses:
# one thread gives repeatable sums and does not fight for cores; no display is needed.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# Two files of this name would clash where doctests are looked for.
collect_ignore_glob = ["*conftest.py"]

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data, or a skip that says where it was looked for.

    A folder named by NAPARI_DPS_DATA must exist: a wrong name is an error, no skip.
    """
    named = os.environ.get("NAPARI_DPS_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(f"NAPARI_DPS_DATA={named} is no folder")
    pytest.skip("real data absent: no ../shared/data, and NAPARI_DPS_DATA is not set")

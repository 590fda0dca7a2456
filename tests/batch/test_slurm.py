"""The program that the page of batches shows for SLURM, with a stand-in for SLURM."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

PAGE = Path(__file__).resolve().parents[2] / "docs" / "batch.md"

SBATCH = """#!/bin/bash
# Keeps a copy of what it is handed, runs it in a session of its own, names the job.
cp "${@: -1}" "$JOBS/$$.sh"
setsid bash "$JOBS/$$.sh" >"$JOBS/$$.log" 2>&1 &
echo $! >"$JOBS/$!"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
for job in "$@"; do kill -- -"$job" 2>/dev/null; rm -f "$JOBS/$job"; done
exit 0
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="the stand-in for SLURM is for bash"),
]


def _program() -> str:
    """Return the program of the page, for two jobs on a free port."""
    block = re.search(
        r"```python\n(# cluster.py.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    assert block
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = block[1].replace("8786", str(port))
    return text.replace("maximum_jobs=40", "maximum_jobs=2")


def _line_of(process: subprocess.Popen[str], patience_s: float) -> str:
    """Return the first line that a program prints."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], patience_s)
    assert ready, "the cluster has said nothing"
    return process.stdout.readline().strip()


def test_batch_runs_on_jobs_that_the_program_of_the_page_asks_for(
    tmp_path: Path,
) -> None:
    commands, jobs = tmp_path / "bin", tmp_path / "jobs"
    for folder in (commands, jobs, tmp_path / "data"):
        folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    for number in range(3):
        image = np.random.default_rng(number).poisson(50, (48, 48)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "data" / f"{number}.tif", image)
    (tmp_path / "cluster.py").write_text(_program())
    environment = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "JOBS": str(jobs),
    }
    cluster = subprocess.Popen(
        [sys.executable, "cluster.py"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = _line_of(cluster, 120)
        assert address.startswith("tcp://")
        words = ["run", "data", "--out", "results", "--stages", "background"]
        done = subprocess.run(
            [sys.executable, "-m", "napari_dps.cli", *words, "--scheduler", address],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(list((tmp_path / "results").glob("*.background.ome.tif"))) == 3
        asked = next(jobs.glob("*.sh")).read_text()
        assert "#SBATCH -A my-group" in asked
        assert "export OMP_NUM_THREADS=4" in asked
        cluster.communicate("\n", timeout=60)
        assert cluster.returncode == 0
        _assert_ended(jobs)
    finally:
        cluster.kill()
        left = [job.name for job in jobs.iterdir() if not job.suffix]
        subprocess.run([commands / "scancel", *left], env=environment, check=False)


def _assert_ended(jobs: Path, patience_s: float = 30) -> None:
    """Jobs are cancelled with the cluster."""
    end = time.monotonic() + patience_s
    while (
        left := [p for p in jobs.iterdir() if not p.suffix]
    ) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == []

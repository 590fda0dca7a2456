"""What the device asks of the system before torch takes memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile

CODE = """
import os, sys
from napari_dps.core.device import resolve_device
resolve_device("cpu")
import torch
def faults():
    if sys.platform != "linux":
        return 0
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
torch.ones(2**24)
print(os.environ["THP_MEM_ALLOC_ENABLE"], faults() - before)
"""
SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def asked_and_taken(**environment: str) -> tuple[str, int]:
    """Return what torch is told, and how many pages a tensor of 64 MB then takes."""
    kept = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        check=True,
        capture_output=True,
        text=True,
        env={**kept, **environment},
    )
    asked, taken = done.stdout.split()
    return asked, int(taken)


def test_memory_comes_in_large_pages_where_the_system_has_them() -> None:
    asked, taken = asked_and_taken()
    assert asked == "1"
    if SWITCH.is_file() and "[never]" not in SWITCH.read_text():
        assert taken < 2**26 // 4096 / 20


def test_what_the_user_says_of_pages_stays_in_force() -> None:
    assert asked_and_taken(THP_MEM_ALLOC_ENABLE="0")[0] == "0"


LOADING = """
import os, sys
class Loading:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("policy:", os.environ.get("OMP_WAIT_POLICY"))
sys.meta_path.insert(0, Loading())
from napari_dps.cli import main
main(sys.argv[1:])
"""


def policy(*arguments: str, **environment: str) -> str:
    """Return how threads of torch wait in a run of the command line."""
    kept = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", LOADING, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**kept, **environment},
    )
    return done.stdout.partition("policy: ")[2].split()[0]


def test_threads_that_wait_leave_the_cores_to_other_programs(tmp_path) -> None:
    file = tmp_path / "plain.tif"
    tifffile.imwrite(file, np.random.default_rng(0).poisson(9, (64, 64)).astype("u2"))
    run = ("run", str(file), "--out", str(tmp_path / "out"), "--stages", "dps")
    run = (*run, "--na", "1.3", "--emission-nm", "525", "--pixel-size-nm", "65")
    run = (*run, "--camera-offset", "0")
    assert policy(*run) == "PASSIVE"
    assert policy("doctor") == "PASSIVE"
    assert policy("doctor", OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"

"""The device that torch computes on: its choice and its memory."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dps.core.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
LARGE_PX = 1536**2
"""Of a plane from which on freed memory is given back at once. It has to be cleared
again when it is needed, which takes a tenth of a second at 1024²."""
_ENVIRONMENT = {"THP_MEM_ALLOC_ENABLE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""What torch looks at when it is loaded, unless the user has said otherwise.

Pages of 2 MB from Linux: new memory is cleared page by page, and with those of 4 kB
that takes as long as the arithmetic does on large images, in a virtual machine longer.

Threads that wait for one another sleep: by default they go round in circles, and where
another program keeps one of two cores busy, an operation waits for the one that was
interrupted. A network of some thousand short operations then takes up to twenty times
as long."""
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)


def resolve_device(name: str = "auto") -> torch.device:
    """Turn a device name into a device that exists on this machine.

    Parameters
    ----------
    name : str
        ``"auto"`` (CUDA, else Apple's MPS, else the CPU), ``"cpu"``, ``"cuda"``,
        ``"cuda:1"`` or ``"mps"``.

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        If the name is unknown or the device is not there.

    Examples
    --------
    >>> resolve_device("cpu").type
    'cpu'
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if has_mps else "cpu")
    kind, _, index = name.partition(":")
    if kind not in DEVICES[1:] or (index and not index.isdigit()):
        raise InputError(
            field="device", got=name, allowed="auto, cpu, cuda, cuda:N, mps"
        )
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(has_mps)}[kind]
    if int(index or 0) >= count:
        present = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        present += ["mps"] if has_mps else []
        raise InputError(field="device", got=name, allowed=", ".join(present))
    return torch.device(name)


def available_bytes(device: torch.device) -> int:
    """Return how much memory a device has left for us.

    Parameters
    ----------
    device : torch.device
        As `resolve_device` returns it.

    Returns
    -------
    int
        For CUDA that which is free or held in reserve by torch; else what programs can
        still get without swapping, of the system or, if that is less, of the container
        or the job of a cluster that we run in (control groups of Linux).

    Examples
    --------
    >>> available_bytes(resolve_device("cpu")) > 0
    True
    """
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device)
        return int(free + reserved - torch.cuda.memory_allocated(device))
    import psutil

    return min(int(psutil.virtual_memory().available), _left_of_job())


def _left_of_job(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return what the control groups of this process leave; they may be nested.

    The files of their two versions: https://docs.kernel.org/admin-guide/cgroup-v2.html
    and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
    """
    left = sys.maxsize
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds not in ("", "memory"):
                continue
            group, names = (
                (root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes"))
                if kinds
                else (root, ("memory.max", "memory.current"))
            )
            for place in (Path(path), *Path(path).parents):
                with contextlib.suppress(OSError, ValueError):  # "max": no limit
                    folder = group / place.relative_to("/")
                    limit, used = (int((folder / n).read_text()) for n in names)
                    left = min(left, max(limit - used + _reclaimable(folder), 0))
    return left


def _reclaimable(folder: Path) -> int:
    """Return what a control group holds of files only because nobody needs room."""
    stat = dict(
        line.split() for line in (folder / "memory.stat").read_text().splitlines()
    )
    return int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))


def empty_cache(device: torch.device) -> None:
    """Give back the memory that torch holds in reserve on a device."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def give_back(shape: Sequence[int]) -> None:
    """Give freed memory back to the system, after work on planes that are large.

    The C library of Linux keeps what was freed between blocks that are in use: without
    this, a quarter of the memory of a chain of stages on planes of 1024².

    Parameters
    ----------
    shape : sequence of int
        Ends in (Y, X). On smaller planes it would take time and free little.
    """
    trim = _trim()
    if trim is not None and math.prod(shape[-2:]) >= LARGE_PX:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """Return ``malloc_trim`` of glibc where there is one."""
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, AttributeError):
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return trim
    return None

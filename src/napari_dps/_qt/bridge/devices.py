"""Devices to compute on, without loading torch."""

import sys

from napari_dps.core.device import DEVICES, resolve_device


def devices() -> tuple[str, ...]:
    """Return the devices to choose from: all names until torch tells which exist."""
    torch = sys.modules.get("torch")
    if torch is None:
        return DEVICES
    found = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ("auto", "cpu", *found, *mps)


def device_in_use(name: str) -> str:
    """Return what a device's name stands for; empty while torch is not loaded."""
    if "torch" not in sys.modules:
        return ""
    return str(resolve_device(name))

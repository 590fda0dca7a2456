"""What docks decide needs no Qt."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import napari_dps._qt.bridge

NEED_QT = {
    "debounce",
    "dock_tabs",
    "layer_events",
    "microscope",
    "preferences",
    "preview",
    "runner",
    "weights_in_use",
}
"""Timers, threads, signals, windows and stored settings; all else is plain Python."""


def test_bridge_loads_no_qt_but_where_it_is_needed() -> None:
    found = {m.name for m in pkgutil.iter_modules(napari_dps._qt.bridge.__path__)}
    assert found > NEED_QT
    names = [f"napari_dps._qt.bridge.{name}" for name in sorted(found - NEED_QT)]
    code = (
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        "print(*{'qtpy', 'superqt', 'PyQt6', 'PySide6'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []

"""Every dock in a real window, small and large, light and dark, empty and in use.

    xvfb-run -a python tests/qt/docks_story.py FOLDER [DOCK ...]

leaves screenshots and ``docks.json``, with what is cut off in them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from clipping import clipped, cut_tabs, sideways
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QAbstractScrollArea, QTabBar, QWidget
from story import register, spin

OUT = Path(sys.argv[1]).absolute()
SIZES = ((1280, 800), (1600, 1000))
THEMES = ("light", "dark")
LONG_NAME = "2026-11-30 COS-7 tubulin 488 dish 2 cell 03"
"""Files have such names."""
DOCKS = (
    "Denoise-DPS",
    "Averaging over time",
    "Denoise",
    "SIM reconstruction",
    "Artifact removal",
    "Background removal",
    "DPS super-resolution",
    "srPSF preview",
    "Compare",
    "Pipeline",
    "Live",
    "Training",
)
FOUR = ("Denoise-DPS", "Compare", "Pipeline", "Training")
"""What is open at once in a long session."""


def look(widget: QWidget, name: str) -> dict[str, list[str]]:
    """Save a picture of a dock; return what is cut off in it."""
    spin(0.15)
    widget.grab().save(str(OUT / f"dock-{name}.png"))
    problems = [*clipped(widget), *sideways(widget)]
    return {name: problems} if problems else {}


def states(widget: Any) -> dict[str, Callable[[], Any]]:
    """Return what to do to a dock before each look at it."""
    if not hasattr(widget, "advanced"):
        return {
            "open": lambda: None,
            "unfolded": lambda: unfold(widget),
            "scrolled": lambda: scroll(widget),
        }
    found: dict[str, Callable[[], Any]] = {}
    for kind in ("basic", "advanced"):
        found[kind] = partial(widget.advanced.setValue, kind == "advanced")
        for step in widget.steps.buttons:
            found[f"{kind}-{step}"] = partial(widget.steps.setValue, step)
    return found


def unfold(widget: Any) -> None:
    """Open all sections of a dock."""
    for child in widget.findChildren(QWidget):
        if hasattr(child, "setOpen") and child.isVisibleTo(widget):
            child.setOpen(True)


def scroll(widget: Any) -> None:
    """Scroll to the end of a dock."""
    for area in widget.findChildren(QAbstractScrollArea):
        bar = area.verticalScrollBar()
        bar.setValue(bar.maximum())


def layers(viewer: Any) -> None:
    """Add raw frames with optics, under a long name, and a lapse of images."""
    viewer.open_sample("napari-dps", "microtubules")
    raw = viewer.layers["Microtubules"]
    raw.name = LONG_NAME
    rng = np.random.default_rng(0)
    lapse = rng.poisson(50, (3, 64, 64)).astype(np.float32)
    labels = {"axis_labels": ("t", "y", "x"), "units": ("pixel", "nm", "nm")}
    viewer.add_image(lapse, name="lapse", scale=(1, 65, 65), visible=False, **labels)
    viewer.layers.selection.active = raw
    for layer in viewer.layers:
        layer.visible = layer is raw  # little is drawn each time


def look_at(viewer: Any, title: str, how: str) -> dict[str, list[str]]:
    """Open a dock, look at it in all its states, and close it."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-dps", title)
    spin(0.3)
    found = {}
    for state, act in states(widget).items():
        act()
        found |= look(widget, f"{title.replace(' ', '-')}-{state}-{how}")
    viewer.window.remove_dock_widget(dock)
    spin(0.05)
    return found


def look_at_four(viewer: Any, how: str, gap_s: float) -> dict[str, list[str]]:
    """Open four docks, one soon after the other, look at each, and close them."""
    window = viewer.window._qt_window
    size = window.size()
    opened = []
    for title in FOUR:
        opened.append(viewer.window.add_plugin_dock_widget("napari-dps", title))
        spin(gap_s)
    spin(0.5)
    found = {}
    for title, (dock, widget) in zip(FOUR, opened, strict=True):
        others = {tab.windowTitle() for tab in window.tabifiedDockWidgets(dock)}
        piled = {one.windowTitle() for one, _ in opened if one is not dock} - others
        dock.raise_()
        name = f"four-{title.replace(' ', '-')}-{how}"
        found |= look(widget, name)
        window.grab().save(str(OUT / f"window-{name}.png"))
        found |= {f"{name}, no tabs": sorted(piled)} if piled else {}
    cut = [text for bar in window.findChildren(QTabBar) for text in cut_tabs(bar)]
    if gap_s and window.size() != size:
        cut.append(f"the window grew to {window.width()} × {window.height()}")
    for dock, _ in opened:
        viewer.window.remove_dock_widget(dock)
    spin(0.05)
    window.resize(size)
    return found | ({f"four-{how}": cut} if cut else {})


def main() -> None:
    """Look at all docks and write down what was seen."""
    OUT.mkdir(parents=True, exist_ok=True)
    QSettings.setPath(
        QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(OUT / "settings")
    )
    register()
    seen: dict[str, Any] = {"cut": {}}
    viewer = napari.Viewer()
    layers(viewer)
    for size in SIZES:
        viewer.window._qt_window.resize(*size)
        for theme in THEMES:
            viewer.theme = theme
            for title in sys.argv[2:] or DOCKS:
                seen["cut"] |= look_at(viewer, title, f"{size[0]}-{theme}")
            gap_s = 0.3 if theme == "light" else 0.0  # or all at once
            seen["cut"] |= look_at_four(viewer, f"{size[0]}-{theme}", gap_s)
    viewer.close()
    seen["notifications"] = [str(x) for x in notification_manager.records]
    text = json.dumps(seen, indent=2, ensure_ascii=False)
    (OUT / "docks.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

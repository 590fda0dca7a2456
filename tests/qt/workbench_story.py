"""From a plain raw TIFF to a compared result in a real window, clicks counted.

    xvfb-run -a python tests/qt/workbench_story.py DATA FOLDER

clicks with the mouse and types on the keyboard, on widgets that can be seen, in the
workbench, for three files of DATA; leaves screenshots and ``workbench.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import napari
from clipping import clipped
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEventLoop, QPoint, QSettings, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget
from story import register, spin

DATA, OUT = Path(sys.argv[1]), Path(sys.argv[2]).absolute()
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "hela": (
        "sim9_hela_mito/raw.tif",
        {"na": "1.3", "emission_nm": "660", "pixel_size_nm": "65"}
        | {"camera_offset": "100"},
    ),
    "er": (
        "sim9_er_timelapse/raw.tif",
        {"na": "1.49", "emission_nm": "525", "pixel_size_nm": "65"},
    ),
    "he": (
        "sim15_microtubules_pair/he_frames.tif",
        {"na": "1.4", "emission_nm": "525", "pixel_size_nm": "30"},
    ),
}
"""Files, and what is typed: what the source states, else what its README assumes."""
SIZES = ((1280, 800), (1600, 1000))
TRAINING_MIN, TRAINING_STEPS = 30, 10
MENU_CLICKS = 3
"""Plugins, Denoise-DPS, and the dock: menus cannot be clicked under Xvfb."""


class Hand:
    """Clicks and types as a person does, and counts."""

    def __init__(self) -> None:
        self.clicks = self.typed = 0

    def click(self, widget: QWidget) -> None:
        """Click a widget that can be seen, scrolling to it where it is not."""
        assert widget.isEnabled(), widget.toolTip()
        self._reveal(widget)
        assert not widget.visibleRegion().isEmpty()
        place = widget.visibleRegion().boundingRect().center()
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(place))
        self.clicks += 1
        spin(0.2)

    def type_into(self, editors: list[Any], texts: list[str]) -> None:
        """Click the first field, type, and go on with Tab."""
        self.click(editors[0].lineEdit())
        for number, (editor, text) in enumerate(zip(editors, texts, strict=True)):
            if number:
                editor.setFocus()  # what Tab does
                self._reveal(editor)
            editor.selectAll()
            QTest.keyClicks(editor, text)
            # Without a window manager Tab moves no focus: Return ends the field.
            QTest.keyClick(editor, Qt.Key.Key_Return)
            self.typed += 1
        spin(0.2)

    def _reveal(self, widget: QWidget) -> None:
        area = widget.parent()
        while area is not None and not hasattr(area, "ensureWidgetVisible"):
            area = area.parent()
        if area is not None:
            area.ensureWidgetVisible(widget)
            spin(0.05)


def wait_for(runner: Any) -> None:
    """Wait for the end of a run."""
    if runner.is_running:
        loop = QEventLoop()
        runner.finished.connect(loop.quit)
        loop.exec()
    spin(0.3)


def shots(viewer: Any, widget: QWidget, name: str) -> dict[str, list[str]]:
    """Save screenshots in both sizes and themes; return what is clipped in them."""
    clips = {}
    for size in SIZES:
        viewer.window._qt_window.resize(*size)
        for theme in ("light", "dark"):
            viewer.theme = theme
            spin(0.3)
            title = f"{name}-{size[0]}-{theme}"
            file = str(OUT / f"{title}.png")
            viewer.screenshot(file, canvas_only=False, flash=False)
            if found := clipped(widget):
                clips[title] = found
    viewer.window._qt_window.resize(*SIZES[0])
    spin(0.1)
    return clips


def tell(name: str, seen: dict[str, Any]) -> None:
    """Go from one file to its compared result."""
    file, values = CASES[name]
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(*SIZES[0])
    viewer.open(DATA / file, plugin="napari")
    spin(0.3)
    _, bench = viewer.window.add_plugin_dock_widget("napari-dps", "Denoise-DPS")
    hand = Hand()
    hand.clicks += MENU_CLICKS
    raw = bench.page("raw")
    for _ in range(100):
        spin(0.1)
        if raw.strip.is_settled:
            break
    clips: dict[str, list[str]] = {}

    def shoot(what: str) -> None:
        clips.update(shots(viewer, bench, f"workbench-{name}-{what}"))

    shoot("open")
    editors = [raw.panel.microscope.editors[key] for key in values]
    hand.type_into(editors, list(values.values()))
    hand.click(raw.panel.bar.run_button)
    wait_for(raw.panel.bar.runner)
    status = raw.panel.bar.status.text()
    assert status.startswith("done"), raw.panel.bar.messages.texts
    shoot("ran")
    hand.click(bench.next_button)
    compare = bench.page("compare")
    for _ in range(600):
        spin(0.1)
        if compare.rows and not compare.runner.is_running:
            break
    shoot("compared")
    hidden_px = compare.table.verticalScrollBar().maximum()
    compare.buttons["Error maps"].click()
    wait_for(compare.runner)
    shoot("errors")
    source = raw.panel.combo.value()
    sim = next(x for x in viewer.layers if x.name.endswith(" · SIM"))
    patterns = sim.metadata["napari-dps"]["patterns"]
    seen[name] = {
        "clicks": hand.clicks,
        "typed": hand.typed,
        "axes": list(source.axis_labels),
        "shape": list(source.data.shape),
        "periods_nm": [[o.period_nm for o in p.orders] for p in patterns],
        "statuses": [[o.status for o in p.orders] for p in patterns],
        "compared": [row["layer"] for row in compare.rows],
        "resolution_nm": {
            row["layer"]: row.get("resolution_decorrelation_nm") for row in compare.rows
        },
        "rows_hidden_px": hidden_px,
        "clipped": clips,
    }
    viewer.close()
    spin(0.2)


def training(seen: dict[str, Any]) -> None:
    """Train for a moment on a widefield image, and look at the verdict."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(*SIZES[0])
    viewer.open(DATA / "wf_sim_er/wf_level_01.tif", plugin="napari")
    _, dock = viewer.window.add_plugin_dock_widget("napari-dps", "Training")
    spin(0.3)
    for key, value in {"na": 1.3, "emission_nm": 525, "pixel_size_nm": 62.6}.items():
        dock.microscope.editors[key].setValue(value)
    dock.target.setValue(str(OUT / "weights"))
    dock.minutes.setValue(TRAINING_MIN)

    def stop_after_some(report: Any) -> None:
        if report.done >= TRAINING_STEPS:
            dock.stop_button.click()

    dock.bar.runner.progressed.connect(stop_after_some)
    dock.bar.run_button.click()
    wait_for(dock.bar.runner)
    seen["training"] = {
        "verdict": dock.bar.messages.texts,
        "looks": [(look.step, look.loss) for look in dock.training.looks],
        "clipped": shots(viewer, dock, "training"),
    }
    viewer.close()
    spin(0.2)


def four_docks(seen: dict[str, Any]) -> None:
    """Open four docks at once: they are tabs."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(*SIZES[0])
    viewer.open(DATA / CASES["hela"][0], plugin="napari")
    docks = []
    for title in ("Denoise-DPS", "SIM reconstruction", "Compare", "Pipeline"):
        dock, _ = viewer.window.add_plugin_dock_widget("napari-dps", title)
        docks.append(dock)
        spin(0.3)
    window = viewer.window._qt_window
    seen["tabs"] = len(window.tabifiedDockWidgets(docks[0]))
    file = str(OUT / "workbench-four-docks-dark.png")
    viewer.screenshot(file, canvas_only=False, flash=False)
    viewer.close()


def main() -> None:
    """Tell all stories and write down what was seen."""
    OUT.mkdir(parents=True, exist_ok=True)
    QSettings.setPath(
        QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(OUT / "settings")
    )
    register()
    seen: dict[str, Any] = {}
    four_docks(seen)
    training(seen)
    for name in sys.argv[3:] or CASES:
        tell(name, seen)
    seen["notifications"] = [str(x) for x in notification_manager.records]
    text = json.dumps(seen, indent=2, ensure_ascii=False)
    (OUT / "workbench.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

"""The dock that compares layers: figures, profiles, error maps, side by side."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import napari.viewer
from napari.layers import Image, Layer, Shapes
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dps._qt.bridge.colours import COLOURS
from napari_dps._qt.bridge.compare import (
    Item,
    Row,
    draw,
    item_of,
    map_errors,
    measure_all,
    profile_all,
    why_not_compared,
)
from napari_dps._qt.bridge.layers import LayerData, describe_layer, part_of, shown_point
from napari_dps._qt.bridge.runner import Runner, Steps
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.docks.viewer_widget import ViewerWidget
from napari_dps._qt.widgets.layer_combo import LayerCombo
from napari_dps._qt.widgets.layout import compact_rows, hint_label, row_label, scrolled
from napari_dps._qt.widgets.measure_table import MeasureTable
from napari_dps._qt.widgets.messages import Messages
from napari_dps._qt.widgets.plots import Curve, Plot
from napari_dps._qt.widgets.split_view import SplitView
from napari_dps.core import InputError, Progress
from napari_dps.core.errors import Failure
from napari_dps.metrics.profile import LineProfile
from napari_dps.report import write_csv

_GRID, _SPLIT = "Side by side", "Split view"
_DELAY_MS = 300
"""Changes that follow one another faster are measured once."""


class CompareWidget(ViewerWidget):
    """Compares image layers, with a reference or blind.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari; a `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__(napari_viewer)
        self.rows: list[Row] = []
        self.reference = LayerCombo(why_not_compared, "none: each alone")
        self.layers = QListWidget()
        self.layers.setMaximumHeight(120)
        self.layers.setToolTip("Layers to compare.")
        self.layers.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.layers.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.region = LayerCombo(_no_shapes, "whole image")
        self.line = LayerCombo(_no_shapes, "none")
        self.table = MeasureTable()
        self.plot = Plot("distance along the line (nm)", "relative intensity")
        self.follow = QCheckBox("Measure anew when layers change")
        self.messages = Messages()
        self.status = hint_label()
        self.buttons: dict[str, QPushButton] = {}
        self.runner = Runner(self, lane="measures")
        self.profiles = Runner(self, lane="profiles")
        self._asked: dict[int, Layer] = {}
        self._watched: list[Layer] = []
        self._delay = _timer(self, self.measure)
        self._profile_delay = _timer(self, self.show_profile)
        self.split = SplitView(napari_viewer)
        self._lay_out()
        self._connect()
        self._show_profiles([])

    def chosen(self) -> list[Image]:
        """Return the layers that are ticked."""
        return [
            self._asked[row]
            for row in range(self.layers.count())
            if self.layers.item(row).checkState() == Qt.CheckState.Checked
        ]

    def choose(self, layers: Sequence[Image]) -> None:
        """Tick these layers."""
        for row, layer in self._asked.items():
            ticked = (
                Qt.CheckState.Checked if layer in layers else Qt.CheckState.Unchecked
            )
            self.layers.item(row).setCheckState(ticked)

    def refresh_layers(self) -> None:
        """Look at the layers of the viewer anew."""
        known = list(self._asked.values())
        ticked = self.chosen()
        if self.split.is_on and not self.split.is_whole:
            self.buttons[_SPLIT].setChecked(False)
        everything = [layer for layer in self.viewer.layers if not part_of(layer)]
        self.reference.refresh(everything)
        for combo in (self.region, self.line):
            combo.refresh([x for x in everything if isinstance(x, Shapes)])
        self.layers.blockSignals(True)
        self.layers.clear()
        self._asked = {}
        for layer in reversed(everything):
            if not why_not_compared(layer):
                self._asked[self.layers.count()] = layer
                item = QListWidgetItem(layer.name)
                item.setToolTip(describe_layer(layer))
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                is_new = layer not in known and layer.visible
                on = layer in ticked or is_new
                item.setCheckState(
                    Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
                )
                self.layers.addItem(item)
        self.layers.blockSignals(False)
        self._watch(everything)
        self._on_change()

    def hideEvent(self, event: Any) -> None:
        """Leave no callback behind."""
        super().hideEvent(event)
        self.buttons[_SPLIT].setChecked(False)
        self._watch([])
        self._delay.stop()
        self._profile_delay.stop()

    def measure(self) -> None:
        """Measure the layers that are ticked, beside the window."""
        items = self._items()
        reference = self.reference.layer()
        if not items:
            self.status.setText("Tick the layers to compare.")
            return
        known = None if reference is None else self._item(reference)
        if not self.runner.start(partial(measure_all, items, known)):
            self._delay.start()  # one is going on: it is out of date when it ends

    def show_profile(self) -> None:
        """Show the profiles along the line."""
        items = self._items()
        if not any(item.line for item in items):
            self._show_profiles([])
        elif not self.profiles.start(partial(profile_all, items)):
            self._profile_delay.start()

    def add_error_maps(self) -> None:
        """Add the error map of each ticked layer against the reference."""
        reference = self.reference.layer()
        if reference is None:
            self.messages.show_texts(
                ["choose a reference: the widefield image or the raw frames"], "warning"
            )
            return
        known = self._item(reference)
        items = [item for item in self._items() if item.name != reference.name]
        self.runner.start(partial(_map_all, items, known))

    def add_shapes(self, kind: str) -> None:
        """Add a layer to draw a region or a line in."""
        combo = self.region if kind == "region" else self.line
        mode = "add_rectangle" if kind == "region" else "add_line"
        images = self.chosen()
        units = {"units": images[0].units[-2:]} if images else {}
        shapes = Shapes(
            ndim=2,
            name=kind,
            edge_color=COLOURS[1],
            face_color="transparent",
            edge_width=_thickness(images),
            **units,
        )
        self.viewer.add_layer(shapes)
        self.refresh_layers()
        combo.set_layer(shapes)
        shapes.mode = mode

    def export_csv(self, path: str | Path) -> None:
        """Write all measures, those of the table and the others."""
        write_csv(self.rows, Path(path))
        self.messages.show_texts([f"written: {Path(path).name}"], "info")

    def export_png(self, path: str | Path) -> None:
        """Write the ticked layers side by side as a picture."""
        items = self._items()
        if items:
            self.runner.start(partial(draw, items, Path(path)))

    def show_grid(self, on: bool) -> None:
        """Show the ticked layers beside one another, and nothing else."""
        if on:
            self.buttons[_SPLIT].setChecked(False)
        self.viewer.canvas.grid.enabled = on
        if on:
            chosen = self.chosen()
            for layer in self.viewer.layers:
                layer.visible = layer in chosen

    def show_split(self, on: bool) -> None:
        """Show the ticked layers at one place, with a border that can be moved."""
        if not on:
            self.split.stop()
            return
        chosen = [layer for layer in self.viewer.layers if layer in self.chosen()]
        if len(chosen) < 2:
            self.messages.show_texts(["tick two layers for the split view"], "warning")
            self.buttons[_SPLIT].setChecked(False)
            return
        self.buttons[_GRID].setChecked(False)
        self.split.start(chosen)

    def _items(self) -> list[Item]:
        return [self._item(layer) for layer in self.chosen()]

    def _item(self, layer: Image) -> Item:
        point = shown_point(self.viewer, layer)
        return item_of(layer, point, self.region.layer(), self.line.layer())

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 4, 8, 4)
        column.setSpacing(6)
        column.addWidget(self.layers)
        rows = QFormLayout()
        compact_rows(rows)
        rows.addRow(row_label("Reference", self.reference), self.reference)
        for title, combo in (("Region", self.region), ("Line profile", self.line)):
            rows.addRow(row_label(title, combo), self._with_draw_button(combo))
        column.addLayout(rows)
        column.addLayout(self._action_buttons())
        column.addWidget(self.split)
        column.addWidget(self.follow)
        column.addWidget(self.status)
        column.addWidget(self.messages)
        column.addWidget(self.table, 1)
        column.addWidget(self.plot, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(6, 6, 6, 6)
        whole.addWidget(scrolled(inside))
        self.setMinimumWidth(400)
        self.follow.setChecked(True)

    def _with_draw_button(self, combo: LayerCombo) -> QWidget:
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        button = QPushButton("Draw")
        button.setToolTip("Add a layer to draw in; its last shape counts.")
        kind = "region" if combo is self.region else "line"
        button.clicked.connect(partial(self._on_draw, kind))
        self.buttons[f"draw {kind}"] = button
        line.addWidget(combo, 1)
        line.addWidget(button)
        return row

    def _action_buttons(self) -> QGridLayout:
        grid = QGridLayout()
        actions: tuple[tuple[str, str, Callable[..., None]], ...] = (
            ("Measure", "Fill the table.", self.measure),
            (
                "Error maps",
                "Where a layer, blurred back, differs from the reference.",
                self.add_error_maps,
            ),
            (_GRID, "Ticked layers in napari's grid.", self.show_grid),
            (_SPLIT, "Ticked layers at one place; move the border.", self.show_split),
            ("Export CSV …", "All measures as a table.", self._ask_csv),
            ("Export PNG …", "Ticked layers side by side.", self._ask_png),
        )
        for number, (title, tip, slot) in enumerate(actions):
            button = QPushButton(title)
            button.setToolTip(tip)
            if title in (_GRID, _SPLIT):
                button.setCheckable(True)
                button.toggled.connect(slot)
            else:
                button.clicked.connect(slot)
            grid.addWidget(button, number // 3, number % 3)
            self.buttons[title] = button
        return grid

    def _connect(self) -> None:
        self.reference.layerChanged.connect(self._on_change)
        self.region.layerChanged.connect(self._on_change)
        self.line.layerChanged.connect(self._on_line)
        self.layers.itemChanged.connect(self._on_change)
        self.runner.returned.connect(self._on_returned)
        self.profiles.returned.connect(self._show_profiles)
        self.profiles.failed.connect(self._on_failed)
        self.runner.failed.connect(self._on_failed)
        self.runner.started.connect(self.messages.clear)
        self.runner.progressed.connect(self._on_progress)
        self.runner.finished.connect(self._on_finished)

    def _watch(self, layers: Sequence[Layer]) -> None:
        """Follow the pixels and the shapes of these layers, and no others."""
        for layer in self._watched:
            layer.events.data.disconnect(self._on_change)
        self._watched = list(layers)
        for layer in self._watched:
            layer.events.data.connect(self._on_change)

    def _on_draw(self, kind: str, _checked: bool = False) -> None:
        self.add_shapes(kind)

    def _on_line(self, _: Any = None) -> None:
        self._profile_delay.start()

    def _on_change(self, event: Any = None) -> None:
        if getattr(event, "source", None) is self.line.layer() is not None:
            self._on_line()
            return
        self._profile_delay.start()
        if self.follow.isChecked() and self.rows:
            self._delay.start()

    def _on_progress(self, report: Progress) -> None:
        self.status.setText(f"measuring {report.message} …" if report.message else "")

    def _on_finished(self) -> None:
        self.status.setText("")

    def _on_failed(self, failure: Failure) -> None:
        text = in_docks(failure)
        self.messages.show_texts([text], "error")
        if not failure.is_user_error:
            show_error(text)

    def _on_returned(self, value: Any) -> None:
        if isinstance(value, Path):
            self.messages.show_texts([f"written: {value.name}"], "info")
        elif value and isinstance(value[0], tuple):
            self._add_maps(value)
        else:
            self.show_rows(value)

    def _add_maps(self, maps: Sequence[tuple[LayerData, str]]) -> None:
        for (data, kwargs, _), _text in maps:
            self.viewer.add_layer(Image(data, **kwargs))
        self.messages.show_texts([text for _, text in maps], "info")

    def show_rows(self, rows: list[Row]) -> None:
        """Show measures in the table."""
        self.rows = rows
        self.table.show_rows(rows)
        problems = [f"{r['layer']}: {r['error']}" for r in rows if "error" in r]
        if problems:
            self.messages.show_texts(problems, "warning")

    def _show_profiles(self, found: Sequence[tuple[str, LineProfile]]) -> None:
        curves = []
        for number, (name, profile) in enumerate(found):
            width = f"{profile.fwhm:.0f} {profile.unit}" if profile.fwhm else "–"
            curves.append(
                Curve(
                    profile.distance,
                    profile.relative,
                    f"{name}   FWHM {width}",
                    COLOURS[number % len(COLOURS)],
                )
            )
        self.plot.show_curves(
            curves, message="Draw a line to see the profiles of the ticked layers."
        )

    def _ask_csv(self) -> None:
        if not self.rows:
            self.messages.show_texts(["measure first"], "warning")
            return
        name, _ = QFileDialog.getSaveFileName(
            self, "Export measures", "compare.csv", "Table (*.csv)"
        )
        self._try(self.export_csv, name, ".csv")

    def _ask_png(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Export picture", "compare.png", "Picture (*.png)"
        )
        self._try(self.export_png, name, ".png")

    def _try(self, action: Callable[[Path], None], name: str, suffix: str) -> None:
        if not name:
            return
        try:
            action(Path(name).with_suffix(suffix))
        except (InputError, OSError) as error:
            self.messages.show_texts([in_docks(error)], "error")


def _map_all(items: Sequence[Item], reference: Item) -> Steps:
    found = []
    for item in items:
        found.append((yield from map_errors(item, reference)))
    return found


def _timer(parent: QWidget, slot: Callable[[], None]) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(_DELAY_MS)
    timer.timeout.connect(slot)
    return timer


def _no_shapes(layer: Layer) -> str:
    return "" if isinstance(layer, Shapes) else "no shapes"


def _thickness(images: Sequence[Image]) -> float:
    """Return an edge that can be seen: three pixels of the first layer."""
    return 3 * float(images[0].scale[-1]) if images else 1.0

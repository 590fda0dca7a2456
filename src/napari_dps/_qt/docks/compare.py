"""The dock that compares layers: figures, profiles, error maps, side by side."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import napari.viewer
from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QGridLayout, QPushButton, QWidget

from napari_dps._qt.bridge.compare import (
    Comparison,
    ErrorMapLayer,
    MeasureRow,
    Profiles,
    doubt_reference,
    draw,
    map_errors,
    measure_all,
    profile_all,
    shapes_layer,
)
from napari_dps._qt.bridge.compare_lapse import (
    NO_LAPSE,
    LapseMeasures,
    has_lapse,
    interval_of,
    lapse_of,
    measure_lapse,
)
from napari_dps._qt.bridge.curves import profile_curves
from napari_dps._qt.bridge.debounce import debouncer
from napari_dps._qt.bridge.dock_tabs import DockTabs
from napari_dps._qt.bridge.layer_events import DataEvents, LayerEvents
from napari_dps._qt.bridge.layers import part_of
from napari_dps._qt.bridge.runner import Runner
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.compare_inputs import CompareInputs
from napari_dps._qt.widgets.editors import BoolEdit
from napari_dps._qt.widgets.lapse_plot import LapsePlot
from napari_dps._qt.widgets.layer_views import LayerViews
from napari_dps._qt.widgets.layout import dock_columns, hint_label, push_button, row_of
from napari_dps._qt.widgets.measure_table import MeasureTable
from napari_dps._qt.widgets.messages import Messages
from napari_dps._qt.widgets.plots import Plot
from napari_dps.core import InputError, Progress
from napari_dps.core.errors import Failure
from napari_dps.io import write_csv

_WIDTH_PX = 380
_DELAY_MS = 300
"""Changes that follow one another faster are measured once."""


class CompareWidget(QWidget):
    """Compares image layers, with a reference or blind.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari; a `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.rows: list[MeasureRow] = []
        self.inputs = CompareInputs()
        self.views = LayerViews(napari_viewer, self.inputs.layers.value, self)
        self.table = MeasureTable()
        self.plot = Plot("distance along the line (nm)", "relative intensity")
        self.lapse = LapsePlot()
        self.follow = BoolEdit("Measure anew on changes")
        self.follow.setValue(True)
        self.more = BoolEdit("More columns")
        self.messages = Messages()
        self.status = hint_label()
        self.buttons = self._make_buttons()
        self.runner = Runner(self, lane="measures")
        self.profiles = Runner(self, lane="profiles")
        self.layer_events = LayerEvents(napari_viewer, self)
        self._data_events = DataEvents(self._on_data)
        self._measure_later = debouncer(self, self.measure, _DELAY_MS)
        self._profile_later = debouncer(self, self.show_profile, _DELAY_MS)
        self._lay_out()
        DockTabs(self)
        self._connect()
        self._show_profiles([])
        self._tell("")
        self.table.hide()

    def comparison(self) -> Comparison:
        """Return what is to be compared."""
        return self.inputs.value()

    def refresh_layers(self) -> None:
        """Look at the layers of the viewer anew."""
        self.views.check()
        layers = [layer for layer in self.viewer.layers if not part_of(layer)]
        self.inputs.refresh(layers)
        self._data_events.follow(layers)
        self._offer_lapse()

    def compare_family(self, source: Image | None, results: Sequence[Image]) -> None:
        """Measure results against what they were made of."""
        self.refresh_layers()
        self.inputs.setValue(Comparison(tuple(results), source))
        self.measure()

    def measure(self) -> None:
        """Measure the layers that are ticked, in another thread."""
        comparison = self.comparison()
        items = comparison.competitors(self.viewer)
        if not items:
            self._tell("Tick layers to compare, other than the reference.")
            return
        reference = comparison.reference
        truth = None if reference is None else comparison.item(self.viewer, reference)
        if not self.runner.start(partial(measure_all, items, truth)):
            self._measure_later.throttle()  # the run that goes on is out of date

    def show_profile(self) -> None:
        """Show the profiles along the line."""
        items = self.comparison().items(self.viewer)
        if not any(item.line for item in items):
            self._show_profiles([])
        elif not self.profiles.start(partial(profile_all, items)):
            self._profile_later.throttle()

    def measure_over_time(self) -> None:
        """Measure the layers at all time points, for the plot over time."""
        comparison = self.comparison()
        try:
            points = lapse_of(comparison, self.viewer)
        except InputError as error:
            self._warn(in_docks(error))
            return
        self.runner.start(partial(measure_lapse, points, interval_of(comparison)))

    def add_error_maps(self) -> None:
        """Add the error map of each ticked layer against the reference."""
        comparison = self.comparison()
        if comparison.reference is None:
            self._warn("choose a reference: the widefield image or the raw frames")
            return
        reference = comparison.item(self.viewer, comparison.reference)
        items = comparison.items(self.viewer)
        others = [item for item in items if item.name != reference.name]
        self.runner.start(partial(map_errors, others, reference))

    def add_shapes(self, kind: str) -> None:
        """Add a layer to draw a region or a line in."""
        shapes = shapes_layer(kind, self.comparison().layers)
        self.viewer.add_layer(shapes)
        self.refresh_layers()
        combo = self.inputs.region if kind == "region" else self.inputs.line
        combo.setValue(shapes)
        shapes.mode = "add_rectangle" if kind == "region" else "add_line"

    def export_csv(self, path: str | Path) -> None:
        """Write all measures, those of the table and the others."""
        write_csv(self.rows, Path(path))
        self.messages.show_texts([f"written: {Path(path).name}"], "info")

    def export_png(self, path: str | Path) -> None:
        """Write the ticked layers side by side as a picture."""
        items = self.comparison().items(self.viewer)
        if items:  # the uppermost is listed first: from raw frames to the last result
            self.runner.start(partial(draw, items[::-1], Path(path)))

    def show_rows(self, rows: list[MeasureRow]) -> None:
        """Show measures in the table."""
        self.rows = rows
        doubt = doubt_reference(rows, self.comparison())
        self.table.show_rows(rows, is_doubted=bool(doubt))
        self.table.setVisible(bool(rows))
        problems = [f"{r['layer']}: {r['error']}" for r in rows if "error" in r]
        texts = [*problems, *([doubt] if doubt else [])]
        if texts:
            self.messages.show_texts(texts, "warning")

    def _make_buttons(self) -> dict[str, QPushButton]:
        buttons = (
            push_button("Measure", "Fill the table.", self.measure),
            push_button(
                "Error maps",
                "Where a layer, blurred back, differs from the reference.",
                self.add_error_maps,
            ),
            push_button("Export CSV …", "All measures as a table.", self._ask_csv),
            push_button("Export PNG …", "Ticked layers side by side.", self._ask_png),
            push_button("Over time", slot=self.measure_over_time),
            self.views.grid_button,
            self.views.split_button,
        )
        return {button.text(): button for button in buttons}

    def _lay_out(self) -> None:
        grid = QGridLayout()
        first = ("Measure", "Over time", "Error maps")
        second = ("Split view", "Side by side")
        third = ("Export CSV …", "Export PNG …")
        for row, titles in enumerate((first, second, third)):
            for column, title in enumerate(titles):
                grid.addWidget(self.buttons[title], row, column)
        layout, _ = dock_columns(self)
        layout.addWidget(self.inputs)
        layout.addLayout(grid)
        options = row_of(self.follow, self.more)
        for widget in (self.views.split, options, self.status, self.messages):
            layout.addWidget(widget)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.lapse, 1)
        layout.addWidget(self.plot, 1)
        self.setMinimumWidth(_WIDTH_PX)

    def _connect(self) -> None:
        self.layer_events.changed.connect(self.refresh_layers)
        self.layer_events.hidden.connect(self._on_hidden)
        self.inputs.valueChanged.connect(self._on_change)
        self.inputs.lineChanged.connect(self._profile_later.throttle)
        self.more.toggled.connect(self.table.show_all)
        self.inputs.drawClicked.connect(self.add_shapes)
        self.views.refused.connect(self._warn)
        self.runner.started.connect(self.messages.clear)
        self.runner.progressed.connect(self._on_progress)
        self.runner.returned.connect(self._on_returned)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._on_finished)
        self.profiles.returned.connect(self._show_profiles)
        self.profiles.failed.connect(self._on_failed)

    def _on_hidden(self) -> None:
        """Leave no callback behind, and no layers of the split view."""
        self.views.end_split()
        self._data_events.follow([])
        self._measure_later.cancel()
        self._profile_later.cancel()

    def _on_data(self, event: Any) -> None:
        if event.source is self.comparison().line:
            self._profile_later.throttle()
        else:
            self._on_change()

    def _offer_lapse(self) -> None:
        """Let time points be measured where there are some."""
        button, possible = self.buttons["Over time"], has_lapse(self.comparison())
        button.setEnabled(possible)
        tip = "Measures the time points of lapses, 50 at most, and plots them."
        button.setToolTip(tip if possible else f"{tip} Now {NO_LAPSE}.")
        if not possible:
            self.lapse.hide()

    def _on_change(self) -> None:
        self._offer_lapse()
        self._profile_later.throttle()
        if self.follow.value() and self.rows:
            self._measure_later.throttle()

    def _on_progress(self, report: Progress) -> None:
        self._tell(f"measuring {report.message} …" if report.message else "")

    def _on_finished(self) -> None:
        self._tell("")

    def _tell(self, text: str) -> None:
        """Show how it goes; without a text there is no empty line."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _on_failed(self, failure: Failure) -> None:
        text = in_docks(failure)
        self.messages.show_texts([text], "error")
        if not failure.is_user_error:
            show_error(text)

    def _on_returned(self, value: Any) -> None:
        if isinstance(value, Path):
            self.messages.show_texts([f"written: {value.name}"], "info")
        elif isinstance(value, LapseMeasures):
            self.lapse.show_measures(value)
        elif value and isinstance(value[0], ErrorMapLayer):
            self._add_maps(value)
        else:
            self.show_rows(value)

    def _add_maps(self, maps: Sequence[ErrorMapLayer]) -> None:
        for number, found in enumerate(maps):
            data, kwargs, _ = found.data
            layer = Image(data, **kwargs)
            layer.colorbar.visible = not number  # all have the scale of the first
            self.viewer.add_layer(layer)
        self.messages.show_texts([found.text for found in maps], "info")

    def _show_profiles(self, profiles: Sequence[Profiles]) -> None:
        hint = "Draw a line to see the profiles of the ticked layers."
        self.plot.show_curves(profile_curves(profiles), message=hint)

    def _warn(self, text: str) -> None:
        self.messages.show_texts([text], "warning")

    def _ask_csv(self) -> None:
        if not self.rows:
            self._warn("measure first")
            return
        self._export("measures", "compare.csv", "Table (*.csv)", self.export_csv)

    def _ask_png(self) -> None:
        self._export("picture", "compare.png", "Picture (*.png)", self.export_png)

    def _export(
        self, what: str, name: str, kind: str, action: Callable[[Path], None]
    ) -> None:
        """Ask for a file to write, and write it."""
        chosen, _ = QFileDialog.getSaveFileName(self, f"Export {what}", name, kind)
        if not chosen:
            return
        try:
            action(Path(chosen).with_suffix(Path(name).suffix))
        except (InputError, OSError) as error:
            self.messages.show_texts([in_docks(error)], "error")

"""How the frames of an unnamed raw stack are to be read: angles, phases, order."""

from functools import partial

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QWidget

from napari_dps._qt.bridge.frame_order import best_reading, check_frames
from napari_dps._qt.bridge.layer_optics import instrument_of
from napari_dps._qt.bridge.layers import axes_of, is_zero_based
from napari_dps._qt.bridge.microscope import FILE, YOU
from napari_dps._qt.bridge.runner import Runner
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.editors import BoolEdit, ChoiceEdit, IntegerEdit
from napari_dps._qt.widgets.form import make_editor
from napari_dps._qt.widgets.layout import (
    column_of,
    compact_rows,
    hint_label,
    push_button,
    row_label,
    row_of,
)
from napari_dps.core import is_raw
from napari_dps.core.errors import Failure
from napari_dps.core.params import describe
from napari_dps.io import INSTRUMENTS, OrderCheck, usual_counts
from napari_dps.pipeline import InputSettings

AUTO = "auto"
ORDERS = {
    AUTO: "angle by angle",
    "apyx": "angle by angle",
    "payx": "phase by phase",
    "tapyx": "time, then angle by angle",
    "tpayx": "time, then phase by phase",
    "zapyx": "z, then angle by angle",
    "apzyx": "angle, phase, then z",
    "zpayx": "z, then phase by phase",
    "pazyx": "phase, angle, then z",
}
"""Orders of the frames in a file, slowest first, and how a person says them."""


_ORDER_TIP = (
    "Order of the frames in the layer, slowest first. auto: more sets than one are "
    "time points."
)


class FramesWidget(QWidget):
    """Edits angles, phases and order; hidden for layers that name their axes.

    Parameters
    ----------
    is_optional : bool
        Whether the frames may be no raw SIM frames at all; a box then tells.
    is_of_files : bool
        Whether it is asked for files, whatever the layer: there are no frames to
        detect the order in.
    """

    valueChanged = Signal()

    def __init__(self, *, is_optional: bool = False, is_of_files: bool = False) -> None:
        super().__init__()
        self.is_raw = BoolEdit("These are raw SIM frames")
        self.is_raw.setChecked(True)
        self.is_raw.setVisible(is_optional)
        self._is_optional, self._is_of_files = is_optional, is_of_files
        self._layer: Image | None = None
        infos = {info.name: info for info in describe(InputSettings)}
        self.instrument = make_editor(infos["instrument"])
        self.instrument_source = hint_label()
        self._preset = ""
        self.angles, self.phases = _count("angles"), _count("phases")
        self.order = ChoiceEdit()
        for order, words in ORDERS.items():
            self.order.addItem(f"{order}  ({words})", order)
        self.order.setToolTip(_ORDER_TIP)
        self.detect_button = push_button(
            "Detect order",
            "Compares the frames: the phases of one angle add up to the same image.",
            self.detect,
        )
        self._note = hint_label()
        self._lay_out()
        self.is_raw.toggled.connect(self._details.setVisible)
        self.is_raw.valueChanged.connect(self.valueChanged)
        self._runner = Runner(self, lane="measures")
        self._runner.returned.connect(self._on_detected)
        self._runner.failed.connect(self._on_failed)
        self._runner.finished.connect(self._on_finished)
        for signal in (self.angles.valueChanged, self.phases.valueChanged):
            signal.connect(self.valueChanged)
        self.order.valueChanged.connect(self.valueChanged)
        self.instrument.valueChanged.connect(self._on_instrument)

    def _lay_out(self) -> None:
        counts = row_of(self.angles, QLabel("×"), self.phases)
        self._details = QWidget()
        rows = compact_rows(self._details)
        instrument = row_of(self.instrument, self.instrument_source)
        rows.addRow(row_label("Instrument", self.instrument), instrument)
        rows.addRow(row_label("Angles × phases", self.angles), counts)
        rows.addRow(row_label("Frame order", self.order), self.order)
        if not self._is_of_files:
            rows.addRow(self.detect_button, self._note)
        column_of(self.is_raw, self._details, inside=self, spacing=6)

    @property
    def is_needed(self) -> bool:
        """Whether the layer leaves open which frame is which."""
        if self._is_of_files:
            return True
        layer = self._layer
        return layer is not None and layer.ndim > 2 and not is_raw(axes_of(layer))

    @property
    def is_on(self) -> bool:
        """Whether the layer is to be read as frames with these counts."""
        return self.is_needed and bool(self.is_raw.isChecked())

    def value(self) -> InputSettings:
        """Return how to read the frames; nothing is set where the layer says it."""
        if not self.is_on:
            return InputSettings()
        order = self.order.value()
        return InputSettings(
            instrument=self.instrument.value(),
            angles=self.angles.value(),
            phases=self.phases.value(),
            order=None if order == AUTO else order,
        )

    def setValue(self, value: InputSettings) -> None:
        """Show counts and an order; nothing changes where the counts are not set."""
        self.instrument.setValue(value.instrument)
        if value.angles is not None and value.phases is not None:
            self.angles.setValue(value.angles)
            self.phases.setValue(value.phases)
            self.order.setValue(value.order or AUTO)

    def set_layer(self, layer: Image | None) -> None:
        """Follow the choice of a layer, with the usual counts for its frames."""
        self._layer = layer
        self._note.setText("")
        self.setVisible(self.is_needed)
        if not self.is_needed or layer is None:
            return
        total = int(np.prod(layer.data.shape[:-2]))
        found = usual_counts(total)
        if self.instrument.value() == self._preset:
            self.instrument.setValue(AUTO)  # it was told by the file of another layer
        self._preset = instrument_of(layer)
        if found:
            angles, phases = found
            instrument = self.instrument.value()
            asked = InputSettings(instrument=instrument, angles=angles, phases=phases)
            self.setValue(asked)
        if self._preset:
            self.instrument.setValue(self._preset)
        self._show_source()
        if self._is_optional:
            exact = found is not None and found[0] * found[1] == total
            is_raw_frames = exact or bool(self._preset)
            self.is_raw.setChecked(is_raw_frames and not is_zero_based(layer))

    def detect(self) -> None:
        """Find the order that the frames fit, in another thread."""
        if self._layer is None or not self.is_needed:
            return
        self.detect_button.setEnabled(False)
        self._note.setText("looking at the frames …")
        order = self.order.value()
        steps = partial(
            check_frames,
            LayerSnapshot.of(self._layer),
            angles=self.angles.value(),
            phases=self.phases.value(),
            order=None if order == AUTO else order,
        )
        self._runner.start(steps)

    def _on_instrument(self) -> None:
        """Show the layout of the instrument; what it leaves open stays."""
        key = self.instrument.value()
        for row in INSTRUMENTS:
            if row.key == key:
                self.angles.setValue(row.angles or self.angles.value())
                self.phases.setValue(row.phases or self.phases.value())
                self.order.setValue(row.order or self.order.value())
        self._show_source()
        self.valueChanged.emit()

    def _show_source(self) -> None:
        """Say where the instrument comes from, as of the optics."""
        key = self.instrument.value()
        of_file = bool(self._preset) and key == self._preset
        self.instrument_source.setText(FILE if of_file else "" if key == AUTO else YOU)

    def _on_finished(self) -> None:
        self.detect_button.setEnabled(True)

    def _on_detected(self, check: OrderCheck) -> None:
        self._note.setText(check.message)
        if check.status == "wrong":
            self.setValue(best_reading(check))
            self._note.setText(f"the frames fit {check.best}: taken over")

    def _on_failed(self, failure: Failure) -> None:
        self._note.setText(in_docks(failure))


def _count(name: str) -> IntegerEdit:
    spin = IntegerEdit()
    spin.setRange(1, 36)
    spin.setValue(3)
    spin.setKeyboardTracking(False)
    spin.setToolTip(f"Number of {name} of the stripes.")
    spin.setAccessibleName(name.capitalize())
    return spin

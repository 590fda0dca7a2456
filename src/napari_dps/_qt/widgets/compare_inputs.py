"""The layers to compare: those ticked, a reference, a region, a line."""

from collections.abc import Sequence
from functools import partial

from napari.layers import Layer, Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_dps._qt.bridge.compare import (
    Comparison,
    why_no_shapes,
    why_not_compared,
)
from napari_dps._qt.widgets.layer_checklist import LayerChecklist
from napari_dps._qt.widgets.layer_combo import LayerCombo
from napari_dps._qt.widgets.layout import (
    column_of,
    compact_rows,
    push_button,
    row_label,
    row_of,
)


class CompareInputs(QWidget):
    """Edits what is compared.

    Signals
    -------
    valueChanged
        Layers, reference or region: measures are out of date.
    lineChanged
        The line of the profiles.
    drawClicked : str
        A layer is asked for to draw in: "region" or "line".
    """

    valueChanged = Signal()
    lineChanged = Signal()
    drawClicked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.layers = LayerChecklist(why_not_compared)
        self.layers.setToolTip("Layers to compare.")
        self.reference = LayerCombo(why_not_compared, "none: each alone")
        self.region = LayerCombo(why_no_shapes, "whole image")
        self.line = LayerCombo(why_no_shapes, "none")
        rows = compact_rows()
        rows.addRow(row_label("Reference", self.reference), self.reference)
        for title, kind, combo in (
            ("Region", "region", self.region),
            ("Line profile", "line", self.line),
        ):
            tip = "Add a layer to draw in; its last shape counts."
            draw = push_button("Draw", tip, partial(self._on_draw, kind))
            rows.addRow(row_label(title, combo), row_of(combo, draw))
        column_of(self.layers, rows, inside=self, spacing=6)
        self.layers.valueChanged.connect(self.valueChanged)
        self.reference.valueChanged.connect(self.valueChanged)
        self.region.valueChanged.connect(self.valueChanged)
        self.line.valueChanged.connect(self.lineChanged)

    def value(self) -> Comparison:
        """Return what is to be compared."""
        return Comparison(
            tuple(self.layers.value()),
            self.reference.value(),
            self.region.value(),
            self.line.value(),
        )

    def setValue(self, value: Comparison) -> None:
        """Choose layers, as far as they are in the lists."""
        self.layers.setValue(value.layers)
        self.reference.setValue(value.reference)
        self.region.setValue(value.region)
        self.line.setValue(value.line)

    def refresh(self, layers: Sequence[Layer]) -> None:
        """Offer these layers."""
        self.reference.refresh(layers)
        shapes = [layer for layer in layers if isinstance(layer, Shapes)]
        self.region.refresh(shapes)
        self.line.refresh(shapes)
        self.layers.refresh(layers)

    def _on_draw(self, kind: str, _checked: bool = False) -> None:
        self.drawClicked.emit(kind)

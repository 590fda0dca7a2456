"""The form of the microscope: optics, camera offset, pixel size of the layer."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from napari.layers import Image
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QFormLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_dps._qt.bridge.layers import is_zero_based, optics_of, pixel_size_nm
from napari_dps._qt.bridge.microscope import EMISSIONS, OBJECTIVES, Microscope
from napari_dps._qt.widgets.editors import NumberEdit
from napari_dps._qt.widgets.form import make_editor
from napari_dps._qt.widgets.layout import (
    compact_rows,
    hint_label,
    push_button,
    row_label,
)
from napari_dps.core import InputError, Optics
from napari_dps.core.params import describe
from napari_dps.pipeline import InputSettings

_REQUIRED = ("na", "emission_nm", "pixel_size_nm")
_UNKNOWN = "not set"


class MicroscopeWidget(QWidget):
    """Edits the shared microscope, and the pixel size of the chosen layer.

    Parameters
    ----------
    microscope : Microscope
        Shared with the other docks.
    """

    valueChanged = Signal()

    def __init__(self, microscope: Microscope) -> None:
        super().__init__()
        self._microscope = microscope
        self._layer: Image | None = None
        self._is_showing = False
        self._infos = {info.name: info for info in describe(Optics)}
        self.editors: dict[str, NumberEdit] = {}
        self._note = hint_label()
        presets = compact_rows()
        for info in self._infos.values():
            self._add_row(presets, info.name, make_editor(info))
        offset = {i.name: i for i in describe(InputSettings)}["camera_offset"]
        self._infos[offset.name] = offset
        self._add_row(presets, offset.name, make_editor(offset))
        column = QVBoxLayout(self)
        column.setSpacing(4)
        column.addWidget(self._preset_button())
        column.addLayout(presets)
        column.addWidget(self._note)
        microscope.changed.connect(self._show_values)
        self._show_values()

    def value(self) -> dict[str, float]:
        """Return what is set, as the table ``[optics]`` of a file of settings."""
        values = {n: v for n, v in self._microscope.values.items() if n in self._infos}
        pixel_nm = self._pixel_nm()
        return values if pixel_nm is None else {**values, "pixel_size_nm": pixel_nm}

    def setValue(self, optics: Mapping[str, float]) -> None:
        """Show optics and share them; the pixel size is that of the layer alone."""
        values = dict(optics)
        pixel_nm = values.pop("pixel_size_nm", None)
        self._microscope.update(values)
        if None not in (pixel_nm, self._layer) and self._pixel_nm() != pixel_nm:
            self._microscope.set_pixel_size(self._layer, pixel_nm)

    @property
    def camera_offset(self) -> float:
        """Counts to subtract; 0 where a stage has done so before."""
        if self._layer is not None and is_zero_based(self._layer):
            return 0.0
        return self._microscope.camera_offset

    @property
    def missing(self) -> tuple[str, ...]:
        """Titles of what has to be set and is not."""
        values = self.value()
        return tuple(self._infos[n].title for n in _REQUIRED if n not in values)

    def set_layer(self, layer: Image | None) -> None:
        """Show the pixel size of a layer, and take over the optics that it carries."""
        self._layer = layer
        if layer is not None:
            self._microscope.read(layer)
        self._show_values()

    def summary(self) -> str:
        """Return the values that tell microscopes apart, each after a comma."""
        values = self.value()
        texts = [f", NA {values['na']:g}"] if "na" in values else []
        for name in ("emission_nm", "pixel_size_nm"):
            texts += [f", {values[name]:g} nm"] if name in values else []
        return "".join(texts)

    def _add_row(self, form: QFormLayout, name: str, editor: Any) -> None:
        if name in _REQUIRED:  # its minimum stands for "not set"
            editor.setMinimum(0.0)
            editor.setSpecialValueText(_UNKNOWN)
        form.addRow(row_label(self._infos[name].title, editor), editor)
        self.editors[name] = editor
        editor.valueChanged.connect(partial(self._on_edit, name))

    def _preset_button(self) -> QPushButton:
        tip = "Nominal values of common objectives and dyes."
        button = push_button("Presets: objectives and dyes", tip)
        menu = QMenu(button)
        for objective in OBJECTIVES:
            values = {
                "na": objective.na,
                "refractive_index": objective.refractive_index,
            }
            menu.addAction(objective.name, partial(self._use_preset, values))
        menu.addSeparator()
        for name, nm in EMISSIONS:
            use = partial(self._use_preset, {"emission_nm": nm})
            menu.addAction(f"{name}  ({nm:g} nm)", use)
        button.setMenu(menu)
        return button

    def _use_preset(self, values: dict[str, float], _checked: bool = False) -> None:
        self._microscope.update(values)

    def _pixel_nm(self) -> float | None:
        """Return the pixel size: by hand, of the layer's scale, or of its optics."""
        if self._layer is None:
            return None
        by_hand = self._microscope.pixel_size_by_hand(self._layer)
        if by_hand is not None:
            return by_hand
        try:
            size_nm = pixel_size_nm(self._layer)
        except InputError:
            size_nm = None
        optics = optics_of(self._layer)
        return size_nm or (optics.pixel_size_nm if optics is not None else None)

    @Slot()  # a true slot: Qt forgets it with the widget
    def _show_values(self) -> None:
        self._is_showing = True
        values = {**self.value(), "camera_offset": self.camera_offset}
        for name, editor in self.editors.items():
            editor.setValue(values.get(name, editor.minimum()))
        zero_based = self._layer is not None and is_zero_based(self._layer)
        self.editors["camera_offset"].setEnabled(not zero_based)
        self.editors["pixel_size_nm"].setEnabled(self._layer is not None)
        self._note.setText(self._explain(zero_based))
        self._note.setVisible(bool(self._note.text()))
        self._is_showing = False
        self.valueChanged.emit()

    def _explain(self, zero_based: bool) -> str:
        """Say where the values come from, and what does not fit."""
        notes = []
        if self._layer is not None:
            if self._microscope.pixel_size_by_hand(self._layer) is not None:
                notes.append("Pixel size: set by hand for this layer.")
            elif "pixel_size_nm" in self.value():
                notes.append("Pixel size: from the layer.")
        if zero_based:
            notes.append("Camera offset: already subtracted.")
        values = self._microscope.values
        if values.get("na", 0.0) >= values["refractive_index"]:
            notes.append("The NA must be below the refractive index.")
        return " ".join(notes)

    def _on_edit(self, name: str, _value: float = 0.0) -> None:
        if self._is_showing:
            return
        editor = self.editors[name]
        value = editor.value()
        value_set = None if name in _REQUIRED and value == editor.minimum() else value
        if name == "camera_offset":
            self._microscope.set_camera_offset(value)
        elif name == "pixel_size_nm":
            self._microscope.set_pixel_size(self._layer, value_set)
        else:
            self._microscope.update({name: value_set})

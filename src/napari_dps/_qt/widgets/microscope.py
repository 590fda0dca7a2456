"""The form of a layer's optics: each value, and where it comes from."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from napari.layers import Image
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QFormLayout,
    QInputDialog,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dps._qt.bridge.layer_optics import OFFSET, Value, channels_of
from napari_dps._qt.bridge.layers import is_zero_based
from napari_dps._qt.bridge.microscope import (
    EMISSIONS,
    FILE,
    MICROSCOPE,
    NOT_CONFIRMED,
    OBJECTIVES,
    USUAL,
    YOU,
    Microscope,
    Stated,
)
from napari_dps._qt.widgets.editors import NumberEdit
from napari_dps._qt.widgets.form import make_editor
from napari_dps._qt.widgets.layout import (
    compact_rows,
    hint_label,
    push_button,
    row_label,
    row_of,
)
from napari_dps.core import Optics
from napari_dps.core.params import describe
from napari_dps.pipeline import InputSettings

_REQUIRED = ("na", "emission_nm", "pixel_size_nm")
_BASIC = (*_REQUIRED, OFFSET)
_LEAST_PIXEL_NM = 1.0
"""Of what `Optics` allows: smaller ones were typed in µm."""
_UNKNOWN = "not set"
_EDITOR_PX, _SOURCE_PX = 72, 76
_SOURCES = {
    YOU: "Set by you, for this layer alone.",
    FILE: "Told by the file of this layer, or by the step that made it.",
    MICROSCOPE: "Of your saved microscope, confirmed for this layer.",
    NOT_CONFIRMED: "Of the microscope in use; nobody has confirmed it for this layer.",
    USUAL: "The usual value.",
}
_COLOURS = {NOT_CONFIRMED: "#e0a92e"}


class MicroscopeWidget(QWidget):
    """Edits the optics of the chosen layer; without one, the microscope in use.

    Parameters
    ----------
    microscope : Microscope
        Shared with the other docks.

    Attributes
    ----------
    camera : InputSettings
        Camera, OTF and instrument, which are saved with a microscope; `chosen` tells
        those of one that is chosen.
    """

    valueChanged = Signal()
    chosen = Signal(object)

    def __init__(self, microscope: Microscope) -> None:
        super().__init__()
        self.camera = InputSettings()
        self._microscope = microscope
        self._layer: Image | None = None
        self._is_showing = False
        self._infos = {info.name: info for info in describe(Optics)}
        offset = {i.name: i for i in describe(InputSettings)}[OFFSET]
        self.editors: dict[str, NumberEdit] = {}
        self.sources: dict[str, QLabel] = {}
        self.channels = ChannelEdits()
        self._note = hint_label()
        self._rows = compact_rows()
        for info in (*self._infos.values(), offset):
            self._infos[info.name] = info
            self._add_row(info.name, make_editor(info))
        column = QVBoxLayout(self)
        column.setSpacing(4)
        column.addWidget(self._preset_button())
        column.addLayout(self._rows)
        column.addWidget(self._note)
        self.mend_button = push_button("", slot=self._use_micrometres)
        column.addWidget(self.mend_button)
        self.channels.valueChanged.connect(self._on_channels)
        microscope.changed.connect(self._show_values)
        self._show_values()

    def value(self) -> dict[str, Value]:
        """Return what is known, as the table ``[optics]`` of a file of settings."""
        return {
            name: stated.value
            for name, stated in self._stated().items()
            if name in Optics.model_fields and stated.source != USUAL
        }

    def confirmed(self) -> dict[str, Value]:
        """Return the same without what is only offered to the layer."""
        offered = self._microscope.unconfirmed(self._layer)
        return {n: v for n, v in self.value().items() if n not in offered}

    def setValue(self, optics: Mapping[str, Value]) -> None:
        """Set optics of the layer; what it says itself is not set again."""
        known = self._stated()
        changes: dict[str, Value | None] = {
            name: value
            for name, value in optics.items()
            if name not in known or known[name].value != value
        }
        self._microscope.set_of(self._layer, changes)

    @property
    def camera_offset(self) -> float:
        """Counts to subtract; 0 where a stage has done so before."""
        stated = self._stated().get(OFFSET)
        value = 0.0 if stated is None else stated.value
        return value if isinstance(value, float | int) else value[0]

    def set_camera_offset(self, counts: float) -> None:
        """Set the camera's offset of the layer."""
        if counts != self.camera_offset:
            self._microscope.set_of(self._layer, {OFFSET: counts})

    @property
    def missing(self) -> tuple[str, ...]:
        """Titles of what has to be set and is not."""
        return tuple(self._infos[name].title for name in missing_of(self.value()))

    def unconfirmed(self, *, needs_optics: bool) -> str:
        """Say what a run would use that nobody has confirmed for the layer.

        Parameters
        ----------
        needs_optics : bool
            Whether the run uses more than the camera's offset.
        """
        offered = self._microscope.unconfirmed(self._layer)
        words = {"na": "NA {:g}", "emission_nm": "{:g} nm", OFFSET: "offset {:g}"}
        return ", ".join(
            text.format(offered[name])
            for name, text in words.items()
            if name in offered and (needs_optics or name == OFFSET)
        )

    def confirm(self, *, needs_optics: bool) -> None:
        """Take what the microscope in use offers, and a run uses, as true."""
        names = self.editors if needs_optics else (OFFSET,)
        self._microscope.confirm(self._layer, names)

    def show_basic(self, is_basic: bool) -> None:
        """Show what every layer needs alone, or all there is."""
        for name, editor in self.editors.items():
            is_shown = name in _BASIC or not is_basic
            self._rows.setRowVisible(editor.parentWidget(), is_shown)

    def set_layer(self, layer: Image | None) -> None:
        """Show what is known of a layer."""
        self._layer = layer
        self._show_values()

    def summary(self) -> str:
        """Return the values that tell microscopes apart, each after a comma."""
        values = self.value()
        texts = [f", NA {_short(values['na'])}"] if "na" in values else []
        for name in ("emission_nm", "pixel_size_nm"):
            texts += [f", {_short(values[name])} nm"] if name in values else []
        return "".join(texts)

    def _stated(self) -> dict[str, Stated]:
        return self._microscope.of(self._layer)

    def _add_row(self, name: str, editor: Any) -> None:
        if name in _REQUIRED:  # its minimum stands for "not set"
            editor.setMinimum(0.0)
            editor.setSpecialValueText(_UNKNOWN)
        label = row_label(self._infos[name].title, editor)
        source = self.sources[name] = QLabel()
        source.setFixedWidth(_SOURCE_PX)
        source.setWordWrap(True)
        # Without its buttons the number has the room that the source takes.
        editor.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        editor.setMinimumWidth(_EDITOR_PX)
        row = row_of(editor, source)
        row.layout().setStretch(0, 1)
        self._rows.addRow(label, row)
        self.editors[name] = editor
        editor.valueChanged.connect(partial(self._on_edit, name))
        if name == "emission_nm":
            self._rows.addRow(self.channels)

    def _preset_button(self) -> QPushButton:
        tip = "Saved microscopes, and nominal values of common objectives and dyes."
        button = push_button("Presets: microscopes, objectives, dyes", tip)
        self._menu = QMenu(button)
        self._menu.aboutToShow.connect(self._fill_menu)
        button.setMenu(self._menu)
        self._fill_menu()
        return button

    def _fill_menu(self) -> None:
        menu = self._menu
        menu.clear()
        for name in self._microscope.saved:
            menu.addAction(name, partial(self._choose, name))
        menu.addAction("Save as a microscope …", self._ask_for_name)
        menu.addSeparator()
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

    def save_as(self, name: str) -> None:
        """Save the values as a microscope of this name."""
        values = {**self.value(), OFFSET: self.camera_offset}
        self._microscope.save(name, values, self.camera)
        self._choose(name)

    def _ask_for_name(self, _checked: bool = False) -> None:
        name, is_fine = QInputDialog.getText(
            self, "Save microscope", "Name, such as: SIM 2, 100× 1.49"
        )
        if is_fine and name.strip():
            self.save_as(name.strip())

    def _choose(self, name: str, _checked: bool = False) -> None:
        self._microscope.choose(name, self._layer)
        self.chosen.emit(self._microscope.camera_of(name))

    def _use_preset(self, values: dict[str, float], _checked: bool = False) -> None:
        self._microscope.set_of(self._layer, values)

    @Slot()  # a true slot: Qt forgets it with the widget
    def _show_values(self) -> None:
        self._is_showing = True
        stated = self._stated()
        names = channels_of(self._layer)
        for name, editor in self.editors.items():
            one = stated.get(name)
            value = editor.minimum() if one is None else one.value
            first = value[0] if isinstance(value, tuple) else value
            editor.setValue(0.0 if one is None and name == OFFSET else first)
            self._show_source(name, one)
        emission = stated.get("emission_nm")
        self.channels.show_channels(names, None if emission is None else emission.value)
        self.editors["emission_nm"].setEnabled(len(names) == 1)
        is_zero_based_layer = self._layer is not None and is_zero_based(self._layer)
        self.editors[OFFSET].setEnabled(not is_zero_based_layer)
        self.editors["pixel_size_nm"].setEnabled(self._layer is not None)
        self._note.setText(self._explain(is_zero_based_layer))
        self._note.setVisible(bool(self._note.text()))
        size = stated["pixel_size_nm"].value if "pixel_size_nm" in stated else 0.0
        is_in_um = isinstance(size, float | int) and 0 < size < _LEAST_PIXEL_NM
        self.mend_button.setVisible(is_in_um)
        if is_in_um:
            self.mend_button.setText(
                f"{size:g} nm is too small: use {1000 * size:g} nm"
            )
        self._is_showing = False
        self.valueChanged.emit()

    def _show_source(self, name: str, stated: Stated | None) -> None:
        """Say where a value comes from; of the usual ones nothing."""
        source = USUAL if stated is None else stated.source
        label = self.sources[name]
        label.setText("" if source == USUAL else source)
        label.setToolTip(_SOURCES[source])
        label.setStyleSheet(f"color: {_COLOURS.get(source, 'gray')};")

    def _explain(self, zero_based: bool) -> str:
        """Say what does not fit, and why something cannot be edited."""
        notes = []
        if zero_based:
            notes.append("Camera offset: already subtracted.")
        stated = self._stated()
        index, na = stated["refractive_index"].value, stated.get("na")
        if na is not None and _largest(na.value) >= _largest(index):
            notes.append("The NA must be below the refractive index.")
        return " ".join(notes)

    def _on_edit(self, name: str, _value: float = 0.0) -> None:
        if self._is_showing:
            return
        editor = self.editors[name]
        value = editor.value()
        is_none = name in _REQUIRED and value == editor.minimum()
        self._microscope.set_of(self._layer, {name: None if is_none else value})

    def _use_micrometres(self) -> None:
        """Take a pixel size that was typed in µm for what it is."""
        size = self._stated()["pixel_size_nm"].value
        if isinstance(size, float | int):
            self._microscope.set_of(self._layer, {"pixel_size_nm": 1000 * size})

    def _on_channels(self) -> None:
        if not self._is_showing:
            self._microscope.set_of(self._layer, {"emission_nm": self.channels.value()})


class ChannelEdits(QWidget):
    """Edits a wavelength for each channel of a layer; hidden for one channel."""

    valueChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.editors: list[NumberEdit] = []
        self._names: Sequence[str] = ()
        self._form: QFormLayout = compact_rows(self)

    def value(self) -> tuple[float, ...] | None:
        """Return the wavelengths in nm, 0 where it is not set; None if none is."""
        values = tuple(float(editor.value()) for editor in self.editors)
        return values if any(values) else None

    def setValue(self, values: Sequence[float]) -> None:
        """Show a wavelength for each channel."""
        for editor, value in zip(self.editors, values, strict=True):
            editor.setValue(value)

    def show_channels(self, names: Sequence[str], value: Value | None) -> None:
        """Show these channels with their wavelengths; nothing is emitted."""
        self.setVisible(len(names) > 1)
        self.blockSignals(True)
        if tuple(names) != tuple(self._names):
            self._make_rows(names if len(names) > 1 else ())
        self._names = tuple(names)
        known = value if isinstance(value, tuple) else (value or 0.0,) * len(names)
        if len(known) == len(self.editors):
            self.setValue(known)
        self.blockSignals(False)

    def _make_rows(self, names: Sequence[str]) -> None:
        while self._form.rowCount():
            self._form.removeRow(0)
        self.editors = []
        for name in names:
            editor = NumberEdit()
            editor.setRange(0.0, 2000.0)
            editor.setSpecialValueText(_UNKNOWN)
            editor.setSuffix(" nm")
            editor.setToolTip(f"Emission wavelength of {name}.")
            editor.setAccessibleName(f"Emission of {name}")
            self._form.addRow(row_label(f"   {name}", editor), editor)
            editor.valueChanged.connect(self._on_edit)
            self.editors.append(editor)

    def _on_edit(self, _value: float = 0.0) -> None:
        self.valueChanged.emit()


def missing_of(values: Mapping[str, Value]) -> tuple[str, ...]:
    """Return the names of optics that a run needs and that are not set.

    Examples
    --------
    >>> missing_of({"na": 1.4, "emission_nm": (525.0, 0.0)})
    ('emission_nm', 'pixel_size_nm')
    """
    return tuple(name for name in _REQUIRED if not _is_set(values.get(name)))


def _is_set(value: Value | None) -> bool:
    """Whether a value is known, of all channels."""
    return value is not None and (not isinstance(value, tuple) or all(value))


def _largest(value: Value) -> float:
    return max(value) if isinstance(value, tuple) else value


def _short(value: Value) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return "/".join(f"{one:g}" for one in values)

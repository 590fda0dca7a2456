"""What to read of an input, the maps of its camera, and a measured OTF."""

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_dps._qt.bridge.microscope import OF_CAMERA
from napari_dps._qt.widgets.form import make_editor
from napari_dps._qt.widgets.layout import compact_rows, row_label
from napari_dps._qt.widgets.path_edits import FileEdit
from napari_dps.core.params import describe, parse
from napari_dps.pipeline import InputSettings

_OF_ANY = (
    "frames",
    "channel",
    "offset_map",
    "gain_map",
    "flat_field",
    "camera_gain",
    "read_noise",
    "variance_map",
    "otf",
)
_WHILE_EMPTY = {
    "frames": "all",
    "channel": "all",
    "offset_map": "none",
    "gain_map": "none",
    "flat_field": "none",
    "camera_gain": "not known",
    "read_noise": "of the map, or 0",
    "variance_map": "none",
    "otf": "ideal",
    "series": "the first",
}
"""What stands in a field that nothing is set in."""
_OF_FILES = ("series", "join", "allow_missing")


class InputOptions(QWidget):
    """Edits frames, channel, maps of the camera and OTF; of files, joining too.

    Parameters
    ----------
    is_of_files : bool
        Whether the input is files, and no layer.
    """

    valueChanged = Signal()

    def __init__(self, *, is_of_files: bool = False) -> None:
        super().__init__()
        self._names = _OF_ANY + _OF_FILES * is_of_files
        infos = {info.name: info for info in describe(InputSettings)}
        self.editors: dict[str, Any] = {}
        rows = compact_rows(self)
        for name in self._names:
            editor = self.editors[name] = make_editor(infos[name])
            line = editor.combo.lineEdit() if isinstance(editor, FileEdit) else editor
            if name in _WHILE_EMPTY:
                line.setPlaceholderText(_WHILE_EMPTY[name])
            rows.addRow(row_label(infos[name].title, editor), editor)
            editor.valueChanged.connect(self._on_edit)

    def value(self) -> InputSettings:
        """Return what is set; empty texts set nothing.

        Raises
        ------
        InputError
            If a value is impossible.
        """
        values = {name: editor.value() for name, editor in self.editors.items()}
        chosen = {name: value for name, value in values.items() if value != ""}
        return parse(InputSettings, chosen, "input")

    def setValue(self, value: InputSettings) -> None:
        """Show what is set; the rest of the settings is edited elsewhere."""
        for name, editor in self.editors.items():
            item = getattr(value, name)
            shown = "" if item is None else item
            editor.setValue(shown if isinstance(shown, bool) else str(shown))

    def show_camera(self, camera: InputSettings) -> None:
        """Show camera and OTF of a microscope; the other options stay."""
        for name in OF_CAMERA:
            if name in self.editors:
                item = getattr(camera, name)
                self.editors[name].setValue("" if item is None else str(item))

    def added_to(self, frames: InputSettings) -> InputSettings:
        """Return settings with what is set here.

        Raises
        ------
        InputError
            If a value is impossible.
        """
        changes = self.value().model_dump(include=set(self._names), exclude_unset=True)
        return frames.model_copy(update=changes)

    def _on_edit(self) -> None:
        self.valueChanged.emit()

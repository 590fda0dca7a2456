"""Editors of names of files and folders: typed, dropped or looked for."""

from pathlib import Path

from qtpy.QtCore import QUrl, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QWidget

from napari_dps._qt.widgets.editors import NarrowCombo, TextEdit
from napari_dps._qt.widgets.layout import push_button, row_of
from napari_dps.core.params import ParameterInfo


class FileEdit(QWidget):
    """A choice of words, or the name of a file: typed, dropped or looked for.

    Parameters
    ----------
    info : ParameterInfo
        With ``file``, the patterns of the names; ``words`` are the items.
    """

    valueChanged = Signal()

    def __init__(self, info: ParameterInfo) -> None:
        super().__init__()
        self._info = info
        self.combo = NarrowCombo()
        self.combo.setEditable(True)
        self.combo.setMinimumContentsLength(4)  # beside the button in a narrow dock
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.addItems(info.words)
        self.button = push_button("Browse …", slot=self._ask)
        row_of(self.combo, self.button, inside=self)
        self.combo.currentTextChanged.connect(self._on_text)

    def value(self) -> str:
        """Return the word, or the name of the file."""
        text = self.combo.currentText().strip()
        return QUrl(text).toLocalFile() if text.startswith("file:") else text

    def setValue(self, value: str) -> None:
        """Show a word or the name of a file."""
        self.combo.setCurrentText(value)

    def problem(self) -> str:
        """Say what is wrong with the value; empty if nothing is."""
        value = self.value()
        if value in self._info.words or Path(value).is_file():
            return ""
        return f"there is no file {value}" if value else "no file is named"

    def _ask(self) -> None:
        value = self.value()
        folder = "" if value in self._info.words else str(Path(value).parent)
        kinds = f"{self._info.title} ({self._info.file})"
        name, _ = QFileDialog.getOpenFileName(self, self._info.title, folder, kinds)
        if name:
            self.setValue(name)

    def _on_text(self, text: str) -> None:
        self.combo.setToolTip("" if text in self._info.words else text)
        self.valueChanged.emit()


class FolderEdit(QWidget):
    """The name of a folder, or a pattern of names.

    Parameters
    ----------
    hint : str
        What shows while nothing is named.
    title : str
        Title of the dialog that looks for a folder.
    tip : str
        What it tells when pointed at; without one, the hint.
    """

    valueChanged = Signal()

    def __init__(self, hint: str, title: str, *, tip: str = "") -> None:
        super().__init__()
        self._title = title
        self.line = TextEdit()
        self.line.setPlaceholderText(hint)
        self.line.setToolTip(tip or hint)
        self.setToolTip(tip or hint)
        self.button = push_button("Browse …", slot=self._ask)
        row_of(self.line, self.button, inside=self)
        self.line.valueChanged.connect(self.valueChanged)

    def value(self) -> str:
        """Return the name."""
        return self.line.value()

    def setValue(self, value: str) -> None:
        """Show a name."""
        self.line.setValue(value)

    def _ask(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, self._title):
            self.setValue(name)

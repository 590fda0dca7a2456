"""The button that copies what was clicked, for use without the docks."""

from functools import partial

from qtpy.QtWidgets import QApplication, QMenu, QPushButton

from napari_dps._qt.bridge.as_code import as_command, as_python
from napari_dps.pipeline import Settings

_KINDS = {"Command line": as_command, "Python": as_python}


class CopyAs(QPushButton):
    """Copies the last run as a command line or a program; hidden before one."""

    def __init__(self) -> None:
        super().__init__("Copy as …")
        self.setToolTip("The last run, as text that does the same without napari.")
        self._settings, self._source = Settings(), ""
        menu = QMenu(self)
        for kind in _KINDS:
            menu.addAction(kind, partial(self.copy, kind))
        self.setMenu(menu)
        self.hide()

    def offer(self, settings: Settings, source: str) -> None:
        """Offer a run that has come to its end, of a file or a layer by its name."""
        self._settings, self._source = settings, source
        self.show()

    def copy(self, kind: str) -> str:
        """Copy the run in a kind of text, and return it."""
        text = _KINDS[kind](self._settings, self._source)
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(text)
        return text

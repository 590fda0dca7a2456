"""The button that writes a result with its report and picture."""

from collections.abc import Iterable
from pathlib import Path

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton

from napari_dps._qt.bridge.run_record import SUFFIXES, RunRecord

_KINDS = {f"{kind} (*{suffix})": suffix for kind, suffix in SUFFIXES.items()}
_TIP = (
    "Writes the images of this run whose layers are still there, a report of "
    "everything that was set and found, and a picture, as napari-dps run does."
)


class SaveResult(QPushButton):
    """Asks where the result of the last run is to be written; hidden without one.

    Signals
    -------
    chosen : ResultFiles
        A person has said where.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__("Save result …")
        self.setToolTip(_TIP)
        self.record: RunRecord | None = None
        self._run: RunRecord | None = None
        self.clicked.connect(self._ask)
        self.hide()

    def offer(self, record: RunRecord) -> None:
        """Offer to write the result of a run."""
        self._run = self.record = record
        self.show()

    def check(self, layers: Iterable[Layer]) -> None:
        """Offer what of the result layers still show; nothing where none does."""
        if self._run is not None:
            self.record = self._run.shown_by(layers)
            self.setVisible(bool(self.record.last_stage))

    def choose(self, name: str | Path) -> None:
        """Take a name for the image of the last stage, unless files are to be kept."""
        if self.record is None:
            return
        files = self.record.files(name)
        others = self.record.there(files, but=Path(name))
        if not others or self._may_replace(others):
            self.chosen.emit(files)

    def _ask(self) -> None:
        if self.record is None:
            return
        kinds = ";;".join(_KINDS)
        name, kind = QFileDialog.getSaveFileName(
            self, "Save result", self.record.suggested(), kinds
        )
        if name:
            suffix = _KINDS.get(kind, "")
            named = name.lower().endswith((".tif", ".tiff", ".zarr"))
            self.choose(name if named else name + suffix)

    def _may_replace(self, files: list[Path]) -> bool:
        """Ask about files that the dialog has not asked about."""
        names = ", ".join(path.name for path in files)
        answer = QMessageBox.question(self, "Save result", f"Replace {names}?")
        return bool(answer == QMessageBox.StandardButton.Yes)


def saved_text(paths: list[Path]) -> str:
    """Say what was written.

    Examples
    --------
    >>> saved_text([Path("out/cell.dps.ome.tif"), Path("out/cell.png")])
    'written to out: cell.dps.ome.tif, cell.png'
    """
    names = ", ".join(path.name for path in paths)
    return f"written to {paths[0].parent}: {names}"

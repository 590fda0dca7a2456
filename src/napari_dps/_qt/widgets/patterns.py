"""The illumination patterns: table, power spectrum, and patterns set by hand."""

from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_dps._qt.bridge.colours import STATUS_COLOURS
from napari_dps._qt.bridge.pattern_rows import (
    COLUMNS,
    in_words,
    pattern_rows,
    row_texts,
    with_text,
)
from napari_dps._qt.bridge.runner import Runner
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.layout import hint_label, push_button, row_of
from napari_dps._qt.widgets.spectrum_view import SpectrumView
from napari_dps.core import ImageStack, InputError, Pattern, PatternOrder, Progress
from napari_dps.figures.spectrum_picture import SpectrumPicture, spectrum_pictures
from napari_dps.io import load_patterns, patterns_json, write_json
from napari_dps.pipeline import first_unit

_ROW_PX = 24
_MOST_ROWS = 6
_FILES = "Patterns (*.json *.toml)"


class PatternsWidget(QWidget):
    """Shows the patterns of the last run; takes others by hand or from a file."""

    valueChanged = Signal()
    spectraChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._patterns: tuple[Pattern, ...] = ()
        self._spectra: list[SpectrumPicture] = []
        self.use_box = QCheckBox("Use these patterns (do not search)")
        self.use_box.setToolTip(
            "The wave vectors of the table are used; phases and modulation are fitted."
        )
        self.table = QTableWidget(0, len(COLUMNS))
        self.spectrum = SpectrumView()
        self.note = hint_label()
        self.words = QLabel()
        self.words.setToolTip("Full dots: how surely the stripes are there.")
        self._is_basic = False
        self._runner = Runner(self, lane="measures")
        self._lay_out()
        self.table.itemChanged.connect(self._on_edit)
        self.table.currentCellChanged.connect(self._on_row)
        self.use_box.toggled.connect(self.valueChanged)
        self._runner.returned.connect(self._on_spectra)
        self._runner.failed.connect(self._on_failed)

    def value(self) -> tuple[Pattern, ...]:
        """Return the patterns to use; none if they are to be searched for."""
        return self._patterns if self.use_box.isChecked() else ()

    def shown(self) -> tuple[Pattern, ...]:
        """Return the patterns in the table."""
        return self._patterns

    def spectra(self) -> tuple[SpectrumPicture, ...]:
        """Return the spectra of the last run's frames, one an angle."""
        return tuple(self._spectra)

    def setValue(self, patterns: Sequence[Pattern]) -> None:
        """Show patterns."""
        self._patterns = tuple(patterns)
        rows = pattern_rows(self._patterns)
        self.table.blockSignals(True)
        self.table.setRowCount(len(rows))
        for number, (pattern, order) in enumerate(rows):
            self._show_row(number, pattern, order)
        self.table.blockSignals(False)
        height = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(height + _ROW_PX * min(len(rows), _MOST_ROWS) + 6)
        self.note.setText("" if rows else "Run finds the patterns; they show here.")
        self.note.setVisible(not rows)
        self.words.setText(in_words(self._patterns))
        self._show_parts()
        if rows and self.table.currentRow() < 0:
            self.table.setCurrentCell(0, 0)
        self._show_spectrum()
        self.valueChanged.emit()

    def show_basic(self, is_basic: bool) -> None:
        """Show patterns as words and dots in place of a table and its buttons."""
        self._is_basic = is_basic
        self._show_parts()

    def _show_parts(self) -> None:
        has_rows = bool(self._patterns)
        self.words.setVisible(has_rows and self._is_basic)
        self.table.setVisible(has_rows and not self._is_basic)
        is_used = self.use_box.isChecked()
        self.use_box.setVisible(not self._is_basic or is_used)
        self.files.setVisible(not self._is_basic)

    def look_at(self, stack: ImageStack) -> None:
        """Compute the spectra of the frames that a run has used."""
        self._runner.start(partial(_spectra, stack))

    def forget_spectra(self) -> None:
        """Show none: they are of other frames."""
        self._on_spectra([])

    def load(self, path: str | Path) -> None:
        """Take patterns of a file, or of the report of another run.

        Raises
        ------
        InputError
            If the file holds none.
        """
        self.setValue(load_patterns(path))
        self.use_box.setChecked(True)

    def save(self, path: str | Path) -> None:
        """Write the patterns of the table, for ``napari-dps run --patterns``."""
        write_json({"patterns": patterns_json(self._patterns)}, Path(path))

    def _lay_out(self) -> None:
        self.table.setHorizontalHeaderLabels([column.title for column in COLUMNS])
        self.table.verticalHeader().setVisible(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.verticalHeader().setDefaultSectionSize(_ROW_PX)
        for place, column in enumerate(COLUMNS):
            self.table.horizontalHeaderItem(place).setToolTip(column.tip)
        load = push_button("Load patterns …", slot=self._ask_what_to_load)
        save = push_button("Save patterns …", slot=self._ask_where_to_save)
        self.layers_button = push_button(
            "Show on power spectrum",
            "The power spectrum of all angles, wave vectors and cut-off as layers in "
            "cycles per µm; the other layers are hidden meanwhile.",
        )
        self.layers_button.setCheckable(True)
        layout = QVBoxLayout(self)
        layout.setSpacing(4)
        self.files = row_of(load, save)
        parts = (self.note, self.words, self.table, self.use_box, self.files)
        for widget in parts:
            layout.addWidget(widget)
        layout.addWidget(self.spectrum)
        layout.addWidget(self.layers_button)
        self.spectrum.hide()
        self.layers_button.hide()
        self.setValue(())

    def _show_note(self, text: str) -> None:
        self.note.setText(text)
        self.note.show()

    def _show_row(self, row: int, pattern: Pattern, order: PatternOrder) -> None:
        texts = row_texts(pattern, order)
        for place, text in enumerate(texts):
            cell = QTableWidgetItem(text)
            if not COLUMNS[place].field:
                cell.setFlags(cell.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self.table.setItem(row, place, cell)
        colour = STATUS_COLOURS.get(order.status)
        if colour is not None:
            self.table.item(row, len(texts) - 1).setForeground(QColor(colour))

    def _on_edit(self, item: QTableWidgetItem) -> None:
        """Take a direction or a period that was typed; the status is "given" then."""
        edited = with_text(self._patterns, item.row(), item.column(), item.text())
        self.use_box.setChecked(True)
        self.setValue(edited)

    def _on_row(self, *_: int) -> None:
        self._show_spectrum()

    def _on_spectra(self, spectra: list[SpectrumPicture]) -> None:
        self._spectra = spectra
        self.spectrum.setVisible(bool(spectra))
        self.layers_button.setVisible(bool(spectra))
        self._show_spectrum()
        self.spectraChanged.emit()

    def _on_failed(self, _: object) -> None:
        self._on_spectra([])

    def _show_spectrum(self) -> None:
        rows = pattern_rows(self._patterns)
        row = max(self.table.currentRow(), 0)
        angle = rows[row][0].angle_index if row < len(rows) else 0
        picture = self._spectra[angle] if angle < len(self._spectra) else None
        same = [p for p in self._patterns if p.angle_index == angle]
        self.spectrum.show_spectrum(picture, same)

    def _ask_what_to_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load patterns", "", _FILES)
        if name:
            try:
                self.load(name)
            except InputError as error:
                self._show_note(in_docks(error))

    def _ask_where_to_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save patterns", "patterns.json", "Patterns (*.json)"
        )
        if name:
            try:
                self.save(Path(name).with_suffix(".json"))
            except OSError as error:
                self._show_note(f"cannot write: {error.strerror}")


def _spectra(
    stack: ImageStack,
) -> Generator[Progress, None, list[SpectrumPicture]]:
    yield Progress(0, 1)
    return spectrum_pictures(first_unit(stack))

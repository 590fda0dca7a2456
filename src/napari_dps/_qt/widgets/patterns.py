"""The illumination patterns: table, power spectrum, and patterns set by hand."""

import math
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_dps._qt.bridge.colours import COLOURS, STATUS_COLOURS
from napari_dps._qt.bridge.runner import Runner
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.layout import hint_label
from napari_dps.core import ImageStack, InputError, Pattern, PatternOrder, Progress
from napari_dps.figures.spectrum_picture import SpectrumPicture, spectrum_pictures
from napari_dps.io import load_patterns
from napari_dps.pipeline import first_unit
from napari_dps.report import patterns_json, write_json

_TITLES = ("#", "Dir.", "Period", "Mod.", "Conf.", "Status")
_TIPS = (
    "Angle, in the order of the frames",
    "Direction of the wave vector in degrees, x towards y; double-click to set it",
    "Period of the stripes in nm; double-click to set it",
    "Modulation depth, 0 to 1",
    "Confidence: natural log of 1/p, p the chance that it is no pattern",
    "found, tentative (with the support of the other angles), given, not found",
)
_ROW_PX = 24
_MOST_ROWS = 6
_EDITABLE = (1, 2)
_FILES = "Patterns (*.json *.toml)"


class SpectrumView(QWidget):
    """The power spectrum of one angle, with the wave vectors marked on it."""

    def __init__(self) -> None:
        super().__init__()
        self._picture: SpectrumPicture | None = None
        self._image: QImage | None = None
        self._waves: list[tuple[tuple[float, float], str]] = []
        self.setMinimumHeight(160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setToolTip(
            "Power spectrum of the raw frames of the angle chosen in the table. "
            "Circles: wave vectors found; dashed: cut-off of the detection. Stripes "
            "that are there show as bright spots inside the circles."
        )

    def sizeHint(self) -> QSize:
        """Return a size that shows the spots."""
        return QSize(260, 260)

    def show_spectrum(
        self, picture: SpectrumPicture | None, patterns: Sequence[Pattern]
    ) -> None:
        """Show a spectrum and the wave vectors of the patterns of its angle."""
        self._picture, self._image = picture, None
        if picture is not None:
            side = picture.pixels.shape[0]
            format_ = QImage.Format.Format_Grayscale8
            pixels = picture.pixels
            self._image = QImage(pixels.data, side, side, side, format_).copy()
        self._waves = [
            (order.wavevector_per_nm, STATUS_COLOURS.get(order.status, COLOURS[1]))
            for pattern in patterns
            for order in pattern.orders
            if order.is_usable
        ]
        self.update()

    def paintEvent(self, event: Any) -> None:
        """Paint the part inside the cut-off, as large as it fits."""
        painter = QPainter(self)
        if self._picture is None or self._image is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bins, side = self._picture.pixels.shape[0], min(self.width(), self.height())
        shown = 2.3 * self._picture.cutoff_per_nm / self._picture.per_nm
        shown = min(shown, float(bins))
        corner = bins // 2 + 0.5 - shown / 2
        frame = QRectF((self.width() - side) / 2, 0, side, side)
        painter.drawImage(frame, self._image, QRectF(corner, corner, shown, shown))
        unit = side / shown / self._picture.per_nm  # pixels of the screen a cycle/nm
        centre = frame.center()
        painter.setClipRect(frame)
        pen = QPen(QColor("#c8ccd2"), 1, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        radius = unit * self._picture.cutoff_per_nm
        painter.drawEllipse(centre, radius, radius)
        for (y, x), colour in self._waves:
            painter.setPen(QPen(QColor(colour), 1.8))
            for sign in (-1, 1):
                place = centre + QPointF(sign * x * unit, sign * y * unit)
                painter.drawEllipse(place, 8, 8)


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
        self.table = QTableWidget(0, len(_TITLES))
        self.spectrum = SpectrumView()
        self.note = hint_label()
        self._runner = Runner(self, lane="measures")
        self._lay_out()
        self.table.itemChanged.connect(self._on_edit)
        self.table.currentCellChanged.connect(self._on_row)
        self.use_box.toggled.connect(self._on_use)
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
        rows = [(p, o) for p in self._patterns for o in p.orders]
        self.table.blockSignals(True)
        self.table.setRowCount(len(rows))
        for number, (pattern, order) in enumerate(rows):
            self._show_row(number, pattern, order)
        self.table.blockSignals(False)
        height = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(height + _ROW_PX * min(len(rows), _MOST_ROWS) + 6)
        self.note.setText("" if rows else "Run finds the patterns; they show here.")
        self.note.setVisible(not rows)
        self.table.setVisible(bool(rows))
        if rows and self.table.currentRow() < 0:
            self.table.setCurrentCell(0, 0)
        self._show_spectrum()
        self.valueChanged.emit()

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
        self.table.setHorizontalHeaderLabels(_TITLES)
        self.table.verticalHeader().setVisible(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.verticalHeader().setDefaultSectionSize(_ROW_PX)
        for place, tip in enumerate(_TIPS):
            self.table.horizontalHeaderItem(place).setToolTip(tip)
        self.load_button, self.save_button = (
            QPushButton("Load patterns …"),
            QPushButton("Save patterns …"),
        )
        self.load_button.clicked.connect(self._ask_what_to_load)
        self.save_button.clicked.connect(self._ask_where_to_save)
        self.layers_button = QPushButton("Show on power spectrum")
        self.layers_button.setCheckable(True)
        self.layers_button.setToolTip(
            "The power spectrum of all angles, wave vectors and cut-off as layers in "
            "cycles per µm; the other layers are hidden meanwhile."
        )
        buttons = QHBoxLayout()
        buttons.addWidget(self.load_button)
        buttons.addWidget(self.save_button)
        column = QVBoxLayout(self)
        column.setSpacing(4)
        for widget in (self.note, self.table, self.use_box):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.spectrum)
        column.addWidget(self.layers_button)
        self.spectrum.hide()
        self.layers_button.hide()
        self.setValue(())

    def _tell(self, text: str) -> None:
        self.note.setText(text)
        self.note.show()

    def _show_row(self, row: int, pattern: Pattern, order: PatternOrder) -> None:
        name = f"{pattern.angle_index + 1}"
        if order.order > 1:
            name += f", order {order.order}"
        texts = (
            name,
            _number(order.angle_deg, 2, "°"),
            _number(order.period_nm, 1, " nm"),
            _number(order.modulation, 2),
            _number(order.confidence, 0),
            order.status,
        )
        for place, text in enumerate(texts):
            cell = QTableWidgetItem(text)
            if place not in _EDITABLE:
                cell.setFlags(cell.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self.table.setItem(row, place, cell)
        colour = STATUS_COLOURS.get(order.status)
        if colour is not None:
            self.table.item(row, len(texts) - 1).setForeground(QColor(colour))

    def _on_edit(self, item: QTableWidgetItem) -> None:
        """Take a direction or a period that was typed; the pattern is a given one."""
        number = 0
        changed = []
        for pattern in self._patterns:
            orders = []
            for order in pattern.orders:
                is_it = number == item.row()
                orders.append(_edited(order, item) if is_it else order)
                number += 1
            changed.append(pattern.model_copy(update={"orders": tuple(orders)}))
        self.use_box.setChecked(True)
        self.setValue(changed)

    def _on_row(self, *_: int) -> None:
        self._show_spectrum()

    def _on_use(self, _: bool) -> None:
        self.valueChanged.emit()

    def _on_spectra(self, spectra: list[SpectrumPicture]) -> None:
        self._spectra = spectra
        self.spectrum.setVisible(bool(spectra))
        self.layers_button.setVisible(bool(spectra))
        self._show_spectrum()
        self.spectraChanged.emit()

    def _on_failed(self, _: object) -> None:
        self._on_spectra([])

    def _show_spectrum(self) -> None:
        rows = [p for p in self._patterns for _ in p.orders]
        row = max(self.table.currentRow(), 0)
        angle = rows[row].angle_index if row < len(rows) else 0
        picture = self._spectra[angle] if angle < len(self._spectra) else None
        same = [p for p in self._patterns if p.angle_index == angle]
        self.spectrum.show_spectrum(picture, same)

    def _ask_what_to_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load patterns", "", _FILES)
        if name:
            try:
                self.load(name)
            except InputError as error:
                self._tell(in_docks(error))

    def _ask_where_to_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save patterns", "patterns.json", "Patterns (*.json)"
        )
        if name:
            try:
                self.save(Path(name).with_suffix(".json"))
            except OSError as error:
                self._tell(f"cannot write: {error.strerror}")


def _edited(order: PatternOrder, item: QTableWidgetItem) -> PatternOrder:
    """Return an order with the number typed; as it was if that is none."""
    try:
        value = float(item.text().replace(",", ".").strip("° nm"))
    except ValueError:
        return order
    name = "angle_deg" if item.column() == _EDITABLE[0] else "period_nm"
    if not math.isfinite(value) or (name == "period_nm" and value <= 0):
        return order
    known = {"angle_deg": order.angle_deg, "period_nm": order.period_nm, name: value}
    if name == "angle_deg":
        known[name] = value % 180
    status = "not found" if None in known.values() else "given"
    return order.model_copy(update={**known, "status": status, "confidence": None})


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def _spectra(
    stack: ImageStack,
) -> Generator[Progress, None, list[SpectrumPicture]]:
    yield Progress(0, 1)
    return spectrum_pictures(first_unit(stack))

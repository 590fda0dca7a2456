"""A question about a plain stack: which raw frames are these? With pictures."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QBoxLayout,
    QButtonGroup,
    QLabel,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_dps._qt.bridge.layer_optics import instrument_of
from napari_dps._qt.bridge.layers import axes_of, is_zero_based
from napari_dps._qt.bridge.raw_layers import PicturedReading, look_at_frames
from napari_dps._qt.bridge.runner import Runner
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.widgets.frames import FramesWidget
from napari_dps._qt.widgets.layout import column_of, hint_label, push_button, row_of
from napari_dps._qt.widgets.plots import grey_image
from napari_dps.core import is_raw
from napari_dps.core.errors import Failure
from napari_dps.io import RawReading
from napari_dps.pipeline import InputSettings

_ROW_PX = 340
"""Pictures that are wider together stand one above the other."""

_WRONG = (
    "Right: each spectrum shows the spots of one direction. Wrong: those of several, "
    "or none."
)
_APPLY = (
    "Name the axes, set the pixel size, split time points and frames that are no raw "
    "ones. Run does it as well."
)


class RawStrip(QWidget):
    """Asks how the frames of a plain layer are to be read; hidden for named axes.

    Signals
    -------
    valueChanged
        Another reading is chosen.
    applyClicked
        The layer is to become one with named axes.
    """

    valueChanged = Signal()
    applyClicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._layer: Image | None = None
        self._looked_at: Image | None = None
        self._readings: list[PicturedReading] = []
        self._choices = QButtonGroup(self)
        self.radios: list[QRadioButton] = []
        self.question, self.note = QLabel(), hint_label()
        self.question.setWordWrap(True)
        self.question.setStyleSheet("font-weight: bold;")
        self.frames_picture, self.spectra_picture = QLabel(), QLabel()
        self.frames_picture.setToolTip("The first raw frames, a row an angle.")
        self.spectra_picture.setToolTip(f"Power spectra, an angle each. {_WRONG}")
        self.other = FramesWidget()
        self.apply_button = push_button("Apply", _APPLY, self.applyClicked)
        self._lay_out()
        self._runner = Runner(self, lane="measures")
        self._runner.returned.connect(self._on_readings)
        self._runner.failed.connect(self._on_failed)
        self._runner.finished.connect(self._look_again)
        self.other.valueChanged.connect(self.valueChanged)
        self._show_choice()

    def _lay_out(self) -> None:
        self._column = QVBoxLayout()
        self._column.setSpacing(2)
        self.pictures = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self.pictures.addWidget(self.frames_picture)
        self.pictures.addWidget(self.spectra_picture, 1)
        parts = (self.note, self.other, row_of(self.apply_button))
        column_of(self.question, self._column, self.pictures, *parts, inside=self)

    @property
    def is_needed(self) -> bool:
        """Whether the layer leaves open which frame is which."""
        layer = self._layer
        return (
            layer is not None
            and layer.ndim > 2
            and not is_raw(axes_of(layer))
            and not is_zero_based(layer)
        )

    @property
    def is_on(self) -> bool:
        """Whether the layer is to be read as raw frames."""
        return self.is_needed and self._choice() != "images"

    @property
    def is_settled(self) -> bool:
        """Whether the frames have been looked at."""
        return not self._runner.is_running

    @property
    def reading(self) -> RawReading | None:
        """The reading that is chosen; None for others."""
        number = self._choices.checkedId()
        is_listed = 0 <= number < len(self._readings)
        return self._readings[number].reading if is_listed else None

    def value(self) -> InputSettings:
        """Return how to read the frames; nothing is set where the layer says it."""
        if not self.is_on:
            return InputSettings()
        reading = self.reading
        if reading is None:
            return self.other.value()
        return InputSettings(
            angles=reading.angles,
            phases=reading.phases,
            order=reading.order,
            frames=reading.frames,
        )

    def setValue(self, value: InputSettings) -> None:
        """Choose a reading, or show it as another layout."""
        for number, one in enumerate(self._readings):
            found = one.reading
            same = (found.angles, found.phases, found.order, found.frames)
            if same == (value.angles, value.phases, value.order, value.frames):
                self.radios[number].setChecked(True)
                return
        self.other.setValue(value)
        if value.angles is not None:
            self._radio_of("other").setChecked(True)

    def set_layer(self, layer: Image | None) -> None:
        """Follow the choice of a layer, and look at its frames."""
        self._layer = layer
        self.setVisible(self.is_needed)
        self.other.set_layer(layer)
        if self.is_needed and layer is not self._looked_at:
            self._show_readings([])
            self._look_again()
        self._show_choice()

    def _look_again(self) -> None:
        """Look at the frames of the layer, unless they are those looked at last."""
        layer = self._layer
        if not self.is_needed or layer is None or layer is self._looked_at:
            return
        if self._runner.start(partial(look_at_frames, LayerSnapshot.of(layer))):
            self._looked_at = layer
            self.note.setText("looking at the frames …")

    def _count(self) -> int:
        return 0 if self._layer is None else int(np.prod(self._layer.data.shape[:-2]))

    def _on_readings(self, readings: list[PicturedReading]) -> None:
        if self._looked_at is self._layer:
            self._show_readings(readings)

    def _on_failed(self, failure: Failure) -> None:
        self.note.setText(failure.text)

    def _show_readings(self, readings: Sequence[PicturedReading]) -> None:
        """Offer these readings, another layout, and that they are no raw frames."""
        for radio in self.radios:
            self._choices.removeButton(radio)
            self._column.removeWidget(radio)
            radio.deleteLater()
        self._readings = list(readings)
        texts = [_short(one.reading) for one in readings]
        tips = [one.reading.words for one in readings]
        texts += ["another layout …", "images, no raw SIM frames"]
        tips += ["Angles, phases and order by hand.", "A time-lapse or a z-stack."]
        self.radios = []
        for number, (text, tip) in enumerate(zip(texts, tips, strict=True)):
            radio = QRadioButton(text)
            radio.setToolTip(tip)
            self._choices.addButton(radio, number)
            self._column.addWidget(radio)
            radio.toggled.connect(self._on_radio)
            self.radios.append(radio)
        self.radios[self._likeliest()].setChecked(True)

    def _likeliest(self) -> int:
        """Return the reading to begin with: shown by the stripes, or of one set.

        Else the layout of the instrument that the file mentions.
        """
        mentions = self._layer is not None and bool(instrument_of(self._layer))
        otherwise = len(self.radios) - (2 if mentions else 1)
        if not self._readings:
            return otherwise
        first = self._readings[0].reading
        is_one = first.sets == 1 and not first.extra and first.unit >= 9
        is_likely = first.is_shown or (is_one and not mentions)
        return 0 if is_likely else otherwise

    def _choice(self) -> str:
        """Return "images", "other" or "reading"."""
        left = len(self.radios) - self._choices.checkedId()
        return {1: "images", 2: "other"}.get(left, "reading") if self.radios else ""

    def _radio_of(self, choice: str) -> QRadioButton:
        if not self.radios:
            self._show_readings([])
        return self.radios[-1 if choice == "images" else -2]

    def _on_radio(self, is_on: bool) -> None:
        if is_on:
            self._show_choice()
            self.valueChanged.emit()

    def _show_choice(self) -> None:
        """Ask by the reading that is chosen, and show its pictures."""
        number, reading = self._choices.checkedId(), self.reading
        picture = self._readings[number].picture if reading is not None else None
        for label in (self.frames_picture, self.spectra_picture):
            label.setVisible(picture is not None)
        if picture is not None:
            self.frames_picture.setPixmap(_pixmap(picture.frames))
            self.spectra_picture.setPixmap(_pixmap(picture.spectra))
            width = picture.frames.shape[1] + picture.spectra.shape[1]
            self.pictures.setDirection(
                QBoxLayout.Direction.LeftToRight
                if width <= _ROW_PX
                else QBoxLayout.Direction.TopToBottom
            )
        self.other.setVisible(self._choice() == "other")
        self.apply_button.setEnabled(self.is_on)
        asked = "another layout" if self._choice() == "other" else "images"
        if reading is not None:
            asked = reading.words
        self.question.setText(f"{self._count()} frames: {asked}?")
        is_shown = reading is not None and reading.is_shown
        self.note.setText("The stripes of the frames fit this." if is_shown else "")
        self.note.setVisible(is_shown)


def _short(reading: RawReading) -> str:
    """Return a reading in a few words."""
    by = "angle by angle" if reading.is_angle_first else "phase by phase"
    text = f"{reading.angles} × {reading.phases}, {by}"
    if reading.sets > 1:
        text += f", {reading.sets} times"
    text += ", + widefield" * bool(reading.extra)
    return f"{text}  ✓" if reading.is_shown else text


def _pixmap(pixels: NDArray[np.uint8]) -> QPixmap:
    return QPixmap.fromImage(grey_image(pixels))

"""The power spectrum of raw frames, with the wave vectors marked on it."""

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_dps._qt.bridge.colours import COLOURS, STATUS_COLOURS
from napari_dps._qt.widgets.plots import grey_image
from napari_dps.core import Pattern
from napari_dps.figures.spectrum_picture import SpectrumPicture


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
        self._picture = picture
        self._image = None if picture is None else grey_image(picture.pixels)
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

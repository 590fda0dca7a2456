"""Plots that are painted at once: curves with marked positions, and small pictures."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_dps._qt.bridge.curves import Curve, Mark
from napari_dps.figures.panels import nice_length

AXIS_COLOUR = "#8a9099"
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 20, 8, 36
_LINE_PX, _LABEL_PX = 15, 14
_LEAST_PX, _FIELD_PX, _EMPTY_PX = 150, 80, 36
"""Least height of a plot, of the field in it, and of the message of an empty one."""
_FONT_PX = 11


class Plot(QWidget):
    """Curves over one axis; painted in a few milliseconds.

    Parameters
    ----------
    xlabel, ylabel : str
        With units.
    from_zero : bool
        Whether the vertical axis begins at 0.
    """

    def __init__(self, xlabel: str, ylabel: str, *, from_zero: bool = True) -> None:
        super().__init__()
        self._low = 0.0 if from_zero else None
        self._xlabel, self._ylabel = xlabel, ylabel
        self._curves: Sequence[Curve] = ()
        self._marks: Sequence[Mark] = ()
        self._x = self._y = (0.0, 1.0)
        self._message = ""
        self.setMinimumHeight(_EMPTY_PX)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return a size that shows curves and labels, or the message."""
        return QSize(320, 190 if self._curves else _EMPTY_PX)

    @property
    def curves(self) -> Sequence[Curve]:
        """What is shown."""
        return self._curves

    def set_labels(self, xlabel: str, ylabel: str) -> None:
        """Name the axes, with units."""
        self._xlabel, self._ylabel = xlabel, ylabel
        self._fit()

    def show_curves(
        self, curves: Sequence[Curve], marks: Sequence[Mark] = (), message: str = ""
    ) -> None:
        """Paint curves in place of those before; a message where there are none."""
        self._curves, self._marks, self._message = curves, marks, message
        if curves:
            self._x = _range([curve.x for curve in curves])
            self._y = _range([curve.y for curve in curves], low=self._low)
        self._fit()

    def _fit(self) -> None:
        """Ask for the height that the legend and the label of the axis need."""
        least = _EMPTY_PX
        if self._curves:
            label = QFontMetrics(self._font()).horizontalAdvance(self._ylabel)
            field = max(label + 4, _FIELD_PX)
            legend = _LINE_PX * len(self._entries())
            least = max(_TOP + legend + field + _BOTTOM, _LEAST_PX)
        self.setMinimumHeight(least)
        self.updateGeometry()
        self.update()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(_FONT_PX)
        return font

    def paintEvent(self, event: Any) -> None:
        """Paint axes, curves, marks and labels."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font())
        if not self._curves:
            painter.setPen(QColor(AXIS_COLOUR))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect(), int(flags), self._message)
            return
        entries = self._entries()
        top = _TOP + _LINE_PX * len(entries)
        height = self.height() - top - _BOTTOM
        left = self._left(painter.fontMetrics(), height)
        field = QRectF(self.rect()).adjusted(left, top, -_RIGHT, -_BOTTOM)
        self._paint_legend(painter, field, entries)
        self._paint_axes(painter, field)
        painter.setClipRect(field.adjusted(-1, -2, 1, 1))
        self._paint_marks(painter, field)
        for curve in self._curves:
            painter.setPen(QPen(QColor(curve.colour), 1.8))
            painter.drawPolyline(self._polygon(curve, field))

    def _polygon(self, curve: Curve, field: QRectF) -> QPolygonF:
        x = field.left() + field.width() * _share(curve.x, self._x)
        y = field.bottom() - field.height() * _share(curve.y, self._y)
        points = zip(x.tolist(), y.tolist(), strict=True)
        return QPolygonF([QPointF(a, b) for a, b in points if math.isfinite(b)])

    def _paint_axes(self, painter: QPainter, field: QRectF) -> None:
        painter.setPen(QColor(AXIS_COLOUR))
        painter.drawLine(field.bottomLeft(), field.bottomRight())
        painter.drawLine(field.bottomLeft(), field.topLeft())
        centre = Qt.AlignmentFlag.AlignCenter
        for value, text in _ticks(self._x, field.width() / 60):
            x = field.left() + field.width() * float(_share(value, self._x))
            painter.drawLine(QPointF(x, field.bottom()), QPointF(x, field.bottom() + 3))
            painter.drawText(QRectF(x - 40, field.bottom() + 3, 80, 14), centre, text)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value, text in _ticks(self._y, field.height() / 40):
            y = field.bottom() - field.height() * float(_share(value, self._y))
            painter.drawLine(QPointF(field.left() - 3, y), QPointF(field.left(), y))
            numbers = QRectF(_LABEL_PX, y - 8, field.left() - _LABEL_PX - 5, 16)
            painter.drawText(numbers, right, text)
        below = QRectF(field.left(), field.bottom() + 17, field.width(), 16)
        painter.drawText(below, centre, self._xlabel)
        painter.save()
        painter.translate(1, field.bottom())
        painter.rotate(-90)
        painter.drawText(QRectF(0, 0, field.height(), 14), centre, self._ylabel)
        painter.restore()

    def _left(self, metrics: QFontMetrics, height: float) -> int:
        """Return the room that the label and the numbers of the vertical axis need."""
        texts = [text for _, text in _ticks(self._y, height / 40)]
        widest = max(map(metrics.horizontalAdvance, texts), default=0)
        return max(_LEFT, widest + _LABEL_PX + 6)

    def _paint_marks(self, painter: QPainter, field: QRectF) -> None:
        for mark in self._marks:
            pen = QPen(QColor(mark.colour), 1.4)
            if mark.is_dashed:
                pen.setStyle(Qt.PenStyle.DashLine)
            painter.setPen(pen)
            x = field.left() + field.width() * float(_share(mark.x, self._x))
            painter.drawLine(QPointF(x, field.bottom()), QPointF(x, field.top()))

    def _entries(self) -> list[tuple[str, str]]:
        """Return the lines of the legend and their colours."""
        curves = [(c.label, c.colour) for c in self._curves if c.label]
        return curves + [(mark.label, mark.colour) for mark in self._marks]

    def _paint_legend(
        self, painter: QPainter, field: QRectF, entries: list[tuple[str, str]]
    ) -> None:
        """Write the legend above the field, where it hides no curve."""
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        width = int(field.width())
        for number, (label, colour) in enumerate(entries):
            line = QRectF(field.left(), 2 + number * _LINE_PX, width, _LINE_PX)
            painter.setPen(QColor(colour))
            metrics = painter.fontMetrics()
            text = metrics.elidedText(label, Qt.TextElideMode.ElideMiddle, width)
            painter.drawText(line, right, text)


class Picture(QWidget):
    """A square picture of few pixels, enlarged without smoothing, with a scale bar."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._field_nm = 0.0
        self.setMinimumSize(110, 110)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:
        """Return a size that shows rings."""
        return QSize(150, 150)

    def show_pixels(self, pixels: NDArray[np.uint8], pixel_nm: float) -> None:
        """Show grey values in place of those before."""
        self._image = grey_image(pixels)
        self._field_nm = pixels.shape[1] * pixel_nm
        self.update()

    def paintEvent(self, event: Any) -> None:
        """Paint the picture and a bar of a round length."""
        if self._image is None:
            return
        painter = QPainter(self)
        side = min(self.width(), self.height())
        painter.drawImage(QRectF(0, 0, side, side), self._image)
        length = nice_length(0.4 * self._field_nm)
        bar = side * length / self._field_nm
        painter.fillRect(QRectF(side - bar - 6, side - 9, bar, 3), QColor("white"))
        font = QFont(self.font())
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(QColor("white"))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom
        painter.drawText(QRectF(0, 0, side - 6, side - 11), right, f"{length:g} nm")


def grey_image(pixels: NDArray[np.uint8]) -> QImage:
    """Return grey values (Y, X) as a picture to paint."""
    height, width = pixels.shape
    data = np.ascontiguousarray(pixels).data
    return QImage(data, width, height, width, QImage.Format.Format_Grayscale8).copy()


def _range(
    arrays: Sequence[NDArray[Any]], low: float | None = None
) -> tuple[float, float]:
    """Return the range of all values together, never empty."""
    finite = [values[np.isfinite(values)] for values in arrays]
    finite = [values for values in finite if values.size]
    if not finite:
        return 0.0, 1.0
    least = min(float(values.min()) for values in finite)
    most = max(float(values.max()) for values in finite)
    if low is not None:
        least = min(low, least)
    return least, most if most > least else least + 1.0


def _share(value: Any, limits: tuple[float, float]) -> Any:
    """Return where a value lies in a range: 0 at its start, 1 at its end."""
    return (value - limits[0]) / (limits[1] - limits[0])


def _ticks(limits: tuple[float, float], most: float) -> Iterator[tuple[float, str]]:
    """Yield round values in a range, at most so many, with their texts."""
    span = limits[1] - limits[0]
    rough = span / max(most, 1.0)
    step = nice_length(rough) or span
    while span / step > max(most, 1.0):
        step *= 2 if f"{step:e}"[0] != "2" else 2.5
    for number in range(math.ceil(limits[0] / step), math.floor(limits[1] / step) + 1):
        yield number * step, f"{number * step:.6g}"

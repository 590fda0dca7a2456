"""Measures of layers at the time points of a lapse, for a plot over time."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_dps._qt.bridge.colours import COLOURS
from napari_dps._qt.bridge.compare import Comparison, Item, MeasureRow, measure_all
from napari_dps._qt.bridge.curves import Curve
from napari_dps._qt.bridge.layers import axes_of, frame_interval_s
from napari_dps.core import InputError, Progress
from napari_dps.metrics.metric import Metric

MOST_TIME_POINTS = 50
"""Of more, so many are measured, evenly spread."""
NO_LAPSE = "no ticked layer other than the reference has several time points"


@dataclass(frozen=True, eq=False)
class TimePoint:
    """What is compared at a time point: the layers that change, and the reference."""

    number: int
    items: Sequence[Item]
    reference: Item | None


@dataclass(frozen=True, eq=False)
class LapseMeasures:
    """Measures over time.

    Attributes
    ----------
    times : tuple of float
        In ``unit``.
    unit : str
        "s", or empty for numbers of time points.
    rows : mapping of str to list of MeasureRow
        By layer, a row a time point.
    """

    times: tuple[float, ...]
    unit: str
    rows: Mapping[str, list[MeasureRow]]

    def curves(self, metric: Metric) -> list[Curve]:
        """Return a curve a layer that has this measure."""
        found = []
        for number, (name, rows) in enumerate(self.rows.items()):
            values = [row.get(metric.key) for row in rows]
            y = np.array([np.nan if v is None else float(v) for v in values])
            if np.isfinite(y).any():
                colour = COLOURS[number % len(COLOURS)]
                found.append(Curve(np.array(self.times), y, name, colour))
        return found


def time_points_of(layer: Image) -> int:
    """Return the number of time points of a layer; 1 where no axis is time."""
    axes = axes_of(layer)
    data = layer.data[0] if layer.multiscale else layer.data
    return int(data.shape[axes.index("T")]) if "T" in axes else 1


def has_lapse(comparison: Comparison) -> bool:
    """Whether a ticked layer other than the reference has several time points."""
    return bool(_lapses(comparison))


def _lapses(comparison: Comparison) -> list[Image]:
    rivals = [x for x in comparison.layers if x is not comparison.reference]
    return [layer for layer in rivals if time_points_of(layer) > 1]


def lapse_of(comparison: Comparison, viewer: ViewerModel) -> list[TimePoint]:
    """Note what is to be measured, time point by time point.

    Raises
    ------
    InputError
        If no ticked layer has several time points.
    """
    lapses = _lapses(comparison)
    if not lapses:
        raise InputError(NO_LAPSE)
    count = min(map(time_points_of, lapses))
    numbers = np.linspace(0, count - 1, min(count, MOST_TIME_POINTS)).round()
    return [
        TimePoint(
            int(number),
            [comparison.item(viewer, layer, int(number)) for layer in lapses],
            comparison.reference
            and comparison.item(viewer, comparison.reference, int(number)),
        )
        for number in numbers
    ]


def interval_of(comparison: Comparison) -> float | None:
    """Return the seconds from time point to time point, where a layer tells them."""
    found = (frame_interval_s(layer) for layer in comparison.layers)
    return next((seconds for seconds in found if seconds), None)


def measure_lapse(
    points: Sequence[TimePoint], interval_s: float | None
) -> Generator[Progress, None, LapseMeasures]:
    """Measure the layers at every time point, as `measure_all` does at one."""
    rows: dict[str, list[MeasureRow]] = {}
    for done, point in enumerate(points):
        yield Progress(done, len(points), f"time point {point.number + 1}")
        measured = yield from measure_all(point.items, point.reference)
        for row in measured:
            rows.setdefault(row["layer"], []).append(row)
    times = tuple(point.number * (interval_s or 1.0) for point in points)
    return LapseMeasures(times, "s" if interval_s else "", rows)

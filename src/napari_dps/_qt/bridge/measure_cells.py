"""What the table of measures shows: metrics, cells, and the best of each metric."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_dps._qt.bridge.compare import MeasureRow
from napari_dps.metrics.catalogue import metrics_of
from napari_dps.metrics.metric import Metric

_BEST: dict[str, Callable[[Sequence[float]], float | None]] = {
    "larger": max,
    "smaller": min,
    "none": lambda values: None,
}


@dataclass(frozen=True)
class Cell:
    """One metric of one layer.

    Attributes
    ----------
    value : float or None
        None where it could not be measured.
    text, tip : str
        What is shown, and what it means or why it is missing.
    is_best : bool
        Whether it is the best of several.
    """

    value: float | None
    text: str
    tip: str
    is_best: bool = False


REWARDING_BLUR = ("psnr_db", "ssim", "nrmse", "snr_reference_db")
"""Metrics that are best of the blurrier image where the reference is blurred."""


def cells_of(
    metric: Metric, rows: Sequence[MeasureRow], *, has_best: bool = True
) -> list[Cell]:
    """Return the cells of a metric, one a row; the best of several may be marked."""
    values = [row.get(metric.key) for row in rows]
    measured = [value for value in values if value is not None]
    best = _BEST[metric.direction](measured) if has_best and len(measured) > 1 else None
    return [
        Cell(
            value,
            "–" if value is None else f"{value:.{metric.digits}f}",
            row.get("notes", {}).get(metric.key, metric.tip),
            is_best=best is not None and value == best,
        )
        for row, value in zip(rows, values, strict=True)
    ]


_FIRST = (
    "psnr_db",
    "ssim",
    "resolution_decorrelation_nm",
    "rsp",
    "snr_db",
    "resolution_decorrelation_px",
)
"""Metrics that are shown first, as far as there are values: four of them."""

_FEW = 4


def first_metrics(rows: Sequence[MeasureRow]) -> list[Metric]:
    """Return the four metrics that say most of what there is."""
    shown = {metric.key: metric for metric in shown_metrics(rows)}
    return [shown[key] for key in _FIRST if key in shown][:_FEW]


def shown_metrics(rows: Sequence[MeasureRow]) -> list[Metric]:
    """Return the metrics that have values; lengths in nm where all are known so."""
    shown = [
        metric
        for metric in metrics_of("compare")
        if any(row.get(metric.key) is not None for row in rows)
    ]
    in_nm = {
        metric.key.removesuffix("_nm") + "_px"
        for metric in shown
        if metric.key.endswith("_nm") and all(row.get(metric.key) for row in rows)
    }
    return [metric for metric in shown if metric.key not in in_nm]

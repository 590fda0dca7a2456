"""What the tables of patterns and of measures show."""

from __future__ import annotations

import pytest

from napari_dps._qt.bridge.measure_cells import cells_of, shown_metrics
from napari_dps._qt.bridge.pattern_rows import COLUMNS, row_texts, with_text
from napari_dps.core import Pattern
from napari_dps.metrics.catalogue import metrics_of

FOUND = Pattern(
    angle_index=1,
    angle_deg=12.0,
    period_nm=208.0,
    modulation=0.6,
    confidence=99.0,
    status="found",
    phases_deg=(0, 120, 240),
)
MISSING = Pattern(angle_index=0, status="not found")
DIRECTION, PERIOD = 1, 2


def test_row_of_a_pattern_has_units_and_what_is_missing() -> None:
    texts = row_texts(FOUND, FOUND.orders[0])
    assert texts == ("2", "12.00°", "208.0 nm", "0.60", "99", "found")
    assert row_texts(MISSING, MISSING.orders[0])[1:3] == ("–", "–")
    assert len(texts) == len(COLUMNS)


def test_number_that_is_typed_makes_the_pattern_a_given_one() -> None:
    first, second = with_text([MISSING, FOUND], 1, DIRECTION, "192,5°")
    assert first == MISSING
    order = second.orders[0]
    assert (order.angle_deg, order.period_nm, order.status) == (12.5, 208.0, "given")
    assert order.confidence is None


def test_pattern_is_given_once_direction_and_period_are() -> None:
    (half,) = with_text([MISSING], 0, DIRECTION, "72")
    assert half.orders[0].status == "not found"
    (whole,) = with_text([half], 0, PERIOD, "208 nm")
    assert whole.is_usable


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "-3", "0"])
def test_text_that_is_no_period_changes_no_pattern(text: str) -> None:
    assert with_text([FOUND], 0, PERIOD, text) == (FOUND,)


def _row(layer: str, **values: float | None) -> dict[str, object]:
    return {"layer": layer, **values}


def test_best_of_several_layers_is_marked_and_of_one_none() -> None:
    metrics = {metric.key: metric for metric in metrics_of("compare")}
    rows = [_row("a", psnr_db=20.0, nrmse=0.3), _row("b", psnr_db=30.0, nrmse=0.1)]
    for key in ("psnr_db", "nrmse"):
        assert [c.is_best for c in cells_of(metrics[key], rows)] == [False, True]
        assert not cells_of(metrics[key], rows[:1])[0].is_best
        without = cells_of(metrics[key], rows, has_best=False)
        assert not any(cell.is_best for cell in without)
    assert cells_of(metrics["psnr_db"], rows)[0].text == "20.00"


def test_value_that_is_missing_says_why() -> None:
    (metric,) = (m for m in metrics_of("compare") if m.key == "psnr_db")
    row = {"layer": "a", "psnr_db": None, "notes": {"psnr_db": "too small"}}
    (cell,) = cells_of(metric, [row])
    assert (cell.value, cell.text, cell.tip) == (None, "–", "too small")


def test_columns_are_those_that_have_values_and_pixels_only_without_nm() -> None:
    nm, px = "resolution_decorrelation_nm", "resolution_decorrelation_px"
    both = [_row("a", **{nm: 200.0, px: 3.0})]
    assert [metric.key for metric in shown_metrics(both)] == [nm]
    mixed = [*both, _row("b", **{nm: None, px: 4.0})]
    assert {metric.key for metric in shown_metrics(mixed)} == {nm, px}
    assert shown_metrics([]) == []

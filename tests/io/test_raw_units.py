"""Units and square pixels."""

from __future__ import annotations

import pytest

from napari_dps.io.raw import length_nm, positive, seconds, square_pixel


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (65, "nm", 65),
        ("0.065", "µm", 65),
        (0.065, "\u03bcm", 65),
        (0.065, "\\u00B5m", 65),
        (0.065, '"micron"', 65),
        (1, "inch", 2.54e7),
        (1, "pixel", None),
        (1, "reference frame", None),
        (0, "nm", None),
        (-1, "nm", None),
        ("nan", "nm", None),
        ("inf", "nm", None),
        ("x", "nm", None),
        (None, "nm", None),
    ],
)
def test_length_is_in_nm_or_unknown(
    value: object, unit: str, expected: float | None
) -> None:
    assert length_nm(value, unit) == (
        None if expected is None else pytest.approx(expected)
    )


@pytest.mark.parametrize(
    ("unit", "expected"), [("ms", 0.002), ("min", 120), ("x", None)]
)
def test_time_is_in_seconds_or_unknown(unit: str, expected: float | None) -> None:
    assert seconds(2, unit) == expected


def test_positive_refuses_other_types() -> None:
    assert positive([1]) is None


@pytest.mark.parametrize(
    ("x_nm", "y_nm", "expected"),
    [
        (65.0, 65.3, 65.0),
        (65.0, None, 65.0),
        (65.0, 66.0, None),
        (0.5, 0.5, None),
        (84667.0, 84667.0, None),
        (None, 65.0, None),
    ],
)
def test_pixel_is_square_and_of_a_microscope(
    x_nm: float | None, y_nm: float | None, expected: float | None
) -> None:
    assert square_pixel(x_nm, y_nm)[0] == expected

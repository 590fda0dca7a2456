"""Names and values of others are shown whole, in one line, without control codes."""

from __future__ import annotations

import os

import pytest

from napari_dps.core import InputError, Optics
from napari_dps.core.params import parse
from napari_dps.core.text import decoded, quoted, shortened, shown


def test_bytes_of_a_name_are_utf8_whatever_the_locale() -> None:
    ascii_locale = "細胞 é.tif".encode().decode("ascii", "surrogateescape")
    assert decoded(ascii_locale) == "細胞 é.tif"


def test_bytes_that_are_no_utf8_are_shown() -> None:
    name = os.fsdecode(b"bad\xff\xfe.tif")
    assert decoded(name) == r"bad\xff\xfe.tif"
    decoded("\ud800").encode("utf-8")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b]0;t\x07", r"\x1b]0;t\x07"),
        ("a\u202egnp.tif", r"a\u202egnp.tif"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u2028b", r"a\u2028b"),
        ("細胞\u3000é", "細胞\u3000é"),
        ("$x^2$", "$x^2$"),
    ],
)
def test_control_characters_become_escapes(name: str, expected: str) -> None:
    assert shown(name) == expected


def test_a_long_value_keeps_its_ends() -> None:
    text = shortened("a" + "x" * 5000 + "b")
    assert len(text) <= 200
    assert (text[0], text[-1]) == ("a", "b")


@pytest.mark.parametrize("number", [10**5000, -(16**5000)], ids=["10", "16"])
def test_a_number_that_python_does_not_write_is_named(number: int) -> None:
    assert quoted(number) == "a number of more than 4300 digits"
    with pytest.raises(InputError, match="more than 4300 digits"):
        parse(Optics, {"na": number, "emission_nm": 500, "pixel_size_nm": 65}, "optics")


def test_a_value_nested_too_deeply_is_named() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert quoted(value) == "values nested too deeply"

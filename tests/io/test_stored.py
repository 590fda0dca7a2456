"""What `save` stores besides the standard metadata, and absurd things in its place."""

from __future__ import annotations

import pytest

from napari_dps.io import stored
from napari_dps.io.raw import Metadata


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stored_shape", "[-3, -3, 24, 24]"),
        ("stored_shape", "[1e300, 3]"),
        ("stored_shape", '"9"'),
        ("stored_axes", '"ÿYX"'),
        ("stored_axes", "[1]"),
        ("origin_nm", "[NaN, 0]"),
        ("origin_nm", "[1e308, 0]"),
        ("origin_nm", "[0]"),
        ("optics", '{"na": 1e400}'),
        ("patterns", "[[[[[[]]]]]]"),
        ("patterns", "[" * 100_000),
        ("history", '{"a": 1'),
        ("history", "\ud800"),
    ],
)
def test_absurd_field_is_left_out_with_a_warning(name: str, text: str) -> None:
    before = Metadata(pixel_size_nm=65.0)
    found = stored.decode({name: text}, before)
    assert found.warnings == (f"the {name} stored in the file is invalid: ignored",)
    assert found.pixel_size_nm == 65.0
    assert getattr(found, name) == getattr(before, name)

"""Damage done to files: at bytes, numbers of a header, numbers and words of text."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

Step = tuple[int, int, int]
"""Which mutation, where (of 2¹⁶), and which value."""

NUMBERS = (0, 1, 2, 3, 7, 8, 9, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31)
NUMBERS += (2**32 - 1, 2**53, 2**63 - 1, 2**64 - 1, 10**8, 2 * 10**9)
WORDS = (
    b"0", b"-1", b"1e308", b"1e400", b"NaN", b"-Infinity", b"2000000000", b"100000000",
    b"99999999999999999999999", b"0.0000001", b'""', b"null", b"true", b"[]", b"{}",
    b"../x", b"/etc/passwd", b"\xff\xfe", b"\x00", "細".encode(), b"XYZCT", b"Infinity",
    b"[" * 3000, b'{"a":' * 2000, b"<a>" * 2000, b"9" * 5000,
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_WORD = re.compile(rb"[A-Za-z_]{3,}")


def mutated(content: bytes, steps: Sequence[Step], other: bytes = b"") -> bytes:
    """Apply mutations one after the other; ``other`` is spliced in by some."""
    for kind, place, value in steps:
        at = place * len(content) >> 16
        content = _MUTATIONS[kind % len(_MUTATIONS)](content, at, value, other)
    return content


def _flip(content: bytes, at: int, value: int, other: bytes) -> bytes:
    if not content:
        return content
    return content[:at] + bytes([content[at] ^ (1 << value % 8)]) + content[at + 1 :]


def _put(content: bytes, at: int, value: int, other: bytes) -> bytes:
    return content[:at] + bytes([value % 256]) + content[at + 1 :]


def _head(content: bytes, at: int, value: int, other: bytes) -> bytes:
    """A number at the start, where headers are."""
    return _number(content, at % 2048 % max(len(content), 1), value, other)


def _number(content: bytes, at: int, value: int, other: bytes) -> bytes:
    number, (width, code) = NUMBERS[value % len(NUMBERS)], _WIDTHS[value // 32 % 6]
    packed = struct.pack(code, number % 256**width)
    return content[:at] + packed + content[at + width :]


def _cut(content: bytes, at: int, value: int, other: bytes) -> bytes:
    return content[:at]


def _remove(content: bytes, at: int, value: int, other: bytes) -> bytes:
    return content[:at] + content[at + 1 + value % 64 :]


def _repeat(content: bytes, at: int, value: int, other: bytes) -> bytes:
    piece = content[at : at + 1 + value % 256]
    return content[:at] + piece * (1 + value % 5) + content[at:]


def _splice(content: bytes, at: int, value: int, other: bytes) -> bytes:
    return content[:at] + other[at : at + 1 + value]


def _word(content: bytes, at: int, value: int, other: bytes) -> bytes:
    return content[:at] + WORDS[value % len(WORDS)] + content[at:]


def _text_number(content: bytes, at: int, value: int, other: bytes) -> bytes:
    return _replace(_NUMBER, content, at, WORDS[value % len(WORDS)])


def _text_word(content: bytes, at: int, value: int, other: bytes) -> bytes:
    words = [match[0] for match in list(_WORD.finditer(content[:100_000]))[:200]]
    pool = [*words, *WORDS]
    return _replace(_WORD, content, at, pool[value % len(pool)])


def _replace(found: re.Pattern[bytes], content: bytes, at: int, new: bytes) -> bytes:
    match = found.search(content, at) or found.search(content)
    if match is None:
        return content
    return content[: match.start()] + new + content[match.end() :]


_WIDTHS = ((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q"), (4, ">I"), (2, ">H"))
_MUTATIONS: tuple[Callable[[bytes, int, int, bytes], bytes], ...] = (
    _flip, _put, _head, _head, _number, _cut, _remove, _repeat, _splice, _word,
    _text_number, _text_number, _text_word,
)  # fmt: skip

ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, float("nan"), float("inf"), 10**30, "", "x" * 5000, "細",
    [], {}, [[]], [None] * 100, {"a": {"b": {}}}, b"", (), object(), 2**63,
)  # fmt: skip


def mutated_value(value: Any, steps: Sequence[Step]) -> Any:
    """Replace, drop or double entries somewhere inside nested lists and tables."""
    for kind, place, number in steps:
        value = _changed(value, kind, place, number)
    return value


def _changed(value: Any, kind: int, place: int, number: int) -> Any:
    inside = list(value) if isinstance(value, dict | list | tuple) else []
    if not inside or kind % 4 == 0:
        return ODD_VALUES[number % len(ODD_VALUES)]
    at = place % len(inside)
    if isinstance(value, dict):
        key = inside[at]
        if kind % 4 == 1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: _changed(value[key], kind >> 2, place >> 2, number)}
    if kind % 4 == 1:
        return inside[:at] + inside[at:] * 2
    return [
        *inside[:at],
        _changed(inside[at], kind >> 2, place >> 2, number),
        *inside[at + 1 :],
    ]

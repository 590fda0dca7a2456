"""Text of others for people to read: names of files, values of settings."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

_LONGEST = 200
_NO_ESCAPE = frozenset({"Zs"})
"""Categories of characters that Python escapes though people can read past them: the
spaces of other scripts, which names of files hold."""


def decoded(text: str) -> str:
    r"""Return a name as UTF-8 whatever the locale is; what is not UTF-8 as ``\xff``.

    Where the locale is not UTF-8, and where a name is not, Python stands surrogates in
    for the bytes of names, and those can be written into no file.

    Examples
    --------
    >>> decoded("\udce7\udcb4\udcb0.tif"), decoded("bad\udcff.tif")
    ('細.tif', 'bad\\xff.tif')
    """
    if text.isascii():
        return text
    try:
        name = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        name = text.encode("utf-8", "backslashreplace")
    return name.decode("utf-8", "backslashreplace")


def shown(text: str) -> str:
    r"""Return text that is one line without control characters, none of it lost.

    Names may come from others: line breaks would forge lines of a log, escape codes
    drive the terminal, and marks of direction turn the rest of a line round.

    Examples
    --------
    >>> shown("two\nlines \x1b[2J")
    'two\\nlines \\x1b[2J'
    """
    return "".join(map(_visible, decoded(text)))


def shortened(value: object, longest: int = _LONGEST) -> str:
    """Return a value as text that a message can hold, its middle left out if need be.

    Examples
    --------
    >>> shortened("9" * 5000, 20)
    '999999999 … 99999999'
    >>> shortened(10**5000)
    'a number of more than 4300 digits'
    """
    text = value if isinstance(value, str) else _written(str, value)
    if len(text) <= longest:
        return text
    half = (longest - 3) // 2
    return f"{text[: longest - 3 - half]} … {text[-half:]}"


def quoted(value: object) -> str:
    """Return a value as Python writes it, which tells a text from a number; shortened.

    Examples
    --------
    >>> quoted("9"), quoted(9)
    ("'9'", '9')
    """
    return shortened(_written(repr, value))


def _written(write: Callable[[object], str], value: object) -> str:
    try:
        return write(value)
    except RecursionError:
        return "values nested too deeply"
    except ValueError:  # Python writes no longer ones
        return "a number of more than 4300 digits"


def _visible(letter: str) -> str:
    if letter.isprintable() or unicodedata.category(letter) in _NO_ESCAPE:
        return letter
    return letter.encode("unicode_escape").decode("ascii")

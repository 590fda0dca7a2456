"""Names that people gave, drawn letter by letter: no formulas, no missing glyphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dps.core.text import shortened, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAMILY = "DejaVu Sans"
"""Comes with matplotlib."""
_OTHER_FAMILIES = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
)
"""For scripts that it lacks, as systems have them."""
_PX_OF_POINT = 0.8
"""Width of an average letter in px, per point of its size, at 100 dpi."""


def write_name(
    where: Figure | Axes,
    place: tuple[float, float],
    text: str,
    *,
    fontsize: int,
    width_px: int,
    **style: Any,
) -> None:
    """Write a name, or text that holds one, into a figure, centred.

    Parameters
    ----------
    where : Figure or Axes
        To write into.
    place : (float, float)
        As its ``text`` takes it.
    text : str
        Its middle is left out where it is too long.
    fontsize : int
        In points.
    width_px : int
        Room that there is.
    **style
        Of the text.
    """
    fitting = shortened(shown(text), max(16, int(width_px / fontsize / _PX_OF_POINT)))
    letters, families = _drawable(fitting)
    where.text(
        *place,
        letters,
        ha="center",
        fontsize=fontsize,
        fontfamily=families,
        parse_math=False,
        **style,
    )


def _drawable(text: str) -> tuple[str, list[str]]:
    """Return text that the fonts at hand can draw, and their families.

    Letters that none of them has become escapes.
    """
    from matplotlib.font_manager import findfont, fontManager, get_font

    families = [_FAMILY]
    missing = {*text} - _letters(get_font(findfont(_FAMILY)))
    files = {font.name: font.fname for font in fontManager.ttflist} if missing else {}
    for family in _OTHER_FAMILIES:
        if missing and family in files:
            found = missing & _letters(get_font(files[family]))
            families += [family] if found else []
            missing -= found
    escaped = {ord(x): x.encode("unicode_escape").decode("ascii") for x in missing}
    return text.translate(escaped), families


def _letters(font: Any) -> set[str]:
    return set(map(chr, font.get_charmap()))

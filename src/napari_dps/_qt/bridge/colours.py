"""Colours of curves, marks and patterns, alike in plots and layers."""

from napari_dps.figures.theme import LESS, MORE, NOTHING

COLOURS = ("#4c9be8", "#e0a92e", "#3fb27f", "#d16ba5", "#9d7be0", "#e5734b", "#56c7d6")
"""Colours of curves, which all can tell apart, on dark and on light ground."""
MORE_AND_LESS = {"name": "less, more", "colors": [LESS, NOTHING, MORE]}
"""Colours of a map with values below and above 0, as napari takes them."""
STATUS_COLOURS = {"found": COLOURS[2], "given": COLOURS[0], "tentative": COLOURS[1]}
"""Colours of patterns by their status."""

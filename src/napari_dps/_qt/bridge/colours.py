"""Colours of curves, marks and patterns, alike in plots and layers."""

COLOURS = ("#4c9be8", "#e0a92e", "#3fb27f", "#d16ba5", "#9d7be0", "#e5734b", "#56c7d6")
"""Colours of curves, which all can tell apart, on dark and on light ground."""
STATUS_COLOURS = {"found": COLOURS[2], "given": COLOURS[0], "tentative": COLOURS[1]}
"""Colours of patterns by their status."""

"""Colours of curves, marks and patterns, alike in plots and layers."""

COLOURS = ("#4c9be8", "#e0a92e", "#3fb27f", "#d16ba5", "#9d7be0", "#e5734b", "#56c7d6")
"""Of curves: to be told apart by all, on dark and on light ground."""
STATUS_COLOURS = {"found": COLOURS[2], "given": COLOURS[0], "tentative": COLOURS[1]}
"""Of the patterns, by their status."""

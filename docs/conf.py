"""Sphinx configuration; the build needs no network."""

import re
import sys
from pathlib import Path

import napari_dps

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "napari-dps"
author = "napari-dps developers"
copyright = f"2026, {author}"
version = release = napari_dps.__version__

extensions = [
    "mathml",
    "metric_tables",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "stage_parameters",
    "weights_table",
]
exclude_patterns = ["_build", "_ext"]
templates_path: list[str] = []

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# The docstrings name types in words, for people: nothing to resolve.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "code"
numpydoc_show_class_members = False

html_theme = "furo"
html_math_renderer = "mathml"
html_title = "napari-dps"


def _escape_bars(app, what, name, obj, options, lines):
    """Let docstrings write |k|, which reST would take for a substitution."""
    code = re.compile(r"(`[^`]*`|>>>.*)")
    for number, line in enumerate(lines):
        parts = code.split(line)
        parts[::2] = [text.replace("|", r"\|") for text in parts[::2]]
        lines[number] = "".join(parts)


def setup(app):
    """Connect the hooks."""
    app.connect("autodoc-process-docstring", _escape_bars)

"""Formulas as MathML, which browsers draw themselves: pages need no network."""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_log = logging.getLogger(__name__)


def _visit(self: HTML5Translator, node: nodes.Element) -> None:
    as_block = isinstance(node, nodes.math_block)
    try:
        formula = tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        _log.warning("formula not understood: %s", error, location=node)
        formula = f"<code>{self.encode(node.astext())}</code>"
    if as_block:
        # What some fonts draw outside a formula would give its box a scroll bar.
        style = "padding: 0.5em 0; overflow: auto hidden"
        formula = f'<div class="math" style="{style}">{formula}</div>'
    self.body.append(formula)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer; ``html_math_renderer = "mathml"`` chooses it."""
    app.add_html_math_renderer("mathml", (_visit, None), (_visit, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

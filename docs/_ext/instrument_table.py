"""The directive ``instruments``: the table of the instruments that are known."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from napari_dps.io import INSTRUMENTS

HEADER = ("Name", "Instrument", "Angles × phases", "Order", "Note", "Source")


class Instruments(Directive):
    """Insert one row an instrument."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        group = nodes.tgroup(cols=len(HEADER))
        group += [nodes.colspec(colwidth=w) for w in (12, 18, 12, 10, 33, 15)]
        group += nodes.thead("", _row([nodes.Text(text) for text in HEADER]))
        rows = [
            _row(
                [
                    nodes.literal("", item.key),
                    nodes.Text(item.title),
                    nodes.Text(f"{item.angles or '–'} × {item.phases or '–'}"),
                    nodes.literal("", item.order) if item.order else nodes.Text("–"),
                    nodes.Text(item.note),
                    nodes.Text(item.source),
                ]
            )
            for item in INSTRUMENTS
        ]
        group += nodes.tbody("", *rows)
        return [nodes.table("", group)]


def _row(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row(
        "", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("instruments", Instruments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The directive ``metrics``: tables written from the list of metrics.

``{metrics} image`` gives those of an image alone, ``{metrics} reference`` those against
a reference, ``{metrics} raw frames`` those of raw frames.
"""

from __future__ import annotations

from itertools import groupby

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from napari_dps.metrics.catalogue import METRICS
from napari_dps.metrics.metric import Metric

HEADER = ("Name", "What", "Better", "Source")
GROUPS = ("image", "reference", "raw frames")


class Metrics(Directive):
    """Insert the metrics that need something as a table."""

    has_content = True
    """Says where readers of the plain page find the same; left out here."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        wanted = self.arguments[0]
        if wanted not in GROUPS:
            raise self.error(f"no metrics of {wanted!r}; there are {[*GROUPS]}")
        chosen = [metric for metric in METRICS if _group(metric) == wanted]
        # What differs in its unit alone stands in one row.
        rows = [_cells(list(same)) for _, same in groupby(chosen, _meaning)]
        group = nodes.tgroup(cols=len(HEADER))
        group += [nodes.colspec(colwidth=width) for width in (27, 43, 10, 20)]
        group += nodes.thead("", _row([nodes.Text(text) for text in HEADER]))
        group += nodes.tbody("", *(_row(cells) for cells in rows))
        return [nodes.table("", group)]


def _group(metric: Metric) -> str:
    return next((need for need in GROUPS[1:] if need in metric.needs), GROUPS[0])


def _meaning(metric: Metric) -> str:
    return metric.meaning


def _cells(same: list[Metric]) -> list[nodes.Node]:
    first = same[0]
    names, sources = nodes.inline(), nodes.inline()
    for place, metric in enumerate(same):
        names += [nodes.Text(", "), nodes.literal("", metric.key)][not place :]
    for place, source in enumerate(first.sources):
        address = f"https://doi.org/{source.doi}"
        link = nodes.reference("", source.text, refuri=address)
        sources += nodes.Text(", " if place else "")
        sources += link if source.doi else nodes.Text(source.text)
    unit = "" if first.key.endswith(f"_{first.unit}") else first.unit
    meaning = first.meaning + (f" ({unit})" if unit else "")
    better = "" if first.direction == "none" else first.direction
    return [names, nodes.Text(meaning), nodes.Text(better), sources]


def _row(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row(
        "", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("metrics", Metrics)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The directive ``stage-parameters``: tables written from the parameter models.

``{stage-parameters} background`` gives the table of one stage; without an argument,
one section for each stage of ``STAGES``.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from napari_dps.core.params import ParameterInfo, describe
from napari_dps.stages import STAGES
from napari_dps.stages.base import Stage

HEADER = ("Parameter", "Default", "Allowed", "Meaning")


class StageParameters(Directive):
    """Insert the parameters of a stage as a table."""

    has_content = True
    """Says where readers of the plain page find the same; left out here."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table of the stage named, or sections for all stages."""
        stages = {stage.id: stage for stage in STAGES}
        if not self.arguments:
            return [self._section(stage) for stage in stages.values()]
        if self.arguments[0] not in stages:
            raise self.error(f"no stage {self.arguments[0]!r}; there are {[*stages]}")
        return [_table(stages[self.arguments[0]])]

    def _section(self, stage: Stage[Any]) -> nodes.section:
        title = nodes.title("", "", nodes.literal("", stage.id), nodes.Text(" – "))
        title += nodes.Text(stage.title)
        section = nodes.section("", title, _table(stage), names=[stage.id])
        self.state.document.note_implicit_target(section, section)
        return section


def _table(stage: Stage[Any]) -> nodes.table:
    rows = [_cells(stage, info) for info in describe(stage.parameters)]
    group = nodes.tgroup(cols=len(HEADER))
    group += [nodes.colspec(colwidth=width) for width in (25, 12, 20, 43)]
    group += nodes.thead("", _row([nodes.Text(text) for text in HEADER]))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group)


def _cells(stage: Stage[Any], info: ParameterInfo) -> list[nodes.Node]:
    flag = f"--{stage.id}.{info.name.replace('_', '-')}"
    default = "none" if info.default is None else f"{info.default} {info.unit}"
    meaning = f"{info.title}. {info.description}"
    return [
        nodes.literal("", flag),
        nodes.Text(default.strip()),
        nodes.Text(info.allowed),
        nodes.Text(meaning),
    ]


def _row(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row(
        "", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("stage-parameters", StageParameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

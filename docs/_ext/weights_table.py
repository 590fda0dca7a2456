"""The directive ``weights``: what is shipped, by which recipe it was made, its hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

import napari_dps

FOLDER = Path(napari_dps.__file__).parent / "nets" / "weights"
HEADER = ("File", "Size", "Recipe", "Step kept", "Seconds", "SHA-256")


class Weights(Directive):
    """Insert one row a file of weights."""

    has_content = True
    """Says where readers of the plain page find the same; left out here."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        group = nodes.tgroup(cols=len(HEADER))
        group += [nodes.colspec(colwidth=w) for w in (18, 8, 14, 12, 8, 40)]
        group += nodes.thead("", _row([nodes.Text(text) for text in HEADER]))
        rows = [_row(_cells(path)) for path in sorted(FOLDER.glob("*.safetensors"))]
        group += nodes.tbody("", *rows)
        return [nodes.table("", group)]


def _cells(path: Path) -> list[nodes.Node]:
    card: dict[str, Any] = json.loads(path.with_suffix(".json").read_bytes())
    recipe, metrics = card["recipe"], card["metrics"]
    kept = f"{metrics['step']} of {recipe['steps']}" if "step" in metrics else "–"
    return [
        nodes.literal("", path.name),
        nodes.Text(f"{path.stat().st_size / 1e6:.1f} MB"),
        nodes.literal("", recipe["name"]) if "name" in recipe else nodes.Text("–"),
        nodes.Text(kept),
        nodes.Text(str(metrics.get("seconds", "–"))),
        nodes.literal("", card["sha256"]),
    ]


def _row(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row(
        "", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("weights", Weights)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

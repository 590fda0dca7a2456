"""The picture of a run: the image of each stage side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_dps.core import ImageStack
from napari_dps.core.text import shown
from napari_dps.figures import Panel, side_by_side
from napari_dps.pipeline import PipelineResult, first_plane
from napari_dps.results.scores import Json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(
    result: PipelineResult,
    metrics: Mapping[str, Json],
    name: str,
    truth: ImageStack | None = None,
) -> Figure:
    """Draw the images of a run side by side, with their resolution and a warning.

    Parameters
    ----------
    result : PipelineResult
        Of the run.
    metrics : mapping of str to dict
        As `measure_result` returns them.
    name : str
        Of the input, for the heading.
    truth : ImageStack, optional
        Known truth (YX), drawn last.

    Returns
    -------
    Figure
    """
    panels = _panels(result, metrics)
    if truth is not None:
        panels.append(Panel("Truth", truth, "at the resolution of ideal SIM"))
    return side_by_side(panels, _heading(result, name), _footing(result.warnings))


def _panels(result: PipelineResult, metrics: Mapping[str, Json]) -> list[Panel]:
    """Return the widefield image and each stage's, with their resolution."""
    name = "Widefield" if result.first.is_raw else "Input"
    titles = [(name, "input", result.first)] + [
        (output.step.stage.title, output.step.stage.id, output.first)
        for output in result.outputs
        if not output.first.is_raw
    ]
    return [
        Panel(title, first_plane(image), _caption(metrics[key]))
        for title, key, image in titles
    ]


def _caption(metrics: Json) -> str:
    """Say the resolution, where one was measured."""
    resolution = metrics.get("resolution_decorrelation_nm")
    return f"resolution {resolution:.0f} nm (decorrelation)" if resolution else ""


def _heading(result: PipelineResult, name: str) -> str:
    """Name the image, and which plane of how many is shown."""
    image = result.input
    of_many = [
        f"{axis} 1 of {image.size(axis)}" for axis in "TCZ" if image.size(axis) > 1
    ]
    return "   ".join([shown(name), *of_many])


def _footing(warnings: Sequence[str]) -> str:
    """Tell how many warnings there are, and the first; the report has all."""
    if not warnings:
        return ""
    count = len(warnings)
    return (
        f"{count} warnings, the first: {warnings[0]}"
        if count > 1
        else (f"Warning: {warnings[0]}")
    )

"""The picture of a run: the image of each stage side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps import io
from napari_dps.core import ImageStack
from napari_dps.core.text import shown
from napari_dps.figures import Panel, Section, side_by_side
from napari_dps.pipeline import PipelineResult, first_plane
from napari_dps.results.scores import Json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_PLANES = 5
"""From which a stack is shown in sections as well."""


def picture(
    result: PipelineResult,
    name: str,
    truth: ImageStack | None = None,
    finer_truth: ImageStack | None = None,
    self_check: Json | None = None,
) -> Figure:
    """Draw the images of a run side by side, with what was told apart and a warning.

    Parameters
    ----------
    result : PipelineResult
        Of the run.
    name : str
        Of the input, for the heading.
    truth : ImageStack, optional
        Known truth (YX), drawn last.
    finer_truth : ImageStack, optional
        Drawn in its place where the last image resolves more than SIM can, as it is
        what that image is scored against.
    self_check : dict, optional
        What the last stage that checks itself tells apart, and its input: no other
        resolution is stated.

    Returns
    -------
    Figure
    """
    panels = _panels(result, self_check)
    stages = [output.step.stage for output in result.outputs]
    if finer_truth is not None and stages and stages[-1].resolves_more:
        panels.append(Panel("Truth", finer_truth, "through half the PSF of ideal SIM"))
    elif truth is not None:
        panels.append(Panel("Truth", truth, "at the resolution of ideal SIM"))
    return side_by_side(panels, _heading(result, name), _footing(result.warnings))


def _panels(result: PipelineResult, self_check: Json | None) -> list[Panel]:
    """Return the widefield image and each stage's, with what was told apart."""
    name = "Widefield" if result.first.is_raw else "Input"
    titles = [(name, result.first, result.input)] + [
        (output.step.stage.title, output.first, output.image)
        for output in result.outputs
    ]
    told = [
        "mean frame" if number and image.is_raw else ""
        for number, (_, image, _) in enumerate(titles)
    ]
    if self_check:
        checked, _ = result.checked
        told[checked : checked + 2] = [
            _told_apart(self_check["lines"][key]) for key in ("input_nm", "result_nm")
        ]
    place = _place(titles[-1][2])
    return [
        Panel(title, first_plane(image), words, _sections(whole, place))
        for (title, image, whole), words in zip(titles, told, strict=True)
    ]


def _told_apart(separation_nm: float | None) -> str:
    """Say which planted lines are told apart; no longer than the panel is wide."""
    if separation_nm is None:
        return "self-check: no lines told apart"
    return f"tells lines {separation_nm:.0f} nm apart"


def _place(volume: ImageStack | None) -> tuple[float, float] | None:
    """Return where sections show most, (y, x) in nm; None of what is no volume.

    The line of its middle plane with the largest variance.
    """
    if volume is None or volume.size("Z") < LEAST_PLANES or not volume.pixel_size_nm:
        return None
    middle = volume.size("Z") // 2
    plane = _first(volume, np.s_[middle : middle + 1, :, :])[0]
    y, x = (
        float(plane.var(axis=1 - axis).argmax()) * volume.pixel_size_nm
        + volume.origin_nm[axis]
        for axis in (0, 1)
    )
    return y, x


def _sections(
    volume: ImageStack | None, place: tuple[float, float] | None
) -> tuple[Section, ...]:
    """Return the sections xz and yz of the first T and C of a volume."""
    if volume is None or place is None or not volume.z_step_nm:
        return ()
    step = volume.pixel_size_nm
    if volume.size("Z") < LEAST_PLANES or not step:
        return ()
    row, column = (
        min(max(round((p - o) / step), 0), n - 1)
        for p, o, n in zip(place, volume.origin_nm, volume.shape[-2:], strict=True)
    )
    across = _first(volume, np.s_[:, row : row + 1, :])[:, 0]
    along = _first(volume, np.s_[:, :, column : column + 1])[..., 0]
    return (
        Section("xz", across, volume.z_step_nm, step),
        Section("yz", along, volume.z_step_nm, step),
    )


def _first(volume: ImageStack, part: tuple[slice, ...]) -> NDArray[np.float64]:
    """Return a part (Z, Y, X) of the first T and C; of raw frames their mean."""
    places = dict(zip("ZYX", part, strict=True))
    index = tuple(
        places.get(axis, slice(None) if axis in "AP" else 0) for axis in volume.axes
    )
    found = io.fetch(volume.data[index]).astype(np.float64)
    kept = [axis for axis in volume.axes if axis in "ZAPYX"]
    return np.asarray(found.mean(axis=tuple(kept.index(a) for a in kept if a in "AP")))


def _heading(result: PipelineResult, name: str) -> str:
    """Name the image, and which plane of how many is shown."""
    image = result.input
    shown_at = {"T": 1, "C": 1, "Z": image.size("Z") // 2 + 1}
    of_many = [
        f"{axis} {number} of {image.size(axis)}"
        for axis, number in shown_at.items()
        if image.size(axis) > 1
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

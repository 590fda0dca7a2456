"""Pictures of results: panels side by side on one field, with zoom and scale bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack
from napari_dps.figures.names import write_name
from napari_dps.figures.panel_grid import EDGE_PX, HEADING_PX, PanelGrid
from napari_dps.figures.sections import Section, draw_section
from napari_dps.figures.theme import (
    FAINT,
    INK,
    LESS,
    MARK,
    MORE,
    NOTHING,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGE = 0.03
"""Part of the field along its edges that the lower row avoids."""
SEARCHED_PX = 1024
"""Longest side of the image that the region of the lower row is looked for in; pixels
of a larger one are averaged before, as its panel shows no more."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One image of a figure.

    Attributes
    ----------
    title : str
        Above the panel.
    image : ImageStack
        Axes "YX".
    caption : str
        A smaller line under the title.
    sections : tuple of Section
        Of the volume that the image is a plane of.
    reach : float
        Of a map with values below and above 0, the value that has its full colour; 0
        for images.
    """

    title: str
    image: ImageStack
    caption: str = ""
    sections: tuple[Section, ...] = ()
    reach: float = 0.0

    @property
    def pixel_size(self) -> float:
        """Edge of a pixel in nm; 1 when unknown, so that lengths are in pixels."""
        return self.image.pixel_size_nm or 1.0

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of the field (nm or pixels)."""
        step = self.pixel_size
        y, x = (
            centre if self.image.pixel_size_nm else 0.0
            for centre in self.image.origin_nm
        )
        height, width = self.image.shape
        left, top = x - step / 2, y - step / 2
        return left, left + width * step, top + height * step, top

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Black and white of the display, or the ends of its colours."""
        if self.reach:
            return -self.reach, self.reach
        return display_limits(self.image.data)


def display_limits(data: NDArray[Any]) -> tuple[float, float]:
    """Return black and white of a display: percentiles, so no hot pixel sets them.

    Parameters
    ----------
    data : array (..., Y, X)
        Finite; of a stack the plane in the middle is taken.

    Returns
    -------
    (float, float)
        The 1st and the 99.8th percentile, never the same.

    Examples
    --------
    >>> display_limits(np.zeros((4, 8, 8)))
    (0.0, 1e-12)
    """
    plane = data[tuple(length // 2 for length in data.shape[:-2])]
    low, high = np.percentile(np.asarray(plane), (1.0, 99.8))
    return float(low), float(max(high, low + 1e-12 * max(1.0, abs(low))))


def side_by_side(
    panels: Sequence[Panel], heading: str = "", footing: str = ""
) -> Figure:
    """Draw panels of one field in a row, and below each its most detailed region.

    Below that come the sections of panels that show a volume.

    Every panel has its own contrast (percentiles 1 and 99.8); pixels are drawn as
    they are, without smoothing.

    Parameters
    ----------
    panels : sequence of Panel
        Images of the same field, on grids of any pixel size.
    heading : str, optional
        Above all panels.
    footing : str, optional
        Below them, in the colour of marks.

    Returns
    -------
    Figure
        With its own Agg canvas; no global state of pyplot is touched.
    """
    finest = min(panels, key=lambda panel: panel.pixel_size)
    grid = PanelGrid.of(
        finest.image.shape,
        finest.pixel_size,
        len(panels),
        has_heading=bool(heading),
        has_footing=bool(footing),
        sections=[(one.height, one.width) for one in finest.sections],
    )
    figure = new_figure(grid.width, grid.height)
    middle = (EDGE_PX + HEADING_PX / 2) / grid.height
    _write_line(figure, 1 - middle, heading, FAINT, grid)
    _write_line(figure, middle, footing, MARK, grid)
    window = _detailed_window(panels[-1], grid)
    for number, panel in enumerate(panels):
        field = figure.add_axes(grid.field_box(number))
        _draw(field, panel, panel.extent)
        _write_title(field, panel, grid)
        _mark(field, window)
        _draw(figure.add_axes(grid.zoom_box(number)), panel, window)
        for index, section in enumerate(panel.sections[: len(grid.strips)]):
            strip = figure.add_axes(grid.strip_box(number, index))
            limits = display_limits(section.pixels)
            draw_scale_bar(strip, draw_section(strip, section, limits), font_size=14)
    return figure


def _detailed_window(
    panel: Panel, grid: PanelGrid
) -> tuple[float, float, float, float]:
    """Return the extent of the region with the most structure in it."""
    unit = grid.zoom_step * panel.pixel_size / grid.finest_pixel
    rows, columns = panel.image.shape
    size = (
        min(rows, max(1, round(grid.zoom[0] / unit))),
        min(columns, max(1, round(grid.zoom[1] / unit))),
    )
    from scipy import ndimage  # not needed by docks, which import this module

    step = -(-max(rows, columns) // SEARCHED_PX)
    structure = _structure(panel, step)
    lengths = structure.shape
    windows = [min(n, -(-w // step)) for n, w in zip(lengths, size, strict=True)]
    density = ndimage.uniform_filter(structure, windows)
    margins = [
        min(round(EDGE * n), (n - w) // 2)
        for n, w in zip(lengths, windows, strict=True)
    ]
    # The filter's value at c belongs to the window that begins at c − w // 2.
    inside = density[
        tuple(
            slice(margin + w // 2, n - w - margin + w // 2 + 1)
            for n, w, margin in zip(lengths, windows, margins, strict=True)
        )
    ]
    best = np.unravel_index(int(inside.argmax()), inside.shape)
    top, left = (
        step * (int(i) + margin) for i, margin in zip(best, margins, strict=True)
    )
    x0, _, _, y0 = panel.extent
    edge = panel.pixel_size
    return (
        x0 + left * edge,
        x0 + (left + size[1]) * edge,
        y0 + (top + size[0]) * edge,
        y0 + top * edge,
    )


def _structure(panel: Panel, step: int) -> NDArray[Any]:
    """Return the gradient of an image at 2 of its pixels, every ``step`` pixels.

    It is clipped to its percentiles so that one bright spot does not draw the window.
    """
    from scipy import ndimage

    rows, columns = (n // step for n in panel.image.shape)
    whole = np.clip(panel.image.data[: rows * step, : columns * step], *panel.limits)
    coarse = sum(whole[y::step, x::step] for y, x in np.ndindex(step, step))
    gradient: NDArray[Any] = ndimage.gaussian_gradient_magnitude(coarse, 2 / step)
    return gradient


def _draw(axes: Axes, panel: Panel, window: tuple[float, float, float, float]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    low, high = panel.limits
    colours = LinearSegmentedColormap.from_list("less, more", [LESS, NOTHING, MORE])
    axes.imshow(
        panel.image.data,
        extent=panel.extent,
        cmap=colours if panel.reach else "gray",
        vmin=low,
        vmax=high,
        interpolation="auto",
        interpolation_stage="data",
    )
    axes.set_xlim(window[0], window[1])
    axes.set_ylim(window[2], window[3])
    axes.set_aspect("auto")
    axes.set_axis_off()
    draw_scale_bar(axes, window, has_unit=panel.image.pixel_size_nm is not None)


def draw_scale_bar(
    axes: Axes,
    window: tuple[float, float, float, float],
    *,
    has_unit: bool = True,
    font_size: float = 20,
) -> None:
    """Draw a bar of a round length (nm, or pixels) in the lower right corner."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    left, right, bottom, top = window
    width, height = right - left, bottom - top
    length = nice_length(0.25 * width)
    inset = 0.03 * width
    thickness = 0.008 * max(width, height)
    x, y = right - inset - length, bottom - inset - thickness
    outline = [withStroke(linewidth=3, foreground="black")]
    axes.add_patch(
        Rectangle(
            (x, y), length, thickness, color="white", path_effects=outline, zorder=3
        )
    )
    axes.text(
        x + length,
        y - thickness,
        _in_words(length) if has_unit else f"{length:g} px",
        color="white",
        fontsize=font_size,
        ha="right",
        va="bottom",
        path_effects=outline,
    )


def _in_words(length_nm: float) -> str:
    return f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"


def _write_line(
    figure: Figure, height: float, text: str, color: str, grid: PanelGrid
) -> None:
    """Write a line across all panels, if there is one."""
    if text:
        write_name(
            figure,
            (0.5, height),
            text,
            fontsize=18,
            width_px=grid.width,
            color=color,
            va="center",
        )


def _write_title(axes: Axes, panel: Panel, grid: PanelGrid) -> None:
    """Write title and caption above a panel."""
    height = grid.field[0]
    for text, size, color, lift_px in (
        (panel.title, 26, INK, 42),
        (panel.caption, 18, FAINT, 8),
    ):
        write_name(
            axes,
            (0.5, 1 + lift_px / height),
            text,
            fontsize=size,
            width_px=grid.column,
            transform=axes.transAxes,
            color=color,
            va="bottom",
        )


def _mark(axes: Axes, window: tuple[float, float, float, float]) -> None:
    """Outline the region that the lower row shows."""
    from matplotlib.patches import Rectangle

    left, right, bottom, top = window
    axes.add_patch(
        Rectangle(
            (left, top), right - left, bottom - top, fill=False, color=MARK, lw=1.5
        )
    )


def nice_length(longest: float) -> float:
    """Return the largest of 1, 2, 5 × 10ⁿ that is not above a length.

    Examples
    --------
    >>> nice_length(7300), nice_length(0.3)
    (5000.0, 0.2)
    """
    decade = 10.0 ** math.floor(math.log10(longest))
    return max(step for step in (1, 2, 5) if step * decade <= longest) * decade

"""Colours and canvases that all figures share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dps.io import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
PNG_LEVEL = 3
"""Of compression: 6, the usual one, takes twice the time for a tenth of the size."""
BACKGROUND = "#0e0f13"
INK = "#f2f2f2"
FAINT = "#a0a0aa"
MARK = "#ffd54a"
CURVE = "#4fc3f7"
LESS, NOTHING, MORE = "#4c9be8", "#000000", "#e0a92e"
"""Of maps with values below and above 0: nothing is black, so that in a viewer they can
lie on the image that they tell of."""


def new_figure(width_px: int, height_px: int) -> Figure:
    """Return an empty dark figure on its own Agg canvas, apart from pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor=BACKGROUND
    )
    FigureCanvasAgg(figure)
    return figure


def style_plot(axes: Axes, *, title: str, xlabel: str, ylabel: str) -> None:
    """Give a plot the colours of the dark theme, its labels and its legend."""
    axes.set_facecolor(BACKGROUND)
    axes.legend(facecolor=BACKGROUND, edgecolor="none", framealpha=0.9, labelcolor=INK)
    axes.set_title(title, color=INK, fontsize=13)
    axes.set_xlabel(xlabel, color=FAINT)
    axes.set_ylabel(ylabel, color=FAINT)
    axes.tick_params(colors=FAINT)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(
            temporary,
            format="png",
            dpi=DPI,
            facecolor=BACKGROUND,
            pil_kwargs={"compress_level": PNG_LEVEL},
        )

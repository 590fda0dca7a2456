"""Sections of volumes along the optical axis, drawn below the panels of a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Section:
    """A cut through a volume, z downwards.

    Attributes
    ----------
    name : str
        Its axes, "xz" or "yz".
    pixels : array (Z, X) or (Z, Y)
        Values.
    z_step, step : float
        Distance of rows and of columns, in the unit of the panel's pixel size.
    """

    name: str
    pixels: NDArray[Any]
    z_step: float
    step: float

    @property
    def height(self) -> float:
        """From the first to beyond the last plane."""
        return len(self.pixels) * self.z_step

    @property
    def width(self) -> float:
        """Of the field."""
        return float(self.pixels.shape[1]) * self.step


def draw_section(
    axes: Axes, section: Section, limits: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Draw a section, pixels as they are; return left, right, bottom, top."""
    from matplotlib.patheffects import withStroke

    window = 0.0, section.width, section.height, 0.0
    axes.imshow(
        section.pixels,
        extent=window,
        cmap="gray",
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
        aspect="auto",
    )
    axes.set_axis_off()
    axes.text(
        0.01,
        0.97,
        section.name,
        transform=axes.transAxes,
        color="white",
        fontsize=16,
        va="top",
        path_effects=[withStroke(linewidth=3, foreground="black")],
    )
    return window

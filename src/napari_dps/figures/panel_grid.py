"""Sizes and places of the panels of a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDEST_PX = 4200
"""Width aimed at for all panels together."""
PANEL_PX = (420, 1024)
"""Limits of the longer side of a panel."""
COLUMN_PX = 320
"""Narrowest column: titles and the zoomed region need that much."""
GAP_PX, TITLE_PX, HEADING_PX, EDGE_PX = 12, 92, 44, 16
ZOOM = 4
"""Magnification of the lower row over the upper."""
LEAST_ZOOMED = 128
"""The lower row is no smaller a part of the finest image than this, in pixels."""


@dataclass(frozen=True)
class PanelGrid:
    """Where things lie, in pixels of the picture.

    Panels are drawn at whole pixels per image pixel (or the inverse), so that nothing
    is interpolated.
    """

    count: int
    field: tuple[int, int]
    zoom: tuple[int, int]
    zoom_step: int
    finest_pixel: float
    has_heading: bool
    has_footing: bool = False
    strips: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        pixel_size: float,
        count: int,
        *,
        has_heading: bool,
        has_footing: bool = False,
        sections: Sequence[tuple[float, float]] = (),
    ) -> PanelGrid:
        """Lay out panels of one field.

        Parameters
        ----------
        shape : tuple of int
            (Y, X) of the finest image.
        pixel_size : float
            Of the finest image.
        count : int
            Number of panels.
        has_heading : bool
            Leave room for a line above all.
        has_footing : bool
            Leave room for a line below all.
        sections : sequence of (float, float)
            Heights and widths of the sections below each panel, in the unit of
            ``pixel_size``.
        """
        rows, columns = shape
        low, high = PANEL_PX
        longest = min(high, max(low, WIDEST_PX // count))
        side = max(rows, columns)
        scale = longest // side if side <= longest else 1 / math.ceil(side / longest)
        field = (round(rows * scale), round(columns * scale))
        column = max(field[1], COLUMN_PX)
        step = max(2, min(round(ZOOM * scale), column // LEAST_ZOOMED))
        height = round(column * min(max(rows / columns, 0.5), 1.5))
        zoom = (min(height // step, rows) * step, min(column // step, columns) * step)
        widest = max(field[1], zoom[1], COLUMN_PX)
        strips = []
        for height_of, width_of in sections:
            per_unit = min(scale / pixel_size, widest / width_of)
            strips.append((round(height_of * per_unit), round(width_of * per_unit)))
        return cls(
            count,
            field,
            zoom,
            step,
            pixel_size,
            has_heading,
            has_footing,
            tuple((max(1, high), max(1, wide)) for high, wide in strips),
        )

    @property
    def column(self) -> int:
        """Width that each panel may use."""
        return max(self.field[1], self.zoom[1], COLUMN_PX)

    @property
    def width(self) -> int:
        """Width of the picture."""
        return 2 * EDGE_PX + self.count * self.column + (self.count - 1) * GAP_PX

    @property
    def height(self) -> int:
        """Height of the picture."""
        heading = HEADING_PX if self.has_heading else 0
        rows = self.field[0] + GAP_PX + self.zoom[0]
        return self._bottom + heading + TITLE_PX + rows + EDGE_PX

    @property
    def _bottom(self) -> int:
        """Pixels below the panels."""
        strips = sum(height + GAP_PX for height, _ in self.strips)
        return EDGE_PX + (HEADING_PX if self.has_footing else 0) + strips

    def field_box(self, number: int) -> tuple[float, float, float, float]:
        """Left, bottom, width, height of a panel as fractions of the figure."""
        return self._box(number, self._bottom + self.zoom[0] + GAP_PX, self.field)

    def zoom_box(self, number: int) -> tuple[float, float, float, float]:
        """Left, bottom, width, height of a zoomed panel as fractions of the figure."""
        return self._box(number, self._bottom, self.zoom)

    def strip_box(self, number: int, index: int) -> tuple[float, float, float, float]:
        """Left, bottom, width, height of a section as fractions of the figure."""
        above = sum(height + GAP_PX for height, _ in self.strips[: index + 1])
        return self._box(number, self._bottom - above, self.strips[index])

    def _box(
        self, number: int, bottom: int, size: tuple[int, int]
    ) -> tuple[float, float, float, float]:
        left = EDGE_PX + number * (self.column + GAP_PX) + (self.column - size[1]) // 2
        return (
            left / self.width,
            bottom / self.height,
            size[1] / self.width,
            size[0] / self.height,
        )

"""Tiles of a large image, so that memory does not grow with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

GRID_PX = 16
"""The cells of every network divide it: a tile is cut into the same cells as the whole
image."""

Part = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its result is ``work(image[read])[keep]`` and goes to ``write``.

    Attributes
    ----------
    read, keep, write : tuple of slice
        Of the image, of the result of what was read, and of the whole result.
    """

    read: Part
    keep: Part
    write: Part

    def finer(self, factor: int) -> Tile:
        """Return the same tile on a grid finer by a whole factor."""
        return Tile(*(_scaled(p, factor) for p in (self.read, self.keep, self.write)))


def tiles(shape: tuple[int, int], *, tile_px: int, overlap_px: int) -> Iterator[Tile]:
    """Yield tiles that cover an image, row by row.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the image.
    tile_px : int
        Largest edge of what a tile gives. Tiles are about equal, and their edges
        multiples of `GRID_PX`.
    overlap_px : int
        What is read beyond it on each side where there is image: as far as what is
        done looks, so that tiles join without a seam.

    Yields
    ------
    Tile

    Examples
    --------
    >>> [tile.read[1] for tile in tiles((40, 100), tile_px=80, overlap_px=16)]
    [slice(0, 80, None), slice(48, 100, None)]
    """
    rows, columns = (list(_spans(size, tile_px, overlap_px)) for size in shape)
    for (read_y, keep_y, write_y), (read_x, keep_x, write_x) in product(rows, columns):
        yield Tile((read_y, read_x), (keep_y, keep_x), (write_y, write_x))


def _spans(size: int, most: int, overlap: int) -> Iterator[tuple[slice, slice, slice]]:
    edge = GRID_PX * math.ceil(size / math.ceil(size / most) / GRID_PX)
    for start in range(0, size, edge):
        yield _span(start, size, edge, overlap)


def _span(start: int, size: int, tile: int, overlap: int) -> tuple[slice, slice, slice]:
    first, stop = max(start - overlap, 0), min(start + tile, size)
    read = slice(first, min(stop + overlap, size))
    return read, slice(start - first, stop - first), slice(start, stop)


def _scaled(part: Part, factor: int) -> Part:
    rows, columns = (slice(factor * s.start, factor * s.stop) for s in part)
    return rows, columns

"""Tiles of a large image, so that memory does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
        Edge of what a tile gives.
    overlap_px : int
        What is read beyond it on each side where there is image: as far as what is
        done looks, so that tiles join without a seam.

    Yields
    ------
    Tile

    Examples
    --------
    >>> [tile.read[1] for tile in tiles((4, 10), tile_px=8, overlap_px=2)]
    [slice(0, 10, None), slice(6, 10, None)]
    """
    for y in range(0, shape[0], tile_px):
        for x in range(0, shape[1], tile_px):
            spans = [
                _span(start, size, tile_px, overlap_px)
                for start, size in zip((y, x), shape, strict=True)
            ]
            (read_y, keep_y, write_y), (read_x, keep_x, write_x) = spans
            yield Tile((read_y, read_x), (keep_y, keep_x), (write_y, write_x))


def _span(start: int, size: int, tile: int, overlap: int) -> tuple[slice, slice, slice]:
    first, stop = max(start - overlap, 0), min(start + tile, size)
    read = slice(first, min(stop + overlap, size))
    return read, slice(start - first, stop - first), slice(start, stop)


def _scaled(part: Part, factor: int) -> Part:
    rows, columns = (slice(factor * s.start, factor * s.stop) for s in part)
    return rows, columns

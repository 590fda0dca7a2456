"""Tiles of a large image, as large as the free memory allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

from napari_dps.core import InputError, Progress
from napari_dps.core.context import Context
from napari_dps.core.device import available_bytes, empty_cache
from napari_dps.core.errors import is_out_of_memory

if TYPE_CHECKING:
    import torch

GRID_PX = 16
"""The cells of every network divide it: a tile is cut into the same cells as the whole
image."""
LEAST_TILE_PX = 64
"""Below it nearly all that is computed is overlap, and little memory is saved."""
SHARE = 0.5
"""Share of the free memory that a tile may take: other programs need some, and what a
GPU's library needs is not in `TileNeeds.bytes_per_px`."""
STRIP_BYTES = 2**20
"""Of what is worked on at a time, to fit the second-level cache of a core."""

Part = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class TileNeeds:
    """What a piece of work needs of its tiles.

    Attributes
    ----------
    name : str
        Name of the work, for messages.
    overlap_px : int
        What is read beyond a tile on each side where there is image: as far as what is
        done looks, so that tiles join without a seam. A multiple of `GRID_PX`.
    bytes_per_px : int
        Memory at the peak of the work, for each pixel that is read.
    tile_px : int or None
        Edge of what a tile gives while there is memory; None: the whole plane.
    equal_reads : bool
        Whether all tiles read as many pixels, since what is prepared for one size is
        used for all.
    """

    name: str
    overlap_px: int
    bytes_per_px: int
    tile_px: int | None = None
    equal_reads: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its result is ``work(image[read])[keep]`` and goes to ``write``.

    Attributes
    ----------
    read, keep, write : tuple of slice
        Slices of the image, of the result of what was read, and of the whole result.
    """

    read: Part
    keep: Part
    write: Part

    def finer(self, factor: int) -> Tile:
        """Return the same tile on a grid finer by a whole factor."""
        return Tile(*(_scaled(p, factor) for p in (self.read, self.keep, self.write)))


def tiled_steps(
    shape: tuple[int, int],
    needs: TileNeeds,
    work: Callable[[Tile], None],
    context: Context,
    device: torch.device,
) -> Generator[Progress, None, None]:
    """Do some work tile by tile, in smaller tiles when the memory runs out.

    Tiles that were done before stay done. The smaller size is kept in the context for
    the planes to come.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the image.
    needs : TileNeeds
        Needs of the work.
    work : callable
        Does a tile and stores its result; may be called again for parts of it.
    context : Context
        `Context.tile_px` decides about the size, else the free memory does; warned when
        tiles had to be made smaller.
    device : torch.device
        Whose memory it is.

    Yields
    ------
    Progress
        In pixels, after each tile.

    Raises
    ------
    InputError
        If the memory does not suffice for the smallest tiles.
    """
    edge = tile_edge(shape, needs, context, device)
    pending: list[Part] = [(slice(0, shape[0]), slice(0, shape[1]))]
    done, count = 0, 0
    while pending:
        part = pending.pop(0)
        pieces = cut(part, edge)
        if len(pieces) > 1:
            pending = pieces + pending
        elif _fits(work, tile_of(part, shape, edge, needs)):
            height, width = (side.stop - side.start for side in part)
            done, count = done + height * width, count + 1
            message = f"{needs.name}, tile {count} of {count + len(pending)}"
            yield Progress(done, shape[0] * shape[1], message)
        else:
            edge = _smaller(part, needs, context, device)
            pending.insert(0, part)


def tile_edge(
    shape: tuple[int, int], needs: TileNeeds, context: Context, device: torch.device
) -> int:
    """Return the largest edge of what a tile gives.

    `Context.tile_px`, else what the work likes best, or less if `SHARE` of the free
    memory is not enough for it; at most what fitted after the memory had run out.

    Returns
    -------
    int
        A multiple of `GRID_PX`, `LEAST_TILE_PX` or more; or, if one tile does, as much
        as the longer side of the image or more.

    Raises
    ------
    InputError
        If `Context.tile_px` is below `LEAST_TILE_PX`.
    """
    edge = context.tile_px
    if edge is None:
        # Decided once: what a stage keeps for the planes to come makes less seem free.
        key = ("tile as memory allows", needs.name, shape)
        if key not in context.cache:
            context.cache[key] = _edge_for_memory(shape, needs, context, device)
        edge = context.cache[key]
    elif edge < LEAST_TILE_PX:
        raise InputError(field="tile_px", got=edge, allowed=f"{LEAST_TILE_PX} or more")
    edge = min(edge, context.cache.get(_key(needs), edge))
    return edge if edge >= max(shape) else max(_on_grid(edge), LEAST_TILE_PX)


def _edge_for_memory(
    shape: tuple[int, int], needs: TileNeeds, context: Context, device: torch.device
) -> int:
    """Return what the work likes best, or less if that does not fit."""
    edge = needs.tile_px or max(shape)
    fitting_px = SHARE * available_bytes(device) / needs.bytes_per_px
    if min(shape[0] * shape[1], (edge + 2 * needs.overlap_px) ** 2) <= fitting_px:
        return edge
    edge = min(edge, math.isqrt(int(fitting_px)) - 2 * needs.overlap_px)
    edge = max(_on_grid(edge), LEAST_TILE_PX)
    if needs.tile_px is None:
        # Else tiles are usual, and give the same.
        context.warn(
            f"little memory is free: tiles of {edge} px are used for the {needs.name}"
        )
    return edge


def equal_tiles(
    shape: tuple[int, int], edges: tuple[int, int], overlap_px: int
) -> list[Tile]:
    """Return tiles that all read as many pixels, no more than the overlap asks for.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the image.
    edges : tuple of int
        Longest sides (Y, X) of what a tile gives; multiples of `GRID_PX`.
    overlap_px : int
        As of `TileNeeds`.

    Examples
    --------
    >>> [tile.read[1] for tile in equal_tiles((40, 100), (64, 64), 16)]
    [slice(0, 80, None), slice(20, 100, None)]
    """
    sides = []
    for size, edge in zip(shape, edges, strict=True):
        parts = _cut_side(slice(0, size), edge)
        ends = [
            (max(part.start - overlap_px, 0), min(part.stop + overlap_px, size))
            for part in parts
        ]
        length = max(stop - start for start, stop in ends)
        firsts = [min(start, size - length) for start, _ in ends]
        sides.append(
            [
                (
                    slice(first, first + length),
                    slice(part.start - first, part.stop - first),
                    part,
                )
                for first, part in zip(firsts, parts, strict=True)
            ]
        )
    return [Tile(*zip(*pair, strict=True)) for pair in product(*sides)]


def strips(rows: int, bytes_per_row: float, device: torch.device) -> list[slice]:
    """Return slices of rows to work on one after the other, operation by operation.

    Parameters
    ----------
    rows : int
        Of the whole.
    bytes_per_row : float
        Of the largest array that is worked on.
    device : torch.device
        All but the CPU have memory as fast as its cache: one slice.

    Returns
    -------
    list of slice
        Of about the same length, `STRIP_BYTES` or less each if there are more rows
        than one.

    Examples
    --------
    >>> import torch
    >>> strips(100, 2**15, torch.device("cpu"))
    [slice(0, 25, None), slice(25, 50, None), slice(50, 75, None), slice(75, 100, None)]
    """
    wanted = math.ceil(rows * bytes_per_row / STRIP_BYTES)
    count = max(1, min(rows, wanted)) if device.type == "cpu" else 1
    edges = [rows * number // count for number in range(count + 1)]
    return [slice(*pair) for pair in pairwise(edges)]


def require_memory(
    what: str, shape: tuple[int, int], bytes_per_px: float, device: torch.device
) -> None:
    """Refuse a plane that does not fit, before any time is spent on it.

    For work that needs the whole plane at a time, and cannot be done in tiles.

    Parameters
    ----------
    what : str
        Is done, for the error.
    shape : tuple of int
        (Y, X) of the plane.
    bytes_per_px : float
        Memory at the peak of the work, for each pixel of the plane.
    device : torch.device
        Whose memory it is.

    Raises
    ------
    InputError
        If the free memory is less than that.
    """
    needed, free = bytes_per_px * shape[0] * shape[1], available_bytes(device)
    if needed > free:
        raise InputError(
            f"memory for {what} of a plane of {shape[0]} × {shape[1]} px",
            got=f"{free / 1e9:.1f} GB free",
            allowed=f"{needed / 1e9:.1f} GB or more: crop the image or "
            + _remedies(device),
        )


def cut(part: Part, edge: int) -> list[Part]:
    """Cut a part of an image into about equal ones, row by row.

    Parameters
    ----------
    part : tuple of slice
        Rows and columns.
    edge : int
        Longest side of the pieces; a multiple of `GRID_PX`, as their sides are.

    Returns
    -------
    list of tuple of slice

    Examples
    --------
    >>> [columns for rows, columns in cut((slice(0, 40), slice(0, 100)), 80)]
    [slice(0, 64, None), slice(64, 100, None)]
    """
    rows, columns = (_cut_side(side, edge) for side in part)
    return list(product(rows, columns))


def _cut_side(side: slice, edge: int) -> list[slice]:
    size = side.stop - side.start
    step = GRID_PX * math.ceil(size / math.ceil(size / edge) / GRID_PX)
    starts = range(side.start, side.stop, step)
    return [slice(start, min(start + step, side.stop)) for start in starts]


def tile_of(part: Part, shape: tuple[int, int], edge: int, needs: TileNeeds) -> Tile:
    """Return the tile that gives a part."""
    reads = [
        _read(side, size, edge, needs) for side, size in zip(part, shape, strict=True)
    ]
    keeps = [
        slice(side.start - read.start, side.stop - read.start)
        for side, read in zip(part, reads, strict=True)
    ]
    return Tile((reads[0], reads[1]), (keeps[0], keeps[1]), part)


def _read(side: slice, size: int, edge: int, needs: TileNeeds) -> slice:
    first = max(side.start - needs.overlap_px, 0)
    if not needs.equal_reads:
        return slice(first, min(side.stop + needs.overlap_px, size))
    length = min(edge + 2 * needs.overlap_px, size)
    first = min(first, size - length)
    return slice(first, first + length)


def _fits(work: Callable[[Tile], None], tile: Tile) -> bool:
    """Do a tile; return whether the memory was enough."""
    try:
        work(tile)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _smaller(
    part: Part, needs: TileNeeds, context: Context, device: torch.device
) -> int:
    """Return half the longer side of a part that did not fit, and remember it."""
    # Here the error is gone, and with it all that the failed work kept.
    empty_cache(device)
    longest = max(side.stop - side.start for side in part)
    if longest <= LEAST_TILE_PX:
        raise InputError(
            f"not enough memory for the {needs.name}, even in tiles of {longest} px: "
            f"crop the image or {_remedies(device)}"
        )
    edge = max(_on_grid(longest // 2), LEAST_TILE_PX)
    context.cache[_key(needs)] = edge
    context.warn(f"out of memory: tiles of {edge} px are used for the {needs.name}")
    return edge


def _remedies(device: torch.device) -> str:
    close = "close other programs"
    return close if device.type == "cpu" else f"{close}, or choose the device cpu"


def _key(needs: TileNeeds) -> tuple[str, str]:
    return ("tile that fits", needs.name)


def _on_grid(edge: int) -> int:
    return edge // GRID_PX * GRID_PX


def _scaled(part: Part, factor: int) -> Part:
    rows, columns = (slice(factor * s.start, factor * s.stop) for s in part)
    return rows, columns

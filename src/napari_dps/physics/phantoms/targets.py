"""Man-made targets: line and point pairs, glyphs, gratings and a star."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from napari_dps.physics.phantoms.canvas import Canvas
from napari_dps.physics.phantoms.curves import Float, ragged

_GLYPHS = (
    "002640 1333",  # A
    "40000646 0333",  # E
    "0006 4046 0343",  # H
    "0006 4603 0340",  # K
    "00064046",  # N
    "0646 2620",  # T
    "06102340 2346",  # an invented one
    "06460040",  # Z
    "400636 2026",  # another
    "0040460600",  # box
    "300340 460343",  # a branch
    "0646 0343 0040",  # three bars
    "200343201646",  # a kite and a flag
)
"""Strokes on a 4 × 6 raster: pairs of digits (x, y), strokes parted by spaces."""


def line_pairs(canvas: Canvas) -> None:
    """Draw pairs of parallel thin lines at the separation asked for, in all directions.

    One pair in each cell of a raster; the direction turns by 15° from cell to cell.
    """
    cell = max(1200.0, 5 * canvas.separation_nm)
    centres = _raster(canvas, cell)
    direction = np.radians(15 * np.arange(len(centres)))
    along = _unit(direction)
    across = _unit(direction + np.pi / 2) * canvas.separation_nm / 2
    half = 0.36 * cell * along
    for side in (-1, 1):
        middle = centres + side * across
        _strokes(canvas, middle - half, middle + half)


def point_pairs(canvas: Canvas) -> None:
    """Draw pairs of equal points at the separation asked for, in random directions."""
    centres = _raster(canvas, max(1000.0, 6 * canvas.separation_nm))
    turn = canvas.rng.uniform(0, np.pi, len(centres))
    half = _unit(turn) * canvas.separation_nm / 2
    canvas.add(np.stack([centres - half, centres + half]))


def glyphs(canvas: Canvas) -> None:
    """Draw man-made signs of thin strokes, 0.4 to 1.6 µm high, in any direction."""
    rng = canvas.rng
    centres = canvas.scatter(rng.uniform(0.3, 0.8), margin_nm=1000)
    lines = []
    for centre in centres:
        turn = rng.uniform(0, 2 * np.pi)
        frame = np.stack([_unit(turn), _unit(turn + np.pi / 2)])
        frame *= rng.uniform(400, 1600) / 6
        width_nm, brightness = rng.uniform(5, 40), rng.lognormal(0, 0.4)
        for stroke in _GLYPHS[rng.integers(len(_GLYPHS))].split():
            digits = np.array(list(stroke), dtype=float).reshape(-1, 2) - [2, 3]
            corners = centre + digits @ frame
            lines += [
                (*start, *stop, width_nm, brightness)
                for start, stop in pairwise(corners)
            ]
    table = np.array(lines).reshape(-1, 6)
    _strokes(
        canvas,
        table[:, 0:2],
        table[:, 2:4],
        width_nm=table[:, 4],
        brightness=table[:, 5],
    )


def gratings(canvas: Canvas) -> None:
    """Draw patches of parallel thin lines, 80 to 400 nm apart, in any direction."""
    rng = canvas.rng
    cell = 2400.0
    starts, stops, brightness = [], [], []
    for centre in _raster(canvas, cell):
        period_nm = rng.uniform(80, 400)
        turn = rng.uniform(0, np.pi)
        count = int(0.7 * cell / period_nm)
        place = (np.arange(count) - (count - 1) / 2)[:, np.newaxis] * period_nm
        middle = centre + place * _unit(turn)
        half = 0.35 * cell * _unit(turn + np.pi / 2)
        starts.append(middle - half)
        stops.append(middle + half)
        brightness += [period_nm / 200] * count  # patches send the same light
    _strokes(
        canvas,
        np.concatenate(starts),
        np.concatenate(stops),
        brightness=np.array(brightness),
    )


def star(canvas: Canvas) -> None:
    """Draw 36 thin spokes around the middle: every separation from 10 nm up."""
    centre = canvas.size_nm / 2
    spokes = _unit(np.arange(36) * np.pi / 18 + canvas.rng.uniform(0, np.pi))
    radius = 0.45 * canvas.size_nm.min()
    inner = min(60.0, radius / 4)
    _strokes(canvas, centre + inner * spokes, centre + radius * spokes)


def _raster(canvas: Canvas, cell_nm: float) -> Float:
    """Return the centres of the cells of a raster with a random origin."""
    first = canvas.rng.uniform(0.3, 0.7, 2) * np.minimum(cell_nm, canvas.size_nm)
    y, x = (
        np.arange(start, size, cell_nm)
        for start, size in zip(first, canvas.size_nm, strict=True)
    )
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)


def _unit(angle_rad: Float | float) -> Float:
    """Return unit vectors (y, x) for angles, x towards y."""
    return np.stack([np.sin(angle_rad), np.cos(angle_rad)], axis=-1)


def _strokes(
    canvas: Canvas,
    start_nm: Float,
    stop_nm: Float,
    *,
    width_nm: Float | float = 0.0,
    brightness: Float | float = 1.0,
) -> None:
    """Draw straight even lines (N, 2) to (N, 2) with a site every 2 nm."""
    along = stop_nm - start_nm
    length = np.hypot(along[:, 0], along[:, 1])[:, np.newaxis]
    count = np.ceil(length[:, 0] / 2).astype(np.intp)
    owner, rank = ragged(count)
    part = (rank + 0.5) / count[owner]
    # Golden-ratio steps fill the width evenly, where chance would leave grains.
    sideways = rank * 0.6180339887498949 % 1 - 0.5
    sideways *= np.broadcast_to(width_nm, count.shape)[owner]
    normals = np.stack([along[:, 1], -along[:, 0]], axis=-1) / length
    canvas.add(
        start_nm[owner]
        + part[:, np.newaxis] * along[owner]
        + sideways[:, np.newaxis] * normals[owner],
        np.broadcast_to(brightness, count.shape)[owner],
    )

"""Evidence for stripes that only several angles together give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.special import gammaincc

from napari_dps.physics.sim.correlation import Correlation
from napari_dps.physics.sim.search_grid import OVERSAMPLING, SearchGrid
from napari_dps.physics.sim.spectrum import FloatArray

LENGTH_TOLERANCE = 0.04
"""Relative difference of |k| between the angles of one microscope. Measured on real
stacks: 0.2 % (TIRF-SIM by spatial light modulator) to 7 % (one angle of a grating)."""
NEIGHBOURS = 2 * 9 / OVERSAMPLING**2
"""Independent wave vectors among 3 × 3 cells of the map and their opposites."""
ANGLE_TOLERANCE_RAD = math.radians(3)
"""Deviation of the angles from equal steps."""


def near(
    correlation: Correlation,
    expected: Sequence[tuple[float, float]],
    bins: float | None,
) -> NDArray[np.bool_]:
    """Return the cells of the statistic near expected wave vectors or their opposites.

    Parameters
    ----------
    correlation : Correlation
        Of the angle to search.
    expected : sequence of (float, float)
        Wave vectors (y, x) in cycles per pixel.
    bins : float or None
        Radius in bins; None takes the tolerances between angles.
    """
    grid = correlation.grid
    fy, fx = grid.frequencies
    mask = np.zeros(correlation.statistic.shape, dtype=bool)
    for ky, kx in [(s * y, s * x) for y, x in expected for s in (1, -1)]:
        length = math.hypot(ky, kx)
        tolerance = max(LENGTH_TOLERANCE, ANGLE_TOLERANCE_RAD) * length
        radius = tolerance * max(grid.size) if bins is None else bins
        window, inside = grid.disc((ky, kx), radius)
        if bins is None:
            cells_y, cells_x = fy[window[0]][:, np.newaxis], fx[window[1]]
            along = (cells_y * ky + cells_x * kx) / length
            across = (cells_x * ky - cells_y * kx) / length
            ratio = np.hypot(along, across) / length
            inside = (np.abs(ratio - 1) <= LENGTH_TOLERANCE) & (
                np.abs(np.arctan2(across, along)) <= ANGLE_TOLERANCE_RAD
            )
        mask[window] |= inside
    return mask


def joint_search(
    correlations: Sequence[Correlation],
) -> tuple[list[tuple[float, float]], float]:
    """Find one |k| and direction that fit all angles at once.

    The statistics of the angles, rotated by multiples of 180°/A onto one another, are
    turned into −ln p, which adds up to a Gamma(A) variable where there are no stripes.

    Parameters
    ----------
    correlations : sequence of Correlation
        One an angle.

    Returns
    -------
    wavevectors : list of (float, float)
        (y, x) in cycles per pixel for each angle, to a cell of the map.
    confidence : float
        ln 1/p over all wave vectors and both senses of rotation.
    """
    count = len(correlations)
    surprises = [_surprise(c.statistic) for c in correlations]
    fy, fx = correlations[0].grid.frequencies
    half = fy >= 0
    grid_y, grid_x = np.meshgrid(fy[half], fx, indexing="ij")
    best: tuple[float, int, int] = (-1.0, 0, 1)
    for sense in (1, -1):
        total = np.zeros(grid_y.shape, dtype=np.float32)
        for n, surprise in enumerate(surprises):
            y, x = turn(grid_y, grid_x, sense * math.pi * n / count)
            total += _nearest(surprise, y, x, correlations[n].grid)
        cell = int(np.argmax(total))
        if total.flat[cell] > best[0]:
            best = (float(total.flat[cell]), cell, sense)
    value, cell, sense = best
    start_y, start_x = grid_y.flat[cell], grid_x.flat[cell]
    wavevectors = []
    for n, correlation in enumerate(correlations):
        y, x = turn(start_y, start_x, sense * math.pi * n / count)
        wavevectors.append(_highest_near(correlation, float(y), float(x)))
    survival = max(float(gammaincc(count, value)), 1e-300)
    return wavevectors, -math.log(survival) - math.log(correlations[0].cells)


def _surprise(statistic: NDArray[np.float32]) -> NDArray[np.float32]:
    """−ln p of the best of a wave vector, its neighbours and their opposites.

    They hold `NEIGHBOURS` independent ones.
    """
    highest = maximum_filter(statistic, size=3)
    highest = np.maximum(highest, highest[::-1, ::-1])
    chance = -np.expm1(NEIGHBOURS * np.log1p(-np.exp(-np.maximum(highest, 1e-6))))
    # Beyond T of about 16, float32 rounds the chance: the tail is T − ln N.
    surprise = np.where(
        highest > 12, highest - math.log(NEIGHBOURS), -np.log(np.maximum(chance, 1e-30))
    )
    return np.where(statistic > 0, surprise, 0).astype(np.float32)


def turn(y: Any, x: Any, angle: float) -> tuple[Any, Any]:
    """Rotate vectors by an angle, x towards y."""
    sine, cosine = math.sin(angle), math.cos(angle)
    return cosine * y + sine * x, cosine * x - sine * y


def _nearest(
    values: NDArray[np.float32], y: FloatArray, x: FloatArray, grid: SearchGrid
) -> NDArray[np.float32]:
    rows = np.rint(y / grid.steps[0]).astype(int) + grid.reach[0]
    columns = np.rint(x / grid.steps[1]).astype(int) + grid.reach[1]
    inside = (
        (rows >= 0)
        & (rows < values.shape[0])
        & (columns >= 0)
        & (columns < values.shape[1])
    )
    rows, columns = np.where(inside, rows, 0), np.where(inside, columns, 0)
    return np.where(inside, values[rows, columns], np.float32(0))


def _highest_near(
    correlation: Correlation, ky: float, kx: float
) -> tuple[float, float]:
    """Return the best cell beside a wave vector or its opposite."""
    fy, fx = correlation.grid.frequencies
    candidates = []
    for sign in (1, -1):
        row, column = correlation.grid.cell((sign * ky, sign * kx))
        for i in range(max(row - 1, 0), min(row + 2, len(fy))):
            for j in range(max(column - 1, 0), min(column + 2, len(fx))):
                value = float(correlation.statistic[i, j])
                candidates.append((value, float(fy[i]), float(fx[j])))
    _, y, x = max(candidates)
    return y, x

"""Bleaching of a time-lapse: how its light decays, and what makes up for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError

_LEAST_POINTS = 5
"""Time points from which on a decay is fitted; fewer are brought to the first."""


def bleaching_factors(levels: Sequence[float]) -> tuple[NDArray[np.float64], float]:
    """Return what brings every time point to the brightness of the first.

    The mean brightness is fitted with a decay to a constant, a·e^(−t/τ) + c, a, c ≥ 0,
    so that cells that come, go or change are not evened out with the bleaching.

    Parameters
    ----------
    levels : sequence of float
        Mean of each time point above the camera's offset, in counts.

    Returns
    -------
    factors : array (T,)
        1 and more, of the first 1; less where a few time points become brighter.
    misfit : float
        Root mean square of what the fit leaves, over the first level.

    Raises
    ------
    InputError
        If a level is not above 0.

    Examples
    --------
    >>> factors, misfit = bleaching_factors([80 * 0.9**t + 20 for t in range(20)])
    >>> round(float(factors[-1]), 3), misfit < 1e-3
    (3.246, True)
    """
    found = np.asarray(levels, dtype=np.float64)
    if not (found > 0).all():
        raise InputError(
            "mean brightness above the camera offset",
            got=f"{found.min():g}",
            allowed="above 0, for bleaching to be corrected",
            field=("input.camera_offset", "output.bleach_correct"),
        )
    fit = _decay(found) if len(found) >= _LEAST_POINTS else found
    misfit = float(np.sqrt(np.mean((fit - found) ** 2)) / found[0])
    return fit[0] / fit, misfit


def _decay(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a decay to a constant.

    Of each time constant amplitude and constant follow by linear least squares, so
    that nothing depends on where a search begins.
    """
    from scipy.optimize import minimize_scalar, nnls

    times = np.arange(len(levels), dtype=np.float64)

    def fitted(log_tau: float) -> tuple[NDArray[np.float64], float]:
        basis = np.stack([np.exp(-times / np.exp(log_tau)), np.ones_like(times)], 1)
        weights, rest = nnls(basis, levels)
        return basis @ weights, float(rest)

    grid = np.linspace(np.log(0.5), np.log(20 * len(levels)), 60)
    best = grid[int(np.argmin([fitted(value)[1] for value in grid]))]
    step = grid[1] - grid[0]
    found = minimize_scalar(
        lambda value: fitted(value)[1],
        bounds=(best - step, best + step),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return fitted(float(found.x))[0]

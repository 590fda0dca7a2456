"""Stripes that a reconstruction has kept: how far its spectrum peaks at n·k."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Pattern
from napari_dps.physics.sim.spectrum import edge_window, ring_index

AROUND_BINS = 6
"""Half the side of the surroundings of a peak: lines of an object make streaks."""
EXPONENTIAL_90 = math.log(10) / math.log(2)
"""Upper decile of an exponential variable over its median."""
RESIDUAL = 20.0
"""Stripe index above which stripes are seen in an image: right phases gave up to 8 in
simulations and 15 on real frames, those of five that are 15° wrong 15 to 67."""


def stripe_indices(
    image: NDArray[np.floating], patterns: Sequence[Pattern], pixel_size_nm: float
) -> dict[tuple[int, int], float]:
    """Return the power at the wave vector of each order over what is usual there.

    That is the median of its ring, or what its surroundings reach if that is more.

    Parameters
    ----------
    image : array (Y, X)
        A reconstruction.
    patterns : sequence of Pattern
        It was made with.
    pixel_size_nm : float
        Of the image.

    Returns
    -------
    dict
        By number of the pattern and of its order, from 0 on and from 1 on: about 4
        where there is no peak, since the highest of 3 × 3 cells counts.
    """
    shape = (int(image.shape[0]), int(image.shape[1]))
    values = np.asarray(image, dtype=np.float32)
    spectrum = np.fft.rfft2((values - values.mean()) * edge_window(shape))
    power = np.abs(spectrum) ** 2
    rings = ring_index(shape, min(shape), shape)[:, : power.shape[1]]
    result = {}
    for number, pattern in enumerate(patterns):
        for order in pattern.orders:
            if not order.is_usable:
                continue
            y, x = (
                round(k * pixel_size_nm * n)
                for k, n in zip(order.wavevector_per_nm, shape, strict=True)
            )
            if x < 0:
                y, x = -y, -x
            if abs(y) >= shape[0] // 2 or x >= shape[1] // 2:
                continue
            level = float(np.median(power[rings == rings[y % shape[0], x]]))
            near, around = (_window(power, y, x, half) for half in (1, AROUND_BINS))
            level = max(level, float(np.percentile(around, 90)) / EXPONENTIAL_90)
            highest = float(near.max())
            result[number, order.order] = highest / max(level, 1e-30)
    return result


def _window(
    power: NDArray[np.floating], y: int, x: int, half: int
) -> NDArray[np.floating]:
    """Return the cells of a half plane around a wave vector."""
    rows, columns = (np.arange(k - half, k + half + 1) for k in (y, x))
    # Beyond k_x = 0 the spectrum of a real image goes on mirrored.
    grid_rows = np.where(columns < 0, -rows[:, np.newaxis], rows[:, np.newaxis])
    inside = columns[np.abs(columns) < power.shape[1]]
    grid_rows = grid_rows[:, np.abs(columns) < power.shape[1]] % power.shape[0]
    values: NDArray[np.floating] = power[grid_rows, np.abs(inside)]
    return values

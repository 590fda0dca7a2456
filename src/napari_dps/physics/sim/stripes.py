"""Stripes that a reconstruction has kept: how far its spectrum peaks at n·k."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Pattern
from napari_dps.physics.sim.spectrum import edge_window, ring_index

RESIDUAL = 25.0
"""Stripe index above which stripes are seen in an image; noise and structures reach 5
to 15, phases that are 25° wrong make some hundred."""


def stripe_indices(
    image: NDArray[np.floating], patterns: Sequence[Pattern], pixel_size_nm: float
) -> dict[tuple[int, int], float]:
    """Return the power at the wave vector of each order over the median of its ring.

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
            rows = np.arange(y - 1, y + 2) % shape[0]
            columns = np.abs(np.arange(x - 1, x + 2))
            level = float(np.median(power[rings == rings[y % shape[0], x]]))
            highest = float(power[np.ix_(rows, columns)].max())
            result[number, order.order] = highest / max(level, 1e-30)
    return result

"""How much of the stripes of the illumination a result still shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Pattern


def stripe_index(
    volume: NDArray[np.floating], patterns: Sequence[Pattern], pixel_nm: float
) -> float:
    """Return the largest power at k or 2 k over the median of its ring.

    The power of a volume (Z, Y, X) is the sum over planes, and the mean over the
    angles.
    """
    window = np.hanning(volume.shape[1])[:, None] * np.hanning(volume.shape[2])
    flat = volume - volume.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(flat * window)) ** 2).sum(axis=0)
    f_y, f_x = (np.fft.fftfreq(n, pixel_nm) for n in power.shape)
    radius = np.hypot(f_y[:, None], f_x)
    ratios: dict[int, list[float]] = {}
    for pattern in patterns:
        for order in pattern.orders:
            y, x = order.wavevector_per_nm
            ring = np.abs(radius - np.hypot(y, x)) < 1.5 * f_y[1]
            near = np.abs(f_y - y).argmin(), np.abs(f_x - x).argmin()
            ratio = float(power[near] / np.median(power[ring]))
            ratios.setdefault(order.order, []).append(ratio)
    return max(float(np.mean(values)) for values in ratios.values())

"""From the bands of an angle to the pattern that the user sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_dps.core import Pattern, PatternOrder
from napari_dps.physics.sim.bands import Band
from napari_dps.physics.sim.spectrum import FloatArray


def describe(angle: int, bands: Sequence[Band], pixel_size_nm: float) -> Pattern:
    """Turn the bands of one direction into a pattern, coarsest period first.

    Parameters
    ----------
    angle : int
        Index of the angle.
    bands : sequence of Band
        With phases and modulation where they are usable.
    pixel_size_nm : float
        Of the frames.
    """
    ranked = list(bands)
    if len(ranked) > 1 and all(band.is_usable for band in ranked):
        ranked.sort(key=lambda band: band.length)
    orders: list[PatternOrder] = []
    phases = np.array([])
    for number, band in enumerate(ranked, start=1):
        order, psi = _order(number, band, pixel_size_nm)
        if number == 1:
            phases = psi
        elif psi.size and not phases.size:
            phases = psi / number
        elif psi.size:
            offset = np.angle(np.exp(1j * (psi - number * phases)).sum())
            order = order.model_copy(update={"offset_deg": math.degrees(offset)})
        orders.append(order)
    fits = [band.fit for band in ranked if band.fit is not None]
    error = fits[0].error_rad if fits else None
    return Pattern(
        angle_index=angle,
        phase_error_deg=None if error is None else math.degrees(error),
        phase_steps="equal" if any(fit.is_assumed for fit in fits) else "measured",
        phases_deg=tuple(float(p) for p in np.degrees(phases) % 360),
        orders=tuple(orders),
    )


def _order(
    number: int, band: Band, pixel_size_nm: float
) -> tuple[PatternOrder, FloatArray]:
    values: dict[str, Any] = {
        "order": number,
        "status": band.status,
        "confidence": band.confidence,
        "doubt": band.doubt,
    }
    ky, kx = band.wavevector
    # Stripes finer than two pixels look like coarser ones: their period is not known.
    if band.status != "not found" and 0 < band.length <= 0.5:
        values["period_nm"] = pixel_size_nm / band.length
        values["angle_deg"] = math.degrees(math.atan2(ky, kx)) % 180
    if band.fit is None:
        return PatternOrder(**values), np.array([])
    # A wave vector and its opposite are the same stripes: keep the one that points
    # into [0, 180)°.
    flip = ky < 0 or (ky == 0 and kx < 0)
    phases = -band.fit.phases_rad if flip else band.fit.phases_rad
    return PatternOrder(modulation=band.fit.modulation, **values), phases

"""Stripes that do not move from frame to frame: those of the mean of an angle.

The phases of an angle cannot separate them, so that no harmonic shows them; the mean
of its frames less that of the other angles does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari_dps.physics.sim.bands import Band
from napari_dps.physics.sim.joint import near, turn
from napari_dps.physics.sim.matched_filter import Template
from napari_dps.physics.sim.search import Key
from napari_dps.physics.sim.support import Bands

if TYPE_CHECKING:
    import torch

NEAR_CONFIDENCE, SURE = 20.0, 40.0
"""Confidence from which stripes are believed where the other angles let them be
expected, and anywhere: an object that moved gave up to 19, stuck stripes 110 and more
at 50 photons (simulated)."""


def doubt_stuck(
    bands: Bands,
    keys: Sequence[Key],
    difference: Callable[[int], torch.Tensor],
    template: Template,
) -> None:
    """Doubt the angles whose stripes stay where they are.

    Parameters
    ----------
    bands : dict
        Changed in place.
    keys : sequence of Key
        The first order of each angle, two or more.
    difference : callable
        Returns the spectrum (Y, X) of the windowed mean of an angle's frames less that
        of the other angles.
    template : Template
        From the mean of all frames.
    """
    expected = [
        turn(*bands[key].wavevector, math.pi * step / len(keys))
        for key in keys
        for step in range(1, len(keys))
        if bands[key].is_usable
    ]
    for key in keys:
        if bands[key].status != "not found":
            continue
        correlation = template.correlate(difference(key[0]))
        where = near(correlation, expected, None) if expected else None
        if where is not None and not (correlation.statistic[where] > 0).any():
            continue
        wavevector, _, confidence = correlation.best(where)
        enough = NEAR_CONFIDENCE if expected else SURE
        if confidence >= enough:
            bands[key] = Band(
                key[1], wavevector, confidence, "doubtful", doubt="phases"
            )

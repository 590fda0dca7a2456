"""The orders of one raw stack at canonical sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Pattern
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.sim.mixing import OrderMixing
from napari_dps.physics.sim.pattern_model import PatternModel
from napari_dps.physics.sim.separate import orders_by_angle

if TYPE_CHECKING:
    import torch


class Zoom(NamedTuple):
    """From the frames' pixels to canonical ones, along y and x."""

    y: float
    x: float


class StackOrders:
    """Wave vectors, modulation, noise and mixing of the orders of one stack.

    Parameters
    ----------
    patterns : sequence of Pattern
        One or more for every angle. An angle without a usable order has order 0 alone.
    pixel_size_nm : float
        Pixel size of the raw frames.
    zoom : Zoom
        To canonical pixels.
    phases : int
        Frames of an angle.
    device : torch.device
        Where to compute.

    Attributes
    ----------
    wavevectors : tensor (1, W, 2)
        Cycles per canonical pixel, of the orders of all angles.
    modulation, weights : tensor (1, W)
        As for `PatternModel`.
    has_stripes : list of bool
        Whether an angle has any usable order but 0.
    zero_noise : float
        Standard deviation of the noise of order 0 over that of a frame.
    mixing : OrderMixing
        From these orders to frames at canonical sampling, and back.
    """

    def __init__(
        self,
        patterns: Sequence[Pattern],
        pixel_size_nm: float,
        zoom: Zoom,
        phases: int,
        device: torch.device,
    ) -> None:
        import torch

        angles = orders_by_angle(patterns, pixel_size_nm)
        used = [order for angle in angles for order in angle.used]
        raw = np.array([order.wavevector for order in used]).reshape(-1, 2)

        def tensor(values: NDArray[np.float64]) -> torch.Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=device)

        self.wavevectors = tensor(raw / np.array(zoom))[None]
        self.modulation = tensor(np.array([order.modulation for order in used]))[None]
        self.has_stripes = [bool(angle.used) for angle in angles]
        # Where the first canonical pixel's centre lies, in pixels of the frames.
        origin = np.array([0.5 / z - 0.5 for z in zoom])
        self.mixing = OrderMixing(angles, phases, origin, device)
        self.weights, self.zero_noise = self.mixing.weights, self.mixing.zero_noise


def kept_model(
    cache: dict[Any, Any],
    shape: tuple[int, int],
    waves: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    *,
    origin_px: tuple[float, float],
    cutoff: float = CANONICAL_CUTOFF_PER_PIXEL,
) -> PatternModel:
    """Return the model of some orders: that of the stack before if it is the same.

    Parameters
    ----------
    cache : dict
        Keeps one for each cut-off.
    shape, origin_px, cutoff
        As for `PatternModel`.
    waves : tuple of tensor
        Wave vectors, modulation and weights, as there.
    """
    name = "model of the orders", cutoff
    values = [part.flatten().tolist() for part in waves]
    key = shape, origin_px, values, waves[0].device
    kept = cache.get(name)
    if kept is None or kept[0] != key:
        made = PatternModel(shape, *waves, origin_px=origin_px, cutoff=cutoff)
        kept = cache[name] = key, made
    model: PatternModel = kept[1]
    return model

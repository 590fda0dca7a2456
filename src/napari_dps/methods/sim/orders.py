"""The orders of one raw stack at canonical sampling, from its frames and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Pattern
from napari_dps.physics.sim.pattern_model import Orders
from napari_dps.physics.sim.separate import mixing_matrix, orders_by_angle

if TYPE_CHECKING:
    import torch


class Zoom(NamedTuple):
    """From the frames' pixels to canonical ones, along y and x."""

    y: float
    x: float


class StackOrders:
    """Separates the frames of one stack into orders and puts them together again.

    Parameters
    ----------
    patterns : sequence of Pattern
        One or more for every angle. An angle without a usable order has order 0 alone.
    pixel_size_nm : float
        Of the raw frames.
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
    known : list of bool
        Whether an angle has any order but 0.
    zero_noise : float
        Standard deviation of the noise of order 0 over that of a frame.
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
        rows = [angle.order_rows(phases) for angle in angles]
        waves = [wave for angle in angles for wave in angle.used]
        raw = np.array([wave.wavevector for wave in waves]).reshape(-1, 2)
        # Where the first canonical pixel's centre lies, in pixels of the frames.
        origin = np.array([0.5 / z - 0.5 for z in zoom])
        variance = sum(float((r[0] ** 2).sum()) for r in rows) / len(rows) ** 2
        pairs = [
            float((r[i : i + 2] ** 2).sum()) / 2
            for r in rows
            for i in range(1, len(r), 2)
        ]

        def tensor(values: NDArray[np.float64]) -> torch.Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=device)

        self.wavevectors = tensor(raw / np.array(zoom))[None]
        self.modulation = tensor(np.array([wave.modulation for wave in waves]))[None]
        self.weights = tensor(variance / np.array(pairs))[None]
        self.known = [bool(angle.used) for angle in angles]
        self.zero_noise = math.sqrt(variance)
        turn = np.exp(-2j * np.pi * raw @ origin)
        self._turn = torch.as_tensor(turn, dtype=torch.complex64, device=device)
        self._separating = [tensor(r) for r in rows]
        self._mixing = [
            tensor(mixing_matrix([w.phases_rad for w in angle.used]))
            if angle.used
            else tensor(np.ones((phases, 1)))
            for angle in angles
        ]

    def zeros(self, frames: torch.Tensor) -> torch.Tensor:
        """Return order 0 of each angle, (A, Y, X)."""
        import torch

        parts = [
            torch.einsum("p,pyx->yx", m[0], f)
            for m, f in zip(self._separating, frames, strict=True)
        ]
        return torch.stack(parts)

    def separate(self, frames: torch.Tensor) -> Orders:
        """Return the orders (1, Y, X) and (1, W, Y, X) of frames (A, P, Y, X)."""
        import torch

        others = [frames.new_zeros(0, *frames.shape[-2:], dtype=torch.complex64)]
        for matrix, some in zip(self._separating, frames, strict=True):
            parts = torch.einsum("cp,pyx->cyx", matrix[1:], some)
            others.append(torch.complex(parts[::2], parts[1::2]))
        turned = torch.cat(others) * self._turn[:, None, None]
        return Orders(self.zeros(frames).mean(dim=0)[None], turned[None])

    def mix(self, orders: Orders) -> torch.Tensor:
        """Return the frames (A, P, Y, X) that orders make."""
        import torch

        others = orders.others[0] * self._turn.conj()[:, None, None]
        frames, first = [], 0
        for matrix in self._mixing:
            count = (matrix.shape[1] - 1) // 2
            own = torch.view_as_real(others[first : first + count]).movedim(-1, 1)
            parts = torch.cat([orders.zero, own.flatten(0, 1)])
            frames.append(torch.einsum("pc,cyx->pyx", matrix, parts))
            first += count
        return torch.stack(frames)

"""How the orders of a stack add up to its frames, and how they are separated again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.sim.pattern_model import Orders
from napari_dps.physics.sim.separate import AngleOrders, mixing_matrix

if TYPE_CHECKING:
    import torch


class OrderMixing(ForwardModel[Orders, "torch.Tensor"]):
    """Frames as sums of orders, angle by angle.

    Frame p of an angle is D_0 + Σ_n [cos ψ_np Re D_n − sin ψ_np Im D_n], with the
    same D_0 for all angles. Frames are weighted alike, and so are D_0 and the real and
    imaginary parts of the others.

    Parameters
    ----------
    angles : sequence of AngleOrders
        Orders of each angle. One without a usable order has order 0 alone.
    phases : int
        Frames of an angle.
    origin_px : array (2,)
        Where the phases of the orders are to be counted from: (y, x) in pixels from
        the centre of the first pixel, where those of the frames are.
    device : torch.device
        Where to compute.
    """

    def __init__(
        self,
        angles: Sequence[AngleOrders],
        phases: int,
        origin_px: NDArray[np.float64],
        device: torch.device,
    ) -> None:
        import torch

        def tensor(values: NDArray[np.float64]) -> torch.Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=device)

        waves = [order.wavevector for angle in angles for order in angle.used]
        turn = np.exp(-2j * np.pi * np.array(waves).reshape(-1, 2) @ origin_px)
        self._turn = torch.as_tensor(turn, dtype=torch.complex64, device=device)
        self._separating = [tensor(angle.order_rows(phases)) for angle in angles]
        self._mixing = [
            tensor(mixing_matrix([order.phases_rad for order in angle.used]))
            if angle.used
            else tensor(np.ones((phases, 1)))
            for angle in angles
        ]

    def forward(self, orders: Orders, /) -> torch.Tensor:
        """Return the frames (A, P, Y, X) of orders (1, Y, X) and (1, W, Y, X)."""
        import torch

        others = orders.others[0] * self._turn.conj()[:, None, None]
        frames, first = [], 0
        for matrix in self._mixing:
            count = (matrix.shape[1] - 1) // 2
            pairs = torch.view_as_real(others[first : first + count]).movedim(-1, 1)
            terms = torch.cat([orders.zero, pairs.flatten(0, 1)])
            frames.append(torch.einsum("pc,cyx->pyx", matrix, terms))
            first += count
        return torch.stack(frames)

    def adjoint(self, frames: torch.Tensor, /) -> Orders:
        """Return the sums of frames, weighted by what each order adds to them."""
        import torch

        zero = sum(
            torch.einsum("p,pyx->yx", matrix[:, 0], some)
            for matrix, some in zip(self._mixing, frames, strict=True)
        )
        return Orders(
            torch.as_tensor(zero)[None],
            self._others([matrix.T for matrix in self._mixing], frames),
        )

    def separate(self, frames: torch.Tensor) -> Orders:
        """Return the least-squares orders of frames, D_0 averaged over the angles."""
        return Orders(
            self.zeros(frames).mean(dim=0)[None],
            self._others(self._separating, frames),
        )

    def zeros(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the least-squares order 0 of each angle, (A, Y, X)."""
        import torch

        zeros = [
            torch.einsum("p,pyx->yx", matrix[0], some)
            for matrix, some in zip(self._separating, frames, strict=True)
        ]
        return torch.stack(zeros)

    def _others(
        self, matrices: Sequence[torch.Tensor], frames: torch.Tensor
    ) -> torch.Tensor:
        """Return all orders but 0, (1, W, Y, X), by a matrix (C, P) an angle."""
        import torch

        others = [frames.new_zeros(0, *frames.shape[-2:], dtype=torch.complex64)]
        for matrix, some in zip(matrices, frames, strict=True):
            terms = torch.einsum("cp,pyx->cyx", matrix[1:], some)
            others.append(torch.complex(terms[::2], terms[1::2]))
        return (torch.cat(others) * self._turn[:, None, None])[None]

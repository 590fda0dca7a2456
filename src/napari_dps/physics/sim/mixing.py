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


def separate(frames: torch.Tensor, rows: torch.Tensor) -> Orders:
    """Separate the frames of stacks into orders.

    Parameters
    ----------
    frames : tensor (B, A, P, Y, X)
        Frames of B stacks.
    rows : tensor (B, A, 1 + 2 N, P)
        Matrices that give order 0 and the real and imaginary parts of N others; see
        `separate.separation_matrix`.

    Returns
    -------
    Orders
        Order 0 (B, Y, X), the mean of all angles, and the others (B, A N, Y, X), angle
        by angle.
    """
    import torch

    terms = torch.einsum("bacp,bapyx->bacyx", rows, frames)
    others = terms[:, :, 1:].reshape(len(frames), -1, 2, *terms.shape[-2:])
    return Orders(
        terms[:, :, 0].mean(dim=1),
        torch.complex(others[:, :, 0].contiguous(), others[:, :, 1].contiguous()),
    )


def mix(orders: Orders, mixing: torch.Tensor) -> torch.Tensor:
    """Return the frames that orders make: what `separate` undoes.

    Parameters
    ----------
    orders : Orders
        As from `separate`.
    mixing : tensor (B, A, P, 1 + 2 N)
        See `separate.mixing_matrix`.

    Returns
    -------
    tensor (B, A, P, Y, X)
    """
    import torch

    batch, angles, _, columns = mixing.shape
    others = torch.view_as_real(orders.others)
    others = others.reshape(batch, angles, (columns - 1) // 2, *others.shape[-3:])
    others = others.movedim(-1, 3).reshape(
        batch, angles, columns - 1, *others.shape[-3:-1]
    )
    zero = orders.zero[:, None, None].expand(-1, angles, -1, -1, -1)
    return torch.einsum("bapc,bacyx->bapyx", mixing, torch.cat([zero, others], dim=2))


def order_noise(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how much of the frames' noise is in their orders.

    Parameters
    ----------
    rows : tensor (B, A, 1 + 2 N, P)
        As for `separate`.

    Returns
    -------
    weights : tensor (B, A N)
        Noise variance of order 0 over that of the real (or imaginary) part of each
        other order: the weights of `PatternModel`.
    gain : tensor (B,)
        Standard deviation of the noise of order 0 over that of a frame.
    """
    batch, angles, columns, _ = rows.shape
    power = (rows**2).sum(dim=-1)
    variance = power[:, :, 0].sum(dim=1) / angles**2
    pairs = power[:, :, 1:].reshape(batch, angles * (columns - 1) // 2, 2).mean(dim=-1)
    return variance[:, None] / pairs, variance.sqrt()


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

    Attributes
    ----------
    weights : tensor (1, W)
        Noise variance of order 0 over that of a part of each other order.
    zero_noise : float
        Standard deviation of the noise of order 0 over that of a frame.
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
        rows, mixing = _matrices(angles, phases)
        self._rows, self._mixing = tensor(rows), tensor(mixing)
        # Of as many orders an angle as the matrices have, those that there are.
        most = rows.shape[2] // 2
        there = [n < len(angle.used) for angle in angles for n in range(most)]
        self._there = torch.tensor(there, dtype=torch.bool, device=device)
        weights, gain = order_noise(torch.from_numpy(rows))
        self.weights = weights.to(device, torch.float32)[:, self._there]
        self.zero_noise = float(gain)

    def forward(self, orders: Orders, /) -> torch.Tensor:
        """Return the frames (A, P, Y, X) of orders (1, Y, X) and (1, W, Y, X)."""
        others = orders.others * self._turn.conj()[:, None, None]
        if not self._there.all():
            some = others
            others = some.new_zeros(1, len(self._there), *some.shape[-2:])
            others[:, self._there] = some
        return mix(Orders(orders.zero, others), self._mixing)[0]

    def adjoint(self, frames: torch.Tensor, /) -> Orders:
        """Return the sums of frames, weighted by what each order adds to them."""
        mean, others = separate(frames[None], self._mixing.mT)
        return Orders(len(frames) * mean, self._turned(others))

    def separate(self, frames: torch.Tensor) -> Orders:
        """Return the least-squares orders of frames, D_0 averaged over the angles."""
        others = separate(frames[None], self._rows).others
        # Order 0 as `zeros` rounds it: the noise is measured on that.
        return Orders(self.zeros(frames).mean(dim=0)[None], self._turned(others))

    def zeros(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the least-squares order 0 of each angle, (A, Y, X)."""
        import torch

        return torch.einsum("ap,apyx->ayx", self._rows[0, :, 0], frames)

    def _turned(self, others: torch.Tensor) -> torch.Tensor:
        """Return the orders that there are, their phases counted from the origin."""
        if not self._there.all():
            others = others[:, self._there]
        return others * self._turn[:, None, None]


def _matrices(
    angles: Sequence[AngleOrders], phases: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows (1, A, 1 + 2 N, P) and mixing matrices (1, A, P, 1 + 2 N).

    N is the largest number of orders of an angle: those that others lack are 0.
    """
    columns = 1 + 2 * max(len(angle.used) for angle in angles)
    rows = np.zeros((1, len(angles), columns, phases))
    mixing = np.zeros((1, len(angles), phases, columns))
    mixing[..., 0] = 1
    for number, angle in enumerate(angles):
        filled = 1 + 2 * len(angle.used)
        rows[0, number, :filled] = angle.order_rows(phases)
        if angle.used:
            waves = [wave.phases_rad for wave in angle.used]
            mixing[0, number, :, :filled] = mixing_matrix(waves)
    return rows, mixing

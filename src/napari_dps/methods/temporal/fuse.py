"""The mean of what time points show alike, moved along where they moved."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from napari_dps.core import Progress, between
from napari_dps.core.at_once import at_once
from napari_dps.methods.temporal.match import FusionSettings, Match, matches_steps
from napari_dps.methods.temporal.sight import Sight
from napari_dps.physics.sim.pattern_model import Orders

if TYPE_CHECKING:
    import torch

COMPARED = 90
"""Share of the time, in percent, that comparing takes."""
LEAST_FLOW = 0.001
"""Weight below which nothing is moved for it."""


def fuse_steps(
    here: Sight, sides: Sequence[Sequence[Sight]], settings: FusionSettings
) -> Generator[Progress, None, tuple[torch.Tensor, torch.Tensor]]:
    """Average a time point with its neighbours, where they show the same.

    Parameters
    ----------
    here : Sight
        The time point.
    sides : sequence of sequence of Sight
        Those before it and those after it, nearest first.
    settings : FusionSettings
        How they are compared.

    Yields
    ------
    Progress

    Returns
    -------
    frames : tensor (A, P, Y, X)
        Frames as this time point would have shown them with more light.
    time_points : tensor (Y, X)
        Effective number of time points that the noise is that of: the variance of the
        noise of a single one over that of the mean.
    """
    comparing = matches_steps(here, sides, settings)
    parts = [
        part
        for side in (yield from between(comparing, 0, COMPARED))
        for part in _shares(side)
    ]
    mean = RunningMean.of(here)
    moving = at_once(partial(mean.moved_part, *part) for part in parts)
    for part, moved in zip(parts, moving, strict=True):
        mean.add(*part, moved)
        yield Progress(COMPARED, 100, "Neighbours in time")
    return mean.frames(here), mean.time_points


def _shares(
    side: Sequence[tuple[Sight, Match]],
) -> Iterator[tuple[Sight, Match, torch.Tensor]]:
    """Yield the neighbours of a side, and how much of the weight of each counts.

    Nowhere more than that of a nearer one.
    """
    import torch

    farthest: torch.Tensor | None = None
    for other, match in side:
        weight = match.weight
        nearest = weight.clamp(max=1)
        if farthest is not None:
            nearest = torch.minimum(nearest, farthest)
        yield other, match, nearest / weight.clamp(min=1e-6)
        farthest = nearest


@dataclass(eq=False)
class RunningMean:
    """Mean of orders, weighted by the inverse of the variance of their noise.

    Attributes
    ----------
    total : tensor (A + 2 W, Y, X)
        Sum of the weighted orders.
    moved : tensor (Y · X, A + 2 W) or None
        Sum of those that were moved, not in the total; None: none were.
    weight, squares : tensor (Y, X)
        Sums of the weights, and of their squares times the variance: that of the time
        point itself is 1.
    variance : float
        Of order 0 of the time point itself.
    """

    total: torch.Tensor
    weight: torch.Tensor
    squares: torch.Tensor
    variance: float
    moved: torch.Tensor | None = None

    @classmethod
    def of(cls, here: Sight) -> RunningMean:
        """Begin with a time point by itself."""
        import torch

        ones = torch.ones_like(here.light)
        return cls(here.orders.clone(), ones, ones.clone(), here.noise**2)

    @property
    def time_points(self) -> torch.Tensor:
        """Effective number of time points."""
        return self.weight**2 / self.squares

    def moved_part(
        self, other: Sight, match: Match, share: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the numbers of pixels (N,), and what moves there (N, A + 2 W).

        Parameters are those of `add`, which is to be told what this returns.
        """
        if match.moved is None or match.flow is None:
            return None
        moved = match.gain * (self._ratio(other, match) * share * match.moved)
        weight = moved.flatten()
        places = (weight > LEAST_FLOW).nonzero()[:, 0]
        found = moved_orders(other, match.flow, places)
        return places, found.mul_(weight[places, None])

    def add(
        self,
        other: Sight,
        match: Match,
        share: torch.Tensor,
        moved: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> None:
        """Add a neighbour's orders by what it matches.

        Parameters
        ----------
        other : Sight
            The neighbour.
        match : Match
            Its weights.
        share : tensor (Y, X)
            What they are multiplied by.
        moved : tuple of tensor or None
            As `moved_part` returns it.
        """
        ratio = self._ratio(other, match)
        if ratio == 0:  # a time point without noise has nothing to gain
            return
        still = weight = ratio * share * match.still
        self.total += match.gain * still * other.orders
        if moved is not None and match.moved is not None:
            weight = still + ratio * share * match.moved
            if self.moved is None:
                shape = self.weight.numel(), len(self.total)
                self.moved = self.total.new_zeros(shape)
            self.moved.index_add_(0, *moved)
        self.weight = self.weight + weight
        self.squares = self.squares + weight**2 / ratio

    def _ratio(self, other: Sight, match: Match) -> float:
        """Return the variance of the time point over that of a neighbour."""
        variance = match.gain**2 * other.noise**2
        return self.variance / variance if variance > 0 else 1.0

    def frames(self, here: Sight) -> torch.Tensor:
        """Return the frames (A, P, Y, X) of the mean, with the phases of a time point.

        What its orders leave of its frames stays.
        """
        total = self.total
        if self.moved is not None:
            total = total + self.moved.T.reshape(total.shape)
        change = total / self.weight - here.orders
        return here.factors**-1 * (here.level + mixed(change, here))


def mixed(orders: torch.Tensor, here: Sight) -> torch.Tensor:
    """Return the frames (A, P, Y, X) that orders (A + 2 W, Y, X) make."""
    import torch

    angles = here.angles
    waves = (len(orders) - angles) // 2
    others = torch.complex(orders[angles : angles + waves], orders[angles + waves :])
    none = torch.zeros_like(here.light)[None]
    frames = here.stack.mixing.forward(Orders(none, others[None]))
    return frames + orders[:angles, None]


def moved_orders(
    other: Sight, flow: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """Return the orders of a time point, moved along a flow: D(r + v) e^{−2πi k·v}.

    Their stripes stay where they are: it is the object alone that has moved.

    Parameters
    ----------
    other : Sight
        The time point.
    flow : tensor (2, Y, X)
        v in pixels.
    places : tensor (N,)
        Numbers of the pixels r to compute, row by row.

    Returns
    -------
    tensor (N, A + 2 W)
    """
    import torch

    width = flow.shape[-1]
    down, across = flow.flatten(1)[:, places]
    values = other.spline.values(places // width + down, places % width + across)
    angles = other.angles
    waves = (values.shape[1] - angles) // 2
    vectors = other.stack.wavevectors[0]
    turn = down[:, None] * vectors[:, 0] + across[:, None] * vectors[:, 1]
    turn *= -2 * math.pi
    cos, sin = torch.cos(turn), torch.sin(turn)
    real, imag = values[:, angles : angles + waves], values[:, angles + waves :]
    parts = values[:, :angles], real * cos - imag * sin, real * sin + imag * cos
    return torch.cat(parts, dim=1)

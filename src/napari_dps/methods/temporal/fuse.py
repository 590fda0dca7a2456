"""The mean of what time points show alike, moved along where they moved."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_dps.core import Progress, within
from napari_dps.methods.sim.orders import StackOrders
from napari_dps.methods.temporal.gate import Gate
from napari_dps.methods.temporal.sight import Sight
from napari_dps.physics.optical_flow import optical_flow, warp
from napari_dps.physics.sim.pattern_model import Orders
from napari_dps.physics.spline import Spline
from napari_dps.physics.windows import blurred

if TYPE_CHECKING:
    import torch

BLOCK_PX = 8
"""Edge of the squares whose light is compared."""
LEAST_FLOW = 0.001
"""Weight below which nothing is moved for it."""
FLOW_BLUR_PX = 0.7
"""Width (sigma) of the Gaussian before flow is sought."""
STIFFNESS = 0.3
"""Of the flow, over the variance of the noise of a difference: chosen with the radii
and this blur on simulated drift, warp and vesicles at 10 and 100 photons."""
STILL = 3.0
"""Times the false alarms that may fail before flow is sought: by chance some do, and
with their neighbours nine times as many."""


class Shown(Protocol):
    """What is averaged: a time point, or a mean of several."""

    @property
    def angles(self) -> int:
        """Angles of the frames."""

    @property
    def orders(self) -> torch.Tensor:
        """Orders as of a `Sight`."""

    @property
    def noise(self) -> float:
        """Standard deviation of order 0 of one time point."""

    @property
    def light(self) -> torch.Tensor:
        """Mean of the frames (Y, X)."""

    @property
    def stack(self) -> StackOrders:
        """Wave vectors of the orders."""

    @property
    def spline(self) -> Spline:
        """The orders between the pixels."""


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How time points are compared.

    Attributes
    ----------
    false_alarm : float
        See `Gate.of`.
    flow : bool
        Whether what has moved is followed.
    """

    false_alarm: float = 0.001
    flow: bool = True


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
    import torch

    gate = Gate.of(here, here.step, settings.false_alarm)
    total = 1 + sum(map(len, sides))
    mean = RunningMean.of(here)
    done = 1
    for side in sides:
        farthest = torch.ones_like(here.light)
        for other in side:
            yield Progress(done, total, "Neighbours in time")
            done += 1
            if not look_alike(here, other):
                continue
            gain = brightness(here, other)
            estimate = gain * other.estimate(here.step)
            noise = [
                one + gain**2 * two
                for one, two in zip(
                    _expected(here, here.step, gate),
                    _expected(other, here.step, gate),
                    strict=True,
                )
            ]
            match = match_steps(here, estimate, noise, gate, settings)
            weight, parts = yield from within(match, done - 1, total)
            nearest = torch.minimum(weight, farthest)
            mean.add(other, gain, parts, nearest / weight.clamp(min=1e-6))
            farthest = nearest
    yield Progress(total, total, "Neighbours in time")
    return mean.frames(here), mean.time_points


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Where a neighbour shows the same.

    Attributes
    ----------
    still, moved : tensor (Y, X)
        Weights of the neighbour as it is and moved along the flow.
    flow : tensor (2, Y, X) or None
        Displacement from here to there, in pixels; None where none was sought.
    """

    still: torch.Tensor
    moved: torch.Tensor | None = None
    flow: torch.Tensor | None = None


def _expected(sight: Sight, step: int, gate: Gate) -> list[torch.Tensor]:
    """Return the means of the variance of an estimate in the windows of a gate."""
    means = sight.found.get(gate.sigmas_px)
    if means is None:
        means = sight.found[gate.sigmas_px] = gate.expected(sight.local)
    return [sight.mean_variance(step) * mean for mean in means]


def match_steps(
    here: Sight,
    estimate: torch.Tensor,
    noise: Sequence[torch.Tensor],
    gate: Gate,
    settings: FusionSettings,
    step: int | None = None,
) -> Generator[Progress, None, tuple[torch.Tensor, Match]]:
    """Compare a smooth estimate with that of a time point, still and then moved.

    Parameters
    ----------
    here : Sight
        The time point.
    estimate : tensor (2Y, 2X)
        Of another, in the brightness of this one.
    noise : sequence of tensor (Y, X)
        Variance of the noise of the difference, as `Gate.expected` gives it.
    gate : Gate
        The test.
    settings : FusionSettings
        Whether flow is sought.
    step : int, optional
        What the estimate is smooth for; as for the time point by default.

    Returns
    -------
    weight : tensor (Y, X)
        In all.
    match : Match
    """
    import torch.nn.functional as F

    step = here.step if step is None else step
    wanted = here.estimate(step)
    still = gate.weights(wanted - estimate, noise)
    share = float((still == 0).float().mean())
    if not settings.flow or share < STILL * settings.false_alarm:
        return still, Match(still)
    yield Progress(0, 1, "Flow")
    now, then = (
        blurred(F.avg_pool2d(image[None], 2)[0], FLOW_BLUR_PX)
        for image in (wanted, estimate)
    )
    flow = optical_flow(now, then, stiffness(noise[0]))
    fine = 2 * F.interpolate(flow[None], scale_factor=2, mode="bilinear")
    there = warp(estimate[None, None], fine, mode="bicubic")[0, 0]
    moved = gate.weights(wanted - there, noise) * _inside(flow)
    # What looks alike as it is, too, is taken moved where that explains more than a
    # flow that follows noise: small displacements hidden by noise would leave ghosts.
    sure = gate.motion(wanted - estimate, wanted - there, noise)
    moved = moved * (1 - still * (1 - sure))
    rest = (1 - moved) * still
    return moved + rest, Match(rest, moved, flow)


def stiffness(variance: torch.Tensor) -> float:
    """Return the stiffness of the flow, from the noise of what is compared."""
    return STIFFNESS * float(variance.mean())


@dataclass(eq=False)
class RunningMean:
    """Mean of orders, weighted by the inverse of the variance of their noise.

    Attributes
    ----------
    total : tensor (A + 2 W, Y, X)
        Sum of the weighted orders.
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

    def add(
        self,
        other: Shown,
        gain: float,
        match: Match,
        share: torch.Tensor,
        worth: torch.Tensor | None = None,
    ) -> None:
        """Add a neighbour's orders by what it matches.

        Parameters
        ----------
        other : Shown
            The neighbour.
        gain : float
            What brings it to the brightness of the time point.
        match : Match
            Its weights.
        share : tensor (Y, X)
            What they are multiplied by.
        worth : tensor (Y, X), optional
            How many time points it is worth; one by default.
        """
        import torch

        variance = gain**2 * other.noise**2
        times = self.variance / variance if variance > 0 else 1.0
        ratio = times * (torch.ones_like(share) if worth is None else worth)
        still = ratio * share * match.still
        self.total += gain * still * other.orders
        weight = still
        if match.moved is not None and match.flow is not None:
            moved = ratio * share * match.moved
            weight = still + moved
            rows, columns = (moved > LEAST_FLOW).nonzero(as_tuple=True)
            found = moved_orders(other, match.flow, (rows, columns))
            self.total[:, rows, columns] += gain * moved[rows, columns] * found
        self.weight = self.weight + weight
        self.squares = self.squares + weight**2 / ratio

    def frames(self, here: Sight) -> torch.Tensor:
        """Return the frames (A, P, Y, X) of the mean, with the phases of a time point.

        What its orders leave of its frames stays.
        """
        change = self.total / self.weight - here.orders
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
    other: Shown, flow: torch.Tensor, place: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return the orders of a time point, moved along a flow: D(r + v) e^{−2πi k·v}.

    Their stripes stay where they are: it is the object alone that has moved.

    Parameters
    ----------
    other : Sight
        The time point.
    flow : tensor (2, Y, X)
        v in pixels.
    place : pair of tensor (N,)
        Rows and columns r to compute.

    Returns
    -------
    tensor (A + 2 W, N)
    """
    import torch

    down, across = flow[:, place[0], place[1]]
    values = other.spline.values(place[0] + down, place[1] + across)
    angles = other.angles
    waves = (len(values) - angles) // 2
    vectors = other.stack.wavevectors[0]
    turn = torch.exp(-2j * math.pi * (vectors[:, :1] * down + vectors[:, 1:] * across))
    others = torch.complex(values[angles : angles + waves], values[angles + waves :])
    others = others * turn
    return torch.cat([values[:angles], others.real, others.imag])


def brightness(here: Shown, other: Shown) -> float:
    """Return what brings a neighbour to the brightness of a time point."""
    return light_ratio(here.light, other.light)


def light_ratio(here: torch.Tensor, other: torch.Tensor) -> float:
    """Return how much brighter an image (Y, X) is than another.

    The median ratio of the light of squares of `BLOCK_PX`, of the brighter half of
    them: the mean of all light is another where something appears.
    """
    import torch.nn.functional as F

    a, b = (
        F.avg_pool2d(image[None], BLOCK_PX, ceil_mode=True).flatten().cpu().numpy()
        for image in (here, other)
    )
    bright = (a + b >= np.median(a + b)) & (a > 0) & (b > 0)
    return float(np.median(a[bright] / b[bright])) if bright.any() else 1.0


def look_alike(here: Shown, other: Shown) -> bool:
    """Whether two time points have the same orders to compare."""
    a, b = here.stack.wavevectors, other.stack.wavevectors
    alike = here.orders.shape == other.orders.shape and a.shape == b.shape
    return alike and bool(((a - b).abs() < 1e-5).all())


def _inside(flow: torch.Tensor) -> torch.Tensor:
    """Return 1 where what has moved comes from within the image, else 0."""
    import torch

    height, width = flow.shape[-2:]
    y = torch.arange(height, device=flow.device)[:, None] + flow[0]
    x = torch.arange(width, device=flow.device) + flow[1]
    return ((y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)).float()

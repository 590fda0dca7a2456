"""Where a neighbour in time shows the same: as it is, or moved along its way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_dps.core import Progress
from napari_dps.core.at_once import at_once
from napari_dps.methods.temporal.gate import Gate, counted
from napari_dps.methods.temporal.sight import Sight
from napari_dps.physics.optical_flow import narrowed_flow, optical_flow, warp
from napari_dps.physics.windows import blurred, pooled

if TYPE_CHECKING:
    import torch

BLOCK_PX = 8
"""Edge of the squares whose light is compared."""
FLOW_BLUR_PX = 0.7
"""Width (sigma) of the Gaussian before flow is sought."""
STIFFNESS = 0.3
"""Of the flow, over the variance of the noise of a difference: chosen with the radii
and this blur on simulated drift, warp and vesicles at 10 and 100 photons."""
STILL = 3.0
"""Times the false alarms that may fail before flow is sought: there are two windows,
and of still objects some fail by chance. More would leave motion that noise nearly
hides where it is, and its ghosts."""
CLEARLY = 0.3
"""Share of these that may fail by twice as much: of still objects hardly any do."""
LEAST_LEFT = 0.1
"""Part of noise that a flow leaves at least."""
FOLLOWED = 0.5
"""Weight of what is moved with its surroundings below which it may move by itself."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Where a neighbour shows the same.

    Attributes
    ----------
    gain : float
        What brings it to the brightness of the time point.
    still, moved : tensor (Y, X)
        Weights of the neighbour as it is and moved along the flow.
    flow : tensor (2, Y, X) or None
        Displacement from here to there, in pixels; None where none was sought.
    """

    gain: float
    still: torch.Tensor
    moved: torch.Tensor | None = None
    flow: torch.Tensor | None = None

    @property
    def weight(self) -> torch.Tensor:
        """In all."""
        return self.still if self.moved is None else self.still + self.moved


def matches_steps(
    here: Sight, sides: Sequence[Sequence[Sight]], settings: FusionSettings
) -> Generator[Progress, None, list[list[tuple[Sight, Match]]]]:
    """Compare a time point with its neighbours.

    Steps from one time point to the next are small, and each is sought once for all
    windows in which it lies: one after the other they are the way to a neighbour
    farther off, where the search for it begins.

    Parameters
    ----------
    here : Sight
        The time point.
    sides : sequence of sequence of Sight
        Its neighbours before and after, nearest first.
    settings : FusionSettings
        How they are compared.

    Yields
    ------
    Progress
        One for each neighbour, at least.

    Returns
    -------
    list of list of (Sight, Match)
        Those of each side whose orders can be compared.
    """
    alike = [[other for other in side if look_alike(here, other)] for side in sides]
    there = [side for side in alike if side]
    # What all comparisons use: made once, before they go on at the same time.
    here.estimate(here.step)
    _expected(here, here.step, _gate(here, settings.false_alarm))
    nearest = yield from _all(
        (partial(_next, here, side[0], settings) for side in there), 0
    )
    sides_moved = [
        side
        for side, match in zip(there, nearest, strict=True)
        if match.flow is not None
    ]
    pairs = (pair for side in sides_moved for pair in pairwise(side))
    yield from _all((partial(_next, *pair, settings) for pair in pairs), 1)
    farther = yield from _all(
        (
            partial(_farther, here, side[:count], settings)
            for side in there
            for count in range(2, len(side) + 1)
        ),
        2,
    )
    rest = iter(farther)
    matches = [
        [first, *islice(rest, len(side) - 1)]
        for side, first in zip(there, nearest, strict=True)
    ]
    return [
        list(zip(side, found, strict=True))
        for side, found in zip(there, matches, strict=True)
    ]


def _all(
    comparisons: Iterable[Callable[[], Match]], phase: int
) -> Generator[Progress, None, list[Match]]:
    """Do comparisons that need nothing of one another, in one of three phases."""
    found = []
    yield Progress(phase, 3, "Neighbours in time")
    for match in at_once(comparisons):
        found.append(match)
        yield Progress(phase, 3, "Neighbours in time")
    return found


def _farther(here: Sight, way: Sequence[Sight], settings: FusionSettings) -> Match:
    """Compare a time point with the last of its neighbours on the way there."""
    start = _next(here, way[0], settings).flow
    if start is not None:
        for pair in pairwise(way):
            start = _followed(start, _next(*pair, settings).flow)
    return matched(here, way[-1], settings, start)


def _next(here: Sight, other: Sight, settings: FusionSettings) -> Match:
    """Compare a time point with one beside it, once."""
    key = "match", other.number, settings
    if key not in here.found:
        here.found[key] = matched(here, other, settings)
    match: Match = here.found[key]
    return match


def matched(
    here: Sight,
    other: Sight,
    settings: FusionSettings,
    start: torch.Tensor | None = None,
) -> Match:
    """Compare a time point with another, still and then moved.

    Parameters
    ----------
    here, other : Sight
        The time points.
    settings : FusionSettings
        How they are compared.
    start : tensor (2, Y, X), optional
        What is known of the displacement.

    Returns
    -------
    Match
    """
    gate = _gate(here, settings.false_alarm)
    gain = light_ratio(here.light, other.light)
    wanted, estimate = here.estimate(here.step), gain * other.estimate(here.step)
    noise = [
        one + gain**2 * two
        for one, two in zip(
            _expected(here, here.step, gate),
            _expected(other, here.step, gate),
            strict=True,
        )
    ]
    likeness = gate.likeness(wanted - estimate, noise)
    still = counted(likeness)
    chance = STILL * settings.false_alarm
    if not settings.flow or not differs(likeness, chance):
        return Match(gain, still)
    pair = Pair(wanted, estimate, noise, gate)
    flow, moved, left = pair.followed(still, start, chance)
    # What looks alike as it is, too, is taken moved where that explains more than a
    # flow that follows noise: small displacements hidden by noise would leave ghosts.
    sure = gate.motion(wanted - estimate, left, noise)
    moved = moved * (1 - still * (1 - sure))
    return Match(gain, (1 - moved) * still, moved, flow)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two estimates, one of them to be moved.

    Attributes
    ----------
    wanted, estimate : tensor (2Y, 2X)
        Of the time point, and of another in its brightness.
    noise : sequence of tensor (Y, X)
        Variance of the noise of the difference, as `Gate.expected` gives it.
    gate : Gate
        The test.
    """

    wanted: torch.Tensor
    estimate: torch.Tensor
    noise: Sequence[torch.Tensor]
    gate: Gate

    def followed(
        self, still: torch.Tensor, start: torch.Tensor | None, chance: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Follow what has moved.

        What moves otherwise than its surroundings, and looks alike neither as it is nor
        moved with them, is followed by itself.

        Parameters
        ----------
        still : tensor (Y, X)
            Weights of what is alike as it is.
        start : tensor (2, Y, X) or None
            As for `matched`.
        chance : float
            Share of the places that may look different by chance.

        Returns
        -------
        flow : tensor (2, Y, X)
        weights : tensor (Y, X)
            Of what is moved along it.
        left : tensor (2Y, 2X)
            Of the difference after that.
        """
        import torch

        now, then = (
            blurred(pooled(image), FLOW_BLUR_PX)
            for image in (self.wanted, self.estimate)
        )
        stiffness = STIFFNESS * float(self.noise[0].mean())
        flow = optical_flow(now, then, stiffness, start)
        weights, left = self._along(flow)
        few = torch.maximum(weights, still) <= FOLLOWED
        if float(few.float().mean()) < chance:
            return flow, weights, left
        alone = narrowed_flow(now, then, flow, stiffness)
        better, rest = self._along(alone, self.gate.noise_followed_alone)
        takes = few & (better > weights)
        fine = takes.repeat_interleave(2, 0).repeat_interleave(2, 1)
        return (
            torch.where(takes, alone, flow),
            torch.where(takes, better, weights),
            torch.where(fine, rest, left),
        )

    def _along(
        self, flow: torch.Tensor, followed: float = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how much what is moved counts, and what it leaves of the difference.

        ``followed`` is the part of noise alone that the flow explains: so much less
        must be left.
        """
        import torch.nn.functional as F

        fine = 2 * F.interpolate(flow[None], scale_factor=2, mode="bilinear")
        left = self.wanted - warp(self.estimate[None, None], fine, "bicubic")[0, 0]
        scale = max(1 - followed, LEAST_LEFT) ** -0.5
        weights = self.gate.weights(scale * left, self.noise)
        return weights * _inside(flow), left


def light_ratio(here: torch.Tensor, other: torch.Tensor) -> float:
    """Return how much brighter an image (Y, X) is than another.

    The median ratio of the light of squares of `BLOCK_PX`, of the brighter half of
    them: the mean of all light is another where something appears. 0 where one has
    light and the other none.
    """
    import torch.nn.functional as F

    a, b = (
        F.avg_pool2d(image[None], BLOCK_PX, ceil_mode=True).flatten().cpu().numpy()
        for image in (here, other)
    )
    bright = a + b >= np.median(a + b)
    if (np.median(a[bright]) > 0) != (np.median(b[bright]) > 0):
        return 0.0
    lit = bright & (a > 0) & (b > 0)
    return float(np.median(a[lit] / b[lit])) if lit.any() else 1.0


def look_alike(here: Sight, other: Sight) -> bool:
    """Whether two time points have the same orders to compare, and both light."""
    a, b = here.stack.wavevectors, other.stack.wavevectors
    alike = here.orders.shape == other.orders.shape and a.shape == b.shape
    if not alike or not bool(((a - b).abs() < 1e-5).all()):
        return False
    return light_ratio(here.light, other.light) > 0


def differs(likeness: torch.Tensor, chance: float) -> bool:
    """Whether more places look different than chance explains, or clearly so."""
    some, clear = ((likeness < -n).float().mean() for n in (0, 1))
    return float(some) >= chance or float(clear) >= CLEARLY * chance


def _followed(first: torch.Tensor, then: torch.Tensor | None) -> torch.Tensor:
    """Return the displacement (2, Y, X) along one flow and on along the next."""
    if then is None:
        return first
    return first + warp(then[None], first[None])[0]


def _gate(sight: Sight, false_alarm: float) -> Gate:
    """Return the test for the estimates of a time point, made once."""
    key = "gate", false_alarm
    if key not in sight.found:
        sight.found[key] = Gate.of(sight, sight.step, false_alarm)
    gate: Gate = sight.found[key]
    return gate


def _expected(sight: Sight, step: int, gate: Gate) -> list[torch.Tensor]:
    """Return the means of the variance of an estimate in the windows of a gate."""
    means = sight.found.get(gate.sigmas_px)
    if means is None:
        means = sight.found[gate.sigmas_px] = gate.expected(sight.local)
    return [sight.mean_variance(step) * mean for mean in means]


def _inside(flow: torch.Tensor) -> torch.Tensor:
    """Return 1 where what has moved comes from within the image, else 0."""
    import torch

    height, width = flow.shape[-2:]
    y = torch.arange(height, device=flow.device)[:, None] + flow[0]
    x = torch.arange(width, device=flow.device) + flow[1]
    return ((y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)).float()

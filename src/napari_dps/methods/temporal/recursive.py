"""The mean of a time point and what came before it, as while recording."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from napari_dps.core import ImageStack, Progress, StageParameters, one_of
from napari_dps.core.context import Context
from napari_dps.methods.sim.orders import StackOrders
from napari_dps.methods.temporal.frames import seen_steps, with_time_points
from napari_dps.methods.temporal.fuse import (
    FusionSettings,
    Match,
    RunningMean,
    brightness,
    look_alike,
    match_steps,
)
from napari_dps.methods.temporal.gate import Gate
from napari_dps.methods.temporal.sight import Sight
from napari_dps.physics.optical_flow import warp
from napari_dps.physics.spline import Spline

if TYPE_CHECKING:
    import torch

MOST = 6.0
"""Time points that the past counts as at most: more would keep what has changed too
slowly to be seen."""


@dataclass(eq=False)
class _Past:
    """The mean of all time points so far, each place of as many as looked alike.

    Attributes
    ----------
    angles, orders, noise, light, stack
        As of a `Sight`; the noise is that of the last time point.
    worth : tensor (Y, X)
        How many time points it is worth.
    estimate : tensor (2Y, 2X)
        Smooth estimate of the object, and ``step``, what it is smooth for.
    variance : tensor (Y, X)
        Of the noise of it.
    """

    angles: int
    orders: torch.Tensor
    noise: float
    light: torch.Tensor
    stack: StackOrders
    worth: torch.Tensor
    estimate: torch.Tensor
    step: int
    variance: torch.Tensor

    @cached_property
    def spline(self) -> Spline:
        """The orders between the pixels."""
        return Spline.through(self.orders)


class PastMean:
    """A recursive mean over time, of one channel and plane: past time points alone.

    Each time point is compared once, with the mean so far, so it costs as much however
    long the past is; `napari_dps.stages.temporal` compares with each of a window.

    Parameters
    ----------
    parameters : StageParameters
        Of a stage that finds patterns, for time points that bring none; see
        `search_settings`.
    settings : FusionSettings
        How time points are compared.
    most : float
        Time points that the past counts as at most.

    Examples
    --------
    >>> from napari_dps.core import finish
    >>> from napari_dps.physics.simulate import SimulationSettings, simulate
    >>> from napari_dps.stages.temporal import TemporalParameters
    >>> made = simulate(SimulationSettings(height_px=64, width_px=64))
    >>> raw = made.raw.derive(made.raw.data - 100.0, patterns=made.patterns)
    >>> past = PastMean(TemporalParameters())
    >>> means = [finish(past.steps(raw, Context("cpu"))) for _ in range(3)]
    >>> [round(float(m.maps["time_points"].max())) for m in means]
    [1, 2, 3]
    """

    def __init__(
        self,
        parameters: StageParameters,
        settings: FusionSettings | None = None,
        most: float = MOST,
    ) -> None:
        self._parameters = parameters
        self._settings = settings or FusionSettings()
        self._most = most
        self._past: _Past | None = None

    def forget(self) -> None:
        """Begin anew, after a change of place or of the microscope."""
        self._past = None

    def steps(
        self, image: ImageStack, context: Context
    ) -> Generator[Progress, None, ImageStack]:
        """Take the next time point; return it averaged with what came before.

        Parameters
        ----------
        image : ImageStack
            Axes "APYX", or "YX" of a plain image, with optics; counts above the
            camera's offset. Best with patterns that are fitted: else they are found.
        context : Context
            Device; told of doubtful patterns.

        Yields
        ------
        Progress

        Returns
        -------
        ImageStack
            As from the stage ``temporal``.
        """
        seen = yield from one_of(seen_steps(image, self._parameters, context), 0, 2)
        for warning in seen.warnings:
            context.warn(warning)
        here, past = seen.sight, self._past
        if past is not None and not look_alike(here, past):
            past = None
        mean, step = RunningMean.of(here), here.step if past is None else past.step
        estimate = here.estimate(step)
        if past is not None:
            meeting = self._met(here, past, mean)
            estimate = yield from one_of(meeting, 1, 2)
        worth = mean.time_points
        self._past = _Past(
            angles=here.angles,
            orders=mean.total / mean.weight,
            noise=here.noise,
            light=here.light,
            stack=here.stack,
            worth=worth.clamp(max=self._most),
            estimate=estimate,
            step=step,
            variance=here.variance(step) / worth,
        )
        yield Progress(2, 2, "Past time points")
        return with_time_points(seen.image, mean.frames(here), worth)

    def _met(
        self, here: Sight, past: _Past, mean: RunningMean
    ) -> Generator[Progress, None, torch.Tensor]:
        """Add the past to a mean; return the smooth estimate of both."""
        import torch

        gate = Gate.of(here, past.step, self._settings.false_alarm)
        gain = brightness(here, past)
        before = gain * past.estimate
        variance = here.variance(past.step) + gain**2 * past.variance
        noise = gate.expected(variance)
        matching = match_steps(here, before, noise, gate, self._settings, past.step)
        _, match = yield from matching
        mean.add(past, gain, match, torch.ones_like(past.worth), past.worth)
        return _joined(here.estimate(past.step), before, match, past.worth)


def _joined(
    now: torch.Tensor, before: torch.Tensor, match: Match, worth: torch.Tensor
) -> torch.Tensor:
    """Return the mean of estimates (2Y, 2X), weighted as the orders are."""
    still = _finer(match.still * worth)
    total, weight = now + still * before, 1 + still
    if match.moved is not None and match.flow is not None:
        moved = _finer(match.moved * worth)
        flow = 2 * _finer(match.flow)
        there = warp(before[None, None], flow[None], mode="bicubic")[0, 0]
        total, weight = total + moved * there, weight + moved
    return total / weight


def _finer(image: torch.Tensor) -> torch.Tensor:
    """Return an image (Y, X) or field (2, Y, X) at half the pixel size."""
    import torch.nn.functional as F

    planes = image.reshape(1, -1, *image.shape[-2:])
    fine = F.interpolate(planes, scale_factor=2, mode="bilinear")
    return fine.reshape(*image.shape[:-2], *fine.shape[-2:])

"""Drift and bleaching of a time-lapse: measured before it is run, undone in results."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_dps import __version__
from napari_dps.core import HistoryEntry, ImageStack, Progress
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.units import Channel, Index

MISFIT = 0.05
"""Of the first level; what a fit of the bleaching may leave before it is told."""

_IN_COUNTS = {"uncertainty", "invented", "residual"}
"""Maps that bleaching dims as it does the result."""

Keep = Callable[[int, Index, ImageStack], None]
"""As of `napari_dps.pipeline.stream`."""


@dataclass(frozen=True)
class Corrections:
    """What is corrected of every result of a lapse; raw frames stay as they are.

    Attributes
    ----------
    drift_px : tuple of (float, float)
        Displacement (y, x) of each time point from the first, in pixels of the input;
        empty where drift is not corrected.
    bleaching : tuple of tuple of float
        Of each channel, the factor of each time point; empty where bleaching is not
        corrected.
    misfit : tuple of float
        Of each channel, what the fit of the bleaching leaves.
    """

    drift_px: tuple[tuple[float, float], ...] = ()
    bleaching: tuple[tuple[float, ...], ...] = ()
    misfit: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of them; empty if there are none."""
        found: dict[str, Any] = {}
        if self.drift_px:
            found["drift_px"] = [
                [round(float(s), 4) for s in one] for one in self.drift_px
            ]
        if self.bleaching:
            found["bleaching_factors"] = [
                [round(f, 5) for f in one] for one in self.bleaching
            ]
            found["bleaching_misfit"] = [round(one, 5) for one in self.misfit]
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is doubtful of them."""
        several = len(self.misfit) > 1
        return tuple(
            f"channel {number}: " * several + "the brightness does not fall as "
            f"bleaching does: the fit leaves {100 * misfit:.0f} % of the first time "
            "point"
            for number, misfit in enumerate(self.misfit)
            if misfit > MISFIT
        )

    def keeping(self, plan: Plan, keep: Keep) -> Keep:
        """Return a ``keep`` that is given corrected results."""
        if not self.drift_px and not self.bleaching:
            return keep

        def corrected(number: int, index: Index, image: ImageStack) -> None:
            keep(number, index, self._applied(plan, index, image))

        return corrected

    def _applied(self, plan: Plan, index: Index, image: ImageStack) -> ImageStack:
        """Return the result for a place, corrected."""
        from napari_dps.methods.lapse.drift import undone

        if image.is_raw:
            return image
        places = dict(zip(plan.leading, index, strict=False))
        time, data, maps = places.get("T", 0), image.data, dict(image.maps)
        if self.bleaching:
            factor = np.float32(self.bleaching[places.get("C", 0)][time])
            data = data * factor
            for name in _IN_COUNTS & set(maps):
                maps[name] = maps[name] * factor
        if self.drift_px:
            y, x = self.drift_px[time]
            finer = (plan.stack.pixel_size_nm or 1.0) / (image.pixel_size_nm or 1.0)
            shift_px = (y * finer, x * finer)
            data = undone(data, shift_px)
            maps = {name: undone(values, shift_px) for name, values in maps.items()}
        return replace(image, data=data, maps=maps)


def noted(plan: Plan) -> tuple[HistoryEntry, ...]:
    """Return what the history of results says of their correction; empty if none."""
    asked = {
        "drift": plan.output.drift_correct,
        "bleaching": plan.output.bleach_correct,
    }
    if plan.stack.size("T") < 2 or not any(asked.values()):
        return ()
    return (HistoryEntry("corrections", asked, version=__version__, seconds=0.0),)


def find_corrections(plan: Plan) -> Generator[Progress, None, Corrections]:
    """Measure what the output settings of a plan want corrected.

    Each time point is read once, and nothing of it stays in memory. Drift is that of
    the first channel: the sample moves, not its colours.

    Parameters
    ----------
    plan : Plan
        Stack, steps, and what is wanted.

    Yields
    ------
    Progress

    Returns
    -------
    Corrections
    """
    from napari_dps.methods.lapse.bleaching import bleaching_factors

    wanted, times = plan.output, plan.stack.size("T")
    if times < 2 or not (wanted.drift_correct or wanted.bleach_correct):
        return Corrections()
    drift: list[tuple[float, float]] = []
    factors, misfits = [], []
    channels = plan.channels if wanted.bleach_correct else plan.channels[:1]
    for channel in channels:
        with_drift = wanted.drift_correct and channel.number == 0
        found, levels = yield from _measured(channel, times, with_drift)
        drift += found
        if wanted.bleach_correct:
            factor, misfit = bleaching_factors(levels)
            factors.append(tuple(factor.tolist()))
            misfits.append(misfit)
    return Corrections(tuple(drift), tuple(factors), tuple(misfits))


def _measured(
    channel: Channel, times: int, with_drift: bool
) -> Generator[Progress, None, tuple[list[tuple[float, float]], list[float]]]:
    """Return displacement and mean of the widefield image of each time point."""
    from napari_dps.methods.lapse.drift import DriftTracker

    tracker = DriftTracker(channel.stack.optics)
    drift, levels = [], []
    for time in range(times):
        yield Progress(0, 1, f"Looking at time point {time + 1} of {times}")
        units = channel.units((time, time + 1))
        field = np.mean([_widefield(channel.image(unit)) for unit in units], axis=0)
        levels.append(float(field.mean()))
        if with_drift:
            drift.append(tracker.add(field))
    return drift, levels


def _widefield(unit: ImageStack) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the mean of the frames of a unit, (Y, X)."""
    frames = unit.data.reshape(-1, *unit.shape[-2:])
    return np.asarray(frames.mean(axis=0, dtype=np.float64))

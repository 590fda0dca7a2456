"""Known wave vectors of a dim time-lapse: what all its time points together tell."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_dps.core import ImageStack, Pattern, Progress, between
from napari_dps.core.context import Context
from napari_dps.methods.sim.known_orders import known_by_angle
from napari_dps.methods.sim.patterns import find_patterns, raw_frames
from napari_dps.methods.sim.raw import with_hot_pixels_replaced

if TYPE_CHECKING:
    from napari_dps.physics.sim.estimate import EstimationSettings
    from napari_dps.physics.sim.wave_series import SeriesFindings


def followed_patterns(
    average: ImageStack, settings: EstimationSettings, context: Context
) -> Generator[Progress, None, tuple[Pattern, ...]]:
    """Fit the patterns of a time-lapse whose wave vectors are known.

    The evidence is summed over time points. Where phases drift they are followed, and
    phases and modulation are fitted to the mean of time points without the drift.
    Without a series in the context the mean is all there is.

    Parameters
    ----------
    average : ImageStack
        Axes "APYX": the mean of ``context.series``, with the wave vectors.
    settings : EstimationSettings
        Layout and search range.
    context : Context
        With the series; receives the warnings.

    Yields
    ------
    Progress

    Returns
    -------
    tuple of Pattern
        With `Pattern.drift_deg` where the phases drift.
    """
    if context.series is None or not _is_summed(average, settings):
        frames = raw_frames(average, context)
        return (yield from find_patterns(frames, average, settings, context))
    times, findings = yield from between(_look(average, settings, context), 0, 40)
    steady = average
    if findings.drifts:
        steady = yield from between(_steady(average, findings, context), 40, 60)
        for angle in sorted(findings.drifts):
            context.warn(
                f"the phases of angle {angle + 1} change over time: they are followed "
                f"over {findings.count} time points together"
            )
    frames = raw_frames(steady, context)
    finding = find_patterns(frames, steady, settings, context, findings)
    patterns = yield from between(finding, 60, 100)
    return tuple(_drifting(p, findings, times) for p in patterns)


def _is_summed(average: ImageStack, settings: EstimationSettings) -> bool:
    """Whether the known wave vectors of every angle are orders of one direction."""
    if settings.is_hexagonal(average.size("A"), average.size("P")):
        return False
    return all(len(some) == 1 for some in known_by_angle(average).values())


def _look(
    average: ImageStack, settings: EstimationSettings, context: Context
) -> Generator[Progress, None, tuple[list[int], SeriesFindings]]:
    """Look at all time points of the series; return them, and what they show."""
    from napari_dps.physics.sim.wave_series import WaveSeries

    series = WaveSeries(
        raw_frames(average, context),
        average.require_optics("finding the patterns"),
        settings,
        known_by_angle(average),
    )
    times: list[int] = []
    for time_point, image in _series(context):
        yield Progress(len(times), len(times) + 1, "looking at known stripes over time")
        series.add(raw_frames(image, context))
        times.append(time_point)
    return times, series.judge()


def _steady(
    average: ImageStack, findings: SeriesFindings, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Return the mean of the series without the drift of the phases."""
    from napari_dps.physics.sim.wave_series import steadied

    total = np.zeros_like(average.data, dtype=np.float32)
    for n, (_, image) in enumerate(_series(context)):
        yield Progress(n, findings.count, "mean without drift")
        turns = {
            angle: float(drift.phases_rad[n])
            for angle, drift in findings.drifts.items()
        }
        total += steadied(image.data.astype(np.float32), findings.known, turns)
    return average.derive(total / findings.count)


def _series(context: Context) -> Iterator[tuple[int, ImageStack]]:
    """Read the series, hot pixels replaced."""
    for time_point, image in context.series() if context.series else ():
        yield time_point, with_hot_pixels_replaced(image, context.part())


def _drifting(
    pattern: Pattern,
    findings: SeriesFindings,
    times: Sequence[int],
) -> Pattern:
    """Return a pattern with the drift of its phases.

    A wave vector and its opposite are the same stripes, whose phases run against each
    other.
    """
    drift = findings.drifts.get(pattern.angle_index)
    if drift is None or not pattern.is_usable:
        return pattern
    known = findings.known[pattern.angle_index].values()
    coarsest, _ = min(known, key=lambda pair: np.hypot(*pair[0]))
    along = np.dot(coarsest, pattern.orders[0].wavevector_per_nm)
    turns = np.degrees(np.sign(along) * drift.phases_rad)
    error = np.hypot(pattern.phase_error_deg or 0.0, np.degrees(drift.error_rad))
    return pattern.model_copy(
        update={
            "drift_deg": tuple(zip(times, turns.tolist(), strict=True)),
            "phase_error_deg": float(error),
        }
    )

"""Patterns of a time-lapse: wave vectors of all time points, phases of each."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_dps.core import (
    ImageStack,
    Pattern,
    PatternOrder,
    Progress,
    StageParameters,
    one_of,
)
from napari_dps.core.context import Context
from napari_dps.methods.sim.detection import noise_of_frames
from napari_dps.methods.sim.known import followed_patterns
from napari_dps.methods.sim.known_orders import known_orders
from napari_dps.methods.sim.patterns import (
    UNCERTAIN_DEG,
    are_fitted,
    find_patterns,
    pattern_warnings,
    raw_frames,
    search_settings,
)
from napari_dps.methods.sim.raw import with_hot_pixels_replaced

if TYPE_CHECKING:
    import torch

CHANGED_ERRORS = 4.0
"""Expected errors by which phases of a time point must differ from those of the mean
of several: less may be chance, and the mean knows them better."""
FADED = 0.75
"""Share of the modulation of a time point that the mean keeps where phases stay."""
THREE_BEAM_PHASES = 5
"""Phases from which on frames may be those of three beams."""
LEAST_CHANGE_DEG = 3.0
"""Less changes no reconstruction that can be seen."""
LEAST_JUMP_DEG = 30.0
"""Phase step that differs by more from that of the mean is one of another frame."""
OF_PLANES = "mean of planes"
"""Where phases come from that planes are compared with."""
SETTLED: dict[str, Literal["first frames", "followed", "planes"]] = {
    "mean": "first frames",
    "drift": "followed",
    OF_PLANES: "planes",
}
"""Phases that a unit is compared with, and what they are called where it does not
contradict them."""
SURER_OF_PLANES = 2.0
"""So much more must phases of a plane differ, which is recorded right after the others
and may be out of focus."""


def with_what_units_share(
    average: ImageStack,
    sample: ImageStack,
    parameters: StageParameters,
    context: Context,
    *,
    seek_patterns: bool = True,
) -> Generator[Progress, None, ImageStack]:
    """Find the noise and the patterns that all units of a stack have in common.

    Parameters
    ----------
    average, sample, parameters, context
        As of `shared_patterns`.
    seek_patterns : bool
        Whether patterns that are not fitted yet are sought.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        The average, hot pixels replaced, with the noise of a unit and the patterns.

    Raises
    ------
    InputError
        If it has no optics.
    """
    average = with_hot_pixels_replaced(average, context)
    sample = with_hot_pixels_replaced(sample, context)
    patterns = average.patterns
    if seek_patterns and not are_fitted(average):
        patterns = yield from shared_patterns(average, sample, parameters, context)
    noise = noise_of_frames(raw_frames(sample, context), sample, patterns)
    return average.derive(average.data, patterns=patterns, noise=noise)


def shared_patterns(
    average: ImageStack,
    sample: ImageStack,
    parameters: StageParameters,
    context: Context,
) -> Generator[Progress, None, tuple[Pattern, ...]]:
    """Find the patterns that all units of a stack have in common.

    Stripes whose phases change from time point to time point fade in the mean: what is
    not found there is sought in a single unit.

    Parameters
    ----------
    average : ImageStack
        Axes "APYX": the mean of several units.
    sample : ImageStack
        One of them.
    parameters : StageParameters
        Of a stage that finds patterns; see `search_settings`.
    context : Context
        Receives warnings; it tells how many time points and planes the mean is of.

    Yields
    ------
    Progress

    Returns
    -------
    tuple of Pattern
        Of a time-lapse with ``phases_of`` "mean", of planes with "mean of planes".
    """
    settings = search_settings(parameters, planes=context.planes)
    part = context.part()
    finding = followed_patterns(average, settings, part)
    patterns = yield from one_of(finding, 0, 2)
    # Three beams: order 1 changes its sign along z, which is no change of phases.
    is_one = context.planes == 1 or average.size("P") >= THREE_BEAM_PHASES
    if context.time_points == 1 and is_one:
        context.take_over(part)
        return patterns
    found = patterns
    if not all(pattern.is_usable for pattern in patterns):
        alone = search_settings(parameters)
        # Wave vectors that all time points together do not show, one does not either.
        if context.series is not None:
            sample = sample.derive(sample.data, patterns=())
        frames = raw_frames(sample, context)
        finding = find_patterns(frames, sample, alone, context.part())
        single = yield from one_of(finding, 1, 2)
        if len(single) == len(patterns):
            found = tuple(
                one if one.is_usable and not mean.is_usable else mean
                for one, mean in zip(single, patterns, strict=True)
            )
    if found == patterns:
        context.take_over(part)
    else:
        wanted = known_orders(average)
        for warning in pattern_warnings(found, average.size("A"), wanted):
            context.warn(warning)
    of = OF_PLANES if context.time_points == 1 else "mean"
    return tuple(p.model_copy(update={"phases_of": of}) for p in found)


def unit_patterns(
    frames: torch.Tensor,
    image: ImageStack,
    parameters: StageParameters,
    context: Context,
) -> Generator[Progress, None, tuple[Pattern, ...]]:
    """Return the patterns of one raw stack: found, or as it carries them.

    Phases that come from the mean of several time points are fitted anew, and taken
    where they differ from those of the mean by more than their errors.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Counts as they were recorded.
    image : ImageStack
        The same, with what it carries.
    parameters : StageParameters
        Of a stage that finds patterns; see `search_settings`.
    context : Context
        Receives warnings.

    Yields
    ------
    Progress

    Returns
    -------
    tuple of Pattern
    """
    if not are_fitted(image):
        settings = search_settings(parameters, planes=context.planes)
        return (yield from find_patterns(frames, image, settings, context))
    patterns = image.patterns
    for warning in pattern_warnings(patterns, image.size("A")):
        context.warn(warning)
    if not any(p.phases_of in SETTLED and p.is_usable for p in patterns):
        return patterns
    vectors = tuple(p.only_wave_vectors() for p in patterns if p.is_usable)
    fitting = find_patterns(
        frames,
        image.derive(image.data, patterns=vectors),
        search_settings(parameters),
        context.part(),
    )
    fitted = yield from fitting
    if len(fitted) != len(patterns):
        return patterns
    of_planes = patterns[0].phases_of == OF_PLANES
    if not of_planes and any(pattern.keeps_stripes for pattern in fitted):
        fitted = tuple(
            _doubted(one, mean) if mean.is_usable else one
            for one, mean in zip(fitted, patterns, strict=True)
        )
    return tuple(
        _better(one, mean, context) for one, mean in zip(fitted, patterns, strict=True)
    )


def _better(one: Pattern, mean: Pattern, context: Context) -> Pattern:
    """Return the pattern of a unit, or that of the mean if it is as good."""
    if not mean.is_usable or mean.phases_of not in SETTLED:
        return mean
    name, is_plane = f"angle {mean.angle_index + 1}", mean.phases_of == OF_PLANES
    if one.keeps_stripes and not is_plane:
        _tell_lost_stripes(name, context)
        return one
    settled = mean.model_copy(update={"phases_of": SETTLED[mean.phases_of]})
    error = one.phase_error_deg
    if not one.is_usable or error is None or error > UNCERTAIN_DEG:
        if not is_plane:
            _tell_dim(name, mean.phases_of == "mean", context)
        return settled
    change = np.subtract(one.phases_deg, mean.phases_deg)
    largest = float(np.abs((change + 180) % 360 - 180).max())
    least = max(CHANGED_ERRORS * error, LEAST_CHANGE_DEG)
    is_same = largest <= least * (SURER_OF_PLANES if is_plane else 1)
    # Stripes whose phases change at other time points fade in the mean; in planes they
    # fade by what is out of focus.
    if is_same and (is_plane or mean.modulation > FADED * one.modulation):
        return settled
    what = "from plane to plane: they are fitted in each plane"
    if not is_plane:
        what = "over time: they are fitted at each time point"
    context.warn(f"the phases of {name} change {what}")
    return one.model_copy(update={"orders": _orders(one, mean), "phases_of": "frames"})


def _tell_dim(name: str, is_mean: bool, context: Context) -> None:
    """Say that time points tell nothing of the phases of an angle."""
    those = "several together, over which they drift,"
    if is_mean:
        those = "the mean of several"
    context.warn(
        f"some time points are too dim to measure the phases of {name}: those of "
        f"{those} are used there"
    )


def _doubted(one: Pattern, mean: Pattern) -> Pattern:
    """Return a pattern beside one that lacks a frame, doubted if its steps may differ.

    From a lost frame on all angles get frames of others. Stripes that drift move alike
    in all frames of an angle.
    """
    error = one.phase_error_deg
    if one.is_usable and error is not None and error <= UNCERTAIN_DEG:
        turns = np.exp(1j * np.radians(np.subtract(one.phases_deg, mean.phases_deg)))
        rest = np.degrees(np.angle(turns * np.conj(turns.mean())))
        if float(np.abs(rest).max()) < LEAST_JUMP_DEG:
            return one
    lost = {"status": "doubtful", "doubt": "frames"}
    orders = tuple(order.model_copy(update=lost) for order in one.orders)
    return one.model_copy(update={"orders": orders})


def _tell_lost_stripes(name: str, context: Context) -> None:
    """Say where the frames of an angle do not show the stripes of all others."""
    first = context.told.setdefault(("lost stripes", name), context.where)
    place = first if context.where == first else " at more time points"
    context.warn(
        f"the stripes of {name} are missing from a frame or stand still{place}: a "
        "frame was lost or doubled, or the order changes; its frames are left out there"
    )


def _orders(one: Pattern, mean: Pattern) -> tuple[PatternOrder, ...]:
    """Return the orders as the time point shows them, found as the mean was."""
    found = {order.order: order for order in mean.orders}
    return tuple(
        order.model_copy(
            update={
                "status": found[order.order].status,
                "confidence": found[order.order].confidence,
            }
        )
        if order.is_usable and order.order in found
        else order
        for order in one.orders
    )

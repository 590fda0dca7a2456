"""From a raw stack, or an image, and its neighbours in time to one with less noise."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import (
    ImageStack,
    Pattern,
    PatternOrder,
    Progress,
    StageParameters,
    one_of,
)
from napari_dps.core.at_once import in_tasks
from napari_dps.core.context import Context, Neighbours, TimePoint
from napari_dps.core.device import available_bytes, resolve_device
from napari_dps.methods.sim.lapse import unit_patterns
from napari_dps.methods.sim.patterns import raw_frames
from napari_dps.methods.sim.raw import corrected_frames
from napari_dps.methods.sim.worth import TIME_POINTS
from napari_dps.methods.temporal.fuse import fuse_steps
from napari_dps.methods.temporal.match import FusionSettings
from napari_dps.methods.temporal.sight import Sight, sight_steps
from napari_dps.physics.sim.noise import noise_to_signal

if TYPE_CHECKING:
    import torch

BYTES_PER_PX, BYTES_PER_FRAME_PX = 92, 16
"""Memory that a time point takes, for each pixel and for that of each frame: frames,
orders with their spline, the smooth estimate with its spectrum, and what matches the
time points beside it."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A time point made fit for comparison.

    Attributes
    ----------
    image : ImageStack
        Its frames, corrected, with the patterns fitted to them and their noise.
    sight : Sight
        What it shows.
    warnings : tuple of str
        What looking at it has led to.
    """

    image: ImageStack
    sight: Sight
    warnings: tuple[str, ...]


def seen_steps(
    image: ImageStack, parameters: StageParameters, context: Context
) -> Generator[Progress, None, Seen]:
    """Correct the frames of a time point, find their patterns, and look at them.

    Parameters
    ----------
    image : ImageStack
        Axes "APYX" or "YX", with optics; counts above the camera's offset.
    parameters : StageParameters
        Of a stage that finds patterns; see `search_settings`.
    context : Context
        Device and cache.

    Yields
    ------
    Progress

    Returns
    -------
    Seen
    """
    part = context.part()
    image = yield from one_of(known_steps(image, parameters, part), 0, 2)
    sight = yield from one_of(look_steps(image, part), 1, 2)
    return Seen(with_noise_of(image, sight.of_frame), sight, tuple(part.warnings))


def known_steps(
    image: ImageStack, parameters: StageParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Correct the frames of a time point, and find their patterns and noise.

    Parameters are those of `seen_steps`; the context receives warnings.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        A plain image as it is.
    """
    optics = image.require_optics("comparing time points")
    if not image.is_raw:
        return image
    image = corrected_frames(image, context)
    frames = raw_frames(image, context)
    patterns = yield from unit_patterns(frames, image, parameters, context)
    noise = image.noise or noise_to_signal(frames, optics, image.camera)
    if not patterns:
        patterns = tuple(_unknown(a) for a in range(image.size("A")))
    return image.derive(image.data, patterns=patterns, noise=noise)


def look_steps(image: ImageStack, context: Context) -> Generator[Progress, None, Sight]:
    """Look at a time point whose patterns are known; see `sight_steps`."""
    optics = image.require_optics("comparing time points")
    patterns = image.patterns if image.is_raw else (_unknown(0),)
    frames = as_frames(image, context)
    steps = sight_steps(frames, optics, patterns, image.camera, context.cache)
    return in_tasks(steps, frames.device)


def with_noise_of(image: ImageStack, of_frame: float) -> ImageStack:
    """Return a time point with the noise of its frames, where its noise is known."""
    noise = image.noise and replace(image.noise, of_frame=of_frame)
    return image.derive(image.data, noise=noise)


def fits_memory(image: ImageStack, count: int, context: Context) -> bool:
    """Whether so many time points can be looked at as whole planes.

    Decided once for planes of one size, before their memory is taken.
    """
    key = "time points as whole planes", image.shape, count
    if key not in context.cache:
        height, width = image.shape[-2:]
        needed = (count + 1) * bytes_per_px(image) * height * width
        free = available_bytes(resolve_device(context.device))
        context.cache[key] = needed < free
    fits: bool = context.cache[key]
    return fits


def bytes_per_px(image: ImageStack) -> int:
    """Return the memory that a time point takes for each pixel of its plane."""
    return BYTES_PER_PX + BYTES_PER_FRAME_PX * image.size("A") * image.size("P")


def as_frames(image: ImageStack, context: Context) -> torch.Tensor:
    """Return frames (A, P, Y, X); those of a plain image are a single one."""
    return raw_frames(image, context).reshape(-1, image.size("P"), *image.shape[-2:])


def averaged_steps(
    image: ImageStack,
    neighbours: Neighbours,
    parameters: StageParameters,
    settings: FusionSettings,
    context: Context,
) -> Generator[Progress, None, ImageStack]:
    """Average a time point with its neighbours.

    Parameters
    ----------
    image : ImageStack
        As for `seen_steps`.
    neighbours : Neighbours
        Around it.
    parameters : StageParameters
        As for `seen_steps`.
    settings : FusionSettings
        How time points are compared.
    context : Context
        Told what looking at the time point itself has led to.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32 counts, with the noise of one time point and the map `TIME_POINTS`.
    """
    sides = (neighbours.before, neighbours.after)
    steps = 2 + sum(map(len, sides))
    here = neighbours.here or TimePoint(image)
    seen = yield from one_of(_seen(here, parameters, context), 0, steps)
    for warning in seen.warnings:
        context.warn(warning)
    done, others = 1, []
    for side in sides:
        sights = []
        for point in side:
            looking = _seen(point, parameters, context)
            sights.append((yield from one_of(looking, done, steps)).sight)
            done += 1
        others.append(sights)
    fusing = fuse_steps(seen.sight, others, settings)
    frames, time_points = yield from one_of(
        in_tasks(fusing, seen.sight.light.device), done, steps
    )
    return with_time_points(seen.image, frames.cpu().numpy(), time_points.cpu().numpy())


def with_time_points(
    image: ImageStack,
    frames: NDArray[np.float32],
    time_points: NDArray[np.float32],
) -> ImageStack:
    """Return a time point with the frames of a mean, and how many these are worth."""
    worth = np.broadcast_to(time_points, image.shape)
    return image.derive(frames.reshape(image.shape), maps={TIME_POINTS: worth})


def _seen(
    point: TimePoint, parameters: StageParameters, context: Context
) -> Generator[Progress, None, Seen]:
    """Look at a time point, once."""
    if "seen" not in point.found:
        there = replace(context, where=point.where)
        looking = seen_steps(point.image, parameters, there)
        point.found["seen"] = yield from looking
    found: Seen = point.found["seen"]
    return found


def _unknown(angle: int) -> Pattern:
    return Pattern(angle_index=angle, orders=(PatternOrder(status="not found"),))

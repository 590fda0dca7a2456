"""Averaging over time in tiles, where a window of whole planes does not fit."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Progress, StageParameters, one_of
from napari_dps.core.at_once import in_tasks
from napari_dps.core.context import Context, Neighbours, TimePoint
from napari_dps.core.device import resolve_device
from napari_dps.core.tiling import Part, TileNeeds, cut, tile_edge, tile_of
from napari_dps.methods.sim.raw import pattern_from
from napari_dps.methods.temporal.frames import (
    bytes_per_px,
    known_steps,
    look_steps,
    with_noise_of,
    with_time_points,
)
from napari_dps.methods.temporal.fuse import fuse_steps
from napari_dps.methods.temporal.match import FusionSettings

OVERLAP_PX = 48
"""As far as the smooth estimates, the windows of the test, and flow look."""
TILE_PX = 512
"""Edge of a tile while there is memory."""


def tiled_average_steps(
    image: ImageStack,
    neighbours: Neighbours,
    parameters: StageParameters,
    settings: FusionSettings,
    context: Context,
) -> Generator[Progress, None, ImageStack]:
    """Average a time point with its neighbours, tile by tile.

    Patterns and noise are those of whole planes; brightness, scale and the noise that
    time points are compared by are those of the tile, so that results differ from those
    of the whole plane by less than the noise. Neighbours are looked at anew at every
    time point: only their frames stay in memory.

    Parameters, progress and result are those of
    `napari_dps.methods.temporal.frames.averaged_steps`.
    """
    here = neighbours.here or TimePoint(image)
    points = [here, *neighbours.before, *neighbours.after]
    needs = _needs(image, len(points))
    shape = image.shape[-2], image.shape[-1]
    device = resolve_device(context.device)
    edge = tile_edge(shape, needs, context, device)
    parts = cut((slice(0, shape[0]), slice(0, shape[1])), edge)
    total = len(points) + len(parts)
    known = []
    for number, point in enumerate(points):
        finding = _known(point, parameters, context)
        found, warnings = yield from one_of(finding, number, total)
        known.append(found)
        for warning in warnings if point is here else ():
            context.warn(warning)
    result, worth = np.empty(image.shape, np.float32), np.empty(shape, np.float32)
    before, noises = len(neighbours.before), []
    for number, place in enumerate(parts):
        tile = tile_of(place, shape, edge, needs)
        crops = [cropped(one, tile.read) for one in known]
        averaging = _averaged(crops, before, settings, context)
        working = one_of(averaging, len(points) + number, total)
        frames, time_points, noise = yield from working
        result[..., *tile.write] = frames[..., *tile.keep]
        worth[tile.write] = time_points[tile.keep]
        noises.append(noise)
    seen = with_noise_of(known[0], float(np.mean(noises)))
    return with_time_points(seen, result, worth)


def _needs(image: ImageStack, count: int) -> TileNeeds:
    """Return what the tiles of some time points need."""
    return TileNeeds(
        "averaging over time",
        overlap_px=OVERLAP_PX,
        bytes_per_px=(count + 1) * bytes_per_px(image),
        tile_px=TILE_PX,
        equal_reads=True,
    )


def cropped(image: ImageStack, place: Part) -> ImageStack:
    """Return a part of a time point, its patterns as they are seen from there."""
    optics = image.require_optics("averaging over time")
    origin = place[0].start, place[1].start
    patterns = tuple(pattern_from(p, origin, optics) for p in image.patterns)
    return image.derive(image.data[..., *place], patterns=patterns, frames=None)


def _known(
    point: TimePoint, parameters: StageParameters, context: Context
) -> Generator[Progress, None, tuple[ImageStack, Sequence[str]]]:
    """Return a time point with patterns and noise, found once, and the warnings."""
    if "known" not in point.found:
        part = replace(context.part(), where=point.where)
        found = yield from known_steps(point.image, parameters, part)
        point.found["known"] = found, part.warnings
    known: tuple[ImageStack, Sequence[str]] = point.found["known"]
    return known


def _averaged(
    crops: Sequence[ImageStack],
    before: int,
    settings: FusionSettings,
    context: Context,
) -> Generator[Progress, None, tuple[NDArray[np.float32], NDArray[np.float32], float]]:
    """Return frames, their worth, and noise of the first of some time points.

    ``before`` of the others come before it, the rest after, each nearest first.
    """
    total = len(crops) + 1
    sights = []
    for number, crop in enumerate(crops):
        looking = look_steps(crop, context)
        sights.append((yield from one_of(looking, number, total)))
    here, others = sights[0], sights[1:]
    fusing = fuse_steps(here, (others[:before], others[before:]), settings)
    fusing = in_tasks(fusing, here.light.device)
    frames, time_points = yield from one_of(fusing, total - 1, total)
    data = frames.cpu().numpy().reshape(crops[0].shape)
    return data, time_points.cpu().numpy(), here.of_frame

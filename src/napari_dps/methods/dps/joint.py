"""Data consistency with the raw frames: their likelihood, climbed from a first image.

A reconstruction has lost what the noise of each frame was like, and keeps what the
filter did to it. The raw frames know both: with the patterns as part of the imaging
model the object is found that explains all frames at once.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.core.at_once import in_tasks
from napari_dps.core.context import Context
from napari_dps.core.device import available_bytes, resolve_device
from napari_dps.methods.dps.climb import Climb
from napari_dps.methods.dps.raw_scene import RawScene, scene_of
from napari_dps.methods.dps.recording import Recording
from napari_dps.methods.dps.target import (
    OTHER_STRIPES,
    TOO_LITTLE_MEMORY,
    FramesUnusable,
)
from napari_dps.physics.sim.raw_light import Light

if TYPE_CHECKING:
    import torch

DEPTH, DEPTH_EXPONENT = 2.6, 0.43
"""Iterations at one photon in the brightest structure, and the power of the photons
that they follow. On simulated stacks of microtubules, ER, clathrin and vesicles at 50,
200 and 1000 photons the best were 8 to 18, 24 to 36 and 50 to 70."""
STRENGTH_SPAN = 4.0
"""Iterations at strength 1 (0) over (under) those at the default."""
MOST_ITERATIONS = 160
REFITS = (5, 10)
"""Iterations after which the stripes are fitted again."""
LEAST_MODULATION = 0.65
"""Modulation of an angle fitted to the object, over the one found before, below which
its stripes are not those of the frames. On simulated stacks 1.0 to 1.2, with phases 30°
wrong 0.85 to 1.1; with wave vectors one period over the field wrong 0.2 to 0.6. On real
microtubules of three beams 0.86 to 0.95, where the first orders alone fall to 0.62."""
BYTES_PER_PX, BYTES_PER_FRAME_PX = 250, 5
"""Memory at the peak, for each pixel of a frame and for that of every frame: in all
some 260 were measured for 3 × 3 frames of 2048², the network included."""


def joint_steps(
    raw: Recording,
    start: NDArray[np.float32],
    *,
    strength: float,
    width: float,
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Climb the likelihood of all raw frames, where there is structure.

    Where the local contrast is that of noise nothing is changed, so that darkness stays
    quiet.

    Parameters
    ----------
    raw : Recording
        The frames, with the patterns found on them.
    start : array (n·Y, n·X), float32
        What to begin with, in counts, on a grid 2 or 4 times finer than the frames'.
    strength : float
        0 to 1; more iterations and a narrower PSF of the result.
    width : float
        Width of the PSF of the result over that of an ideal reconstruction.
    context : Context
        Device, measured OTF.

    Yields
    ------
    Progress

    Returns
    -------
    array (4 Y, 4 X), float32
        Counts; without the light that is not modulated.

    Raises
    ------
    FramesUnusable
        If the frames do not agree with their patterns, or the memory does not suffice.
    """
    scene, thing = yield from begin_steps(raw, start, context)
    depth = depth_of(scene.photons, strength)
    climbing = climb_steps(scene, thing, (depth,), share=scene.share(thing))
    found = yield from climbing
    return scene.seen(found[-1], scene.raw.shown_per_pixel(width))


def begin_steps(
    raw: Recording, start: NDArray[np.float32], context: Context
) -> Generator[Progress, None, tuple[RawScene, torch.Tensor]]:
    """Return the scene of raw frames and the object to begin with.

    Parameters and errors are those of `joint_steps`.
    """
    device = resolve_device(context.device)
    frames = len(raw.frames) * raw.frames.shape[1]
    needed = (BYTES_PER_PX + BYTES_PER_FRAME_PX * frames) * math.prod(raw.shape)
    if needed > available_bytes(device):
        raise FramesUnusable(TOO_LITTLE_MEMORY)
    yield Progress(0, 1, "Raw frames")
    return scene_of(raw, start, context, device)


def depth_of(photons: float, strength: float) -> int:
    """Return the iterations that suit the light and the strength."""
    wanted = DEPTH * math.pow(photons, DEPTH_EXPONENT)
    wanted *= math.pow(STRENGTH_SPAN, 2 * strength - 1)
    return min(max(round(wanted), 2), MOST_ITERATIONS)


def climb_steps(
    scene: RawScene,
    thing: torch.Tensor,
    depths: Sequence[int],
    *,
    share: torch.Tensor | None = None,
    refits: Sequence[int] = REFITS,
) -> Generator[Progress, None, list[torch.Tensor]]:
    """Climb the likelihood of the raw frames.

    x ← x · Hᵀ(y/(H x + b))/Hᵀ1 with the raw frames y, their imaging model H, patterns
    included, and the light b that the stripes do not modulate, accelerated as in
    `napari_dps.physics.deconvolution.richardson_lucy`. Read noise of variance σ² is
    taken for the shot noise of as much light: σ²/gain is added to frames and model
    alike (Snyder et al. 1995). The stripes are fitted again on the way, and stay so in
    the scene.

    Parameters
    ----------
    scene : RawScene
        Frames and model.
    thing : tensor, float32, the plane's ``object_shape``
        What to begin with; it is overwritten.
    depths : sequence of int
        Iterations after which the object is wanted, ascending.
    share : tensor, optional
        How much of a correction is made at each place; all by default.
    refits : sequence of int
        Iterations before which the stripes are fitted again.

    Yields
    ------
    Progress

    Returns
    -------
    list of tensor (2 Y, 2 X), float32
        The object after each of the depths, over the mean of the frames.

    Raises
    ------
    FramesUnusable
        Where the stripes explain nothing.
    """
    climb = Climb(scene, thing, share)
    steps = _iterations(climb, depths, refits)
    return (yield from in_tasks(steps, thing.device))


def _iterations(
    climb: Climb, depths: Sequence[int], refits: Sequence[int]
) -> Generator[Progress, None, list[torch.Tensor]]:
    """Iterate, and keep the object (2 Y, 2 X) of each of the depths."""
    plane, found = climb.scene.plane, []
    first = plane.light
    for number in range(depths[-1]):
        is_refitted = number in refits and bool(first.stripes)
        if is_refitted:
            climb.refit(first)
        if not climb.step(check=is_refitted) or (
            is_refitted and not _agree(plane.light, first)
        ):
            raise FramesUnusable(OTHER_STRIPES)
        if number + 1 in depths:
            reached = plane.inside(climb.estimate)
            found.append(reached if number + 1 == depths[-1] else reached.clone())
        yield Progress(number + 1, depths[-1], "Raw frames")
    return found


def modulations(light: Light) -> dict[int, float]:
    """Return the modulation of each angle, root of the squares of its orders.

    Orders of one angle share a wave vector, so they are right or wrong together; how
    the light is shared between them depends on the OTF that is assumed.
    """
    squares: dict[int, float] = {}
    for one in light.stripes:
        squares[one.angle] = squares.get(one.angle, 0.0) + one.modulation**2
    return {angle: math.sqrt(square) for angle, square in squares.items()}


def _agree(light: Light, first: Light) -> bool:
    """Whether stripes that were fitted to an object are those that were found first."""
    fitted, found = modulations(light), modulations(first)
    return all(fitted[angle] >= LEAST_MODULATION * found[angle] for angle in found)

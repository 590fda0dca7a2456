"""Two reconstructions of the same raw frames that differ in their noise alone."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Progress, one_of, relay
from napari_dps.core.context import Context
from napari_dps.pipeline.camera import Camera
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.run import run_plan

_RNG_SEED = 11
_DEALS_PX = 16 * 9 * 256**2
"""Pixels of raw frames up to which they are dealt out more than once."""


def reconstructed_halves(
    plan: Plan, context: Context
) -> Generator[Progress, None, tuple[ImageStack, ImageStack]]:
    """Deal the photons of raw frames out to two halves, and reconstruct both.

    The stripes are those of all frames together, so that the halves have nothing but
    their noise apart (Lehtinen et al. 2018, arXiv:1803.04189).

    Parameters
    ----------
    plan : Plan
        Of raw frames, its last step `reconstruct`.
    context : Context
        Shared with the stages.

    Yields
    ------
    Progress

    Returns
    -------
    two of ImageStack
        Of the brightness of the whole.

    Raises
    ------
    InputError
        If no stripes are found, or the noise of the frames is not that of a camera.
    """
    images = []
    halves = yield from one_of(raw_halves(plan, context), 0, 3)
    for number, part in enumerate(halves, start=1):
        running = run_plan(replace(plan, stack=part, camera=Camera()), context.part())
        named = relay(running, lambda r: _named("Halves of the frames", r))
        result = yield from one_of(named, number, 3)
        images.append(result.images[-1])
    return images[0], images[1]


def raw_halves(
    plan: Plan, context: Context, *, most_deals: int = 1
) -> Generator[Progress, None, tuple[ImageStack, ImageStack]]:
    """Deal the photons of raw frames out to two halves, which carry the patterns.

    Parameters
    ----------
    plan : Plan
        Of raw frames, its last step `reconstruct` or `denoise`, which finds the
        patterns.
    context : Context
        Shared with the stages.
    most_deals : int
        Small stacks are dealt out so often, each time anew, as further time points:
        what is learned from one deal alone is learned of its noise.

    Yields
    ------
    Progress

    Returns
    -------
    two of ImageStack
        Counts above the offset, of the brightness of the whole; their noise, √2 times
        that of the whole, is not stated.

    Raises
    ------
    InputError
        If no stripes are found, or the noise of the frames is not that of a camera.
    """
    from napari_dps.methods.dps.noise import is_raw, measured_noise
    from napari_dps.physics.camera import deal_photons

    running = run_plan(plan, context)
    whole = yield from relay(running, lambda r: _named("Finding the stripes", r))
    if not any(pattern.is_usable for pattern in whole.patterns):
        raise InputError("no stripes are found in the raw frames to train on")
    stack = plan.corrected()
    optics = stack.require_optics("training")
    rng = np.random.default_rng(_RNG_SEED)
    deals = min(max(_DEALS_PX // stack.data.size, 1), most_deals)
    halves = np.empty((2, deals, *stack.shape), np.float32)
    for place in np.ndindex(stack.shape[:-2]):
        frame = stack.data[place]
        if not is_raw(frame):
            raise InputError(
                "noise of the raw frames",
                got="none of a camera: they were resampled or denoised",
                allowed="frames as they were recorded",
            )
        noise = measured_noise(frame, optics.cutoff_per_pixel, white=True)
        for deal in range(deals):
            halves[:, deal, *place] = deal_photons(frame, noise, rng)
    axes = stack.axes if "T" in stack.axes or deals == 1 else f"T{stack.axes}"
    in_time = [
        half if len(axes) > stack.data.ndim else _in_a_row(half, axes.find("T"))
        for half in halves
    ]
    one, other = (
        replace(stack, data=data, axes=axes, patterns=whole.patterns, camera=None)
        for data in in_time
    )
    return one, other


def _in_a_row(deals: NDArray[np.float32], time_axis: int) -> NDArray[np.float32]:
    """Put deals behind one another in time; without time there is one deal."""
    return np.concatenate(list(deals), axis=max(time_axis, 0))


def _named(what: str, report: Progress) -> Progress:
    """Say of what a report is."""
    return replace(report, message=f"{what}: {report.message}")

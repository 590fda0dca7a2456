"""The SIM image that a trained network finds in the frames of a stack."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Pattern, Progress
from napari_dps.core.context import Context
from napari_dps.methods.sim.evidence import REPORTS, messages_at, see_orders
from napari_dps.methods.sim.network import sim_image, sim_network_steps
from napari_dps.methods.turns import Running, average_of_turns_steps
from napari_dps.physics.resampling import resample

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.res_unet import SimImager


def image_steps(
    frames: torch.Tensor,
    image: ImageStack,
    patterns: Sequence[Pattern],
    network: SimImager,
    context: Context,
    *,
    average_turns: bool = True,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return the SIM image of the frames of one stack, on a grid twice as fine.

    Parameters and warnings are those of `napari_dps.methods.denoise.denoise_steps`, but
    for the network, and ``average_turns``: whether to average over turns of its input.

    Yields
    ------
    Progress

    Returns
    -------
    array (2 Y, 2 X), float32
        Counts, as a lens would show them that reaches to the finest frequency that the
        patterns bring into reach; frequencies that no order recorded are left out, and
        so is light without stripes.
    """
    angles, phases, height, width = frames.shape
    total = angles * phases + REPORTS + 1
    seen = yield from see_orders(frames, image, patterns, context, total)
    inputs = seen.inputs
    del seen

    def find(features: torch.Tensor, levels: torch.Tensor) -> tuple[torch.Tensor]:
        return (network(features, levels),)

    def run(features: torch.Tensor, *local_levels: torch.Tensor) -> Running:
        local = local_levels[0] if local_levels else None
        part = replace(inputs, features=features, local_levels=local)
        return (yield from sim_network_steps(find, part, context))[0]

    maps = [m for m in (inputs.features, inputs.local_levels) if m is not None]
    running = average_of_turns_steps(run, *maps) if average_turns else run(*maps)
    report = Progress(total - 1, total)
    fine = yield from messages_at(running, report)
    yield replace(report, message="Image")
    counts = sim_image(fine, inputs)[0] * inputs.scale
    result = resample(counts.cpu().numpy(), (2 * height, 2 * width))
    yield Progress(total, total, "Image")
    return result

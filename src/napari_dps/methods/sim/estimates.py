"""Linear estimates of an object from its orders: what the networks take."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from napari_dps.core import Progress
from napari_dps.core.at_once import at_once
from napari_dps.methods.sim.frames import Rim
from napari_dps.methods.sim.worth import WORTHS, resized, shares
from napari_dps.physics.sim.pattern_model import Orders, PatternModel
from napari_dps.physics.sim.spectrum import over_real

if TYPE_CHECKING:
    import torch

SMOOTH, SHARP = (1.0, 10.0), (0.2, 0.0)
"""Wiener parameter over the noise variance of order 0 of the smooth and the sharp
estimate: at frequency 0, and what is added at the cut-off (it grows as the square)."""
LEAST_PARAMETER = 5e-4


class Seen(NamedTuple):
    """Spectra of what orders say of an object, (B, 2Y, X + 1) each.

    Attributes
    ----------
    all, zero, others : tensor
        All of them, order 0 alone, and those but 0.
    """

    all: torch.Tensor
    zero: torch.Tensor
    others: torch.Tensor


def seen_steps(model: PatternModel, orders: Orders) -> Generator[Progress, None, Seen]:
    """Return what the orders say of the object."""
    import torch

    found = yield from model.back_projections_steps(orders)
    yield Progress(0, 1, "Spectra of the orders")
    zero, others = at_once(partial(torch.fft.rfft2, one) for one in found)
    return Seen(zero + others, zero, others)


def _estimates(
    model: PatternModel, seen: Seen, level: torch.Tensor, pads: Rim
) -> Generator[Progress, None, torch.Tensor]:
    """Return the linear estimates (B, 5, 2Y, 2X), that of `alone` last."""
    import torch

    variance = level[:, None, None] ** 2
    radius = model.radius
    smooth, sharp = (
        variance * (flat + slope * radius**2) + LEAST_PARAMETER
        for flat, slope in (SMOOTH, SHARP)
    )
    yield Progress(0, 1, "Reach of the orders")
    power = model.zero_power + model.others_power
    yield Progress(0, 1, "Linear estimates")
    wanted = (
        (seen.all, power, smooth),
        (seen.all, power, sharp),
        (seen.zero, model.zero_power, sharp),
        (seen.others, model.others_power, sharp),
        (seen.zero, model.zero_power, smooth),
    )
    left, right, top, bottom = (2 * pad for pad in pads)
    size = [2 * side for side in model.shape]
    inside = size[0] - top - bottom, size[1] - left - right
    # Filled one by one: of large images there is no room for all of them twice.
    result = torch.empty((len(seen.zero), len(wanted), *inside), device=level.device)
    filtering = at_once(partial(filtered, *one, size) for one in wanted)
    for index, image in enumerate(filtering):
        result[:, index] = crop_fine(image, pads)
        yield Progress(index + 1, len(wanted), "Linear estimates")
    return result


def filtered(
    spectrum: torch.Tensor,
    power: torch.Tensor,
    parameter: torch.Tensor,
    size: Sequence[int],
) -> torch.Tensor:
    """Return the image (…, *size) of a spectrum over a power and a parameter."""
    import torch

    image: torch.Tensor = torch.fft.irfft2(
        over_real(spectrum, power + parameter), s=list(size)
    )
    return image


def crop_fine(fine: torch.Tensor, pads: Rim) -> torch.Tensor:
    """Return what lies inside the rim, on the fine grid."""
    left, right, top, bottom = (2 * pad for pad in pads)
    return fine[..., top : fine.shape[-2] - bottom, left : fine.shape[-1] - right]


def mixed_estimates(
    model: PatternModel,
    seen: Seen,
    level: torch.Tensor,
    pads: Rim,
    worth: torch.Tensor | None,
) -> Generator[Progress, None, torch.Tensor]:
    """Return the estimates for the noise of each place, that of one time point told."""
    import torch

    if worth is None:
        return (yield from _estimates(model, seen, level, pads))
    fine = resized(worth, (2 * worth.shape[0], 2 * worth.shape[1]))
    mixed = torch.zeros(())
    for grade, share in zip(WORTHS, shares(fine), strict=True):
        if bool(share.any()):
            some = yield from _estimates(model, seen, level / math.sqrt(grade), pads)
            mixed = some.mul_(share).add_(mixed.to(some))
    return mixed

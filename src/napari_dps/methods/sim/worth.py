"""How many time points the pixels of a raw stack are worth, and what that changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_dps.core import ImageStack
from napari_dps.methods.sim.orders import Zoom

if TYPE_CHECKING:
    import torch

TIME_POINTS = "time_points"
"""Name of the map: the variance of the noise of one time point over what is left."""
WORTHS = (1.0, 2.0, 4.0, 7.0)
"""Numbers of time points for which a network's inputs are computed; between them they
are mixed. What is worth more counts as the last."""


def worth_of(image: ImageStack, device: torch.device) -> torch.Tensor | None:
    """Return the number of time points (Y, X) that a raw stack is worth, if it says.

    The noise of a single one must be known with it.
    """
    import torch

    values = image.maps.get(TIME_POINTS)
    if values is None or image.noise is None or image.noise.of_frame is None:
        return None
    plane = np.array(values.reshape(-1, *values.shape[-2:])[0], dtype=np.float32)
    return torch.from_numpy(plane).to(device).clamp(min=1)


def noise_of_one(
    image: ImageStack, zoom: Zoom, small: torch.Tensor
) -> tuple[float | None, torch.Tensor | None]:
    """Return the noise of a frame of one time point, and how many places are worth.

    Parameters
    ----------
    image : ImageStack
        A raw stack.
    zoom : Zoom
        To the pixels of ``small``.
    small : tensor (..., Y, X)
        Its frames at other pixels.

    Returns
    -------
    noise : float or None
    worth : tensor (Y, X) or None
        None where time points were not averaged.
    """
    worth = worth_of(image, small.device)
    if worth is None or image.noise is None or image.noise.of_frame is None:
        return None, None
    noise = image.noise.of_frame * math.sqrt(zoom.y * zoom.x)
    return noise, resized(worth, (small.shape[-2], small.shape[-1]))


def resized(worth: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Return the numbers (Y, X) at other pixels over the same area."""
    import torch.nn.functional as F

    return F.interpolate(
        worth[None, None], size=shape, mode="bilinear", align_corners=False
    )[0, 0]


def share_left(worth: torch.Tensor) -> float:
    """Return the mean of the variance of the noise over that of one time point."""
    return float((1 / worth).mean())


def noise_left_share(worth: torch.Tensor, light: torch.Tensor) -> float:
    """Return the mean of the noise's variance over that of one time point's noise.

    That of photons is as bright as the frames: where bright things move nothing is
    averaged away, and that counts for more than the dark around them.

    Parameters
    ----------
    worth : tensor (Y, X)
        Time points that each place is worth.
    light : tensor (Y, X)
        Mean of the frames, counts above the camera's offset.
    """
    bright = light.clamp(min=0)
    total = float(bright.sum())
    return float((bright / worth).sum()) / total if total > 0 else share_left(worth)


def level_at(
    level: float, image: ImageStack, device: torch.device
) -> float | torch.Tensor:
    """Return the noise of each place (Y, X) of a raw stack from that on average."""
    worth = worth_of(image, device)
    if worth is None:
        return level
    return level / (share_left(worth) * worth).sqrt()


def shares(worth: torch.Tensor) -> list[torch.Tensor]:
    """Return how much of what is computed for each of `WORTHS` counts at each place."""
    import torch

    inside, found = worth.clamp(WORTHS[0], WORTHS[-1]), []
    for index, grade in enumerate(WORTHS):
        share = torch.ones_like(inside)
        if index:
            below = WORTHS[index - 1]
            share = (inside - below) / (grade - below)
        if index + 1 < len(WORTHS):
            above = WORTHS[index + 1]
            share = torch.minimum(share, (above - inside) / (above - grade))
        found.append(share.clamp(min=0))
    return found

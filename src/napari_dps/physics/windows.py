"""Means over windows of images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_REACH = 3.0
"""Standard deviations after which a Gaussian ends."""


def blurred(image: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Return the mean of an image (Y, X) in a Gaussian window around each pixel.

    At the edges over what there is of the window.
    """
    down = _along(image, sigma_px)
    return _along(down.T, sigma_px).T


def _along(image: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Return the means along the first axis.

    By shifted sums: a convolution of a single channel takes several times as long.
    """
    import torch
    import torch.nn.functional as F

    edge = max(1, math.ceil(_REACH * sigma_px))
    place = torch.arange(-edge, edge + 1, device=image.device)
    kernel = torch.exp(-0.5 * (place / sigma_px) ** 2).tolist()
    length = len(image)
    padded = F.pad(image, (0, 0, edge, edge))
    inside = F.pad(torch.ones_like(image[:, :1]), (0, 0, edge, edge))
    total, weight = torch.zeros_like(image), torch.zeros_like(inside[:length])
    for first, share in enumerate(kernel):
        total.add_(padded[first : first + length], alpha=share)
        weight.add_(inside[first : first + length], alpha=share)
    return total / weight


def window_means(images: torch.Tensor, radius_px: int) -> torch.Tensor:
    """Return the means of images (N, Y, X) over the square around each pixel.

    At the edges over what there is of the square.
    """
    for axis in (-2, -1):
        images = _box_along(images.movedim(axis, 1), radius_px).movedim(1, axis)
    return images


def _box_along(images: torch.Tensor, radius_px: int) -> torch.Tensor:
    """Return the means along axis 1: sums of 1, 2, 4, ... put together."""
    import torch
    import torch.nn.functional as F

    length, needed = images.shape[1], 2 * radius_px + 1
    sums = F.pad(images, (0, 0, radius_px, radius_px))
    total, first, size = torch.zeros_like(images), 0, 1
    while True:
        if needed & size:
            total = total + sums[:, first : first + length]
            first += size
        if 2 * size > needed:
            break
        sums = sums[:, :-size] + sums[:, size:]
        size *= 2
    place = torch.arange(length, device=images.device)
    low = (place - radius_px).clamp(min=0)
    high = (place + radius_px).clamp(max=length - 1)
    return total / (high - low + 1)[:, None]


def eroded(weights: torch.Tensor) -> torch.Tensor:
    """Return the least of the weights (Y, X) of a pixel and its eight neighbours."""
    import torch.nn.functional as F

    return -F.max_pool2d(-weights[None], 3, stride=1, padding=1)[0]

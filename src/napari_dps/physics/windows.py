"""Means over windows of images, and quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_REACH = 3.0
"""Standard deviations after which a Gaussian ends."""
_BLOCK = 32
"""Rows or columns of which means are computed by one product of matrices."""


def blurred(image: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Return the mean of an image (Y, X) in a Gaussian window around each pixel.

    At the edges over what there is of the window.
    """
    import torch

    edge = max(1, math.ceil(_REACH * sigma_px))
    place = torch.arange(-edge, edge + 1, device=image.device)
    kernel = torch.exp(-0.5 * (place / sigma_px) ** 2)
    ones = torch.ones_like(image[:, :1]), torch.ones_like(image[:1])
    down = _sums_down(image, kernel) / _sums_down(ones[0], kernel)
    return _sums_across(down, kernel) / _sums_across(ones[1], kernel)


def _sums_down(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return the weighted sums of pixels above and below each, 0 beyond the edges.

    Products of matrices, `_BLOCK` rows at once: a convolution of a single channel, or
    sums of shifted images, take two to four times as long.
    """
    import torch
    import torch.nn.functional as F

    height, width = image.shape
    blocks, edge = -(-height // _BLOCK), len(kernel) // 2
    padded = F.pad(image, (0, 0, edge, edge + blocks * _BLOCK - height))
    shape = blocks, _BLOCK + 2 * edge, width
    parts = padded.as_strided(shape, (_BLOCK * width, width, 1))
    sums = torch.bmm(_band(kernel).expand(blocks, -1, -1), parts)
    return sums.flatten(0, 1)[:height]


def _sums_across(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return the weighted sums of pixels left and right of each."""
    import torch.nn.functional as F

    width = image.shape[1]
    blocks, edge = -(-width // _BLOCK), len(kernel) // 2
    padded = F.pad(image, (edge, edge + blocks * _BLOCK - width))
    reach = _BLOCK + 2 * edge
    # Copied into one matrix: overlapping parts would be multiplied row by row.
    parts = padded.unfold(1, reach, _BLOCK).reshape(-1, reach)
    return (parts @ _band(kernel).T).view(len(image), -1)[:, :width]


def _band(kernel: torch.Tensor) -> torch.Tensor:
    """Return the matrix (B, B + 2 e) that weighs around each of B = `_BLOCK` pixels."""
    import torch

    rows = torch.arange(_BLOCK, device=kernel.device)[:, None]
    columns = torch.arange(_BLOCK + len(kernel) - 1, device=kernel.device) - rows
    inside = (columns >= 0) & (columns < len(kernel))
    return kernel[columns.clamp(0, len(kernel) - 1)] * inside


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


def pooled(images: torch.Tensor) -> torch.Tensor:
    """Return the means of squares of 2 × 2 pixels of images (…, Y, X).

    At odd edges of what there is. By sums: a pooling layer takes ten times as long.
    """
    import torch

    if images.shape[-2] % 2:
        images = torch.cat([images, images[..., -1:, :]], dim=-2)
    if images.shape[-1] % 2:
        images = torch.cat([images, images[..., -1:]], dim=-1)
    rows = images[..., 0::2, :] + images[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]) / 4


def dilated(weights: torch.Tensor) -> torch.Tensor:
    """Return the largest of the weights (Y, X) of a pixel and its eight neighbours."""
    import torch

    down = weights.clone()
    torch.maximum(down[1:], weights[:-1], out=down[1:])
    torch.maximum(down[:-1], weights[1:], out=down[:-1])
    wide = down.clone()
    torch.maximum(wide[:, 1:], down[:, :-1], out=wide[:, 1:])
    torch.maximum(wide[:, :-1], down[:, 1:], out=wide[:, :-1])
    return wide


def eroded(weights: torch.Tensor) -> torch.Tensor:
    """Return the least of the weights (Y, X) of a pixel and its eight neighbours."""
    return -dilated(-weights)


def quantiles(values: torch.Tensor, shares: Sequence[float]) -> torch.Tensor:
    """Return quantiles (Q, B) of values (B, N).

    By numpy, on the CPU: torch sorts all values, which takes ten times as long.
    """
    import torch

    found = np.quantile(values.cpu().numpy(), shares, axis=1)
    return torch.from_numpy(found).to(values)

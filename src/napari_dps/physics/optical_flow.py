"""How far the content of one image lies displaced in another, place by place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_dps.core.at_once import at_once
from napari_dps.physics.windows import pooled, window_means

if TYPE_CHECKING:
    import torch

RADIUS_PX, FINE_RADIUS_PX = 10, 4
"""Half the edge of the window that moves as one, in even pixels: on each image of the
pyramid, and at last on the finest, held back by what the wider windows found."""
LEAST_RADIUS_PX = 2
"""The same of what moves by itself."""
LEAST_SIDE_PX = 24
"""Of the coarsest image of the pyramid."""
WARPS, FINE_WARPS = 3, 2
"""Iterations on each image of the pyramid, and with the narrower windows."""
WARPS_FROM = 1
"""Iterations with the wider windows where the way is known but for a rest."""


def optical_flow(
    reference: torch.Tensor,
    moving: torch.Tensor,
    stiffness: float = 0.0,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the displacement field from one image to another.

    Iterative Lucas–Kanade (Le Besnerais, Champagnat 2005): in a window around each
    pixel the displacement that explains the difference best by least squares, from
    coarse to fine, the moving image warped anew before each step. What a window has to
    explain are its differences to the image before it was warped, by a gradient times
    the displacement of each pixel: with those left after it, displacements that differ
    within a window grow from step to step [1]_. The displacement of the
    coarser image holds it back (a ridge), and gradients are those of the mean of both
    images: else noise would be followed.

    Parameters
    ----------
    reference, moving : tensor (Y, X), float32
        Of one brightness.
    stiffness : float
        Power of the gradient (counts² per pixel²) at which the displacement lies half
        way between that of the coarser images and that which fits best.
    start : tensor (2, Y, X), optional
        A displacement field that is off by about a pixel at most: the coarser images
        are left out.

    Returns
    -------
    tensor (2, Y, X)
        v along (y, x) in pixels: ``reference(r) ≈ moving(r + v)``.

    References
    ----------
    .. [1] Le Besnerais, Champagnat, IEEE ICIP 2005, doi:10.1109/ICIP.2005.1529706.
    """
    import torch
    import torch.nn.functional as F

    levels = [(reference[None, None], moving[None, None])]
    if start is None:
        while min(levels[-1][0].shape[-2:]) >= 2 * LEAST_SIDE_PX:
            fixed, other = map(pooled, levels[-1])
            levels.append((fixed, other))
        flow = torch.zeros(1, 2, *_halved(levels[-1][0]), device=reference.device)
        warps = WARPS
    else:
        flow, warps = pooled(start[None]), WARPS_FROM
    for level, (fixed, other) in reversed(list(enumerate(levels))):
        size = _halved(fixed)
        if flow.shape[-2:] != size:
            flow = 2 * F.interpolate(flow, size=size, mode="bilinear")
        coarser = flow
        for _ in range(warps):
            # The noise of a mean of 4 pixels is a quarter of theirs.
            flow = _step(fixed, other, flow, coarser, stiffness / 4**level, RADIUS_PX)
    coarser = flow
    for _ in range(FINE_WARPS):
        flow = _step(*levels[0], flow, coarser, stiffness, FINE_RADIUS_PX)
    return F.interpolate(flow, size=reference.shape[-2:], mode="bilinear")[0]


def narrowed_flow(
    reference: torch.Tensor,
    moving: torch.Tensor,
    flow: torch.Tensor,
    stiffness: float = 0.0,
) -> torch.Tensor:
    """Return a displacement field for what moves otherwise than its surroundings.

    In windows of the least size, held back by a flow that was found in wider ones. More
    than that flow it follows noise.

    Parameters
    ----------
    reference, moving, stiffness
        As for `optical_flow`.
    flow : tensor (2, Y, X)
        As from there.

    Returns
    -------
    tensor (2, Y, X)
    """
    import torch.nn.functional as F

    pair = reference[None, None], moving[None, None]
    coarser = narrow = pooled(flow[None])
    for _ in range(FINE_WARPS):
        narrow = _step(*pair, narrow, coarser, stiffness, LEAST_RADIUS_PX)
    return F.interpolate(narrow, size=reference.shape[-2:], mode="bilinear")[0]


def _step(
    fixed: torch.Tensor,
    other: torch.Tensor,
    flow: torch.Tensor,
    coarser: torch.Tensor,
    stiffness: float,
    radius_px: int,
) -> torch.Tensor:
    """Return the displacement of the window around every second pixel that fits best.

    Windows overlap: what moves is known well enough at every second pixel.
    """
    import torch
    import torch.nn.functional as F

    v = F.interpolate(flow, size=fixed.shape[-2:], mode="bilinear")
    warped = warp(other, v)
    y, x = torch.gradient((fixed + warped)[0, 0] / 2)
    missing = (fixed - warped)[0, 0] + y * v[0, 0] + x * v[0, 1]
    products = torch.stack([y * y, x * x, y * x, y * missing, x * missing])
    yy, xx, yx, dy, dx = window_means(pooled(products), radius_px // 2)
    back_y, back_x = stiffness * coarser[0]
    yy, xx, dy, dx = yy + stiffness, xx + stiffness, dy + back_y, dx + back_x
    determinant = yy * xx - yx * yx
    fits = determinant > 1e-12 * (yy + xx) ** 2
    safe = determinant.where(fits, determinant.new_ones(()))
    best = torch.stack([xx * dy - yx * dx, yy * dx - yx * dy]) / safe
    change = (best - flow[0]).where(fits, best.new_zeros(())).clamp(-1, 1)
    following: torch.Tensor = flow + change[None]
    return following


def _halved(images: torch.Tensor) -> tuple[int, int]:
    """Return the size of pooled images."""
    height, width = images.shape[-2:]
    return -(-height // 2), -(-width // 2)


def warp(
    image: torch.Tensor, flow: torch.Tensor, mode: str = "bilinear"
) -> torch.Tensor:
    """Return image(r + v) for images (1, C, Y, X) and flow (1, 2, Y, X), in pixels."""
    import torch
    import torch.nn.functional as F

    height, width = image.shape[-2:]
    y = (2 * torch.arange(height, device=image.device) + 1) / height - 1
    x = (2 * torch.arange(width, device=image.device) + 1) / width - 1
    moved = image.new_empty(image.shape)

    def move(rows: slice) -> None:
        grid = image.new_empty(1, rows.stop - rows.start, width, 2)
        torch.add(x, flow[:, 1, rows], alpha=2 / width, out=grid[..., 0])
        torch.add(y[rows, None], flow[:, 0, rows], alpha=2 / height, out=grid[..., 1])
        moved[..., rows, :] = F.grid_sample(
            image, grid, mode=mode, padding_mode="border", align_corners=False
        )

    parts = slice(0, height // 2), slice(height // 2, height)
    for _ in at_once(partial(move, rows) for rows in parts):
        pass
    return moved

"""How far the content of one image lies displaced in another, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dps.physics.windows import window_means

if TYPE_CHECKING:
    import torch

RADIUS_PX, FINE_RADIUS_PX = 10, 5
"""Half the edge of the window that moves as one: on each image of the pyramid, and at
last on the finest, held back by what the wider windows found."""
LEAST_SIDE_PX = 24
"""Of the coarsest image of the pyramid."""
WARPS, FINE_WARPS = 3, 2
"""Iterations on each image of the pyramid, and with the narrower windows."""


def optical_flow(
    reference: torch.Tensor, moving: torch.Tensor, stiffness: float = 0.0
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

    pyramid = [(reference[None, None], moving[None, None])]
    while min(pyramid[-1][0].shape[-2:]) >= 2 * LEAST_SIDE_PX:
        fixed, other = (F.avg_pool2d(one, 2, ceil_mode=True) for one in pyramid[-1])
        pyramid.append((fixed, other))
    flow = torch.zeros(1, 2, *pyramid[-1][0].shape[-2:], device=reference.device)
    for level, (fixed, other) in reversed(list(enumerate(pyramid))):
        size = fixed.shape[-2:]
        if flow.shape[-2:] != size:
            flow = 2 * F.interpolate(flow, size=size, mode="bilinear")
        coarser = flow
        for _ in range(WARPS):
            # The noise of a mean of 4 pixels is a quarter of theirs.
            flow = _step(fixed, other, flow, coarser, stiffness / 4**level, RADIUS_PX)
    coarser = flow
    for _ in range(FINE_WARPS):
        flow = _step(*pyramid[0], flow, coarser, stiffness, FINE_RADIUS_PX)
    return flow[0]


def _step(
    fixed: torch.Tensor,
    other: torch.Tensor,
    flow: torch.Tensor,
    coarser: torch.Tensor,
    stiffness: float,
    radius_px: int,
) -> torch.Tensor:
    """Return the displacement of the window around each pixel that fits best."""
    import torch

    warped = warp(other, flow)
    y, x = torch.gradient((fixed + warped)[0, 0] / 2)
    missing = (fixed - warped)[0, 0] + y * flow[0, 0] + x * flow[0, 1]
    products = torch.stack([y * y, x * x, y * x, y * missing, x * missing])
    yy, xx, yx, dy, dx = window_means(products, radius_px)
    back_y, back_x = stiffness * coarser[0]
    yy, xx, dy, dx = yy + stiffness, xx + stiffness, dy + back_y, dx + back_x
    determinant = yy * xx - yx * yx
    fits = determinant > 1e-12 * (yy + xx) ** 2
    safe = determinant.where(fits, determinant.new_ones(()))
    best = torch.stack([xx * dy - yx * dx, yy * dx - yx * dy]) / safe
    change = (best - flow[0]).where(fits, best.new_zeros(())).clamp(-1, 1)
    following: torch.Tensor = flow + change[None]
    return following


def warp(
    image: torch.Tensor, flow: torch.Tensor, mode: str = "bilinear"
) -> torch.Tensor:
    """Return image(r + v) for images (1, C, Y, X) and flow (1, 2, Y, X), in pixels."""
    import torch
    import torch.nn.functional as F

    height, width = image.shape[-2:]
    y = torch.arange(height, device=image.device)[:, None] + flow[:, 0]
    x = torch.arange(width, device=image.device) + flow[:, 1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    moved: torch.Tensor = F.grid_sample(
        image, grid, mode=mode, padding_mode="border", align_corners=False
    )
    return moved

"""Where in a frame there is how much noise: a times the light plus b."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.windows import blurred

if TYPE_CHECKING:
    import torch

BLOCK_PX = 8
"""Edge of the squares in which noise and light are compared."""
BEYOND = 1.1
"""Fraction of the cut-off from which on a frame holds noise alone."""
LEAST_SHARE = 0.05
"""Of all frequencies must lie there; and least local variance, of its mean."""
MOST_ERROR = 2.0
"""Factor by which the noise so found may miss that which is known: frames that were
interpolated have lost theirs beyond the cut-off."""


def local_variance(
    frames: torch.Tensor, noise: float, cutoff_per_pixel: float
) -> torch.Tensor:
    """Return the variance of the noise at each pixel over its mean.

    Beyond the cut-off the power of frames is that of their noise, place by place,
    whatever moves: a line is fitted through it against the light. Where it cannot be
    seen the noise is taken for that of photons.

    Parameters
    ----------
    frames : tensor (N, Y, X)
        Equally bright frames, counts above the camera's offset.
    noise : float
        Standard deviation of the noise of a frame.
    cutoff_per_pixel : float
        Of the detection.

    Returns
    -------
    tensor (Y, X)
        Of mean 1, `LEAST_SHARE` and more.
    """
    light = blurred(frames.mean(dim=0), 0.35 / cutoff_per_pixel).clamp(min=0)
    slope, constant = 1.0, 0.0
    fit = _line(frames, light, cutoff_per_pixel)
    if fit is not None:
        power = fit[0] * float(light.mean()) + fit[1]
        if noise**2 / MOST_ERROR < power < noise**2 * MOST_ERROR:
            slope, constant = fit
    variance = slope * light + constant
    mean = variance.mean()
    if mean <= 0:
        return variance.new_ones(variance.shape)
    variance = (variance / mean).clamp(min=LEAST_SHARE)
    return variance / variance.mean()


def _line(
    frames: torch.Tensor, light: torch.Tensor, cutoff_per_pixel: float
) -> tuple[float, float] | None:
    """Return a and b of the noise variance a·light + b; None where it is not seen."""
    import torch
    import torch.nn.functional as F

    y, x = (torch.fft.fftfreq(n, device=frames.device) for n in frames.shape[-2:])
    x = x[: frames.shape[-1] // 2 + 1].abs()
    beyond = torch.hypot(y[:, None], x) > BEYOND * cutoff_per_pixel
    share = float(beyond.float().mean())
    if share < LEAST_SHARE or min(frames.shape[-2:]) < BLOCK_PX:
        return None
    detail = torch.fft.irfft2(torch.fft.rfft2(frames) * beyond, s=frames.shape[-2:])
    power = detail.square().mean(dim=0) / share
    blocks = [
        F.avg_pool2d(image[None], BLOCK_PX).flatten().cpu().double().numpy()
        for image in (power, light)
    ]
    return _fitted(*blocks)


def _fitted(
    power: NDArray[np.float64], light: NDArray[np.float64]
) -> tuple[float, float]:
    """Fit a line, neither part below 0, each block weighted by its own variance."""
    slope, constant = 0.0, float(power.mean())
    for _ in range(4):
        weight = 1 / np.maximum(slope * light + constant, 1e-3 * power.mean() + 1e-30)
        root = np.sqrt(weight**2)
        design = np.stack([light, np.ones_like(light)], axis=1) * root[:, None]
        (slope, constant), *_ = np.linalg.lstsq(design, power * root, rcond=None)
        if constant < 0:
            slope, constant = (
                float((power * root) @ design[:, 0])
                / float(design[:, 0] @ design[:, 0]),
                0.0,
            )
        if slope < 0:
            slope, constant = 0.0, float(power.mean())
    return float(slope), float(constant)

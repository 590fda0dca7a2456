"""Data consistency: what the network gives is brought into line with the image."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING

from napari_dps.core import Progress
from napari_dps.methods.dps.input import Models
from napari_dps.physics.deconvolution.richardson_lucy import (
    richardson_lucy_depths_steps,
)

if TYPE_CHECKING:
    import torch

    from napari_dps.methods.dps.input import NetworkInput

CLEAR_CONTRAST = 4.0
"""Local contrast over its noise at which half of a correction is made."""
_NEIGHBOURHOOD_PX = 2.5
_TINY = 1e-6


def consistency_steps(
    sharp: torch.Tensor,
    inputs: NetworkInput,
    seen_width: float,
    iterations: int,
    models: Models | None = None,
) -> Generator[Progress, None, torch.Tensor]:
    """Iterate Richardson–Lucy from a network's result, where there is structure.

    The network knows what structures look like; the image knows what is there. Each
    iteration multiplies the result by the re-blurred ratio of the image to what the
    result would look like, so that structures gain the detail that the image supports.
    Where the local contrast is that of noise nothing is changed, so that noise is not
    brought up.

    Parameters
    ----------
    sharp : tensor (2Y, 2X), float32
        The network's result, in counts.
    inputs : NetworkInput
        What the network took.
    seen_width : float
        Width of the PSF of the result, of the image's; 0 for emitters.
    iterations : int
        0 returns the result itself.
    models : Models, optional
        Imaging models that were made before.

    Yields
    ------
    Progress

    Returns
    -------
    tensor (2Y, 2X), float32
        Counts.
    """
    if not iterations:
        return sharp
    height, width = inputs.image.shape
    model = (models or Models()).model((height, width), sharp.device, seen_width)
    share = clear_share(
        model.forward(model.extended(sharp)), inputs.noise * inputs.scale
    )
    counts = inputs.image * inputs.scale + inputs.base
    (result,) = yield from richardson_lucy_depths_steps(
        counts,
        model,
        (iterations,),
        start=sharp,
        share=share.repeat_interleave(2, 0).repeat_interleave(2, 1),
    )
    return result


def clear_share(light: torch.Tensor, noise: float) -> torch.Tensor:
    """Return where contrast is above the noise: 0 in even light, up to 1 in structure.

    c²/(1 + c²) with c the standard deviation of the expected light around a pixel over
    four times that of its noise, which is taken for shot noise.

    Parameters
    ----------
    light : tensor (Y, X), float32
        Expected counts.
    noise : float
        Standard deviation of the image's noise in counts, its mean over the image.

    Returns
    -------
    tensor (Y, X), float32
    """
    level = max(float(light.mean()), _TINY)
    sigma = noise * (_smooth(light).clamp(min=0) / level).sqrt()
    return contrast_share(light, sigma + _TINY / CLEAR_CONTRAST * level)


def contrast_share(light: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Return where contrast is above noise that is known everywhere.

    Parameters
    ----------
    light : tensor (Y, X), float32
        Expected counts.
    sigma : tensor (Y, X), float32
        Standard deviation of their noise, above 0.

    Returns
    -------
    tensor (Y, X), float32
        As `clear_share`.
    """
    mean = _smooth(light)
    contrast = (_smooth(light**2) - mean**2).clamp(min=0).sqrt()
    ratio = contrast / (CLEAR_CONTRAST * sigma)
    return ratio**2 / (1 + ratio**2)


def _smooth(image: torch.Tensor) -> torch.Tensor:
    """Blur (Y, X) by a Gaussian, with repeated edges."""
    import torch

    reach = math.ceil(3 * _NEIGHBOURHOOD_PX)
    offsets = torch.arange(-reach, reach + 1, device=image.device)
    kernel = torch.exp(-0.5 * (offsets / _NEIGHBOURHOOD_PX) ** 2)
    kernel = kernel / kernel.sum()
    padded = torch.nn.functional.pad(image[None, None], (reach,) * 4, mode="replicate")
    across = torch.nn.functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    smooth: torch.Tensor = torch.nn.functional.conv2d(across, kernel.view(1, 1, -1, 1))
    return smooth[0, 0]

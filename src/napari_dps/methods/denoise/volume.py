"""Denoising three-beam z-stacks: plane by plane, with what the planes know together."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from napari_dps.core import ImageStack, Progress, one_of
from napari_dps.core.context import Context
from napari_dps.core.planes import planes_of
from napari_dps.methods.denoise.steps import denoise_steps
from napari_dps.physics.otf3d import cap_height_per_nm
from napari_dps.physics.sim.volume_gains import VolumeGains

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.res_unet import SimDenoiser

AXIAL_SHARE = 0.5
"""Share of the axial frequency of the first order that is added to the height of the
OTF: what the frames hold above is all but noise."""
AXIAL_FADE = 0.3
"""Half the width of the edge of what is kept, over the frequency at which it lies."""
AXIAL_NOISE = 0.1
"""Variance of noise over that of structure for which planes are weighted: with more the
outermost planes lose structure, with less the others keep noise."""
AXIAL_STEPS = 401
"""Of the sum over axial frequencies."""
LEAST_WEIGHT = 1e-3
"""Less of a plane is left out."""
BYTES_PER_VOXEL = 60
"""Memory for each voxel of the stack while an order is transformed, as arrays add."""


def denoise_volume_steps(
    frames: torch.Tensor, image: ImageStack, network: SimDenoiser, context: Context
) -> Generator[Progress, None, torch.Tensor]:
    """Denoise the frames of a z-stack.

    The network sees planes without the axial frequencies that the lens cannot pass;
    what it then takes from the volume by mistake is measured on the frames as they
    were recorded, and made up for (`VolumeGains`).

    Parameters
    ----------
    frames : tensor (Z, A, P, Y, X), float32
        Counts above the camera's offset.
    image : ImageStack
        The same, with optics, z step and fitted patterns.
    network : SimDenoiser
        Trained, on the device of the frames.
    context : Context
        Receives the warnings of `denoise_steps`.

    Yields
    ------
    Progress

    Returns
    -------
    tensor (Z, A, P, Y, X), float32
        Counts.
    """
    import torch

    mixing = axial_band(image)
    planes = len(frames)
    clean = torch.empty_like(frames)
    for (z, plane), weights in zip(planes_of(image), mixing, strict=True):
        used = np.flatnonzero(weights)
        near = slice(int(used[0]), int(used[-1]) + 1)
        seen = torch.tensordot(
            torch.as_tensor(weights[near]).to(frames), frames[near], dims=([0], [0])
        )
        known = _smoother(plane, float(np.linalg.norm(weights)))
        running = denoise_steps(
            seen, known, image.patterns, network, context, recorded=frames[z]
        )
        clean[z] = yield from one_of(running, z, planes + 1)
    shape = planes, frames.shape[-2], frames.shape[-1]
    optics = image.require_optics("denoise")
    gains = VolumeGains(shape, image.patterns, optics)
    last = planes, planes + 1  # both halves take about as long as a plane
    found = yield from one_of(gains.measure_steps(frames, clean), *last)
    yield from one_of(gains.apply_steps(clean, found), *last)
    return clean


def axial_band(image: ImageStack) -> NDArray[np.float64]:
    """Return the weights (Z, Z) that leave planes the frequencies that a lens passes.

    Row z gives a plane as the best linear estimate from those of the stack (Wiener),
    for structure of any axial frequency that the lens passes and for white noise.
    Nothing is supposed of what lies beyond the ends of the stack.

    Parameters
    ----------
    image : ImageStack
        With optics, z step and patterns.
    """
    step_nm = image.z_step_nm or 0.0
    axial = [
        1 / order.axial_period_nm
        for pattern in image.patterns
        for order in pattern.orders
        if order.axial_period_nm
    ]
    highest = cap_height_per_nm(image.require_optics("denoise"))
    highest += AXIAL_SHARE * max(axial, default=0.0)
    height = np.linspace(0, 0.5 / step_nm, AXIAL_STEPS)
    edge = np.clip((1 + AXIAL_FADE - height / highest) / (2 * AXIAL_FADE), 0, 1)
    planes = np.arange(image.size("Z"))
    turns = 2 * math.pi * height * step_nm * planes[:, None]
    likeness = (np.sin(math.pi / 2 * edge) ** 2 * np.cos(turns)).mean(axis=1)
    structure = toeplitz(likeness / likeness[0])
    noisy = structure + AXIAL_NOISE * np.eye(len(planes))
    weights = np.linalg.solve(noisy, structure).T
    weights[np.abs(weights) < LEAST_WEIGHT] = 0  # most planes are far
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _smoother(plane: ImageStack, noise_left: float) -> ImageStack:
    """Return what is known of a plane whose noise was reduced to a share."""
    noise = plane.noise
    if noise is not None and noise.of_frame is not None:
        noise = replace(noise, of_frame=noise_left * noise.of_frame)
    # The noise that a camera's numbers tell is that of frames as they were recorded.
    return replace(plane, noise=noise, camera=None)

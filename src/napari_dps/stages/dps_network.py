"""From an image at canonical sampling to the network's inputs, and back to counts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress
from napari_dps.metrics.snr import noise_std
from napari_dps.physics.canonical import (
    CANONICAL_CUTOFF_PER_PIXEL,
    from_canonical,
    to_canonical,
)
from napari_dps.physics.deconvolution.model import ImagingModel
from napari_dps.physics.deconvolution.richardson_lucy import richardson_lucy_steps
from napari_dps.physics.otf import otf_2d
from napari_dps.stages.tiling import tiles

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.checkpoint import Checkpoint
    from napari_dps.nets.res_u_dbpn import ResUDBPN

OUTPUT_WIDTH = 0.5
"""Width of the PSF of features and of supervised results, of the input's width."""
TILE_PX = 448
OVERLAP_PX = 64
"""Image pixels: edge of a tile and overlap, multiples of the network's cells of 4 px;
the network sees less than 64 px to each side."""
_NOISE_FLOOR = 6.0
"""Full scale is at least this many standard deviations of the noise, so that an image
of noise alone stays far below the scale of an image with signal."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class NetworkInput:
    """What the network is given; multiply its output by ``scale`` to get counts.

    Attributes
    ----------
    image : tensor (Y, X), float32
        The image over ``scale``.
    features : tensor (F, 2Y, 2X), float32
        Richardson–Lucy results over ``scale``, blurred to the output's PSF.
    noise : float
        Standard deviation of the image's noise over ``scale``.
    scale : float
        Counts.
    """

    image: torch.Tensor
    features: torch.Tensor
    noise: float
    scale: float


def prepare_steps(
    image: NDArray[Any], iterations: Sequence[int], device: torch.device
) -> Generator[Progress, None, NetworkInput]:
    """Compute the network's inputs.

    Parameters
    ----------
    image : array (Y, X)
        Counts above the camera's offset, at canonical sampling; finite.
    iterations : sequence of int
        Depths of the accelerated Richardson–Lucy features, ascending; may be empty.
    device : torch.device
        Where to compute.

    Yields
    ------
    Progress

    Returns
    -------
    NetworkInput
    """
    import torch

    noise = noise_std(image, CANONICAL_CUTOFF_PER_PIXEL)
    scale = full_scale(image, noise)
    scaled = torch.from_numpy(np.asarray(image, dtype=np.float32) / scale).to(device)
    model = ImagingModel(
        (len(scaled), scaled.shape[1]), CANONICAL_CUTOFF_PER_PIXEL, device
    )
    features = [torch.empty((0, *(2 * side for side in scaled.shape)), device=device)]
    for depth in iterations:
        sharp = yield from richardson_lucy_steps(scaled, model, depth)
        features.append(_blur_to_output(sharp)[None])
    return NetworkInput(scaled, torch.cat(features), noise / scale, scale)


def full_scale(image: NDArray[Any], noise: float) -> float:
    """Return the counts that become 1: the 99.9th percentile, above a noise floor.

    Of the image smoothed by a Gaussian of one pixel, so that single pixels do not
    count; at least six standard deviations of the noise.

    Parameters
    ----------
    image : array (Y, X)
        Counts.
    noise : float
        Standard deviation of its noise in counts.

    Returns
    -------
    float
        Above 0, even for an image of zeros.

    Examples
    --------
    >>> full_scale(np.full((8, 8), 200.0), noise=3.0)
    200.0
    >>> full_scale(np.zeros((8, 8)), noise=3.0)
    18.0
    """
    smooth = scipy.ndimage.gaussian_filter(np.asarray(image, dtype=np.float32), 1.0)
    return max(float(np.percentile(smooth, 99.9)), _NOISE_FLOOR * noise, _TINY)


def sharpen_steps(
    image: NDArray[Any], optics: Optics, checkpoint: Checkpoint, device: torch.device
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen an image with a trained network, through canonical sampling.

    Parameters
    ----------
    image : array (Y, X)
        Counts above the camera's offset; finite; any size.
    optics : Optics
        Of the image, with its pixel size and modulation factor.
    checkpoint : Checkpoint
        The network and its recipe.
    device : torch.device
        Where to compute.

    Yields
    ------
    Progress

    Returns
    -------
    array (2 Y, 2 X), float32
        Counts in the brightness of the image (an even image keeps its value).
    """
    canonical = to_canonical(image, optics)
    depths = checkpoint.metadata.rl_iterations
    given = yield from prepare_steps(canonical, depths, device)
    sharp = yield from network_steps(checkpoint.network(device), given)
    height, width = image.shape
    return from_canonical(sharp.cpu().numpy(), (2 * height, 2 * width))


def network_steps(
    network: ResUDBPN, given: NetworkInput
) -> Generator[Progress, None, torch.Tensor]:
    """Run the network tile by tile, so that memory does not grow with the image.

    Tiles overlap by more than the network sees, so they join without a seam.

    Yields
    ------
    Progress
        After each tile.

    Returns
    -------
    tensor (2Y, 2X), float32
        Counts.
    """
    import torch

    height, width = given.image.shape
    result = torch.empty((2 * height, 2 * width), device=given.image.device)
    parts = list(tiles((height, width), tile_px=TILE_PX, overlap_px=OVERLAP_PX))
    for done, tile in enumerate(parts, 1):
        fine = tile.finer(2)
        result[fine.write] = _run(network, given, *tile.read)[fine.keep]
        yield Progress(done, len(parts), "Network")
    return result * given.scale


def _run(
    network: ResUDBPN, given: NetworkInput, rows: slice, columns: slice
) -> torch.Tensor:
    """Return the network's output (2Y, 2X) for a part of the image."""
    import torch

    fine = [slice(2 * side.start, 2 * side.stop) for side in (rows, columns)]
    features = given.features[:, fine[0], fine[1]][None]
    noise = torch.tensor([given.noise], device=given.image.device)
    with torch.inference_mode():
        out: torch.Tensor = network(
            given.image[rows, columns][None, None],
            features if features.shape[1] else None,
            noise if network.settings["noise_input"] else None,
        )
    return out[0, 0].clone()


def _blur_to_output(sharp: torch.Tensor) -> torch.Tensor:
    """Blur (2Y, 2X) by the PSF of the output, with mirrored edges."""
    import torch

    height, width = sharp.shape
    pad = min(16, height - 1, width - 1)
    padded = torch.nn.functional.pad(sharp[None, None], (pad,) * 4, mode="reflect")[
        0, 0
    ]
    shape = (padded.shape[0], padded.shape[1])
    cutoff = CANONICAL_CUTOFF_PER_PIXEL / 2 / OUTPUT_WIDTH
    otf = otf_2d(shape, cutoff, half_plane=True).astype(np.float32)
    spectrum = torch.fft.rfft2(padded) * torch.from_numpy(otf).to(sharp.device)
    blurred: torch.Tensor = torch.fft.irfft2(spectrum, s=shape)
    return blurred[pad : pad + height, pad : pad + width].clamp(min=0)

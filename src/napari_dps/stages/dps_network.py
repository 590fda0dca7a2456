"""From an image at canonical sampling to the network's inputs, and back to counts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress, one_of
from napari_dps.core.progress import PART_TICKS
from napari_dps.physics.canonical import (
    CANONICAL_CUTOFF_PER_PIXEL,
    canonical_zoom,
    from_canonical,
    to_canonical,
)
from napari_dps.physics.deconvolution.richardson_lucy import (
    richardson_lucy_depths_steps,
)
from napari_dps.physics.otf import otf_2d
from napari_dps.stages.base import Context
from napari_dps.stages.dps_consistency import Models, consistency_steps
from napari_dps.stages.tiling import Tile, TileNeeds, require_memory, tiled_steps

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.checkpoint import CheckpointMetadata
    from napari_dps.nets.res_u_dbpn import ResUDBPN

OUTPUT_WIDTH = 0.4
"""Width of the PSF of features and of supervised results, of the input's width."""
TILES = TileNeeds("DPS network", overlap_px=32, bytes_per_px=550, tile_px=576)
"""In canonical pixels. The network sees 31 px to each side (a test measures it); 490 to
540 bytes a pixel were measured at 256² to 1024²."""
BYTES_PER_PX = 320
"""Memory at the peak of the whole, for each canonical pixel: 310 to 340 were measured
at 1600² and 3200². Richardson–Lucy extrapolates by a number that all pixels decide,
so it is not done in tiles."""
_NOISE_FLOOR = 10.0
"""Full scale is at least this many standard deviations of the noise, so that an image
of noise alone stays far below the scale of an image with signal."""
_BASE_PERCENTILE = 1.0
_BASE_SIGMA_PX = 2.0
_PAD_PX = 16
_PARTS = 3
"""Of the progress: features, network, data consistency."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Sharpener:
    """A network on its device, its weights' description, and what a run shares."""

    metadata: CheckpointMetadata
    network: ResUDBPN
    device: torch.device
    models: Models = field(default_factory=Models)
    context: Context = field(default_factory=Context)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkInput:
    """What the network is given: counts less ``base``, over ``scale``.

    Attributes
    ----------
    image : tensor (Y, X), float32
        The image.
    features : tensor (F, 2Y, 2X), float32
        Richardson–Lucy results, blurred to the output's PSF.
    noise : float
        Standard deviation of the image's noise over ``scale``.
    scale, base : float
        Counts.
    """

    image: torch.Tensor
    features: torch.Tensor
    noise: float
    scale: float
    base: float


def prepare_steps(
    image: NDArray[Any],
    iterations: Sequence[int],
    device: torch.device,
    noise: float,
    models: Models | None = None,
) -> Generator[Progress, None, NetworkInput]:
    """Compute the network's inputs.

    What lies beyond the cut-off is noise alone and is taken away, so that images look
    the same to the network whatever grid they were recorded on.

    Parameters
    ----------
    image : array (Y, X)
        Counts above the camera's offset, at canonical sampling; finite.
    iterations : sequence of int
        Depths of the accelerated Richardson–Lucy features, ascending; may be empty.
    device : torch.device
        Where to compute.
    noise : float
        Standard deviation of its noise in counts, as if it were white.
    models : Models, optional
        Imaging models that were made before.

    Yields
    ------
    Progress

    Returns
    -------
    NetworkInput
    """
    import torch

    total = max(iterations, default=1)
    counts = torch.from_numpy(np.asarray(image, dtype=np.float32)).to(device)
    counts = within_cutoff(counts)
    yield Progress(0, total, "Scale")
    base, scale = base_and_scale(counts.cpu().numpy(), noise)
    yield Progress(0, total, "Imaging model")
    features = [torch.empty((0, *(2 * side for side in counts.shape)), device=device)]
    if iterations:
        model = (models or Models()).model((counts.shape[0], counts.shape[1]), device)
        depths = yield from richardson_lucy_depths_steps(counts, model, iterations)
        sharp = change_width(torch.stack(depths), 0, OUTPUT_WIDTH)
        features.append((sharp - base) / scale)
    return NetworkInput(
        (counts - base) / scale, torch.cat(features), noise / scale, scale, base
    )


def base_and_scale(
    image: NDArray[Any],
    noise: float,
    *,
    base_sigma_px: float = _BASE_SIGMA_PX,
    least_noises: float = _NOISE_FLOOR,
) -> tuple[float, float]:
    """Return the counts that become 0, and how many above them become 1.

    The 1st and the 99.9th percentile of the smoothed image, so that neither noise nor
    single pixels count.

    Parameters
    ----------
    image : array (Y, X)
        Counts.
    noise : float
        Standard deviation of its noise in counts.
    base_sigma_px : float
        Of the Gaussian that the image is smoothed by for the base; one pixel for the
        scale.
    least_noises : float
        Standard deviations of the noise that the scale is at least.

    Returns
    -------
    base, scale : float
        The scale is above 0, even for an image of one value.

    Examples
    --------
    >>> base_and_scale(np.full((8, 8), 200.0), noise=3.0)
    (200.0, 30.0)
    """
    counts = np.asarray(image, dtype=np.float32)
    dim = scipy.ndimage.gaussian_filter(counts, base_sigma_px)
    base = float(np.percentile(dim, _BASE_PERCENTILE))
    bright = float(np.percentile(scipy.ndimage.gaussian_filter(counts, 1.0), 99.9))
    return base, max(bright - base, least_noises * noise, _TINY * max(abs(base), 1))


def sharpen_steps(
    image: NDArray[Any],
    optics: Optics,
    sharpener: Sharpener,
    *,
    noise: float,
    iterations: int,
    width: float,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen an image with a trained network, through canonical sampling.

    Parameters
    ----------
    image : array (Y, X)
        Counts above the camera's offset; finite; any size.
    optics : Optics
        Of the image, with its pixel size and modulation factor.
    sharpener : Sharpener
        The network.
    noise : float
        Standard deviation of the image's noise in counts, as if it were white.
    iterations : int
        Of data consistency; see `dps_consistency.consistency_steps`.
    width : float
        Of the PSF of the result, of that of the image, below 1; not less than what the
        network was trained for.

    Yields
    ------
    Progress

    Returns
    -------
    array (2 Y, 2 X), float32
        Counts in the brightness of the image (an even image keeps its value).
    """
    zoom = canonical_zoom(optics)
    require_memory("dps", image.shape, zoom**2 * BYTES_PER_PX, sharpener.device)
    yield Progress(0, _PARTS * PART_TICKS, "Canonical sampling")
    canonical = to_canonical(image, optics)
    depths = sharpener.metadata.rl_iterations
    # White noise of as much power at the frequencies of the image.
    level = noise * canonical_zoom(optics)
    preparing = prepare_steps(
        canonical, depths, sharpener.device, level, sharpener.models
    )
    given = yield from one_of(preparing, 0, _PARTS)
    running = network_steps(sharpener.network, given, sharpener.context)
    sharp = yield from one_of(running, 1, _PARTS)
    trained = sharpener.metadata.output_width
    yield Progress(2 * PART_TICKS, _PARTS * PART_TICKS, "Data consistency")
    refining = consistency_steps(sharp, given, trained, iterations, sharpener.models)
    sharp = yield from one_of(refining, 2, _PARTS)
    seen = change_width(sharp, trained, max(width, trained))
    rows, columns = (2 * side for side in image.shape)
    return from_canonical(seen.cpu().numpy(), (rows, columns))


def network_steps(
    network: ResUDBPN, given: NetworkInput, context: Context
) -> Generator[Progress, None, torch.Tensor]:
    """Run the network tile by tile, so that memory does not grow with the image.

    Parameters
    ----------
    network : ResUDBPN
        In evaluation mode.
    given : NetworkInput
        Of one image.
    context : Context
        For the size of the tiles.

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

    device = given.image.device
    height, width = given.image.shape
    result = torch.empty((2 * height, 2 * width), device=device)

    def work(tile: Tile) -> None:
        fine = tile.finer(2)
        result[fine.write] = _run(network, given, *tile.read)[fine.keep]

    yield from tiled_steps((height, width), TILES, work, context, device)
    return result * given.scale + given.base


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


def change_width(fine: torch.Tensor, start: float, end: float) -> torch.Tensor:
    """Return images as they look under a wider PSF, with mirrored edges.

    Parameters
    ----------
    fine : tensor (…, 2Y, 2X)
        On the 2× grid of canonical sampling.
    start, end : float
        Width of the PSF that they are seen through, and of the one wanted, of the
        width of the image's own; 0 is an object of emitters.

    Returns
    -------
    tensor (…, 2Y, 2X)
    """
    if start == end:
        return fine
    cutoff = CANONICAL_CUTOFF_PER_PIXEL / 2

    def transfer(shape: tuple[int, int]) -> NDArray[np.float64]:
        wanted = otf_2d(shape, cutoff / end, half_plane=True)
        if not start:
            return wanted
        # The wider PSF's OTF ends before the other's does: nothing divides by 0.
        known = otf_2d(shape, cutoff / start, half_plane=True)
        ratio: NDArray[np.float64] = wanted / np.where(wanted > 0, known, 1)
        return ratio

    return _filtered(fine, transfer)


def within_cutoff(image: torch.Tensor) -> torch.Tensor:
    """Return (Y, X) without what lies beyond the cut-off."""

    def disc(shape: tuple[int, int]) -> NDArray[np.float64]:
        passed = otf_2d(shape, CANONICAL_CUTOFF_PER_PIXEL, half_plane=True)
        return np.ceil(passed)

    return _filtered(image, disc)


def _filtered(
    images: torch.Tensor, transfer: Callable[[tuple[int, int]], NDArray[np.float64]]
) -> torch.Tensor:
    """Multiply spectra by a function of the padded shape; edges are mirrored."""
    import torch

    height, width = images.shape[-2:]
    pad = min(_PAD_PX, height - 1, width - 1)
    flat = images.reshape(1, -1, height, width)
    padded = torch.nn.functional.pad(flat, (pad,) * 4, mode="reflect")
    shape = (padded.shape[-2], padded.shape[-1])
    weights = torch.from_numpy(transfer(shape).astype(np.float32)).to(images.device)
    filtered: torch.Tensor = torch.fft.irfft2(
        torch.fft.rfft2(padded) * weights, s=shape
    )
    inside = filtered[..., pad : pad + height, pad : pad + width]
    return inside.reshape(images.shape)

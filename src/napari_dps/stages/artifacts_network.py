"""From a reconstruction to the artefact remover's input, and back to counts."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress
from napari_dps.metrics.snr import noise_std
from napari_dps.physics.canonical import from_canonical, to_canonical
from napari_dps.stages.dps_network import full_scale
from napari_dps.stages.tiling import tiles

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.artifact_remover import ArtifactRemover

TILE_PX = 320
OVERLAP_PX = 64
"""Edge of a tile and overlap, multiples of the network's `MULTIPLE`; the network sees
less than 64 px to each side."""
_LEAST_SIDE_PX = 4


def noise_level(image: NDArray[Any]) -> float:
    """Return how rough an image is, as the artefact remover is told.

    Parameters
    ----------
    image : array (Y, X)
        At canonical sampling; finite.

    Returns
    -------
    float
        `noise_std` of the finest detail, in the unit of the image: of white noise its
        standard deviation, of a reconstruction's noise in proportion to it. 0 for
        images below 4 × 4.
    """
    return noise_std(image) if min(image.shape) >= _LEAST_SIDE_PX else 0.0


def artifacts_steps(
    image: NDArray[Any], optics: Optics, network: ArtifactRemover, device: torch.device
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Find what is to be taken from a reconstruction.

    Parameters
    ----------
    image : array (Y, X)
        Counts; finite; any size.
    optics : Optics
        Of the image, with its pixel size and modulation factor.
    network : ArtifactRemover
        Trained, on ``device``.
    device : torch.device
        Where to compute.

    Yields
    ------
    Progress

    Returns
    -------
    array (Y, X), float32
        The artefacts in counts: subtract them. Nothing finer than canonical sampling
        holds is touched.
    """
    import torch

    canonical = to_canonical(image, optics)
    noise = noise_level(canonical)
    scale = full_scale(canonical, noise)
    scaled = torch.from_numpy(canonical / np.float32(scale)).to(device)
    told = torch.tensor([noise / scale], dtype=torch.float32, device=device)
    found = torch.empty_like(scaled)
    parts = list(
        tiles((len(scaled), scaled.shape[1]), tile_px=TILE_PX, overlap_px=OVERLAP_PX)
    )
    for done, tile in enumerate(parts):
        yield Progress(done, len(parts), "Removing artefacts")
        part = scaled[tile.read][None, None]
        found[tile.write] = (part - _clean(network, part, told))[0, 0][tile.keep]
    shape = (image.shape[0], image.shape[1])
    artifacts = from_canonical(found.cpu().numpy() * np.float32(scale), shape)
    yield Progress(len(parts), len(parts), "Removed artefacts")
    return artifacts


def _clean(
    network: ArtifactRemover, part: torch.Tensor, told: torch.Tensor
) -> torch.Tensor:
    import torch

    with torch.inference_mode():
        clean: torch.Tensor = network(part, told)[0]
    return clean.clone()

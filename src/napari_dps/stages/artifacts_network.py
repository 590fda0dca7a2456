"""From a reconstruction to the artefact remover's input, and back to counts."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress
from napari_dps.metrics.snr import noise_std
from napari_dps.physics.canonical import from_canonical, to_canonical
from napari_dps.stages.dps_network import base_and_scale
from napari_dps.stages.tiling import tiles

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.artifact_remover import ArtifactRemover

TILE_PX = 320
OVERLAP_PX = 64
"""Edge of a tile and overlap, multiples of the network's `MULTIPLE`; the network sees
less than 64 px to each side."""
_LEAST_SIDE_PX = 4
_SIGMA_PX, _LEAST_NOISES = 1.0, 6.0
"""For the scale of its input; see `dps_network.base_and_scale`."""


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


@dataclass(frozen=True, slots=True, eq=False)
class RemoverInput:
    """What the artefact remover is given of an image.

    Attributes
    ----------
    image : array (Y, X), float32
        The image less its floor, over ``scale``: neither light that is everywhere nor
        the unit matters.
    noise : float
        `noise_level` over ``scale``.
    floor, scale : float
        Counts.
    """

    image: NDArray[np.float32]
    noise: float
    floor: float
    scale: float


def prepare_image(image: NDArray[Any]) -> RemoverInput:
    """Bring an image at canonical sampling to the remover's scale.

    Parameters
    ----------
    image : array (Y, X)
        Counts; finite.

    Returns
    -------
    RemoverInput

    Examples
    --------
    >>> halves = np.repeat([[100.0, 300.0]], 32, axis=1) + np.zeros((64, 1))
    >>> given = prepare_image(halves)
    >>> round(given.floor), round(given.scale)
    (100, 200)
    """
    counts = np.asarray(image, dtype=np.float32)
    noise = noise_level(counts)
    floor, scale = base_and_scale(
        counts, noise, base_sigma_px=_SIGMA_PX, least_noises=_LEAST_NOISES
    )
    above = counts - np.float32(floor)
    return RemoverInput(above / np.float32(scale), noise / scale, floor, scale)


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
    given = prepare_image(canonical)
    scaled = torch.from_numpy(given.image).to(device)
    told = torch.tensor([given.noise], dtype=torch.float32, device=device)
    found = torch.empty_like(scaled)
    parts = list(
        tiles((len(scaled), scaled.shape[1]), tile_px=TILE_PX, overlap_px=OVERLAP_PX)
    )
    for done, tile in enumerate(parts):
        yield Progress(done, len(parts), "Removing artefacts")
        part = scaled[tile.read][None, None]
        found[tile.write] = (part - _clean(network, part, told))[0, 0][tile.keep]
    shape = (image.shape[0], image.shape[1])
    artifacts = from_canonical(found.cpu().numpy() * np.float32(given.scale), shape)
    yield Progress(len(parts), len(parts), "Removed artefacts")
    return artifacts


def _clean(
    network: ArtifactRemover, part: torch.Tensor, told: torch.Tensor
) -> torch.Tensor:
    import torch

    with torch.inference_mode():
        clean: torch.Tensor = network(part, told)[0]
    return clean.clone()

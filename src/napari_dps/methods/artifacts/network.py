"""From a reconstruction to the artefact remover's input, and back to counts."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress
from napari_dps.core.context import Context
from napari_dps.core.tiling import Tile, TileNeeds, tiled_steps
from napari_dps.methods.dps.input import base_and_scale
from napari_dps.metrics.snr import noise_std
from napari_dps.physics.canonical import from_canonical, to_canonical

if TYPE_CHECKING:
    from napari_dps.nets.architectures.artifact_remover import ArtifactRemover

TILES = TileNeeds("artefact remover", overlap_px=48, bytes_per_px=250, tile_px=768)
"""In canonical pixels. The network sees 48 px to each side (a test measures it); 210
bytes a pixel were measured at 512² and 1024², 370 at 256². Of tiles of 320 px more than
a third is overlap."""
_LEAST_SIDE_PX = 4
_SIGMA_PX, _LEAST_NOISES = 1.0, 6.0
"""For the scale of its input; see `napari_dps.methods.dps.input.base_and_scale`."""


def noise_level(image: NDArray[Any]) -> float:
    """Return how rough an image is, for the artefact remover.

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
    """What the artefact remover takes of an image.

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


def network_input(image: NDArray[Any]) -> RemoverInput:
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
    >>> inputs = network_input(halves)
    >>> round(inputs.floor), round(inputs.scale)
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
    image: NDArray[Any], optics: Optics, network: ArtifactRemover, context: Context
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Find what is to be taken from a reconstruction.

    Parameters
    ----------
    image : array (Y, X)
        Counts; finite; any size.
    optics : Optics
        Optics with the image's pixel size and modulation factor.
    network : ArtifactRemover
        Trained, on the device to compute on.
    context : Context
        For the size of the tiles.

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

    from napari_dps.nets.architectures.artifact_remover import MULTIPLE

    device = next(network.parameters()).device
    inputs = network_input(to_canonical(image, optics, multiple=MULTIPLE))
    scaled = torch.from_numpy(inputs.image).to(device)
    noise = torch.tensor([inputs.noise], dtype=torch.float32, device=device)
    found = torch.empty_like(scaled)

    def work(tile: Tile) -> None:
        part = scaled[tile.read][None, None]
        with torch.inference_mode():
            removed = part - network(part, noise)[0]
        found[tile.write] = removed[0, 0][tile.keep]

    yield Progress(0, 1, "Removing artefacts")
    size = (len(scaled), scaled.shape[1])
    yield from tiled_steps(size, TILES, work, context, device)
    shape = (image.shape[0], image.shape[1])
    return from_canonical(found.cpu().numpy() * np.float32(inputs.scale), shape)

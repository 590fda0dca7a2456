"""Reconstructions with little light: the noise remover's input, and back to counts."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress
from napari_dps.core.context import Context
from napari_dps.core.tiling import Tile, TileNeeds, tiled_steps
from napari_dps.methods.dps.optics import RECONSTRUCTION_WIDTH
from napari_dps.methods.reconstruction_noise import (
    CANONICAL_EDGE_PER_PX,
    Spectra,
    filtered,
    most_noise,
    noise_map,
    noise_spectra,
    structure_and_noise,
)
from napari_dps.metrics.spectrum import is_flat
from napari_dps.physics.resampling import resample

if TYPE_CHECKING:
    from napari_dps.nets.architectures.noise_remover import NoiseRemover

TILES = TileNeeds("noise remover", overlap_px=48, bytes_per_px=400, tile_px=320)
"""In canonical pixels. The network sees 39 px to each side (a test measures it)."""
_COARSE_SIGMA_PX = 6.0
"""Of the Gaussian below whose frequencies nothing is taken away, canonical pixels."""
LEAST_SIDE_PX = 16
"""Of an image at canonical sampling; in a smaller one noise cannot be measured."""
SMOOTHINGS = (0.3, 1.5, 8.0)
"""Noise that the linear filters reckon with, over that measured."""
_FLOOR_QUANTILE = 0.3
"""Of the noise by place: the noise of the darker parts, which is the unit."""
_LEAST_NOISE = 5e-4
"""Unit over the brightness of the image: less noise is not told from none."""
_LEAST_LOCAL = 0.3
"""Least local noise over the unit."""
_BRIGHT = 99.9
"""Percentile that is taken for the brightness."""
_SURELY = 0.8
"""Below that share of a noise an image has less of it, whatever chance does."""
_BANDS = (0.3, 0.5, 0.7, 0.9)
"""Frequencies over the edge at which the network is told of noise and power."""
_HONEYCOMB = 0.8
"""Frequency over the edge at which honeycombs are."""
NUMBERS = 2 + 2 * len(_BANDS)
"""Numbers that describe a whole image to the network."""


@dataclass(frozen=True, slots=True, eq=False)
class LowLightInput:
    """What the noise remover takes of an image.

    Attributes
    ----------
    bases : array (B, Y, X), float32
        The image less ``level``, over ``unit``, and what linear filters make of it,
        less and less of its noise. Negative values stay.
    local : array (Y, X), float32
        Noise near the spectrum's edge by place, over ``unit``.
    numbers : array (K,), float32
        Decimal logarithms: brightness over ``unit``; how uneven the noise is over the
        directions; its power at some frequencies over their mean; noise over power
        there.
    level, unit : float
        Counts: the median, and the noise of the darker parts.
    brightness : float
        Counts: the 99.9th percentile over the median, at least ``unit``.
    noise : float
        Standard deviation of all the noise over the brightness.
    """

    bases: NDArray[np.float32]
    local: NDArray[np.float32]
    numbers: NDArray[np.float32]
    level: float
    unit: float
    brightness: float
    noise: float


def low_light_input(image: NDArray[Any]) -> LowLightInput | None:
    """Measure the noise of an image at canonical sampling, and bring it to that scale.

    Neither the unit of the image nor light that is everywhere matters.

    Parameters
    ----------
    image : array (Y, X)
        Counts; finite; the edge of its spectrum at `CANONICAL_EDGE_PER_PX`.

    Returns
    -------
    LowLightInput or None
        None for an image without any noise or structure, or too small to measure.
    """
    counts = np.asarray(image, dtype=np.float32)
    if min(counts.shape) < LEAST_SIDE_PX or is_flat(counts):
        return None
    level = float(np.median(counts))
    brightness = float(np.percentile(counts, _BRIGHT)) - level
    local = noise_map(counts, CANONICAL_EDGE_PER_PX)
    unit = max(float(np.quantile(local, _FLOOR_QUANTILE)), _LEAST_NOISE * brightness)
    if unit <= 0:
        return None
    scaled = (counts - np.float32(level)) / np.float32(unit)
    spectra = noise_spectra(scaled)
    return LowLightInput(
        np.stack([scaled, *_smoothed(scaled, spectra)]),
        np.maximum(local / np.float32(unit), np.float32(_LEAST_LOCAL)),
        _numbers(brightness / unit, spectra),
        level,
        unit,
        max(brightness, unit),
        math.sqrt(float(spectra.noise.mean())) * unit / max(brightness, unit),
    )


def may_be_noisy(image: NDArray[Any], noise: float) -> bool:
    """Return whether an image may have as much noise; in a tenth of the time.

    Parameters
    ----------
    image : array (Y, X)
        As `low_light_input` takes it.
    noise : float
        Standard deviation over the brightness.
    """
    counts = np.asarray(image, dtype=np.float32)
    if min(counts.shape) < LEAST_SIDE_PX or is_flat(counts):
        return False
    brightness = float(np.percentile(counts, _BRIGHT) - np.median(counts))
    return most_noise(counts) > _SURELY * noise * brightness


def _smoothed(
    scaled: NDArray[np.float32], spectra: Spectra
) -> list[NDArray[np.float32]]:
    """Return Wiener-filtered images: S/(S + c N) at every frequency."""
    structure, noise = structure_and_noise(spectra)
    return [
        filtered(scaled, structure / (structure + smoothing * noise))
        for smoothing in SMOOTHINGS
    ]


def _numbers(brightness: float, spectra: Spectra) -> NDArray[np.float32]:
    bands = [spectra.near(share * CANONICAL_EDGE_PER_PX) for share in _BANDS]
    power, noise = np.log10(np.array(bands)).T
    uneven = spectra.unevenness(_HONEYCOMB * CANONICAL_EDGE_PER_PX)
    values = [
        np.log10(max(brightness, 1e-3)),
        np.log10(uneven),
        *(noise - noise.mean()),
        *(noise - power),
    ]
    return np.asarray(values, dtype=np.float32)


def low_light_steps(
    inputs: LowLightInput,
    shape: tuple[int, int],
    network: NoiseRemover,
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Find what is to be taken from a reconstruction.

    Parameters
    ----------
    inputs : LowLightInput
        The image at canonical sampling; see `canonical_shape`.
    shape : (int, int)
        Rows and columns of the image.
    network : NoiseRemover
        Trained, on the device to compute on.
    context : Context
        For the size of the tiles.

    Yields
    ------
    Progress

    Returns
    -------
    array (Y, X), float32
        Noise and artefacts in counts: subtract them. Nothing finer than canonical
        sampling holds is touched.
    """
    import torch

    device = next(network.parameters()).device
    bases, local = (
        torch.from_numpy(a).to(device) for a in (inputs.bases, inputs.local)
    )
    numbers = torch.from_numpy(inputs.numbers).to(device)[None]
    found = torch.empty_like(local)

    def work(tile: Tile) -> None:
        part = bases[(slice(None), *tile.read)][None]
        with torch.inference_mode():
            clean = network(part, local[tile.read][None, None], numbers)[0]
            removed = part[:, :1] - clean
        found[tile.write] = removed[0, 0][tile.keep]

    yield Progress(0, 1, "Removing noise")
    size = (len(local), local.shape[1])
    yield from tiled_steps(size, TILES, work, context, device)
    removed = _without_coarse_light(found.cpu().numpy()) * np.float32(inputs.unit)
    return resample(removed, shape)


def _without_coarse_light(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep the counts: noise, honeycombs and stripes have no coarse light."""
    coarse = scipy.ndimage.gaussian_filter(found, _COARSE_SIGMA_PX, mode="reflect")
    return np.asarray(found - coarse, dtype=np.float32)


def edge_of(optics: Optics) -> float:
    """Return where the spectrum of a reconstruction ends, cycles per pixel.

    Parameters
    ----------
    optics : Optics
        With the modulation factor of the reconstruction; 1: an image of the lens alone.

    Examples
    --------
    >>> lens = Optics(na=1.4, emission_nm=560, pixel_size_nm=50)
    >>> sim = lens.model_copy(update={"modulation_factor": 1.74})
    >>> round(edge_of(lens), 4), round(edge_of(sim), 4)
    (0.25, 0.5)
    """
    lens = optics.cutoff_per_pixel
    if optics.modulation_factor == 1:
        return lens
    return lens * optics.modulation_factor / RECONSTRUCTION_WIDTH

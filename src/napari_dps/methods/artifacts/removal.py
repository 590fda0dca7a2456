"""What is to be taken from a reconstruction: one network for faults, one for noise."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress, one_of
from napari_dps.core.context import Context
from napari_dps.core.device import resolve_device
from napari_dps.methods.artifacts.low_light import (
    edge_of,
    low_light_input,
    low_light_steps,
    may_be_noisy,
)
from napari_dps.methods.artifacts.network import artifacts_steps
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.methods.networks import load_network
from napari_dps.methods.reconstruction_noise import canonical_shape
from napari_dps.nets.checkpoint import shipped_weights
from napari_dps.physics.resampling import resample

WEIGHTS = "artifacts"
LOW_LIGHT_WEIGHTS = "artifacts-low-light"
"""Names of the shipped weights."""
BETWEEN = (0.08, 0.11)
"""Noise over brightness up to which an image is for the one network, and from which it
is for the other; both were tried on images of other structures than they learned."""


PLAIN_BETWEEN = (0.12, 0.18)
"""The same of images that are no reconstructions, for the network of noise or for none.
On 240 simulated widefield and confocal images it loses up to 3 dB below, gains 2 dB on
average at 0.12 and loses no more than 0.3 dB from 0.15 on."""


def low_light_share(noise: float, between: tuple[float, float] = BETWEEN) -> float:
    """Return how far an image is for the network of noise, 0 to 1.

    Parameters
    ----------
    noise : float
        Its standard deviation over the brightness of the image.
    between : (float, float)
        Noise of no share, and of all.

    Examples
    --------
    >>> [round(low_light_share(noise), 2) for noise in (0.02, 0.08, 0.1, 0.11, 0.4)]
    [0.0, 0.0, 0.7, 1.0, 1.0]
    """
    low, high = between
    part = math.log(max(noise, low) / low) / math.log(high / low)
    return min(part, 1.0)


def removal_steps(
    image: NDArray[Any], optics: Optics, context: Context, *, plain: bool = False
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Find what is to be taken from a reconstruction, by the network for its noise.

    Parameters
    ----------
    image : array (Y, X)
        Counts; finite; any size.
    optics : Optics
        Optics with the image's pixel size and modulation factor.
    context : Context
        For device, networks and the size of the tiles.
    plain : bool
        Whether it is no reconstruction: it has no artefacts, and noise is taken from it
        where that is strong and white, as a camera's.

    Yields
    ------
    Progress

    Returns
    -------
    array (Y, X), float32
        What is no structure, in counts: subtract it.
    """
    device = resolve_device(context.device)
    shape = (image.shape[0], image.shape[1])
    yield Progress(0, 1, "Measuring the noise")
    sampled = resample(image, canonical_shape(shape, edge_of(optics)))
    is_noisy = may_be_noisy(sampled, BETWEEN[0])
    inputs = low_light_input(sampled) if is_noisy else None
    share = low_light_share(inputs.noise) if inputs else 0.0
    if plain and inputs:
        noise = _camera_noise(image, optics) / inputs.brightness
        share = low_light_share(noise, PLAIN_BETWEEN)
    found = np.zeros(shape, np.float32)
    networks = 2 if 0 < share < 1 and not plain else 1
    if share < 1 and not plain:
        path = shipped_weights(WEIGHTS)
        general, _ = load_network(context, path, device, "artifact_remover")
        removing = artifacts_steps(image, optics, general, context)
        part = yield from one_of(removing, 0, networks)
        found += np.float32(1 - share) * part
    if inputs and share > 0:
        path = shipped_weights(LOW_LIGHT_WEIGHTS)
        special, _ = load_network(context, path, device, "noise_remover")
        removing = low_light_steps(inputs, shape, special, context)
        part = yield from one_of(removing, networks - 1, networks)
        found += np.float32(share) * part
    yield Progress(1, 1, "Noise and artefacts found")
    return found


def _camera_noise(image: NDArray[Any], optics: Optics) -> float:
    """Return the standard deviation of white noise, 0 where the noise is not white."""
    counts = np.asarray(image, dtype=np.float32)
    if not is_raw(counts):
        return 0.0
    return measured_noise(counts, optics.cutoff_per_pixel, white=True)

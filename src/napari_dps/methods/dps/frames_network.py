"""The network of the stage ``dps`` on raw SIM frames: fed by their likelihood.

What Richardson–Lucy on one image is to the network of images, Richardson–Lucy on all
raw frames at once is to this one: two of its iterates, before and after noise comes up,
from which the network tells structure. The raw frames have the last word again.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Progress, one_of
from napari_dps.core.device import give_back
from napari_dps.methods.dps.input import (
    OUTPUT_WIDTH,
    Models,
    NetworkInput,
    scaled,
)
from napari_dps.methods.dps.joint import begin_steps, climb_steps, depth_of
from napari_dps.methods.dps.network import Sharpener, dps_network_steps
from napari_dps.methods.dps.raw_scene import RawScene
from napari_dps.methods.dps.recording import Recording
from napari_dps.physics.canonical import to_canonical

if TYPE_CHECKING:
    import torch

    from napari_dps.core.context import Context

DEPTH, DEPTH_EXPONENT = 5.0, 0.35
LEAST_ITERATIONS, MOST_ITERATIONS = 5, 64
"""Iterations of the last feature at one photon in the brightest structure, the power of
the photons that they follow, and their bounds. Of such objects the most like the truth
are, on simulated stacks of microtubules, ER, nuclear pores and glyphs at 50, 200 and
1000 photons, those after 15 to 50, 30 to 90 and 45 to 90; the network tells noise from
structure, so a little less is enough."""
FEATURE_SHARES = (0.4, 1.0)
"""Iterations of each feature over those of the last."""
CELL_PX = 4
"""Canonical pixels along the edge of the network's largest cells."""
LAST_SHARE = 0.5
"""Iterations from the network's result on, over those without it. On simulated stacks
half to all of them are best, by .1 dB; on the real time-lapse of ER the likeness to its
authors' image falls slowly, by .002 from none to half, by .011 to all."""


@dataclass(frozen=True, slots=True, eq=False)
class Climbed:
    """Raw frames whose likelihood was climbed.

    Attributes
    ----------
    scene : RawScene
        Frames and model, stripes fitted.
    found : tuple of tensor (2 Y, 2 X), float32
        Objects, over the mean of the frames.
    """

    scene: RawScene
    found: Sequence[torch.Tensor]


def climbed_steps(
    raw: Recording, image: NDArray[np.float32], context: Context
) -> Generator[Progress, None, Climbed]:
    """Climb the likelihood of raw frames from their reconstruction on.

    Parameters
    ----------
    raw : Recording
        The frames, with the patterns found on them.
    image : array (2 Y, 2 X), float32
        The reconstruction, in counts.
    context : Context
        Device, measured OTF.

    Yields
    ------
    Progress

    Raises
    ------
    FramesUnusable
        As of `napari_dps.methods.dps.joint.joint_steps`.
    """
    scene, thing = yield from begin_steps(raw, image, context)
    found = yield from climb_steps(scene, thing, feature_depths(scene.photons))
    return Climbed(scene, found)


def feature_depths(photons: float) -> tuple[int, ...]:
    """Return the iterations of the features, by the light.

    Examples
    --------
    >>> [feature_depths(photons) for photons in (10, 200, 5000)]
    [(4, 11), (13, 32), (26, 64)]
    """
    most = min(max(DEPTH * photons**DEPTH_EXPONENT, LEAST_ITERATIONS), MOST_ITERATIONS)
    return tuple(round(share * most) for share in FEATURE_SHARES)


def sharpen_climbed_steps(
    climbed: Climbed,
    image: NDArray[np.float32],
    optics: Optics,
    sharpener: Sharpener,
    *,
    noise: float,
    strength: float,
    width: float,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen a reconstruction by what the likelihood of its raw frames shows.

    Parameters
    ----------
    climbed : Climbed
        The frames.
    image : array (2 Y, 2 X), float32
        The reconstruction, in counts.
    optics : Optics
        That stand for the reconstruction, at its pixel size.
    sharpener : Sharpener
        A network that was trained on such features.
    noise : float
        Standard deviation of the noise of the reconstruction, in counts.
    strength : float
        0 to 1; more iterations of data consistency.
    width : float
        Width of the PSF of the result over that of an ideal reconstruction.

    Yields
    ------
    Progress

    Returns
    -------
    array (4 Y, 4 X), float32
        Counts; without the light that is not modulated.
    """
    scene, context = climbed.scene, sharpener.context
    give_back(image.shape)
    # Whole cells of the network: nothing has to be filled up.
    canonical = to_canonical(image, optics, multiple=CELL_PX)
    features = features_of(climbed, image, optics, canonical.shape)
    del climbed
    inputs = network_input(
        canonical,
        features,
        scene.clear_photons,
        noise,
        sharpener.device,
        sharpener.models,
    )
    del features
    working = dps_network_steps(sharpener.network, inputs, context)
    sharp = yield from one_of(working, 0, 2)
    # Memory: on a large plane each of these is a good part of the whole.
    del inputs, working
    scene, thing = scene.begin(sharp.cpu().numpy(), seen_per_pixel(optics))
    del sharp
    give_back(image.shape)
    depth = max(round(LAST_SHARE * depth_of(scene.photons, strength)), 1)
    climbing = climb_steps(scene, thing, (depth,), share=scene.share(thing), refits=())
    found = yield from one_of(climbing, 1, 2)
    return scene.seen(found[-1], scene.raw.shown_per_pixel(width))


def features_of(
    climbed: Climbed,
    image: NDArray[np.float32],
    optics: Optics,
    shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Return objects as the network's features.

    Parameters
    ----------
    climbed : Climbed
        Objects.
    image : array (2 Y, 2 X), float32
        The reconstruction, in counts.
    optics : Optics
        That stand for the reconstruction, at its pixel size.
    shape : tuple of int
        (Y', X') of the reconstruction at canonical sampling.

    Returns
    -------
    array (F, 2 Y', 2 X'), float32
        Counts, through a PSF of `OUTPUT_WIDTH` of the width of the reconstruction's.
    """
    scene, cutoff = climbed.scene, seen_per_pixel(optics)
    rest = scene.rest_series(image, climbed.found[-1])
    fine = 2 * shape[0], 2 * shape[1]
    features = np.empty((len(climbed.found), *fine), np.float32)
    for number, thing in enumerate(climbed.found):
        features[number] = scene.seen(thing, cutoff, fine, beside=rest)
    return features


def seen_per_pixel(optics: Optics) -> float:
    """Return the cut-off that features and result are seen through.

    In cycles per pixel of a frame, twice as wide as that of the reconstruction.
    """
    return 2 * optics.cutoff_per_pixel * optics.modulation_factor / OUTPUT_WIDTH


def network_input(
    image: NDArray[np.float32],
    features: NDArray[np.float32],
    photons: float,
    noise: float,
    device: torch.device | None = None,
    models: Models | None = None,
) -> NetworkInput:
    """Return what the network takes.

    Parameters
    ----------
    image : array (Y, X), float32
        The reconstruction at canonical sampling, in counts.
    features : array (F, 2 Y, 2 X), float32
        As of `features_of`; may be overwritten.
    photons : float
        Of the brightest structure in a pixel of a frame: their root stands for the
        signal over the noise.
    noise : float
        Standard deviation of the noise of the image, in counts.
    device : torch.device, optional
        Where the network computes; the CPU by default.
    models : Models, optional
        That were made before.
    """
    import torch

    device = device or torch.device("cpu")
    counts, base, scale = scaled(image, noise, device, models or Models())
    fine = torch.from_numpy(features).to(device).sub_(base).div_(scale)
    return NetworkInput((counts - base) / scale, fine, photons**-0.5, scale, base)

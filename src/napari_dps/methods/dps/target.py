"""What a method of the stage ``dps`` is given: an image, its optics, its noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import ImageStack, Optics, Progress
from napari_dps.core.context import Context
from napari_dps.methods.dps.lapse import Lapse, lapse_around
from napari_dps.methods.dps.noise import LEAST_SIDE_PX, cleaned
from napari_dps.methods.dps.optics import effective_optics

if TYPE_CHECKING:
    from napari_dps.methods.dps.recording import Recording

RECONSTRUCTION_NOISE = 0.03
"""Least noise level that the network takes after `reconstruct`, of the brightest
structure: what denoising and Wiener filter leave is ripples as smooth as structure,
which no measurement of noise sees. Less, and it draws threads along them."""
RECONSTRUCTION_GAIN = 1.1
"""What the cut-off is multiplied by for the network after `reconstruct`: on simulated
reconstructions of three structures 1.0 sharpens too much, 1.2 too little."""

CAUTIOUS_WIDTH, SHARP_WIDTH = 0.5, 0.4
"""Width of the PSF of the network's result at strength 0 and 1, of the image's."""
CAUTIOUS_FRAMES_WIDTH = 0.6
"""That at strength 0 where the raw frames are fitted: half the width by default, as far
as the frames carry."""

STRENGTH_SPAN = 4.0
"""Iterations of deconvolution at strength 1 (0) over (under) those at the default."""

NOISE_EXPONENT = 0.35
"""Power of signal over noise that the best number of iterations follows: on simulated
held-out structures 8, 12 and 16 at 40, 200 and 2000 photons."""

RL_REFERENCE = 3.1
"""Iterations of Richardson–Lucy at a signal of one noise."""

MOST_ITERATIONS = 400
BEST_SIGNAL_TO_NOISE = 300.0
"""More signal than this makes no difference: rounding and the optics' errors rule."""

PROCESSED_SHARE = 0.6
"""Iterations for an image that was reconstructed or filtered, over those for one of a
camera with as much noise: its noise is as smooth as structure and its PSF is less
certain. Best on simulated reconstructions are 3 at 50 photons to 9 at 2000."""

DECONVOLUTION_GAIN = 1.38
"""What that cut-off is multiplied by for deconvolution. The Wiener filter levels the
OTF at low frequencies and ends it early, unlike any lens: a lens as wide boosts too
much. On simulated reconstructions of four structures at 50 to 2000 photons
Richardson-Lucy does best with 1.3 to 1.5."""


class FramesUnusable(Exception):
    """Raw frames that cannot be fitted, and why."""


OTHER_STRIPES = (
    "the raw frames do not agree with the stripes that were found: "
    "they are not used for data consistency"
)
TOO_LITTLE_MEMORY = (
    "too little memory is free for data consistency with the raw frames: the "
    "reconstruction alone is used"
)
"""Why they cannot be."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageToSharpen:
    """One image, its optics and its noise, and how a method is to sharpen it.

    Attributes
    ----------
    image : array (Y, X), float32
        Counts above the camera's offset.
    optics : Optics
        With the pixel size of the image and the modulation factor to assume.
    strength : float
        0 to 1.
    noise : float
        Standard deviation of the noise, in counts.
    signal_to_noise : float
        See `signal_to_noise`.
    context : Context
        Device, warnings, cache.
    weights : str
        Weights of the network: shipped ones by name, or a file.
    average_turns : bool
        Whether the network works on the image turned in all ways.
    is_raw : bool
        Whether the noise is white, as in an image that comes from a camera.
    is_reconstructed : bool
        Whether it is a SIM reconstruction, by its history or its spectrum.
    raw_frames : Recording or None
        Those it was reconstructed from, if they are to count.
    lapse : Lapse or None
        Its neighbours in time, if they are to count.
    """

    image: NDArray[np.float32]
    optics: Optics
    strength: float
    noise: float
    signal_to_noise: float
    context: Context
    weights: str
    average_turns: bool = False
    is_raw: bool = True
    is_reconstructed: bool = False
    raw_frames: Recording | None = None
    lapse: Lapse | None = None

    @property
    def cutoff_per_pixel(self) -> float:
        """Cut-off of the OTF to deconvolve with, in cycles per pixel.

        2 mf NA/λ, times `DECONVOLUTION_GAIN` after `reconstruct`.
        """
        gain = DECONVOLUTION_GAIN if self.is_reconstructed else 1.0
        return gain * self.optics.cutoff_per_pixel * self.optics.modulation_factor

    @property
    def width(self) -> float:
        """Width of the PSF of the result over that of the image, by the strength."""
        return CAUTIOUS_WIDTH + self.strength * (SHARP_WIDTH - CAUTIOUS_WIDTH)

    @property
    def frames_width(self) -> float:
        """As `width`, where the raw frames are fitted: of an ideal reconstruction's."""
        return frames_width(self.strength)

    def iterations(self, reference: float, exponent: float) -> int:
        """Return the accelerated iterations that suit the noise and the strength."""
        share = 1.0 if self.is_raw else PROCESSED_SHARE
        return iterations_for(
            self.signal_to_noise, self.strength, share * reference, exponent
        )


def target_of(
    image: ImageStack,
    context: Context,
    *,
    weights: str,
    strength: float = 0.5,
    average_turns: bool = False,
    raw_frames: Recording | None = None,
    time_continuity: float = 1.0,
) -> ImageToSharpen:
    """Return an image as methods take it: cleaned, with its optics and its noise.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics; counts above the camera's offset.
    context : Context
        Device, cache, neighbours in time; warned of hot pixels.
    weights, strength, average_turns, raw_frames
        As of `ImageToSharpen`.
    time_continuity : float
        Weight of the neighbours in time.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    optics = effective_optics(image)
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    data, noise, is_white = cleaned(image, cutoff, context)
    return ImageToSharpen(
        data,
        optics,
        strength,
        noise,
        signal_to_noise(data, noise),
        context,
        weights=weights,
        average_turns=average_turns,
        is_raw=is_white,
        is_reconstructed=image.is_reconstruction,
        raw_frames=raw_frames,
        lapse=lapse_around(time_continuity, cutoff, context),
    )


def signal_to_noise(image: NDArray[np.float32], noise: float) -> float:
    """Return the brightest structure over the noise.

    The 99.9th percentile over the median, of the image smoothed by a Gaussian of one
    pixel, so that noise is not taken for structure. 1 to `BEST_SIGNAL_TO_NOISE`; 1 for
    images too small to measure the noise in.
    """
    if min(image.shape) < LEAST_SIDE_PX:
        return 1.0
    if noise <= 0:
        return BEST_SIGNAL_TO_NOISE
    return min(max(_signal(image) / noise, 1.0), BEST_SIGNAL_TO_NOISE)


def _signal(image: NDArray[np.float32]) -> float:
    smooth = scipy.ndimage.gaussian_filter(image, 1.0)
    middle, bright = np.percentile(smooth, [50, 99.9])
    return float(bright - middle)


def frames_width(strength: float) -> float:
    """Return the width of the PSF of a result that raw frames were fitted for.

    Parameters
    ----------
    strength : float
        0 to 1.

    Returns
    -------
    float
        Over that of an ideal reconstruction.
    """
    return CAUTIOUS_FRAMES_WIDTH + strength * (SHARP_WIDTH - CAUTIOUS_FRAMES_WIDTH)


Method = Callable[[ImageToSharpen], Generator[Progress, None, NDArray[np.float32]]]


def iterations_for(
    signal_to_noise: float, strength: float, reference: float, exponent: float
) -> int:
    """Return how many accelerated iterations suit the noise and the strength wanted."""
    wanted = reference * math.pow(signal_to_noise, exponent)
    wanted *= math.pow(STRENGTH_SPAN, 2 * strength - 1)
    return min(max(round(wanted), 2), MOST_ITERATIONS)


def of_a_reconstruction(target: ImageToSharpen) -> ImageToSharpen:
    """Return the noise level that suits an image made by `reconstruct`."""
    return replace(
        target,
        noise=reconstruction_noise(target.image, target.noise),
        signal_to_noise=min(target.signal_to_noise, 1 / RECONSTRUCTION_NOISE),
        optics=network_optics(target.optics),
    )


def network_optics(optics: Optics) -> Optics:
    """Return the optics that the network takes for those of a reconstruction."""
    factor = RECONSTRUCTION_GAIN * optics.modulation_factor
    return optics.model_copy(update={"modulation_factor": factor})


def reconstruction_noise(image: NDArray[np.float32], noise: float) -> float:
    """Return the noise that the network takes of an image made by `reconstruct`.

    Parameters
    ----------
    image : array (Y, X), float32
        Counts.
    noise : float
        As measured, in counts.

    Returns
    -------
    float
        At least `RECONSTRUCTION_NOISE` of the brightest structure.
    """
    return max(noise, RECONSTRUCTION_NOISE * _signal(image))

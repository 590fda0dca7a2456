"""Stage ``dps``: a sharper image on a 2× finer grid, by the image-formation model."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from pydantic import Field

from napari_dps.core import ImageStack, Optics, Pattern, Progress, StageParameters
from napari_dps.stages.base import Context, Stage

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.deconvolution.model import ImagingModel

STRENGTH_SPAN = 4.0
"""Iterations at strength 1 (0) over (under) those at the default."""

NOISE_EXPONENT = 0.35
"""Power of signal over noise that the best number of iterations follows: on simulated
held-out structures 8, 12 and 16 at 40, 200 and 2000 photons."""

MOST_ITERATIONS = 400
BEST_SIGNAL_TO_NOISE = 300.0
"""More signal than this is not told apart: rounding and the optics' errors rule."""

PROCESSED_SHARE = 0.6
"""Iterations for an image that was reconstructed or filtered, over those for one of a
camera with as much noise: its noise is as smooth as structure and its PSF is known less
well. Best on simulated reconstructions are 3 at 50 photons to 9 at 2000."""

COLOURED_NOISE = 5.0
"""Noise of a reconstruction at low frequencies over what is measured after binning 2×2
(2 for the binning; 2.5 on simulated reconstructions, where it was 2 to 8)."""

RECONSTRUCTION_WIDTH = 0.87
"""Cut-off of the lens whose PSF is as wide as that of our reconstruction, over the
finest frequency that the patterns bring into reach. Measured on simulated
reconstructions against their truth: 0.868 to 0.878 for microtubules and endoplasmic
reticulum at 300 to 2000 photons, with and without haze."""

DECONVOLUTION_GAIN = 1.38
"""What that cut-off is multiplied by for deconvolution. The Wiener filter levels the
OTF at low frequencies and ends it early, unlike any lens: a lens as wide boosts too
much. On simulated reconstructions of four structures at 50 to 2000 photons
Richardson-Lucy does best with 1.3 to 1.5."""

SPARSE_CONTINUITY = 0.75
"""Weight of the Hessian in standard deviations of the noise (tuned on simulations)."""
SPARSE_SPARSITY = 0.2
"""Weight of the L1 norm over that of the Hessian: more dims faint structures."""

_LEAST_SIDE_PX = 4
_LEAST_WHITE_PX = 16


class DpsParameters(StageParameters):
    """Parameters of the stage ``dps``."""

    method: Literal["rl", "sparse"] = Field(
        default="sparse",
        title="Method",
        description="sparse: sparse-Hessian deconvolution, which also denoises. "
        "rl: Richardson-Lucy, accelerated: four times as fast, noisier.",
    )
    strength: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title="Strength",
        description="From cautious (0) to sharp (1); sharper brings up noise. What it "
        "stands for follows the noise measured in the image.",
    )
    psf: Literal["stated", "measured"] = Field(
        default="stated",
        title="PSF",
        description="stated: as the optics and patterns say. measured: as wide as the "
        "image itself shows, where it can tell; else as stated, with a warning.",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a method is given: one image, and all that is known of it.

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
    context : Context
        Device, warnings, cache.
    is_raw : bool
        Whether the noise is white, as in an image that comes from a camera.
    is_reconstructed : bool
        Whether the modulation factor follows from the patterns of `reconstruct`.
    """

    image: NDArray[np.float32]
    optics: Optics
    strength: float
    noise: float
    context: Context
    is_raw: bool = True
    is_reconstructed: bool = False

    @property
    def cutoff_per_pixel(self) -> float:
        """Cut-off of the OTF to deconvolve with, in cycles per pixel.

        2 mf NA/λ, times `DECONVOLUTION_GAIN` after `reconstruct`.
        """
        gain = DECONVOLUTION_GAIN if self.is_reconstructed else 1.0
        return gain * self.optics.cutoff_per_pixel * self.optics.modulation_factor

    @property
    def signal_to_noise(self) -> float:
        """The brightest structure (99.9th percentile over the median) over the noise.

        Of the image smoothed by a Gaussian of one pixel, so that neither noise nor hot
        pixels are taken for structure. 1 to `BEST_SIGNAL_TO_NOISE`.
        """
        smooth = scipy.ndimage.gaussian_filter(self.image, 1.0)
        middle, bright = np.percentile(smooth, [50, 99.9])
        if self.noise <= 0:
            return BEST_SIGNAL_TO_NOISE
        return min(max(float(bright - middle) / self.noise, 1.0), BEST_SIGNAL_TO_NOISE)

    def iterations(self, reference: float) -> int:
        """Return the accelerated iterations that suit the noise and the strength."""
        share = 1.0 if self.is_raw else PROCESSED_SHARE
        return iterations_for(self.signal_to_noise, self.strength, share * reference)


Method = Callable[[Task], Generator[Progress, None, NDArray[np.float32]]]


def iterations_for(signal_to_noise: float, strength: float, reference: float) -> int:
    """Return how many accelerated iterations suit the noise and the strength wanted."""
    wanted = reference * math.pow(signal_to_noise, NOISE_EXPONENT)
    wanted *= math.pow(STRENGTH_SPAN, 2 * strength - 1)
    return min(max(round(wanted), 2), MOST_ITERATIONS)


def richardson_lucy(task: Task) -> Generator[Progress, None, NDArray[np.float32]]:
    """Deconvolve by accelerated Richardson–Lucy."""
    from napari_dps.physics.deconvolution.richardson_lucy import richardson_lucy_steps

    steps = richardson_lucy_steps(
        _on_device(task), _model(task), task.iterations(reference=3.1)
    )
    result = yield from steps
    return np.asarray(result.cpu().numpy())


def sparse_hessian(task: Task) -> Generator[Progress, None, NDArray[np.float32]]:
    """Denoise by continuity and sparsity, then deconvolve."""
    from napari_dps.physics.deconvolution.sparse_hessian import (
        SparseSettings,
        sparse_hessian_steps,
    )

    settings = SparseSettings(
        continuity=SPARSE_CONTINUITY * task.noise,
        sparsity=SPARSE_SPARSITY,
        iterations=task.iterations(reference=3.5),
    )
    result = yield from sparse_hessian_steps(
        _on_device(task), task.cutoff_per_pixel, settings
    )
    return np.asarray(result.cpu().numpy())


METHODS: dict[str, Method] = {"rl": richardson_lucy, "sparse": sparse_hessian}
"""What each value of the parameter ``method`` runs."""


def _on_device(task: Task) -> torch.Tensor:
    import torch

    from napari_dps.core.device import resolve_device

    return torch.from_numpy(task.image).to(resolve_device(task.context.device))


def _model(task: Task) -> ImagingModel:
    """Return the imaging model, kept from plane to plane."""
    from napari_dps.core.device import resolve_device
    from napari_dps.physics.deconvolution.model import ImagingModel

    shape = (task.image.shape[0], task.image.shape[1])
    device = resolve_device(task.context.device)
    key = ("imaging model", shape, task.cutoff_per_pixel, device)
    if key not in task.context.cache:
        task.context.cache[key] = ImagingModel(shape, task.cutoff_per_pixel, device)
    model: ImagingModel = task.context.cache[key]
    return model


def effective_optics(image: ImageStack, purpose: str = "dps") -> Optics:
    """Return the optics with the modulation factor to assume.

    That of the optics, if it is not 1. After `reconstruct` 1 + |k| λ/(2 NA), |k| the
    longest wave vector found at each angle, averaged over the angles (0 where none was
    found), times `RECONSTRUCTION_WIDTH`.

    Parameters
    ----------
    image : ImageStack
        With optics, and the patterns that it was reconstructed with.
    purpose : str
        What asks, for the error.

    Returns
    -------
    Optics

    Raises
    ------
    InputError
        If the image has no optics.
    """
    optics = image.require_optics(purpose)
    if optics.modulation_factor != 1 or not image.patterns:
        return optics
    longest: dict[int, float] = {}
    for pattern in image.patterns:
        length = _longest_per_nm(pattern) * optics.cutoff_period_nm
        longest[pattern.angle_index] = max(length, longest.get(pattern.angle_index, 0))
    if not any(longest.values()):
        return optics
    factor = RECONSTRUCTION_WIDTH * (1 + sum(longest.values()) / len(longest))
    return optics.model_copy(update={"modulation_factor": factor})


def assumed_optics(
    image: ImageStack, parameters: DpsParameters, context: Context
) -> Optics:
    """Return the optics that the stage works with, as stated or as measured.

    Parameters
    ----------
    image : ImageStack
        As for `effective_optics`.
    parameters : DpsParameters
        Whether to measure the PSF.
    context : Context
        Told where the image contradicts the optics, or cannot tell.

    Returns
    -------
    Optics
        The modulation factor measured may be below 1.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    optics = effective_optics(image)
    if parameters.psf == "stated":
        return optics
    from napari_dps.metrics.effective_psf import modulation_factor_auto

    found = modulation_factor_auto(np.asarray(image.data), optics)
    if found.warning:
        context.warn(found.warning)
    if found.modulation_factor is None:
        return optics
    return optics.model_copy(update={"modulation_factor": found.modulation_factor})


def _longest_per_nm(pattern: Pattern) -> float:
    """Return the longest wave vector of a pattern; 0 if it has none."""
    return max(
        1 / order.period_nm if order.is_usable and order.period_nm else 0.0
        for order in pattern.orders
    )


def is_raw(image: NDArray[np.float32]) -> bool:
    """Whether the noise is white; taken for granted in images below 16 × 16."""
    from napari_dps.metrics.snr import noise_is_white

    return min(image.shape) < _LEAST_WHITE_PX or noise_is_white(image)


def measured_noise(
    image: NDArray[np.float32], cutoff_per_pixel: float, *, white: bool
) -> float:
    """Return the standard deviation of the noise.

    White noise is measured beyond the cut-off. In an image that was resampled or
    reconstructed there is none: there it is measured after binning 2×2 and multiplied
    by `COLOURED_NOISE`.

    Parameters
    ----------
    image : array (Y, X), float32
        Finite.
    cutoff_per_pixel : float
        Of the effective OTF.
    white : bool
        Whether the noise is white.

    Returns
    -------
    float
        In the unit of the image; of coloured noise that of white noise as strong at
        low frequencies. 0 for images too small to tell.
    """
    from napari_dps.metrics.snr import noise_std

    if min(image.shape) < _LEAST_SIDE_PX:
        return 0.0
    if white:
        return noise_std(image, cutoff_per_pixel)
    height, width = (side // 2 for side in image.shape)
    blocks = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return COLOURED_NOISE * noise_std(blocks.mean(axis=(1, 3)))


def run(
    image: ImageStack, parameters: DpsParameters, context: Context
) -> Generator[Progress, None, ImageStack]:
    """Sharpen an image.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with optics; counts above the camera's offset.
    parameters : DpsParameters
        Method, strength, PSF.
    context : Context
        Receives a warning when the pixels are too coarse for the optics, or the image
        contradicts them.

    Yields
    ------
    Progress

    Returns
    -------
    ImageStack
        float32, in the brightness of the input and of the same mean, on a grid of half
        the pixel size.

    Raises
    ------
    InputError
        If the image has no optics.
    """
    stated = effective_optics(image)
    optics = assumed_optics(image, parameters, context)
    warning = optics.nyquist_warning()
    if warning is not None:
        context.warn(warning)
    data = np.array(image.data, dtype=np.float32)
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    white = is_raw(data)
    noise = measured_noise(data, cutoff, white=white)
    known = stated is image.optics
    task = Task(data, optics, parameters.strength, noise, context, white, not known)
    result = yield from METHODS[parameters.method](task)
    # What is never negative makes light of noise where there is none, and sparsity
    # takes light away, both evenly: so the total is restored evenly.
    result += data.mean(dtype=np.float64) - result.mean(dtype=np.float64)
    pixel_nm = optics.pixel_size_nm
    y, x = image.origin_nm
    return image.derive(
        result,
        pixel_size_nm=pixel_nm / 2,
        # The first of 2 x 2 output pixels lies a quarter of an input pixel up and left.
        origin_nm=(y - pixel_nm / 4, x - pixel_nm / 4),
    )


STAGE = Stage(
    id="dps",
    title="Super-resolution (DPS)",
    takes="YX",
    gives="YX",
    parameters=DpsParameters,
    function=run,
    needs_optics=True,
    # Until the trained network is its method.
    by_default=False,
)

"""The methods of the stage ``dps``, each from one image to one on the 2× grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import InputError, Optics, Progress, one_of
from napari_dps.core.context import Context
from napari_dps.core.device import resolve_device
from napari_dps.core.tiling import require_memory
from napari_dps.methods.dps.noise import LEAST_SIDE_PX
from napari_dps.methods.networks import WEIGHTS_SUFFIX, load_network

if TYPE_CHECKING:
    import torch

    from napari_dps.methods.dps.lapse import Lapse
    from napari_dps.methods.dps.network import Sharpener
    from napari_dps.methods.dps.recording import Recording
    from napari_dps.physics.deconvolution.model import ImagingModel
    from napari_dps.physics.otf import Transfer

SHIPPED_WEIGHTS = ("oriented", "hybrid", "physics", "paper")
"""The first is the default."""
NETWORK_REFERENCE, NETWORK_EXPONENT = 0.33, 0.7
"""Iterations of data consistency at a signal of one noise, and the power of signal over
noise that they follow: on simulated structures 3, 7 and 16 at 40, 200 and 2000
photons."""
RECONSTRUCTION_NOISE = 0.03
"""Least noise level that the network takes after `reconstruct`, of the brightest
structure: what denoising and Wiener filter leave is ripples as smooth as structure,
which no measurement of noise sees. Less, and it draws threads along them."""
RECONSTRUCTION_GAIN = 1.1
"""What the cut-off is multiplied by for the network after `reconstruct`: on simulated
reconstructions of three structures 1.0 sharpens too much, 1.2 too little."""

CAUTIOUS_WIDTH, SHARP_WIDTH = 0.5, 0.4
"""Width of the PSF of the network's result at strength 0 and 1, of the image's."""

STRENGTH_SPAN = 4.0
"""Iterations of deconvolution at strength 1 (0) over (under) those at the default."""

NOISE_EXPONENT = 0.35
"""Power of signal over noise that the best number of iterations follows: on simulated
held-out structures 8, 12 and 16 at 40, 200 and 2000 photons."""

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

RL_BYTES_PER_PX, SPARSE_BYTES_PER_PX = 205, 315
"""Memory at the peak, for each pixel of the image, as measured at 1024² and 2048²."""

SPARSE_CONTINUITY = 0.75
"""Weight of the Hessian in standard deviations of the noise (tuned on simulations)."""
SPARSE_SPARSITY = 0.2
"""Weight of the L1 norm over that of the Hessian: more dims faint structures."""


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
        Whether it comes from `reconstruct`.
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

    def iterations(self, reference: float, exponent: float) -> int:
        """Return the accelerated iterations that suit the noise and the strength."""
        share = 1.0 if self.is_raw else PROCESSED_SHARE
        return iterations_for(
            self.signal_to_noise, self.strength, share * reference, exponent
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


Method = Callable[[ImageToSharpen], Generator[Progress, None, NDArray[np.float32]]]


def iterations_for(
    signal_to_noise: float, strength: float, reference: float, exponent: float
) -> int:
    """Return how many accelerated iterations suit the noise and the strength wanted."""
    wanted = reference * math.pow(signal_to_noise, exponent)
    wanted *= math.pow(STRENGTH_SPAN, 2 * strength - 1)
    return min(max(round(wanted), 2), MOST_ITERATIONS)


def network(target: ImageToSharpen) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen with Res-U-DBPN; the strength sets the width of the result's PSF."""
    from napari_dps.methods.dps.network import sharpen_steps

    if target.is_reconstructed:
        target = _of_a_reconstruction(target)
    sharpener = _sharpener(target)
    steps = sharpen_steps(
        target.image,
        target.optics,
        sharpener,
        noise=target.noise,
        iterations=target.iterations(NETWORK_REFERENCE, NETWORK_EXPONENT),
        width=target.width,
        average_turns=target.average_turns,
    )
    if target.raw_frames is None:
        return (yield from steps)
    sharp = yield from one_of(steps, 0, 2)
    refining = _by_raw_frames(target, target.raw_frames, sharp)
    refined = yield from one_of(refining, 1, 2)
    return sharp if refined is None else refined


def joint(target: ImageToSharpen) -> Generator[Progress, None, NDArray[np.float32]]:
    """Deconvolve all raw frames together, from the reconstruction on."""
    if target.raw_frames is None:
        raise InputError(
            "method joint works on raw SIM frames and their stripes: run it together "
            "with reconstruct on a raw stack whose stripes are found; for an image "
            "alone, choose another method",
            field="dps.method",
        )
    raw = target.raw_frames
    result = yield from _by_raw_frames(target, raw, target.image)
    if result is None:
        raise InputError(
            "method joint cannot use these raw frames: " + target.context.warnings[-1],
            field="dps.method",
        )
    return result


def _by_raw_frames(
    target: ImageToSharpen, raw: Recording, start: NDArray[np.float32]
) -> Generator[Progress, None, NDArray[np.float32] | None]:
    """Fit the raw frames, from an image on."""
    from napari_dps.methods.dps.joint import joint_steps

    steps = joint_steps(
        raw,
        start,
        strength=target.strength,
        width=target.width,
        context=target.context,
    )
    return (yield from steps)


def _of_a_reconstruction(target: ImageToSharpen) -> ImageToSharpen:
    """Return the noise level that suits an image made by `reconstruct`."""
    mf = RECONSTRUCTION_GAIN * target.optics.modulation_factor
    return replace(
        target,
        noise=reconstruction_noise(target.image, target.noise),
        signal_to_noise=min(target.signal_to_noise, 1 / RECONSTRUCTION_NOISE),
        optics=target.optics.model_copy(update={"modulation_factor": mf}),
    )


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


def _sharpener(target: ImageToSharpen) -> Sharpener:
    """Return the network, and the imaging models kept from plane to plane."""
    from napari_dps.methods.dps.input import Models
    from napari_dps.methods.dps.network import Sharpener

    device = resolve_device(target.context.device)
    path = weights_file(target.weights)
    network, metadata = load_network(target.context, path, device, "res_u_dbpn")
    models = target.context.cache.setdefault("imaging models at canonical", Models())
    return Sharpener(metadata, network, device, models, target.context)


def weights_file(name: str) -> Path:
    """Return the file of weights that are named as `ImageToSharpen.weights` are.

    Raises
    ------
    InputError
        If it is neither shipped nor a file's name.
    """
    from napari_dps.nets.checkpoint import shipped_weights

    if name.endswith(WEIGHTS_SUFFIX):
        return Path(name)
    if name not in SHIPPED_WEIGHTS:
        allowed = f"{', '.join(SHIPPED_WEIGHTS)}, or a {WEIGHTS_SUFFIX} file"
        raise InputError(field="dps.weights", got=name, allowed=allowed)
    return shipped_weights(f"dps-{name}")


def richardson_lucy(
    target: ImageToSharpen,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Deconvolve by accelerated Richardson–Lucy."""
    from napari_dps.physics.deconvolution.richardson_lucy import richardson_lucy_steps

    steps = richardson_lucy_steps(
        _on_device(target, RL_BYTES_PER_PX),
        _model(target),
        target.iterations(3.1, NOISE_EXPONENT),
    )
    result = yield from steps
    return np.asarray(result.cpu().numpy())


def sparse_hessian(
    target: ImageToSharpen,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Denoise by continuity and sparsity, then deconvolve."""
    from napari_dps.physics.deconvolution.sparse_hessian import (
        SparseSettings,
        sparse_hessian_steps,
        sparse_lapse_steps,
    )

    settings = SparseSettings(
        continuity=SPARSE_CONTINUITY * target.noise,
        sparsity=SPARSE_SPARSITY,
        iterations=target.iterations(3.5, NOISE_EXPONENT),
    )
    cutoff, measured, lapse = target.cutoff_per_pixel, _measured(target), target.lapse
    if lapse is None or target.noise <= 0:
        image = _on_device(target, SPARSE_BYTES_PER_PX)
        steps = sparse_hessian_steps(image, cutoff, settings, measured)
    else:
        image = _on_device(target, lapse.period * SPARSE_BYTES_PER_PX)
        stack = lapse.around(image, target.noise, cutoff, white=target.is_raw)
        place, along_t = len(lapse.before), lapse.continuity
        steps = sparse_lapse_steps(stack, place, along_t, cutoff, settings, measured)
    result = yield from steps
    return np.asarray(result.cpu().numpy())


METHODS: dict[str, Method] = {
    "network": network,
    "rl": richardson_lucy,
    "sparse": sparse_hessian,
    "joint": joint,
}
"""What each value of the parameter ``method`` runs."""


def _on_device(target: ImageToSharpen, bytes_per_px: float) -> torch.Tensor:
    """Return the image where it is computed on, if there is memory for the rest."""
    import torch

    device = resolve_device(target.context.device)
    shape = (target.image.shape[0], target.image.shape[1])
    require_memory("deconvolution", shape, bytes_per_px, device)
    return torch.from_numpy(target.image).to(device)


def _measured(target: ImageToSharpen) -> Transfer | None:
    """Return the measured OTF, where it is that of the image: not after SIM."""
    from napari_dps.physics.measured_otf import measured_in_focus

    optics, otf = target.optics, target.context.otf
    if otf is None or target.is_reconstructed or optics.modulation_factor != 1:
        return None
    return measured_in_focus(otf, optics)


def _model(target: ImageToSharpen) -> ImagingModel:
    """Return the imaging model, kept from plane to plane."""
    from napari_dps.physics.deconvolution.model import ImagingModel

    shape = (target.image.shape[0], target.image.shape[1])
    device = resolve_device(target.context.device)
    cutoff, otf, cache = (
        target.cutoff_per_pixel,
        target.context.otf,
        target.context.cache,
    )
    key = (shape, cutoff, device, otf)
    # One at a time: the images of a batch may all differ.
    if cache.get("imaging model", (None,))[0] != key:
        made = ImagingModel(shape, cutoff, device, transfer=_measured(target))
        cache["imaging model"] = key, made
    model: ImagingModel = cache["imaging model"][1]
    return model

"""From an image at canonical sampling to the network's input."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.deconvolution.model import ImagingModel
from napari_dps.physics.deconvolution.richardson_lucy import (
    richardson_lucy_depths_steps,
)
from napari_dps.physics.otf import otf_2d

if TYPE_CHECKING:
    import torch

OUTPUT_WIDTH = 0.4
"""Width of the PSF of features and of supervised results, of the input's width."""
_NOISE_FLOOR = 10.0
"""Full scale is at least this many standard deviations of the noise, so that an image
of noise alone stays far below the scale of an image with signal."""
_BASE_PERCENTILE = 1.0
_BASE_SIGMA_PX = 2.0
_PAD_PX = 16
_KEPT_WEIGHTS = 3
"""As many as one image takes."""
_TINY = 1e-12


class Models:
    """Imaging models at canonical sampling, kept from image to image of one size.

    So are the weights of `change_width` and `within_cutoff`.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[int, int], torch.device, float], ImagingModel] = {}
        self._weights: dict[tuple[object, ...], torch.Tensor] = {}

    def model(
        self, shape: tuple[int, int], device: torch.device, seen_width: float = 0.0
    ) -> ImagingModel:
        """Return the model for images of a shape; see `ImagingModel`."""
        key = (shape, device, seen_width)
        if key not in self._made:
            if any(made[0] != shape for made in self._made):
                self._made.clear()
            self._made[key] = ImagingModel(
                shape, CANONICAL_CUTOFF_PER_PIXEL, device, seen_width=seen_width
            )
        return self._made[key]

    def weights(
        self, kind: tuple[object, ...], make: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        """Return weights of a spectrum; the last few are kept."""
        if kind not in self._weights:
            while len(self._weights) >= _KEPT_WEIGHTS:
                del self._weights[next(iter(self._weights))]
            self._weights[kind] = make()
        return self._weights[kind]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkInput:
    """What the network takes: counts less ``base``, over ``scale``.

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


def network_input_steps(
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
    models = models or Models()
    yield Progress(0, total, "Scale")
    counts, base, scale = scaled(image, noise, device, models)
    yield Progress(0, total, "Imaging model")
    features = [torch.empty((0, *(2 * side for side in counts.shape)), device=device)]
    if iterations:
        model = models.model((counts.shape[0], counts.shape[1]), device)
        depths = yield from richardson_lucy_depths_steps(counts, model, iterations)
        sharp = change_width(torch.stack(depths), 0, OUTPUT_WIDTH, models)
        features.append((sharp - base) / scale)
    return NetworkInput(
        (counts - base) / scale, torch.cat(features), noise / scale, scale, base
    )


def scaled(
    image: NDArray[Any], noise: float, device: torch.device, models: Models
) -> tuple[torch.Tensor, float, float]:
    """Return an image within its cut-off, in counts, and its base and scale.

    Parameters are those of `network_input_steps`, base and scale of `base_and_scale`.
    """
    import torch

    counts = torch.from_numpy(np.asarray(image, dtype=np.float32)).to(device)
    counts = within_cutoff(counts, models)
    return counts, *base_and_scale(counts.cpu().numpy(), noise)


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
        Standard deviation of the Gaussian that smooths the image for the base; one
        pixel for the scale.
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


def change_width(
    fine: torch.Tensor, start: float, end: float, models: Models | None = None
) -> torch.Tensor:
    """Return images as they look under a wider PSF, with mirrored edges.

    Parameters
    ----------
    fine : tensor (…, 2Y, 2X)
        On the 2× grid of canonical sampling.
    start, end : float
        Width of the PSF that they are seen through, and of the one wanted, of the
        width of the image's own; 0 is an object of emitters.
    models : Models, optional
        Keeps the weights for the next image of the size.

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
        present = otf_2d(shape, cutoff / start, half_plane=True)
        ratio: NDArray[np.float64] = wanted / np.where(wanted > 0, present, 1)
        return ratio

    return _filtered(fine, transfer, (start, end), models)


def within_cutoff(image: torch.Tensor, models: Models | None = None) -> torch.Tensor:
    """Return (Y, X) without what lies beyond the cut-off."""

    def disc(shape: tuple[int, int]) -> NDArray[np.float64]:
        passed = otf_2d(shape, CANONICAL_CUTOFF_PER_PIXEL, half_plane=True)
        return np.ceil(passed)

    return _filtered(image, disc, ("disc",), models)


def _filtered(
    images: torch.Tensor,
    transfer: Callable[[tuple[int, int]], NDArray[np.float64]],
    kind: tuple[object, ...],
    models: Models | None,
) -> torch.Tensor:
    """Multiply spectra by a function of the padded shape; edges are mirrored."""
    import torch

    height, width = images.shape[-2:]
    pad = min(_PAD_PX, height - 1, width - 1)
    flat = images.reshape(1, -1, height, width)
    padded = torch.nn.functional.pad(flat, (pad,) * 4, mode="reflect")
    shape = (padded.shape[-2], padded.shape[-1])

    def make() -> torch.Tensor:
        return torch.from_numpy(transfer(shape).astype(np.float32)).to(images.device)

    key = (*kind, shape, images.device)
    weights = (models or Models()).weights(key, make)
    spectrum = torch.fft.rfft2(padded) * weights
    filtered: torch.Tensor = torch.fft.irfft2(spectrum, s=shape)
    inside = filtered[..., pad : pad + height, pad : pad + width]
    return inside.reshape(images.shape)

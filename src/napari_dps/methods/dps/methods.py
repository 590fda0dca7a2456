"""The methods of the stage ``dps``, each from one image to one on the 2× grid."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Progress
from napari_dps.core.device import resolve_device
from napari_dps.core.tiling import require_memory
from napari_dps.methods.dps.by_network import joint, network
from napari_dps.methods.dps.target import (
    NOISE_EXPONENT,
    RL_REFERENCE,
    ImageToSharpen,
    Method,
)

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.deconvolution.model import ImagingModel
    from napari_dps.physics.otf import Transfer

RL_BYTES_PER_PX, SPARSE_BYTES_PER_PX = 205, 315
"""Memory at the peak, for each pixel of the image, as measured at 1024² and 2048²."""

SPARSE_CONTINUITY = 0.75
"""Weight of the Hessian in standard deviations of the noise (tuned on simulations)."""
SPARSE_SPARSITY = 0.2
"""Weight of the L1 norm over that of the Hessian: more dims faint structures."""


def richardson_lucy(
    target: ImageToSharpen,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Deconvolve by accelerated Richardson–Lucy."""
    from napari_dps.physics.deconvolution.richardson_lucy import richardson_lucy_steps

    steps = richardson_lucy_steps(
        _on_device(target, RL_BYTES_PER_PX),
        _model(target),
        target.iterations(RL_REFERENCE, NOISE_EXPONENT),
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

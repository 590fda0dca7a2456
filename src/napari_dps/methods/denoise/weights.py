"""The weights of the denoiser: those of the package, or of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dps.core import InputError
from napari_dps.core.context import Context
from napari_dps.methods.networks import WEIGHTS_SUFFIX, load_network

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.res_unet import SimDenoiser

SHIPPED = "shipped"
"""The weights that come with the package."""
_NAME = "denoise-oriented"


def load_denoiser(
    context: Context, device: torch.device, weights: str = SHIPPED
) -> SimDenoiser:
    """Return a denoiser, kept from plane to plane; see `denoiser_weights`."""
    path = denoiser_weights(weights)
    network: SimDenoiser = load_network(context, path, device, "sim_denoiser")[0]
    return network


def denoiser_weights(name: str) -> Path:
    """Return the file of the weights of a denoiser: shipped ones, or any file.

    Raises
    ------
    InputError
        If it is neither `SHIPPED` nor a file's name.
    """
    from napari_dps.nets.checkpoint import shipped_weights

    if name.endswith(WEIGHTS_SUFFIX):
        return Path(name)
    if name != SHIPPED:
        allowed = f"{SHIPPED}, or a {WEIGHTS_SUFFIX} file"
        raise InputError(field="denoise.weights", got=name, allowed=allowed)
    return shipped_weights(_NAME)

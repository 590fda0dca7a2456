"""Networks of the stages: loaded once a run, recorded in the history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dps.core import InputError
from napari_dps.core.context import Context

if TYPE_CHECKING:
    import torch

    from napari_dps.nets.checkpoint import CheckpointMetadata

WEIGHTS_SUFFIX = ".safetensors"
"""Of the name of a file of weights."""


def load_network(
    context: Context, path: Path, device: torch.device, architecture: str
) -> tuple[Any, CheckpointMetadata]:
    """Return a network with its weights, kept from plane to plane.

    Parameters
    ----------
    context : Context
        Keeps the network and records which weights the stage uses.
    path : Path
        The ``.safetensors`` file.
    device : torch.device
        Where to compute.
    architecture : str
        What the stage needs; see `nets.checkpoint.ARCHITECTURES`.

    Returns
    -------
    network, metadata
        Ready for inference, and the description of its weights.

    Raises
    ------
    InputError
        If the file cannot be used, or holds weights of another architecture.
    """
    from napari_dps.nets.checkpoint import load_checkpoint
    from napari_dps.nets.fast import make_fast

    key = ("network", path, device, context.networks)
    if key not in context.cache:
        checkpoint = load_checkpoint(path)
        metadata = checkpoint.metadata
        if metadata.architecture != architecture:
            raise InputError(
                f"weights {path.name}: architecture",
                got=metadata.architecture,
                allowed=architecture,
            )
        loaded = checkpoint.network(device)
        make_fast(loaded, device, context.networks)
        context.cache[key] = loaded, metadata
    network, metadata = context.cache[key]
    context.use_weights(metadata.sha256)
    return network, metadata

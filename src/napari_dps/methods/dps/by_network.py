"""The methods ``network`` and ``joint``, with raw SIM frames where they are at hand."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError, Progress
from napari_dps.core.device import resolve_device
from napari_dps.core.progress import between
from napari_dps.methods.dps.target import (
    FramesUnusable,
    ImageToSharpen,
    of_a_reconstruction,
)
from napari_dps.methods.networks import WEIGHTS_SUFFIX, load_network
from napari_dps.nets.checkpoint import shipped_weights

if TYPE_CHECKING:
    from napari_dps.methods.dps.network import Sharpener
    from napari_dps.methods.dps.recording import Recording

SHIPPED_WEIGHTS = ("oriented", "hybrid", "physics", "paper")
"""The first is the default."""
NETWORK_REFERENCE, NETWORK_EXPONENT = 0.33, 0.7
"""Iterations of data consistency at a signal of one noise, and the power of signal over
noise that they follow: on simulated structures 3, 7 and 16 at 40, 200 and 2000
photons."""
FRAMES_WEIGHTS = "dps-frames"
"""In place of the default."""
_FEATURES_END, _NETWORK_END = 40, 50
"""Where in the whole the features are there, and the result of the network alone is, in
per cent."""


def network(target: ImageToSharpen) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen with Res-U-DBPN; the strength sets the width of the result's PSF.

    Raises
    ------
    FramesUnusable
        Where the raw frames cannot be used: the image alone can.
    """
    if target.is_reconstructed:
        target = of_a_reconstruction(target)
    if target.raw_frames is not None:
        return (yield from _sharpened_with_frames(target, target.raw_frames))
    return (yield from _sharpened_alone(target))


def _sharpened_alone(
    target: ImageToSharpen,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen with the network of images."""
    from napari_dps.methods.dps.network import sharpen_steps

    steps = sharpen_steps(
        target.image,
        target.optics,
        _sharpener(target, weights_file(target.weights)),
        noise=target.noise,
        iterations=target.iterations(NETWORK_REFERENCE, NETWORK_EXPONENT),
        width=target.width,
        average_turns=target.average_turns,
    )
    return (yield from steps)


def _sharpened_with_frames(
    target: ImageToSharpen, raw: Recording
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen with a network, and the raw frames.

    By default, or where its weights were trained so, the network sees them. The result
    of others is brought into line with the frames.

    Parameters
    ----------
    target : ImageToSharpen
        Reconstruction.
    raw : Recording
        Its frames.

    Yields
    ------
    Progress

    Returns
    -------
    array (4 Y, 4 X), float32
        Counts.

    Raises
    ------
    FramesUnusable
    """
    from napari_dps.methods.dps.frames_network import (
        climbed_steps,
        sharpen_climbed_steps,
    )

    is_default = target.weights == SHIPPED_WEIGHTS[0]
    usual = shipped_weights(FRAMES_WEIGHTS)
    path = usual if is_default else weights_file(target.weights)
    sharpener = _sharpener(target, path)
    if not sharpener.metadata.recipe.get("raw_frames"):
        return (yield from _refined(target, raw))
    climbing = climbed_steps(raw, target.image, target.context)
    climbed = yield from between(climbing, 0, _FEATURES_END)
    steps = sharpen_climbed_steps(
        climbed,
        target.image,
        target.optics,
        sharpener,
        noise=target.noise,
        strength=target.strength,
        width=target.frames_width,
    )
    del climbed  # its objects are large
    return (yield from between(steps, _FEATURES_END, 100))


def _refined(
    target: ImageToSharpen, raw: Recording
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Bring the result of a network of images into line with the frames."""
    sharp = yield from between(_sharpened_alone(target), 0, _NETWORK_END)
    return (yield from between(_fitted(target, raw, sharp), _NETWORK_END, 100))


def joint(
    target: ImageToSharpen,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Climb the likelihood of the raw frames from the reconstruction on.

    Parameters
    ----------
    target : ImageToSharpen
        Reconstruction, with its frames.

    Yields
    ------
    Progress

    Returns
    -------
    array (4 Y, 4 X), float32
        Counts.

    Raises
    ------
    InputError
        Without raw frames, or where they cannot be used.
    """
    if target.raw_frames is None:
        raise InputError(
            "method joint works on raw SIM frames and their stripes: run it together "
            "with reconstruct on a raw stack whose stripes are found; for an image "
            "alone, choose another method",
            field="dps.method",
        )
    try:
        return (yield from _fitted(target, target.raw_frames, target.image))
    except FramesUnusable as problem:
        raise InputError(
            f"method joint cannot use these raw frames: {problem}", field="dps.method"
        ) from problem


def _fitted(
    target: ImageToSharpen, raw: Recording, start: NDArray[np.float32]
) -> Generator[Progress, None, NDArray[np.float32]]:
    from napari_dps.methods.dps.joint import joint_steps

    return joint_steps(
        raw,
        start,
        strength=target.strength,
        width=target.frames_width,
        context=target.context,
    )


def _sharpener(target: ImageToSharpen, path: Path) -> Sharpener:
    """Return a network, and the imaging models kept from plane to plane."""
    from napari_dps.methods.dps.input import Models
    from napari_dps.methods.dps.network import Sharpener

    device = resolve_device(target.context.device)
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
    if name.endswith(WEIGHTS_SUFFIX):
        return Path(name)
    if name not in SHIPPED_WEIGHTS:
        allowed = f"{', '.join(SHIPPED_WEIGHTS)}, or a {WEIGHTS_SUFFIX} file"
        raise InputError(field="dps.weights", got=name, allowed=allowed)
    return shipped_weights(f"dps-{name}")

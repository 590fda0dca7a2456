"""The methods of ``dps`` on whole z-stacks, with 3-D PSFs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Progress
from napari_dps.core.context import Context
from napari_dps.core.tiling import require_memory
from napari_dps.methods.dps.methods import SPARSE_CONTINUITY, SPARSE_SPARSITY
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.methods.dps.target import (
    PROCESSED_SHARE,
    FramesUnusable,
    frames_width,
    iterations_for,
    signal_to_noise,
)
from napari_dps.physics.hot_pixels import without_hot_pixels

if TYPE_CHECKING:
    import torch

    from napari_dps.methods.dps.recording import Recording
    from napari_dps.physics.deconvolution.volume_model import VolumeModel
    from napari_dps.physics.psf3d import Transfer3d

Sectioning = Literal["auto", "widefield", "confocal"]

LEAST_PLANES = 5
"""Planes from which a stack gains over its planes one by one."""
VOLUME_METHODS = ("network", "rl", "sparse")
"""And `joint` where the raw frames are at hand."""
FROM_EVEN_LIGHT = 24.0, 0.2
"""Iterations at a signal of one noise, and the power of signal over noise that they
follow: the best on simulated widefield stacks of filaments and shells at 8 to 8000
photons are 32 to 96. Depth comes later than sharpness in a plane."""
FROM_NETWORK = 7.0, 0.55
"""The same from what the network gives of the planes, which is nearer to the truth: the
best on simulated widefield stacks at a signal of 4 noises are 10 to 20, of 23 noises 30
to 45."""
CONFOCAL_FACTOR = 1.05
"""Modulation factor above which a stack is taken for a confocal one."""
RL_BYTES_PER_VOXEL, SPARSE_BYTES_PER_VOXEL = 320, 480
"""Memory at the peak, for each voxel of the stack, as the arrays add up: ten (fifteen)
of the object, which has 4 pixels for each of the stack's, margins, and up to 1.75 times
as many planes."""


def check_volume(image: ImageStack, method: str) -> None:
    """Refuse stacks that cannot be deconvolved in three dimensions.

    Raises
    ------
    InputError
        If the method has no third dimension, planes are too few, or their distance is
        not known.
    """
    is_joint = method == "joint" and has_volume_behind(image)
    if method not in VOLUME_METHODS and not is_joint:
        raise InputError(
            "method in 3-D",
            got=method,
            allowed=", ".join(VOLUME_METHODS),
            field=("dps.method", "dps.dimension"),
        )
    if image.size("Z") < LEAST_PLANES:
        raise InputError(
            "planes for a deconvolution in 3-D",
            got=image.size("Z"),
            allowed=f"{LEAST_PLANES} or more; or dimension 2d",
            field="dps.dimension",
        )
    if image.z_step_nm is None:
        raise InputError(
            "a deconvolution in 3-D needs the z step, and the file does not tell it",
            field="input.z_step_nm",
        )


def has_volume_behind(image: ImageStack) -> bool:
    """Whether raw frames of a z-stack with stripes in three dimensions are at hand."""
    return image.frames is not None and image.frames.data.ndim > 4 and _is_volume(image)


def is_flat_reconstruction(image: ImageStack) -> bool:
    """Whether planes were reconstructed one by one: they have no common 3-D PSF."""
    return image.is_reconstruction and not _is_volume(image)


def _is_volume(image: ImageStack) -> bool:
    return any(pattern.is_three_dimensional for pattern in image.patterns)


def volume_steps(
    image: ImageStack,
    planes: NDArray[np.float32] | None,
    raw: Recording | None,
    *,
    method: str,
    strength: float,
    sectioning: Sectioning,
    in_depth: bool,
    context: Context,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Sharpen a z-stack: with its raw frames, else deconvolved.

    Parameters
    ----------
    image, planes, method, strength, sectioning, context
        As of `sharpen_volume`.
    raw : Recording or None
        Frames (Z, A, P, Y, X) behind the stack, if they are to count.
    in_depth : bool
        Whether planes of the network are to be deconvolved where the frames cannot be
        used; else they stay as they are.

    Yields
    ------
    Progress

    Returns
    -------
    array (Z, n·Y, n·X), float32
        Counts of emitters in the plane in which they are in focus, on a grid of half
        the pixel size of the stack.

    Raises
    ------
    InputError
        Where the method cannot do without raw frames.
    """
    from napari_dps.methods.dps.raw_volume import raw_volume_steps

    problem = "they are not at hand, or are those of another field"
    if raw is not None:
        first = np.asarray(image.data, np.float32) if planes is None else planes
        fitting = raw_volume_steps(
            raw,
            first,
            strength=strength,
            width=frames_width(strength),
            context=context,
        )
        try:
            return (yield from fitting)
        except FramesUnusable as found:
            problem = str(found)
    if method == "joint":
        raise InputError(
            "method joint works on raw SIM frames and the stripes found in them: "
            f"{problem}",
            field="dps.method",
        )
    if raw is not None:
        context.warn(problem)
    if planes is not None and not in_depth:
        return planes
    return (
        yield from sharpen_volume(image, method, strength, sectioning, context, planes)
    )


def sharpen_volume(
    image: ImageStack,
    method: str,
    strength: float,
    sectioning: Sectioning,
    context: Context,
    planes: NDArray[np.float32] | None = None,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Deconvolve a z-stack.

    The method `network` iterates as `rl` does, from what the network gives of each
    plane: it knows what structures look like, the 3-D PSF where their light belongs.

    Parameters
    ----------
    image : ImageStack
        Axes "ZYX", with optics and z step; counts above the camera's offset.
    method : str
        One of `VOLUME_METHODS`.
    strength : float
        0 to 1.
    sectioning : str
        What kind of stack it is; a reconstruction in 3-D is known by its patterns.
    context : Context
        Device, warnings, measured OTF.
    planes : array (Z, 2 Y, 2 X), float32, optional
        What the network gives of the planes, for that method.

    Yields
    ------
    Progress

    Returns
    -------
    array (Z, 2 Y, 2 X), float32
        Counts of emitters in the plane in which they are in focus: out-of-focus light
        is brought back to where it comes from.
    """
    import torch

    from napari_dps.core.device import resolve_device
    from napari_dps.physics.deconvolution.sparse_hessian import (
        SparseSettings,
        sparse_volume_steps,
    )
    from napari_dps.physics.deconvolution.volume_model import VolumeModel

    optics, z_step_nm = image.require_optics("dps"), image.z_step_nm or 0.0
    data, noise, brightness, white = _cleaned(image, context)
    reference, exponent = FROM_EVEN_LIGHT if planes is None else FROM_NETWORK
    reference *= 1.0 if white else PROCESSED_SHARE
    iterations = iterations_for(brightness, strength, reference, exponent)
    device = torch.device(resolve_device(context.device))
    is_rl = method != "sparse"
    per_voxel = RL_BYTES_PER_VOXEL if is_rl else SPARSE_BYTES_PER_VOXEL
    plane = data.shape[1], data.shape[2]
    require_memory("3-D deconvolution", plane, per_voxel * len(data), device)
    transfer = _transfer(image, sectioning, context)
    fine = 1 if is_rl else 2
    shape = (len(data), fine * plane[0], fine * plane[1])
    optics = optics.at_pixel_size(optics.pixel_size_nm / fine)
    model = VolumeModel(shape, optics, z_step_nm, transfer, device, binning=2 // fine)
    stack = torch.from_numpy(data).to(device)
    if is_rl:
        result = yield from _richardson_lucy(stack, model, iterations, planes)
    else:
        settings = SparseSettings(
            SPARSE_CONTINUITY * noise, SPARSE_SPARSITY, iterations
        )
        z_step_px = z_step_nm / (2 * optics.pixel_size_nm)
        result = yield from sparse_volume_steps(stack, model, settings, z_step_px)
    return np.asarray((result / model.depth).cpu().numpy())


def _richardson_lucy(
    stack: torch.Tensor,
    model: VolumeModel,
    iterations: int,
    planes: NDArray[np.float32] | None,
) -> Generator[Progress, None, torch.Tensor]:
    """Deconvolve from sharpened planes, or from even light."""
    import torch

    from napari_dps.physics.deconvolution.richardson_lucy import (
        richardson_lucy_depths_steps,
    )

    start = None
    if planes is not None:
        start = torch.from_numpy(np.maximum(planes, 0)).to(stack.device)
    (result,) = yield from richardson_lucy_depths_steps(
        stack, model, (iterations,), start=start
    )
    return result


def _cleaned(
    image: ImageStack, context: Context
) -> tuple[NDArray[np.float32], float, float, bool]:
    """Return the stack without hot pixels, its noise, signal over it, and if it is raw.

    They are those of the plane with most contrast.
    """
    optics = image.require_optics("dps")
    data = np.array(image.data, dtype=np.float32)
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    sharpest = int(np.argmax([plane.std() for plane in data]))
    white = is_raw(data[sharpest])
    noise = measured_noise(data[sharpest], cutoff, white=white)
    count = 0
    if white:
        for number, plane in enumerate(data):
            data[number], found = without_hot_pixels(plane, cutoff, noise)
            count += found
    if count:
        context.warn("hot pixels were replaced by the median of their neighbours")
    return data, noise, signal_to_noise(data[sharpest], noise), white


def _transfer(
    image: ImageStack, sectioning: Sectioning, context: Context
) -> Transfer3d:
    """Return the OTF that suits a stack."""
    from napari_dps.physics.psf3d import (
        confocal_transfer,
        sim_transfer,
        widefield_transfer,
    )

    optics, z_step_nm = image.require_optics("dps"), image.z_step_nm or 0.0
    if _is_volume(image):
        return sim_transfer(optics, z_step_nm, image.patterns)
    factor = optics.modulation_factor
    if sectioning == "confocal" or (sectioning == "auto" and factor > CONFOCAL_FACTOR):
        return confocal_transfer(optics, z_step_nm)
    return widefield_transfer(optics, z_step_nm, context.otf)

"""Frame-to-frame intensity differences: bleaching, lamp flicker, uneven angles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError

if TYPE_CHECKING:
    import torch


NO_LIGHT = 0.05
"""Light of a frame over that of others from which down it counts as lost: lamps that
flicker and bleaching leave more, and what made up for it would be noise."""


def equalisation(frames: torch.Tensor) -> NDArray[np.float64]:
    """Return the factors that make all frames of a raw stack equally bright.

    The stripes average out over a frame, so its mean measures light and bleaching.

    Parameters
    ----------
    frames : tensor (A, P, Y, X)
        Raw frames, camera offset subtracted, in counts.

    Returns
    -------
    array (A, P), float64
        Mean of all frames over mean of each: the total counts stay. 1 where a frame
        holds no signal above the camera's offset: there is nothing to compare.

    Examples
    --------
    >>> import torch
    >>> equalisation(torch.tensor([[1.0, 3.0]])[..., None, None]).tolist()
    [[2.0, 0.6666666666666666]]
    """
    return equalising(frame_means(frames))


def frame_means(frames: torch.Tensor) -> NDArray[np.float64]:
    """Return the mean counts (..., A, P) of raw frames (..., A, P, Y, X)."""
    means: NDArray[np.float64] = frames.mean(dim=-1).cpu().double().mean(dim=-1).numpy()
    return means


def equalising(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `equalisation` does, of the mean counts (A, P) of the frames."""
    if means.min() <= 0:
        return np.ones(means.shape)
    factors: NDArray[np.float64] = means.mean() / means
    return factors


def refuse_darkness(means: NDArray[np.float64]) -> None:
    """Refuse raw frames of which one has no light.

    Parameters
    ----------
    means : array (A, P)
        Mean counts of each frame above the camera's offset.

    Raises
    ------
    InputError
        If one of them is not above 0.
    """
    if means.min() > 0:
        return
    angle, phase = np.unravel_index(int(means.argmin()), means.shape)
    raise InputError(
        f"frame of angle {angle + 1}, phase {phase + 1} has no signal: mean counts "
        "less camera offset",
        got=f"{means.min():g}",
        allowed="above 0",
        field="input.camera_offset",
    )

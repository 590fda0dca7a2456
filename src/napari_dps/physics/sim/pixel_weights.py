"""How much each place of the field says about the stripes.

The matched filter adds up the separated band a times the object's template b over the
field. A place where b is right adds m |b|² if the wave vector is right; if it is not,
its random phase adds a power of |b|² E|a|²: its noise and itself. The sum that stands
out most weighs each place with the quotient 1/E|a|² (Cauchy–Schwarz). Without weights
one bright speck is all that is heard, and it says nothing, since a point overlaps with
itself at every wave vector. Shot noise, read noise, haze and neighbours are all in
E|a|², measured around each place; where noise rules it is even, and so are the weights.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from napari_dps.physics.sim.spectrum import squared

if TYPE_CHECKING:
    import torch

SURROUNDINGS = 1.0
"""Over the cut-off: width (sigma), in pixels, of what counts as around a place."""
LEAST_POWER = 1.0
"""Of the median: power that is added everywhere, lest faded edges count for much, and
the chance of few photons be taken for structure."""
LEAST_LEVEL = 0.1
"""Of the mean: the median is taken to be at least that."""
OUTLIERS, EXCESS = 95, 2.0
"""Percentile of the power; a place of more than so many times that is an outlier, and
counts as if it had no more."""

FloatImage = NDArray[np.float32]


def local_power(
    image: torch.Tensor, cutoff: float, steps: tuple[float, float] = (1.0, 1.0)
) -> FloatImage:
    """Return the power around each block of cells.

    Parameters
    ----------
    image : tensor (Y, X)
        Real or complex, on a periodic grid.
    cutoff : float
        Of the OTF, in cycles per pixel.
    steps : (float, float)
        Size of a cell, in pixels.

    Returns
    -------
    array (Y', X'), float32
        Of blocks of two by two cells, of one where the side is odd: those of a flipped
        image are the same.
    """
    blocks: FloatImage = squared(image).cpu().numpy()
    edges = [2 - int(side) % 2 for side in image.shape]
    if edges[0] == 2:
        blocks = blocks[::2] + blocks[1::2]
    if edges[1] == 2:
        blocks = blocks[:, ::2] + blocks[:, 1::2]
    blocks = blocks / np.float32(math.prod(edges))
    # Two running means in a row: nearly a Gaussian, at the cost of four sums a block.
    sides = [
        round(math.sqrt(6) * SURROUNDINGS / cutoff / (edge * step)) | 1
        for edge, step in zip(edges, steps, strict=True)
    ]
    for _ in range(2):
        blocks = uniform_filter(blocks, sides, mode="wrap")
    return np.maximum(blocks, 0)


def on_cells(weights: FloatImage, shape: tuple[int, ...]) -> FloatImage:
    """Return weights of the blocks of `local_power` on the cells (Y, X)."""
    for axis, side in enumerate(shape):
        weights = weights.repeat(side // weights.shape[axis], axis=axis)
    return weights


def balancing(power: FloatImage) -> FloatImage:
    """Return the weights with which all places have nearly the same power."""
    level = float(max(np.median(power), LEAST_LEVEL * power.mean())) + 1e-30
    return np.asarray(level / (power + LEAST_POWER * level), dtype=np.float32)


def capping(power: FloatImage) -> FloatImage:
    """Return weights of 1, less where the power is an outlier.

    They move a wave vector or a phase less than `balancing` where bright structures,
    in focus, are those that fit the template best.
    """
    usual = float(np.percentile(power, OUTLIERS))
    highest = EXCESS * usual + 1e-30
    return np.asarray(highest / np.maximum(power, highest), dtype=np.float32)

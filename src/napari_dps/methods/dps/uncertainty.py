"""How far the noise of an image moves the result of the stage ``dps``."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Progress, one_of
from napari_dps.methods.dps.methods import ImageToSharpen, Method

NOISE_DRAWS = 8
_SHARE = 0.3
"""Noise added in a draw, of the image's: little, so that the result answers as it does
to the noise that it holds."""


def spread_steps(
    method: Method, target: ImageToSharpen, result: NDArray[np.float32]
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Add a little noise again and again, and see how the result answers.

    The root mean square of the changes over the share of the noise that was added: the
    standard deviation that the image's own noise gives the result. What the method gets
    wrong whatever the noise (blur, bias) is not in it.

    Parameters
    ----------
    method : callable
        One of `napari_dps.methods.dps.methods.METHODS`.
    target : ImageToSharpen
        What it worked on. Noise of a camera image is taken for shot noise.
    result : array (2Y, 2X), float32
        What it gave.

    Yields
    ------
    Progress
        From one of nine parts on; the first was the result.

    Returns
    -------
    array (2Y, 2X), float32
        In the unit of the image.
    """
    rng = np.random.default_rng(0)
    sigma = np.full_like(target.image, target.noise)
    if target.is_raw:
        light = np.maximum(scipy.ndimage.gaussian_filter(target.image, 1.0), 0)
        sigma *= np.sqrt(light / max(float(light.mean()), np.finfo(np.float32).tiny))
    total = np.zeros_like(result)
    for draw in range(NOISE_DRAWS):
        noise = sigma * rng.standard_normal(sigma.shape, dtype=np.float32)
        moved = replace(target, image=target.image + np.float32(_SHARE) * noise)
        answer = yield from one_of(method(moved), 1 + draw, 1 + NOISE_DRAWS)
        total += (answer - result) ** 2
    return np.asarray(np.sqrt(total / NOISE_DRAWS) / _SHARE, dtype=np.float32)

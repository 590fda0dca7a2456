"""How far the result of the stage ``dps`` may be from the truth."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import Progress, one_of
from napari_dps.methods.dps.target import ImageToSharpen, Method

NOISE_DRAWS = 8
"""One for each flip and quarter turn of the square."""
FRAME_DRAWS = 4
"""With raw frames: all together have more noise, and more draws change little."""


class Shares(NamedTuple):
    """What an error is beside what noise moves.

    Attributes
    ----------
    detail : float
        Error over what a method has added to what the image holds.
    light : float
        Most that the error is of the light around: light is never negative.
    """

    detail: float
    light: float


OF_IMAGES = Shares(0.75, math.inf)
"""Of images alone. Of the pixels of ten simulated structures, eight of the training, at
40, 200 and 2000 photons, 94 to 99 % are within two standard deviations for each method,
and 94 % of the brightest tenth."""
OF_FRAMES = {"network": Shares(0.9, 0.7), "joint": Shares(0.9, 1.0)}
"""Where raw frames were fitted, whose results are 0 where there is no light. On
simulated structures of the training at 50, 200 and 1000 photons these leave the fewest
pixels outside of 90 to 98 % within two standard deviations, of all and of the brightest
tenth of each structure and level (benchmarks/dps_uncertainty.py)."""
_SHARE = 0.3
"""Noise added in a draw, of the image's: little, so that the result answers as it does
to the noise that it holds."""


def spread_steps(
    method: Method,
    target: ImageToSharpen,
    result: NDArray[np.float32],
    draws: int = NOISE_DRAWS,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Add a little noise again and again, and see how the result answers.

    The root mean square of the changes over the share of the noise that was added: the
    standard deviation that the image's own noise gives the result. What the method gets
    wrong whatever the noise (blur, bias) is not in it, but in what is stated.

    Parameters
    ----------
    method : callable
        One of `napari_dps.methods.dps.methods.METHODS`.
    target : ImageToSharpen
        What it worked on. Noise of a camera image is taken for shot noise.
    result : array (2Y, 2X), float32
        What it gave.
    draws : int
        How often, at most `NOISE_DRAWS`.

    Yields
    ------
    Progress
        In as many parts and one, from the second on; the first was the result.

    Returns
    -------
    array (2Y, 2X), float32
        In the unit of the image.
    """
    sigma = noise_of(target)
    total = np.zeros_like(result)
    whites = turned_noise(sigma.shape[0], sigma.shape[1])
    for draw, white in zip(range(draws), whites, strict=False):
        noise = sigma * white
        frames = target.raw_frames
        moved = replace(
            target,
            image=target.image + np.float32(_SHARE) * noise,
            raw_frames=frames and frames.noisier(_SHARE, draw),
        )
        answer = yield from one_of(method(moved), 1 + draw, 1 + draws)
        total += (answer - result) ** 2
    return np.asarray(np.sqrt(total / draws) / _SHARE, dtype=np.float32)


def stated_uncertainty(
    spread: NDArray[np.float32],
    result: NDArray[np.float32],
    cutoff_per_pixel: float,
    shares: Shares = OF_IMAGES,
) -> NDArray[np.float32]:
    """Return the standard deviation of the error: from noise, and of what is invented.

    σ² = the mean around a pixel of spread² and of (d · detail)², but at most that of
    (m · result)²; d and m are the shares of detail and light. Detail is the result less
    itself seen through the image's PSF: what the image does not hold but the method has
    put there, and where it is wrong whatever the noise. Around: a Gaussian as wide as
    the PSF, since a few draws alone are a rough measure. Where a result of raw frames
    shows no light it is 0: what was overlooked is not in it.

    Parameters
    ----------
    spread, result : array (2Y, 2X), float32
        As of `spread_steps`, and what the method gave.
    cutoff_per_pixel : float
        Cut-off of the effective OTF, cycles per pixel of the image.
    shares : Shares
        `OF_IMAGES`, or one of `OF_FRAMES`.

    Returns
    -------
    array (2Y, 2X), float32
        In the unit of the image.

    Examples
    --------
    >>> even = np.full((8, 8), 5, np.float32)
    >>> bool(np.allclose(stated_uncertainty(even, 100 * even, 0.4), 5))
    True
    >>> dim = stated_uncertainty(even, even, 0.4, OF_FRAMES["network"])
    >>> bool(np.allclose(dim, 0.7 * 5))
    True
    """
    detail = np.float32(shares.detail) * (result - around(result, cutoff_per_pixel))
    variance = around(spread**2 + detail**2, cutoff_per_pixel)
    if math.isfinite(shares.light):
        light = np.float32(shares.light) * result
        variance = np.minimum(variance, around(light**2, cutoff_per_pixel))
    return np.sqrt(variance)


def around(image: NDArray[np.float32], cutoff_per_pixel: float) -> NDArray[np.float32]:
    """Return the mean around each pixel of a result, by a Gaussian as wide as the PSF.

    Parameters
    ----------
    image : array (2Y, 2X), float32
        On the grid of a result.
    cutoff_per_pixel : float
        Cut-off of the effective OTF, cycles per pixel of the image.
    """
    # Airy's full width at half maximum, 0.51 λ/NA, on the grid of half the pixels.
    sigma_px = 2 * 1.029 / 2.3548 / cutoff_per_pixel
    smooth = scipy.ndimage.gaussian_filter(image, sigma_px, mode="reflect")
    return np.asarray(smooth, dtype=np.float32)


def noise_of(target: ImageToSharpen) -> NDArray[np.float32]:
    """Return the standard deviation of an image's noise, (Y, X) in counts.

    That of a camera image is taken for shot noise.
    """
    sigma = np.full_like(target.image, target.noise)
    if target.is_raw:
        light = np.maximum(scipy.ndimage.gaussian_filter(target.image, 1.0), 0)
        sigma *= np.sqrt(light / max(float(light.mean()), np.finfo(np.float32).tiny))
    return sigma


def turned_noise(height: int, width: int) -> Iterator[NDArray[np.float32]]:
    """Draw white noise, and turn it in all ways that a square can be.

    So that turning an image turns its uncertainty: it is answered to the same noises,
    in another order.

    Parameters
    ----------
    height, width : int
        Of the image.

    Yields
    ------
    array (Y, X), float32
        `NOISE_DRAWS` times, standard deviation 1.

    Examples
    --------
    >>> noises = list(turned_noise(4, 6))
    >>> turned = [np.rot90(noise) for noise in turned_noise(6, 4)]
    >>> all(any(np.array_equal(t, n) for n in noises) for t in turned)
    True
    """
    side = max(height, width)
    rng = np.random.default_rng(0)
    # Places between the pixels too: else the middle of an odd side would be none.
    square = rng.standard_normal((2 * side - 1, 2 * side - 1), dtype=np.float32)
    rows, columns = (slice(side - n, side + n - 1, 2) for n in (height, width))
    for turn in range(NOISE_DRAWS):
        turned = np.rot90(square, turn % 4)
        yield (turned[:, ::-1] if turn >= 4 else turned)[rows, columns]

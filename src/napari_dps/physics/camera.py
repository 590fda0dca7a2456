"""The camera: from expected photons to counts with noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_dps.core import InputError

_TINY = 1e-12
"""Counts; what keeps empty images from a division by zero."""


class Camera(BaseModel):
    """Noise and conversion of a camera.

    counts = round(offset + gain · (Poisson(photons) + N(0, read noise) + row)), clipped
    to 0 … 65535, where row ~ N(0, row noise) is one value for each row of each frame
    (European Machine Vision Association, standard EMVA 1288). A photon means a
    detected photon, that is a photo-electron: the quantum efficiency is already in.

    Examples
    --------
    >>> camera = Camera(read_noise_e=0)
    >>> camera.record(np.zeros((2, 3)), np.random.default_rng(0)).tolist()
    [[100, 100, 100], [100, 100, 100]]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    read_noise_e: float = Field(
        default=1.6,
        title="Read noise",
        description="Standard deviation of the read-out of one pixel.",
        ge=0,
        le=1000,
        json_schema_extra={"unit": "e-"},
    )
    row_noise_e: float = Field(
        default=0.0,
        title="Row noise",
        description="Standard deviation of the noise that a row of an sCMOS shares.",
        ge=0,
        le=100,
        json_schema_extra={"unit": "e-"},
    )
    gain_counts_per_e: float = Field(
        default=2.0,
        title="Gain",
        description="Counts for one photo-electron.",
        gt=0,
        le=1000,
        json_schema_extra={"unit": "counts/e-"},
    )
    offset_counts: float = Field(
        default=100.0,
        title="Offset",
        description="Counts of a pixel without light.",
        ge=0,
        le=60000,
        json_schema_extra={"unit": "counts"},
    )

    def record(
        self, photons: NDArray[np.floating], generator: np.random.Generator
    ) -> NDArray[np.uint16]:
        """Record frames: shot noise, read noise, gain, offset, 16-bit conversion.

        Parameters
        ----------
        photons : array (…, Y, X)
            Expected photons in each pixel, ≥ 0.
        generator : numpy.random.Generator
            The same state gives the same counts.

        Returns
        -------
        array (…, Y, X), uint16
            Counts; brighter pixels saturate at 65535.

        Raises
        ------
        InputError
            If a value of ``photons`` is negative or not finite.
        """
        lowest, highest = float(np.min(photons)), float(np.max(photons))
        if not (lowest >= 0 and highest < np.inf):
            raise InputError(
                "expected photons", got=f"{lowest:g} to {highest:g}", allowed=">= 0"
            )
        # Poisson draws fail above 9e18; every camera saturates long before 1e9.
        electrons = generator.poisson(np.minimum(photons, 1e9)).astype(np.float32)
        if self.read_noise_e:
            noise = generator.standard_normal(electrons.shape, dtype=np.float32)
            electrons += np.float32(self.read_noise_e) * noise
        if self.row_noise_e:
            rows = generator.standard_normal((*electrons.shape[:-1], 1), np.float32)
            electrons += np.float32(self.row_noise_e) * rows
        counts = self.offset_counts + self.gain_counts_per_e * electrons
        return np.asarray(np.clip(np.rint(counts), 0, 65535), dtype=np.uint16)


def deal_photons(
    image: NDArray[np.float32], noise: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Deal the photons of a camera image out to two images.

    Parameters
    ----------
    image : array (Y, X), float32
        Counts above the camera's offset.
    noise : float
        Standard deviation of its noise in counts, taken for shot noise: counts per
        photon are its square over the mean.
    rng : numpy.random.Generator
        Deals.

    Returns
    -------
    two arrays (Y, X), float32
        Of the brightness of the image; their mean is the image, their noise √2 times
        its noise, and independent of one another.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = rng.poisson(20, (64, 64)).astype(np.float32)
    >>> one, other = deal_photons(image, noise=20**0.5, rng=rng)
    >>> bool(np.allclose(one + other, 2 * image, atol=1e-4))
    True
    >>> abs(float(np.corrcoef(one.ravel(), other.ravel())[0, 1])) < 0.05
    True
    """
    mean = max(float(image.mean(dtype=np.float64)), _TINY)
    gain = max(noise**2 / mean, _TINY)
    photons = np.maximum(image / gain, 0)
    half = rng.binomial(np.rint(photons).astype(np.int64), 0.5) - np.rint(photons) / 2
    difference = np.asarray(gain * half, dtype=np.float32)
    return image + 2 * difference, image - 2 * difference

"""The noise of a reconstruction, measured in it: place by place, and by frequency.

A reconstruction's noise is coloured by its filter and as uneven as its light, so one
number does not describe it. Near the edge of the spectrum, where structure is weakest,
noise shows where it is strong. Its spectrum shows in the faintest parts: of the image
cut into pieces, and where these are full of structure, of each band of frequencies,
in which lines and edges leave most places empty and noise none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.metrics.spectrum import (
    cosine_radius,
    cosine_transform,
    inverse_cosine_transform,
)

CANONICAL_EDGE_PER_PX = 0.4
"""Edge of the spectrum of what is measured and what networks get, cycles per pixel."""
BAND = (0.65, 0.97)
"""Band in which the local noise is measured, over the edge of the spectrum."""
PLACE_SIGMA_PX = 11.0
"""Of the Gaussian that averages the power of the band: less follows single lines,
more misses that noise varies fourfold over a field."""
WINDOW_PX = 64
"""Edge of the pieces whose periodograms are compared."""
_MOST_PIECES = 64
"""Enough for a quantile: more of a large image are left out evenly."""
_PIECES_QUANTILE = 0.25
_PLACES_QUANTILE = 0.03
"""Of pieces, and of places in a band: the fewer lack structure, the smaller."""
_CENTRES = (0.13, 0.17, 0.22, 0.28, 0.36)
"""Middles of the bands, cycles per pixel."""
_WIDTH = 0.3
"""Standard deviation of the logarithm of the frequency in a band (Field 1987,
doi:10.1364/JOSAA.4.002379): wider ones tell places apart better, and frequencies
worse."""
_ROUNDS = 2
"""The second begins with what the first has found."""
_DIRECTIONS = 4
_DIRECTION_WIDTH = 0.6
"""Standard deviation of the angle in a band over the step between directions."""
_INNER = 0.12
"""Cycles per pixel, 0.3 of the edge, below which structure is everywhere. White noise
that has passed a Wiener filter is not stronger there: at most by 1.4 in simulations."""
_FALL = 2.0
"""Least exponent at which the power of structure falls with the frequency. Lines fall
with 1, edges with 3, and what images them adds to that."""
_FALLS_FROM = 0.1
"""Cycles per pixel, a quarter of the edge, from which it does."""
_LEAST_STRUCTURE = 1e-12
"""Over the greatest power: so that nothing is divided by 0."""
_MOST_STRUCTURE = 4.0
"""Power over that expected of structure from which it is noise."""
_RIM_PX = 16
"""By which an image is mirrored at its edges before it is filtered."""
_TINY = 1e-30

Image = NDArray[np.float32]
Spectrum = NDArray[np.float64]


def canonical_shape(shape: tuple[int, int], edge_per_px: float) -> tuple[int, int]:
    """Return the shape that brings the edge of the spectrum to the canonical one.

    Sides are multiples of 4, so that the network fills nothing up at one border alone
    and gives the same however the image is turned.

    Examples
    --------
    >>> canonical_shape((512, 400), 0.2)
    (256, 200)
    """
    zoom = edge_per_px / CANONICAL_EDGE_PER_PX
    height, width = (max(4 * round(side * zoom / 4), 4) for side in shape)
    return height, width


def noise_map(image: NDArray[Any], edge_per_px: float) -> Image:
    """Return the standard deviation of the noise near the spectrum's edge, by place.

    √(Gaussian(band²)), the band from 0.65 to 0.97 of the edge. With the true local
    noise it correlates at 0.998.

    Parameters
    ----------
    image : array (Y, X)
        Finite.
    edge_per_px : float
        Edge of its spectrum, cycles per pixel.

    Returns
    -------
    array (Y, X), float32
        In the image's unit, of the band alone; ≥ 0.
    """
    plane = np.asarray(image, dtype=np.float32)
    radius = cosine_radius(plane.shape)
    low, high = (share * edge_per_px for share in BAND)
    inside = (radius >= low) & (radius <= high)
    band = inverse_cosine_transform(cosine_transform(plane) * inside)
    power = scipy.ndimage.gaussian_filter(band**2, PLACE_SIGMA_PX, mode="mirror")
    return np.asarray(np.sqrt(np.maximum(power, 0)), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """Power of an image and of its noise, by frequency and direction.

    Attributes
    ----------
    power, noise : array (K, K), float64
        At the frequencies of `scipy.fft.fft2` of K × K pixels. Of white noise of
        standard deviation σ both are σ² everywhere.
    """

    power: Spectrum
    noise: Spectrum

    def near(self, frequency: float) -> tuple[float, float]:
        """Return mean power and noise of all directions at a frequency."""
        ring = self._ring(frequency)
        return float(self.power[ring].mean()), float(self.noise[ring].mean())

    def unevenness(self, frequency: float) -> float:
        """Return the noise in its strongest direction over its mean, at a frequency."""
        values = self.noise[self._ring(frequency)]
        return float(np.quantile(values, 0.95) / values.mean())

    def _ring(self, frequency: float) -> NDArray[np.bool_]:
        radius = _radius(len(self.power))
        return np.abs(radius - frequency) <= max(1.5 / len(radius), 0.02)


def most_noise(image: NDArray[Any]) -> float:
    """Return what the noise of an image is at most, quickly.

    Parameters
    ----------
    image : array (Y, X)
        Finite; 16 px a side or more.

    Returns
    -------
    float
        Standard deviation; above that of `noise_spectra` where pieces hold structure,
        else as much but for chance (a tenth).
    """
    plane = np.asarray(image, dtype=np.float32)
    power = np.abs(_piece_spectra(plane, _window_of(plane))) ** 2
    found = np.quantile(power, _PIECES_QUANTILE, axis=0)
    return math.sqrt(float(found.mean()) / _of_exponential(_PIECES_QUANTILE))


def noise_spectra(image: NDArray[Any]) -> Spectra:
    """Measure the power of an image and of its noise.

    The image is cut into pieces of 64 px that overlap. Of their periodograms the mean
    is the power of the image; the 25 % quantile over −ln 0.75, which for noise alone
    is the mean too, is that of the noise in detail: pieces in which there is structure
    do not count. Each frequency takes its eight neighbours in. Where all pieces hold
    structure that is too much; so it is brought down to what the faintest 3 % of the
    places show in each of twenty bands (`_share_of_noise`).

    In simulated fields full of structure at up to 200 photons what is found from half
    of the edge upwards is 0.8 to 0.9 of the mean noise in the median, 0.4 to 7 times at
    the extremes (the noise of the darker parts is meant, which is less than the mean).
    With more light, and further down, more structure is taken for noise.

    Parameters
    ----------
    image : array (Y, X)
        Finite; 16 px a side or more; its spectrum ends near 0.4 cycles per pixel.

    Returns
    -------
    Spectra
    """
    plane = np.asarray(image, dtype=np.float32)
    window = _window_of(plane)
    spectra = _piece_spectra(plane, window)
    periodograms = np.abs(spectra) ** 2
    neighbours = np.concatenate(
        [
            np.roll(periodograms, (row, column), axis=(-2, -1))
            for row in (-1, 0, 1)
            for column in (-1, 0, 1)
        ]
    )
    power = neighbours.mean(axis=0, dtype=np.float64)
    found = np.quantile(neighbours, _PIECES_QUANTILE, axis=0)
    noise = found / _of_exponential(_PIECES_QUANTILE) + _TINY
    for _ in range(_ROUNDS):
        noise = noise * _share_of_noise(spectra, noise)
    radius = _radius(window)
    rim = (radius >= _INNER) & (radius < _INNER + 1.5 / window)
    inner = radius < _INNER
    noise[inner] = np.minimum(noise[inner], noise[rim].mean())
    return Spectra(power + _TINY, np.minimum(noise, power) + _TINY)


def _share_of_noise(spectra: NDArray[np.complex64], noise: Spectrum) -> Spectrum:
    """Return what of a noise that was found is noise, 1 where there is nothing else.

    The pieces are divided by that noise, so that all frequencies of a band weigh alike.
    In a band the power of noise is exponential over the places, as faint as at the
    quantile in 3 % of them; that of lines, edges and points is next to nothing in more
    of them, however near to one another they are.
    """
    window = spectra.shape[-1]
    taper = _taper(window)
    inside = (taper > 0.5 * taper.max()) & _every_other(window)
    even = spectra / np.sqrt(noise).astype(np.float32)
    filters = _bands(window)
    weights = np.square(filters, dtype=np.float64)
    shares = []
    for band, weight in zip(filters, weights, strict=True):
        places = np.abs(scipy.fft.ifft2(even * band, workers=1))[:, inside]
        faint = np.quantile((places / taper[inside]) ** 2, _PLACES_QUANTILE)
        share = faint / weight.mean() / _of_exponential(_PLACES_QUANTILE)
        shares.append(min(max(share, _TINY), 1.0))
    # A band holds half of what it shows: the other half is at the opposite frequencies.
    weights += np.roll(weights[:, ::-1, ::-1], (1, 1), axis=(1, 2)) + _TINY
    return np.asarray(
        np.exp(np.tensordot(np.log(shares), weights, 1) / weights.sum(axis=0))
    )


@lru_cache(maxsize=4)
def _bands(window: int) -> NDArray[np.float32]:
    """Return one-sided filters (B, K, K): their results have no zeros between waves."""
    frequencies = scipy.fft.fftfreq(window)
    angle = np.arctan2(frequencies[:, None], frequencies)
    radius = _radius(window)
    radius[0, 0] = _TINY
    bands = []
    for centre in _CENTRES:
        ring = np.exp(-0.5 * (np.log(radius / centre) / _WIDTH) ** 2)
        for number in range(_DIRECTIONS):
            off = np.angle(np.exp(1j * (angle - math.pi * number / _DIRECTIONS)))
            width = _DIRECTION_WIDTH * math.pi / _DIRECTIONS
            bands.append(ring * np.exp(-0.5 * (off / width) ** 2))
    filters = np.asarray(bands, dtype=np.float32)
    # The finest frequency of an even side has one sign only: it would not turn along.
    filters[:, window // 2] = filters[:, :, window // 2] = 0
    return filters


def _every_other(window: int) -> NDArray[np.bool_]:
    """Return a quarter of the places (K, K), the same seen from any side.

    Those between are much alike: a band is wider than two pixels.
    """
    chosen = np.abs(2 * np.arange(window) - (window - 1)) % 4 == 1
    places: NDArray[np.bool_] = chosen[:, None] & chosen
    return places


def structure_and_noise(spectra: Spectra) -> tuple[Spectrum, Spectrum]:
    """Tell structure from noise that is much stronger.

    Power less noise tells nothing where noise is a thousand times stronger: its scatter
    alone is many structures. That of structure falls with the frequency, points apart
    at least as its square, so what is strong at low frequencies bounds what there can
    be beyond; power above a multiple of that is noise.

    Parameters
    ----------
    spectra : Spectra
        Of an image.

    Returns
    -------
    structure, noise : array (K, K)
        Their power; structure the same in all directions.
    """
    window = len(spectra.power)
    ring = np.rint(_radius(window) * window).astype(np.intp)
    sure = 1 / np.square(spectra.noise)
    excess = np.bincount(ring.ravel(), ((spectra.power - spectra.noise) * sure).ravel())
    mean = excess / np.bincount(ring.ravel(), sure.ravel())
    floor = _LEAST_STRUCTURE * float(spectra.power.max())
    rings = np.maximum(np.arange(len(mean)), 1)
    steep = np.maximum(mean, floor) * rings**_FALL
    first = round(_FALLS_FROM * window)
    steep[first:] = np.minimum.accumulate(steep[first:])
    structure: Spectrum = (steep / rings**_FALL)[ring]
    noise = np.maximum(spectra.noise, spectra.power - _MOST_STRUCTURE * structure)
    return structure, noise


def _of_exponential(quantile: float) -> float:
    """Return a quantile of exponential numbers over their mean."""
    return -math.log(1 - quantile)


def filtered(image: NDArray[Any], passed: Spectrum) -> Image:
    """Filter an image, mirrored at its edges.

    Parameters
    ----------
    image : array (Y, X)
        Finite.
    passed : array (K, K)
        What passes, 0 to 1, at the frequencies of `Spectra`, for any direction.

    Returns
    -------
    array (Y, X), float32
    """
    plane = np.asarray(image, dtype=np.float32)
    rims = [min(_RIM_PX, side - 1) for side in plane.shape]
    padded = np.pad(plane, [(rim, rim) for rim in rims], mode="symmetric")
    rows = scipy.fft.fftfreq(padded.shape[0]) * len(passed)
    columns = scipy.fft.rfftfreq(padded.shape[1]) * len(passed)
    places = np.meshgrid(rows, columns, indexing="ij")
    gain = scipy.ndimage.map_coordinates(
        passed.astype(np.float32), places, order=1, mode="grid-wrap"
    )
    spectrum = scipy.fft.rfft2(padded, workers=1) * gain
    result = scipy.fft.irfft2(spectrum, s=padded.shape, workers=1)
    inside = tuple(slice(r, r + n) for r, n in zip(rims, plane.shape, strict=True))
    return np.asarray(result[inside], dtype=np.float32)


def _radius(window: int) -> Spectrum:
    """Return |k| of `scipy.fft.fft2`, cycles per pixel."""
    frequencies = scipy.fft.fftfreq(window)
    radius: Spectrum = np.hypot(frequencies[:, None], frequencies)
    return radius


def _window_of(plane: Image) -> int:
    """Return the edge of the pieces: smaller in small images."""
    return min(WINDOW_PX, int(min(plane.shape)) // 2 * 2)


def _taper(window: int) -> NDArray[np.float32]:
    """Return a Hann window (K, K) whose squares sum to 1."""
    taper = np.outer(*(2 * [np.hanning(window + 2)[1:-1]]))
    return np.asarray(taper / math.sqrt(float((taper**2).sum())), dtype=np.float32)


def _piece_spectra(plane: Image, window: int) -> NDArray[np.complex64]:
    """Return the FFT of pieces (N, K, K), Hann-windowed."""
    most = math.isqrt(_MOST_PIECES)
    rows, columns = (_starts(side - window, window, most) for side in plane.shape)
    pieces = np.stack(
        [
            plane[row : row + window, column : column + window]
            for row in rows
            for column in columns
        ]
    )
    pieces = pieces - pieces.mean(axis=(1, 2), keepdims=True)
    return np.asarray(scipy.fft.fft2(pieces * _taper(window), workers=1), np.complex64)


def _starts(last: int, window: int, most: int) -> list[int]:
    """Return where pieces start, 0 to ``last``: the same seen from either end."""
    count = min(-(-last // (window // 2)) + 1, most)
    first = [last * number // max(count - 1, 1) for number in range((count + 1) // 2)]
    return sorted({*first, *(last - start for start in first)})

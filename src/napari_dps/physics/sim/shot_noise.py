"""Gain and read noise of a camera, measured in the raw frames themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.special import gammaincinv

from napari_dps.core import Optics
from napari_dps.physics.gaussian import smoothed_widely
from napari_dps.physics.otf import radial_frequency
from napari_dps.physics.sim.noise import DIFFERENCE_RINGS
from napari_dps.physics.sim.spectrum import edge_window

BEYOND_CUTOFF = 1.05
"""Fraction of the cut-off beyond which a frame holds noise alone."""
INTERPOLATED = 1.5
"""Noise power within the cut-off over that beyond it from which frames are taken for
interpolated to finer pixels."""
ENOUGH_PX = 500_000
"""Of frames with more pixels in all, some are looked at."""
_LOCAL_SIGMA_PX = 4.0
_FITS = 5
_LEAST_SHARE = 0.02
"""Frequencies beyond the cut-off, of all, that are enough to measure noise in."""
_TINY = 1e-12
_BINS = 16
_DARKEST_PERCENT = 0.1
_SURE = 0.5
"""Where the line meets zero in one frame, at least, over the median of all."""


class ShotNoise(NamedTuple):
    """Variance of the noise of a frame: gain · expected counts + read variance.

    Attributes
    ----------
    gain : float
        Counts for a photo-electron; 0 where no noise is seen.
    read_variance : float
        In counts².
    """

    gain: float
    read_variance: float

    @property
    def read_light(self) -> float:
        """Counts whose shot noise is the read noise; 0 where no noise is seen."""
        return self.read_variance / self.gain if self.gain > 0 else 0.0

    def variance(self, light: Any) -> Any:
        """Return the variance, counts², where light (tensor or array) is expected."""
        return self.gain * light.clip(min=0) + self.read_variance


def shot_noise(frames: NDArray[np.float32], optics: Optics) -> ShotNoise:
    """Measure how the noise of raw frames grows with their light.

    What frames hold beyond the cut-off is noise; its local power is fitted by a line in
    the local light, each place weighted by the inverse square of its variance. Frames
    that were interpolated to finer pixels hold less there: what the angles differ by
    just within the cut-off then counts.

    Parameters
    ----------
    frames : array (A, P, Y, X), float32
        Counts above the camera's offset.
    optics : Optics
        The detection, at the pixel size of the frames.

    Returns
    -------
    ShotNoise
    """
    mean = max(float(frames.mean(dtype=np.float64)), _TINY)
    gain, read_variance = _of_mean_one(frames / np.float32(mean), optics)
    return ShotNoise(mean * gain, mean**2 * read_variance)


def pedestal(frames: NDArray[np.float32], optics: Optics) -> float:
    """Return the counts at which the noise of raw frames would vanish.

    Photons bring noise with them, haze as well; what a camera adds to every pixel does
    not. So the line of variance against counts meets zero at the camera's offset, or
    below it by the read variance over the gain.

    Parameters
    ----------
    frames : array (A, P, Y, X), float32
        Raw counts.
    optics : Optics
        The detection, at the pixel size of the frames.

    Returns
    -------
    float
        In counts; 0 where the frames do not tell, and no more than their darkest pixels
        have.
    """
    shape = (frames.shape[-2], frames.shape[-1])
    mean = float(frames.mean(dtype=np.float64))
    mask = _beyond_cutoff(shape, optics)
    if mean <= 0 or float(mask.mean()) < _LEAST_SHARE:
        return 0.0
    light, power = _light_and_power(frames / np.float32(mean), mask)
    crossings = [_crossing(*pair) for pair in zip(light, power, strict=True)]
    least, usual = np.percentile(crossings, [0, 50])
    darkest = float(np.percentile(frames, _DARKEST_PERCENT))
    return min(mean * float(usual), darkest) if least > _SURE * usual > 0 else 0.0


def _crossing(light: NDArray[np.float32], power: NDArray[np.float32]) -> float:
    """Return where the line of power against light meets zero; 0 if not right of it.

    Medians of places of about the same light are fitted, which hot pixels do not move.
    """
    edges = np.percentile(light, np.linspace(0, 100, _BINS + 1))
    places = np.clip(np.searchsorted(edges, light) - 1, 0, _BINS - 1)
    filled = np.unique(places)
    if len(filled) < _BINS:  # hardly any levels of light
        return 0.0
    x, y = (
        np.array([np.median(values[places == n]) for n in filled])
        for values in (light, power)
    )
    slope, start = np.polyfit(x, y, 1, w=1 / np.maximum(y, 1e-3 * y.mean() + _TINY))
    return max(float(-start / slope), 0.0) if slope > 0 else 0.0


def _beyond_cutoff(shape: tuple[int, int], optics: Optics) -> NDArray[np.bool_]:
    """Return which cosines (Y, X) of a frame lie beyond the cut-off."""
    radius = radial_frequency((2 * shape[0], 2 * shape[1]))[: shape[0], : shape[1]]
    beyond: NDArray[np.bool_] = radius > BEYOND_CUTOFF * optics.cutoff_per_pixel
    return beyond


def _light_and_power(
    frames: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Return light and noise around each place of some frames, (Y, X) each."""
    light, power = [], []
    every = max(frames.size // ENOUGH_PX, 1)
    share = np.float32(mask.mean())
    for frame in frames.reshape(-1, *mask.shape)[::every]:
        noise = scipy.fft.idctn(
            scipy.fft.dctn(frame, norm="ortho") * mask, norm="ortho"
        )
        power.append(smoothed_widely(noise**2 / share, _LOCAL_SIGMA_PX))
        light.append(smoothed_widely(frame, _LOCAL_SIGMA_PX))
    return light, power


def _of_mean_one(frames: NDArray[np.float32], optics: Optics) -> ShotNoise:
    """Do the same for frames of mean 1."""
    shape = (frames.shape[-2], frames.shape[-1])
    mask = _beyond_cutoff(shape, optics)
    within = _difference_power(frames, optics)
    share = float(mask.mean())
    if share < _LEAST_SHARE:
        return ShotNoise(within, 0.0)
    light, power = _light_and_power(frames, mask)
    # As smooth as they are, every other pixel tells as much.
    few = [np.ravel([part[::2, ::2] for part in one]) for one in (light, power)]
    gain, read = _line(*few)
    seen = float(np.mean(power))
    if within > INTERPOLATED * seen:
        factor = within / max(seen, _TINY * within)
        return ShotNoise(min(factor * gain, within), factor * read)
    return ShotNoise(gain, read)


def _line(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Fit y = a x + b, neither below 0, with errors in proportion to y."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    mean = max(float(x.mean()), _TINY)
    slope, start = max(float(y.mean()), 0.0) / mean, 0.0
    for _ in range(_FITS):
        expected = slope * np.maximum(x, 0) + start
        weights = 1 / np.maximum(expected, 1e-3 * expected.mean() + _TINY) ** 2
        centre_x, centre_y = (
            np.average(x, weights=weights),
            np.average(y, weights=weights),
        )
        spread = float(np.average((x - centre_x) ** 2, weights=weights))
        if spread <= _TINY * mean**2:
            break
        product = (x - centre_x) * (y - centre_y)
        slope = max(float(np.average(product, weights=weights)) / spread, 0.0)
        start = float(centre_y - slope * centre_x)
        if start < 0:
            squares = float(np.average(x * x, weights=weights))
            slope = max(float(np.average(x * y, weights=weights)) / squares, 0.0)
            start = 0.0
    return slope, start


def _difference_power(frames: NDArray[np.float32], optics: Optics) -> float:
    """Return the noise variance of a frame by what the angles differ by; 0 for one."""
    angles, phases = frames.shape[:2]
    if angles < 2:
        return 0.0
    shape = (frames.shape[-2], frames.shape[-1])
    window = edge_window(shape)
    means = frames.mean(axis=1, dtype=np.float64)
    means /= means.mean(axis=(-2, -1), keepdims=True)
    spectra = np.fft.rfft2((means - means.mean(axis=0)) * window)
    power = (np.abs(spectra) ** 2).sum(axis=0) / (angles - 1)
    radius = radial_frequency(shape, half_plane=True) / optics.cutoff_per_pixel
    ring = (radius > DIFFERENCE_RINGS[0]) & (radius < DIFFERENCE_RINGS[1])
    if not ring.any():
        return 0.0
    # The power is that of A − 1 complex numbers: a Gamma variable over its mean.
    usual = float(gammaincinv(angles - 1, 0.5)) / (angles - 1)
    level = float(np.median(power[ring])) / float((window**2).sum())
    return float(phases * level / usual)

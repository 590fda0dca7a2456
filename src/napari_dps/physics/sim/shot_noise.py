"""Gain and read noise of a camera, measured in the raw frames themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray
from scipy.special import gammaincinv

from napari_dps.core import Optics
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


def _of_mean_one(frames: NDArray[np.float32], optics: Optics) -> ShotNoise:
    """Do the same for frames of mean 1."""
    shape = (frames.shape[-2], frames.shape[-1])
    beyond = radial_frequency((2 * shape[0], 2 * shape[1]))[: shape[0], : shape[1]]
    mask = beyond > BEYOND_CUTOFF * optics.cutoff_per_pixel
    within = _difference_power(frames, optics)
    share = float(mask.mean())
    if share < _LEAST_SHARE:
        return ShotNoise(within, 0.0)
    light, power = [], []
    every = max(frames.size // ENOUGH_PX, 1)
    for frame in frames.reshape(-1, *shape)[::every]:
        noise = scipy.fft.idctn(
            scipy.fft.dctn(frame, norm="ortho") * mask, norm="ortho"
        )
        power.append(_local(noise**2 / share))
        light.append(_local(frame))
    gain, read = _line(np.ravel(light), np.ravel(power))
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


def _local(values: NDArray[np.floating]) -> NDArray[np.float32]:
    smooth = scipy.ndimage.gaussian_filter(values, _LOCAL_SIGMA_PX)
    return np.asarray(smooth, dtype=np.float32)

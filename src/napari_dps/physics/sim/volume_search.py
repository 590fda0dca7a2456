"""The joint search for the wave vector of both orders of three-beam stripes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.physics.sim.spectrum import ring_index

Real = NDArray[np.float64]
Complex = NDArray[np.complex64]
Wave = tuple[float, float]
"""A wave vector (y, x) in cycles per pixel."""

SEARCHED = (0.25, 0.6)
"""Wave number of the first order over the cut-off of the detection: the second, which
is twice as fine, is to be seen by the detection too."""
REFINEMENTS = 4


def peak(first: Complex, second: Complex, cutoff: float) -> tuple[Wave, float]:
    """Return the best wave vector on a grid, and its confidence.

    Parameters
    ----------
    first, second : array (Y, X), complex64
        Correlations of both orders with the object; their transforms peak at the wave
        vectors k and 2 k.
    cutoff : float
        Of the detection, in cycles per pixel.

    Returns
    -------
    wave : (float, float)
        k (y, x) in cycles per pixel, to a quarter of a bin.
    confidence : float
        Log of one over the probability that chance alone made such a peak.
    """
    fine = [2 * n for n in first.shape]
    one = _over_ring_median(first, 4)
    two = _over_ring_median(second, 2)
    y, x = (np.fft.fftfreq(2 * n) for n in fine)
    radius = np.hypot(y[:, None], x) / cutoff
    searched = (radius > SEARCHED[0]) & (radius < SEARCHED[1])
    searched &= (np.abs(y) < 0.25)[:, None] & (np.abs(x) < 0.25)
    # Bin j of the grid of k is bin j of that of 2 k.
    rows, columns = (
        np.rint(np.fft.fftfreq(2 * n) * 2 * n).astype(int) % n for n in fine
    )
    joint = np.where(searched, one + two[np.ix_(rows, columns)], 0)
    place = np.unravel_index(int(joint.argmax()), joint.shape)
    peak = float(joint[place])
    # A quarter of a bin is the step of the grid: 16 cells are about one.
    cells = max(1, np.count_nonzero(searched) / 16)
    confidence = peak - math.log1p(peak) - math.log(cells)
    return (float(y[place[0]]), float(x[place[1]])), confidence


def refined(first: Complex, second: Complex, wave: Wave) -> Wave:
    """Return the wave vector of `peak` to a small part of a bin."""
    levels = [float(np.median(np.abs(scipy.fft.fft2(c)) ** 2)) for c in (first, second)]
    steps = [0.25 / n for n in first.shape]
    for _ in range(REFINEMENTS):
        y, x = (
            centre + step * np.linspace(-1, 1, 9)
            for centre, step in zip(wave, steps, strict=True)
        )
        joint = np.abs(_at(first, y, x)) ** 2 / levels[0]
        joint += np.abs(_at(second, 2 * y, 2 * x)) ** 2 / levels[1]
        row, column = np.unravel_index(int(joint.argmax()), joint.shape)
        wave = float(y[row]), float(x[column])
        steps = [step / 4 for step in steps]
    return wave


def _over_ring_median(image: Complex, fineness: int) -> Real:
    """Return the power of a spectrum over what noise has in its ring, Exp(1).

    The spectrum is sampled so many times finer than its bins.
    """
    size = image.shape[0], image.shape[1]
    bins = np.abs(scipy.fft.fft2(image, workers=1)) ** 2
    rings = ring_index(size, min(size), size)
    order = np.argsort(rings, axis=None, kind="stable")
    edges = np.searchsorted(rings.ravel()[order], np.arange(rings.max() + 2))
    flat = bins.ravel()[order]
    medians = [np.median(flat[a:b]) for a, b in itertools.pairwise(edges)]
    fine = [fineness * n for n in size]
    power = np.abs(scipy.fft.fft2(image, fine, workers=1)) ** 2
    y, x = (np.fft.fftfreq(n) for n in fine)
    radius = np.hypot(y[:, None], x) * min(size)
    level = np.interp(radius, np.arange(len(medians)), medians)
    return np.asarray(power * math.log(2) / level)


def _at(image: Complex, y: Real, x: Real) -> NDArray[np.complex128]:
    """Return the transform of an image at any frequencies, (len(y), len(x))."""
    rows = np.exp(-2j * np.pi * np.outer(y, np.arange(image.shape[0])))
    columns = np.exp(-2j * np.pi * np.outer(np.arange(image.shape[1]), x))
    return np.asarray(rows @ image @ columns)

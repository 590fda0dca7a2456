"""Resolution by Fourier ring correlation, of two images or of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.metrics.spectrum import (
    Floats,
    WithCutoff,
    as_pair,
    as_plane,
    centred,
    edge_taper,
    fourier_ring_sums,
    require_variation,
)

Threshold = Literal["1/7", "half-bit", "3-sigma"]

_SHORTEST_SIDE_PX = 32
_SIGNIFICANT_Z = 5.0
_ABOVE = "above the threshold up to the Nyquist limit"
_NOTHING_COMMON = "no structure in common above the noise"


@dataclass(frozen=True, slots=True, eq=False)
class RingCorrelation(WithCutoff):
    """A Fourier ring correlation curve and where it meets its threshold.

    Attributes
    ----------
    frequency_per_pixel : (R,) array
        Middle of each ring, in cycles per pixel of the image.
    correlation : (R,) array
        Correlation coefficient on each ring, −1 to 1; not smoothed.
    threshold : (R,) array
        The criterion at each ring.
    cutoff_per_pixel : float or None
        Frequency at which the curve falls below the threshold for good: where the sum
        of its excess over the threshold, each ring weighed by its size, is greatest.
        None too if the correlation up to there is within five standard errors of none.
    note : str
        Why there is no cut-off; empty when there is one.
    """

    frequency_per_pixel: NDArray[np.float64]
    correlation: NDArray[np.float64]
    threshold: NDArray[np.float64]
    cutoff_per_pixel: float | None
    note: str = ""


def ring_correlation(
    image: NDArray[Any], other: NDArray[Any], threshold: Threshold = "1/7"
) -> RingCorrelation:
    """Correlate the spectra of two images of the same thing, ring by ring.

    FRC(k) = Re Σ F₁·F₂* / √(Σ|F₁|²·Σ|F₂|²) over each ring. If both hold the same
    structure and independent noise of equal power, FRC = SNR/(1 + SNR), SNR being the
    ratio of the powers in one image at k.

    Parameters
    ----------
    image, other : (Y, X) arrays
        Registered images of one shape, at least 32 px a side: two exposures, or an
        image and its reference.
    threshold : {"1/7", "half-bit", "3-sigma"}
        Criterion: the fixed 1/7 (SNR of 1/6 in each image) of localisation and
        fluorescence microscopy [2]_; half a bit of information per Fourier pixel of the
        two together [1]_; or three standard deviations 3/√n of the correlation of
        noise. n is the number of independent Fourier pixels of a ring (the taper makes
        it fewer than there are).

    Returns
    -------
    RingCorrelation

    Raises
    ------
    InputError
        If they are not finite planes of one shape of at least 32×32, one is constant,
        or the threshold is unknown.

    Notes
    -----
    It measures *repeatability*: structure that a method invents the same way twice (an
    artefact, a fixed camera pattern) counts as resolution. Against a noise-free truth,
    1/7 is lenient: the same SNR gives √(2·FRC/(1 + FRC)) = 1/2 there (Rosenthal and
    Henderson, J. Mol. Biol. 333, 721 (2003), doi:10.1016/j.jmb.2003.07.013).

    References
    ----------
    .. [1] van Heel, Schatz, J. Struct. Biol. 151, 250 (2005),
       doi:10.1016/j.jsb.2005.05.009: the half-bit curve.
    .. [2] Nieuwenhuizen et al., Nature Methods 10, 557 (2013), doi:10.1038/nmeth.2448.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(size=(64, 64))
    >>> same = ring_correlation(image, image)
    >>> bool(np.allclose(same.correlation, 1)), same.note
    (True, 'above the threshold up to the Nyquist limit')
    """
    image, other = as_pair(image, other)
    _check(image, threshold)
    require_variation(other, "Fourier ring correlation")
    return _correlate([(image, other, (0.0, 0.0))], threshold)


def single_image_ring_correlation(
    image: NDArray[Any], threshold: Threshold = "1/7"
) -> RingCorrelation:
    """Estimate the ring correlation that a second exposure would give, from one image.

    The image is split like a checkerboard into two pairs of sub-images on grids of
    twice the pixel, whose noise is independent; each pair is correlated, the two are
    pooled.

    Parameters
    ----------
    image : (Y, X) array
        A camera frame with noise independent from pixel to pixel, at least 64 px a
        side. Frequencies are in cycles per pixel of this image.
    threshold : {"1/7", "half-bit", "3-sigma"}
        As for `ring_correlation`.

    Returns
    -------
    RingCorrelation
        FRC of two exposures like this one.

    Raises
    ------
    InputError
        If it is not a finite plane of at least 64×64, is constant, or the threshold is
        unknown.

    Notes
    -----
    The sub-images of a pair lie one pixel apart along the diagonal, which lowers their
    correlation by J₀(2πk√2), and each has a quarter of the pixels, so a quarter of the
    SNR at every frequency. Koho et al. [1]_ calibrate both effects against two-image
    FRC of one set of images (the factor between the frequency read and the true one
    rises from 0.55 to 0.87 at 0.9 of the sub-images' Nyquist limit). Here both are
    undone exactly: the shift by a phase ramp, the SNR by FRC = 4c/(1 + 3c), c being the
    correlation of the sub-images.

    Limits: it cannot see beyond 0.25 cycles per pixel (a resolution of 4 px), so frames
    sampled near the Nyquist limit of their optics give none. Resampled, filtered,
    denoised and reconstructed images have noise that neighbours share: their value is
    wrong, always too fine; `napari_dps.metrics.snr.noise_is_white` tells. Structure
    above 0.25 cycles per pixel aliases and lowers the curve.

    References
    ----------
    .. [1] Koho et al., Nature Communications 10, 3103 (2019),
       doi:10.1038/s41467-019-11024-z.
    """
    plane = as_plane(image)
    rows, columns = (n - n % 2 for n in plane.shape)
    plane = plane[:rows, :columns]
    sub = {(y, x): plane[y::2, x::2] for y in (0, 1) for x in (0, 1)}
    _check(sub[0, 0], threshold, scale=2)
    require_variation(plane, "Fourier ring correlation")
    pairs = [
        (sub[0, 0], sub[1, 1], (0.5, 0.5)),
        (sub[1, 0], sub[0, 1], (-0.5, 0.5)),
    ]
    return _correlate(pairs, threshold, split=True)


def _check(plane: Floats, threshold: str, scale: int = 1) -> None:
    """Refuse a plane that is too small or constant, and an unknown threshold."""
    if threshold not in get_args(Threshold):
        raise InputError(
            "threshold", got=threshold, allowed=", ".join(get_args(Threshold))
        )
    if min(plane.shape) < _SHORTEST_SIDE_PX:
        least = scale * _SHORTEST_SIDE_PX
        raise InputError(
            "shape for Fourier ring correlation",
            got=tuple(scale * n for n in plane.shape),
            allowed=f"{least}×{least} px up",
        )
    if scale == 1:
        require_variation(plane, "Fourier ring correlation")


def _correlate(
    pairs: list[tuple[Floats, Floats, tuple[float, float]]],
    threshold: str,
    *,
    split: bool = False,
) -> RingCorrelation:
    """Pool the ring sums of pairs of planes; the second is displaced by a shift."""
    from scipy.fft import rfft2

    shape = pairs[0][0].shape
    taper = edge_taper(shape, (shape[0] // 8, shape[1] // 8))
    rings = min(shape) // 2
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    sums = np.zeros((3, rings))
    for first, second, (dy, dx) in pairs:
        a, b = rfft2(centred(first) * taper), rfft2(centred(second) * taper)
        if dy or dx:
            back = np.exp(-2j * np.pi * ky * dy) * np.exp(-2j * np.pi * kx * dx)
            b = b * back.astype(b.dtype)
        values = ((a * np.conj(b)).real, np.abs(a) ** 2, np.abs(b) ** 2)
        sums += [fourier_ring_sums(v, shape, rings) for v in values]
    ones = np.ones((shape[0], shape[1] // 2 + 1))
    independent = np.sum(taper**2) ** 2 / (np.sum(taper**4) * taper.size)
    count = fourier_ring_sums(ones, shape, rings) * len(pairs) * independent
    energy = np.sqrt(sums[1] * sums[2])
    curve = np.divide(sums[0], energy, out=np.zeros(rings), where=energy > 0)
    level = _threshold(threshold, count)
    frequency = (np.arange(rings) + 0.5) / (2 * rings) / (2 if split else 1)
    raw_level = level / (4 - 3 * level) if split else level
    cutoff, note = _crossing(frequency, curve, raw_level, count)
    if split:
        curve = 4 * curve / (1 + 3 * np.maximum(curve, -0.2))
        if note == _ABOVE:
            note = "finer than 4 px, the limit of a checkerboard split"
    return RingCorrelation(frequency, curve, level, cutoff, note)


def _threshold(name: str, count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the criterion for rings of ``count`` independent Fourier pixels."""
    root = np.sqrt(np.maximum(count, 1))
    if name == "half-bit":
        # van Heel & Schatz 2005, eq. 17, for an SNR of (√2 − 1)/2 in each half
        return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)
    if name == "3-sigma":
        return np.minimum(3 / root, 1)
    return np.full(count.shape, 1 / 7)


def _crossing(
    frequency: NDArray[np.float64],
    curve: NDArray[np.float64],
    level: NDArray[np.float64],
    count: NDArray[np.float64],
) -> tuple[float | None, str]:
    """Return where a curve goes below its level for good, or why it does not.

    The sum of (curve − level)·count from zero frequency grows while the curve is above
    and falls when it is below: its maximum is the crossing of a noise-free curve, and
    a chance dip of a few rings, which ends the first crossing early, does not move it.
    """
    above = curve - level
    last = int(np.argmax(np.cumsum(above * count)))
    inside = slice(0, last + 1)
    z = np.sum(curve[inside] * count[inside]) / np.sqrt(np.sum(count[inside]))
    if above[last] <= 0 or z < _SIGNIFICANT_Z:
        return None, _NOTHING_COMMON
    if last == curve.size - 1:
        return None, _ABOVE
    part = above[last] / (above[last] - above[last + 1])
    step = frequency[last + 1] - frequency[last]
    return float(frequency[last] + part * step), ""

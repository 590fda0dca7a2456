"""Resolution of one image, and of a z-stack along z, by decorrelation analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.metrics.spectrum import (
    WithCutoff,
    as_plane,
    centred,
    edge_taper,
    fourier_ring_sums,
    require_variation,
)

_TAPER_PX = 20
_FILTERS = 10
_FINEST_SIGMA_PX = 0.15
_SIGNIFICANT_DROP = 1e-3
_NOISE_DROP = 0.4
_LOWEST_AMPLITUDE = 0.05
LEAST_PLANES = 8
"""Of a z-stack whose axial resolution is measured."""
HALF_LOBE = 0.59
"""Half the width of the lobe of a half-sine window, in steps of kz: where the power of
its spectrum cos(πs)/(1 − 4 s²) is half."""
_FINER_KZ = 4
"""Axial frequencies for each that the planes tell apart: peaks lie between them."""
_RINGS = 2000
_SAMPLES = 500


@dataclass(frozen=True, slots=True, eq=False)
class Decorrelation(WithCutoff):
    """What decorrelation analysis finds.

    Attributes
    ----------
    cutoff_per_pixel : float or None
        Highest frequency k_c with structure above the noise, in cycles per pixel;
        None when no curve has a maximum (noise alone, or too small an image).
    geometric_mean_cutoff_per_pixel : float or None
        Frequency of the curve whose maximum has the greatest √(A·r): lower, and less
        easily moved by noise.
    amplitude : float
        Height A₀ of the maximum of the unfiltered curve, 0 to 1; rises with the SNR.
    radii : (R,) array
        Frequency axis of the curves, in cycles per pixel.
    curves : (1 + 20, R) array
        d(r): unfiltered, then ten high-passed ones, then the ten of the refinement.
    """

    cutoff_per_pixel: float | None
    geometric_mean_cutoff_per_pixel: float | None
    amplitude: float
    radii: NDArray[np.float64]
    curves: NDArray[np.float64]


class _Curves:
    """The decorrelation function of an image for any radial filter.

    d(r) is the correlation of the filtered spectrum H·F with F/|F| cut at r:
    Σ_{ρ<r} H|F| / √(Σ H²|F|² · n(r)). H is radial, so that the sums of |F|, |F|² and
    1 over fine rings say all: each curve is a running sum of a few thousand numbers.

    Parameters
    ----------
    sums : (3, rings) array
        Of |F|, |F|² and 1 over rings of equal width up to half a cycle per pixel.
    size : float
        Number of independent values that they come from.
    """

    def __init__(self, sums: NDArray[np.float64], size: float) -> None:
        self._first, self._second = sums[:2]
        self._count = np.cumsum(sums[2])
        self._frequency = (np.arange(_RINGS) + 0.5) / (2 * _RINGS)
        self._at = np.arange(1, _SAMPLES + 1) * (_RINGS // _SAMPLES) - 1
        self.radii = (self._at + 1) / (2 * _RINGS)
        self.drop = max(_SIGNIFICANT_DROP, _NOISE_DROP / np.sqrt(size))

    @classmethod
    def of_plane(cls, plane: NDArray[Any]) -> _Curves:
        """Sum the spectrum of an image (Y, X) over its rings."""
        from scipy.fft import rfft2

        shape = plane.shape
        width = (min(_TAPER_PX, shape[0] // 8), min(_TAPER_PX, shape[1] // 8))
        modulus = np.abs(rfft2(centred(plane) * edge_taper(shape, width)))
        modulus[0, 0] = 0
        values = (modulus, modulus**2, modulus > 0)
        sums = [fourier_ring_sums(one, shape, _RINGS) for one in values]
        return cls(np.stack(sums), plane.size)

    @classmethod
    def along_z(cls, volume: NDArray[Any], finest_per_pixel: float) -> _Curves:
        """Sum the spectrum of a z-stack (Z, Y, X) over slabs of |kz|."""
        from scipy.fft import fft, rfft2

        planes, *shape = volume.shape
        sides = shape[0], shape[1]
        width = (min(_TAPER_PX, sides[0] // 8), min(_TAPER_PX, sides[1] // 8))
        even = volume - volume.mean(dtype=np.float64)
        fade = np.sin(np.pi * (np.arange(planes) + 0.5) / planes)
        radius = np.hypot(np.fft.fftfreq(sides[0])[:, None], np.fft.rfftfreq(sides[1]))
        # What is even over a plane tells nothing but how bright it is.
        seen = (radius > 2 / min(sides)) & (radius < finest_per_pixel)
        lines = np.stack(
            [
                rfft2((plane * share * edge_taper(sides, width)).astype("f4"))[seen]
                for plane, share in zip(even, fade, strict=True)
            ]
        )
        count = _FINER_KZ * planes
        modulus = np.abs(fft(lines, count, axis=0))
        slab = np.minimum(2 * _RINGS * np.abs(np.fft.fftfreq(count)), _RINGS - 1)
        values = (modulus.sum(axis=1), (modulus**2).sum(axis=1), [lines.shape[1]])
        sums = [
            np.bincount(slab.astype(int), np.broadcast_to(one, count), _RINGS)
            for one in values
        ]
        return cls(np.stack(sums), 2 * lines.size)

    def __call__(self, sigma_px: float | None) -> NDArray[np.float64]:
        """Return d(r) after a Gaussian high-pass; None for no filter."""
        gain = np.ones(_RINGS)
        if sigma_px is not None:
            gain -= np.exp(-2 * (np.pi * sigma_px * self._frequency) ** 2)
        energy = np.sum(gain**2 * self._second)
        correlation = np.cumsum(gain * self._first)
        norm = np.sqrt(energy * np.maximum(self._count, 1))
        curve: NDArray[np.float64] = (correlation / norm)[self._at]
        return curve


def _maximum(
    curve: NDArray[np.float64], radii: NDArray[np.float64], drop: float
) -> tuple[float, float]:
    """Return place and height of the highest point that the curve falls from."""
    lowest_after = np.minimum.accumulate(curve[::-1])[::-1]
    falls = curve - lowest_after > drop
    best = int(np.argmax(np.where(falls, curve, -np.inf)))
    if not falls[best] or best == 0 or curve[best] < _LOWEST_AMPLITUDE:
        return 0.0, 0.0
    return float(radii[best]), float(curve[best])


def decorrelation(image: NDArray[Any]) -> Decorrelation:
    """Find the resolution of one image by decorrelation analysis.

    The spectrum is correlated with its own phases inside a growing circle. Structure
    raises the correlation, noise lowers it, so that d(r) peaks where structure ends.
    High-pass filters of ten widths bring out the weak fine structure; ten more, around
    the one whose peak lies farthest out, refine it. The farthest peak is the cut-off.

    Parameters
    ----------
    image : (Y, X) array
        Finite, any units; at least 16 px a side.

    Returns
    -------
    Decorrelation

    Raises
    ------
    InputError
        If it is not a finite plane of at least 16×16, or is constant.

    Notes
    -----
    Constants are those of the authors' program: edges tapered over 20 px, ten
    high-pass widths from 2/r₀ to 0.15 px in geometric steps, a peak counts if the
    curve falls by 0.001 after it and is 0.05 high; the refinement looks from 0.05
    below to 0.3 above the coarse cut-off, in units of the Nyquist frequency. Below
    400×400 the fall asked for is 0.4/√pixels, what noise alone may do (by simulation).
    All filters are radial, so the curves are computed from sums over 2000 rings: the
    same values as with masks in the plane, for the price of one FFT.

    The value is where the *signal drops under the noise*: near the cut-off of the
    optics in a bright image, above it (coarser) in a dim one. It is read too fine in
    images that were sharpened, and scatters on sparse or small crops.

    References
    ----------
    .. [1] Descloux, Grußmayer, Radenovic, Nature Methods 16, 918 (2019),
       doi:10.1038/s41592-019-0515-7.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> spectrum = np.fft.rfft2(rng.normal(size=(128, 128)))
    >>> ky, kx = np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)
    >>> image = np.fft.irfft2(spectrum * (np.hypot(ky, kx) < 0.2))
    >>> found = decorrelation(image + 0.05 * rng.normal(size=image.shape))
    >>> round(found.cutoff_per_pixel, 2)
    0.2
    """
    plane = as_plane(image)
    if min(plane.shape) < 16:
        raise InputError(
            "image for decorrelation analysis", got=plane.shape, allowed="16×16 px up"
        )
    require_variation(plane, "resolution by decorrelation")
    return _searched(_Curves.of_plane(plane), max(plane.shape))


def axial_decorrelation(
    volume: NDArray[Any], finest_per_pixel: float = 0.5
) -> Decorrelation:
    """Find the resolution of a z-stack along z by decorrelation analysis.

    As `decorrelation`, with slabs |kz| < r in place of circles: the sectors of [1]_ at
    their widest, since a widefield microscope passes nothing near the kz axis.

    Parameters
    ----------
    volume : (Z, Y, X) array
        Finite, any units; at least 8 planes of 16 × 16 px.
    finest_per_pixel : float
        Lateral frequencies above that, in cycles per pixel, are left out: they hold
        noise alone.

    Returns
    -------
    Decorrelation
        Its frequencies are in cycles per plane.

    Raises
    ------
    InputError
        If it is smaller, not finite or constant.

    Notes
    -----
    The planes fade to both ends as half a sine, which of all common windows keeps
    frequencies apart best; half the width of its lobe at half power, 0.59 over the
    number of planes, is taken off the cut-off. What is left is read up to 10 % too fine
    in 24 planes. White noise that ends at .1, .2, .3, .4 cycles per plane is read as
    .11, .22, .31, .41. No value finer than two planes is found.

    References
    ----------
    .. [1] Descloux, Grußmayer, Radenovic, Nature Methods 16, 918 (2019),
       doi:10.1038/s41592-019-0515-7.
    """
    least = (LEAST_PLANES, 16, 16)
    if volume.ndim != 3 or any(n < m for n, m in zip(volume.shape, least, strict=True)):
        raise InputError(
            "z-stack for its axial resolution",
            got=volume.shape,
            allowed=f"{LEAST_PLANES} planes of 16×16 px up",
        )
    planes = np.stack([as_plane(plane) for plane in volume])
    require_variation(planes, "axial resolution by decorrelation")
    found = _searched(_Curves.along_z(planes, finest_per_pixel), len(planes))

    def less_lobe(cutoff: float | None) -> float | None:
        return max(cutoff - HALF_LOBE / len(planes), 0.0) or None if cutoff else None

    return replace(
        found,
        cutoff_per_pixel=less_lobe(found.cutoff_per_pixel),
        geometric_mean_cutoff_per_pixel=less_lobe(
            found.geometric_mean_cutoff_per_pixel
        ),
    )


def _searched(curve: _Curves, longest: int) -> Decorrelation:
    """Look for the farthest peak of curves of an image of a longest side."""
    radii = curve.radii
    curves = [curve(None)]
    peaks = [_maximum(curves[0], radii, curve.drop)]

    # r₀ in units of the Nyquist frequency sets the widest filter, 2/r₀ pixels
    coarsest = 1 / peaks[0][0] if peaks[0][0] else longest / 2
    sigmas = np.geomspace(coarsest, _FINEST_SIGMA_PX, _FILTERS)
    curves += [curve(sigma) for sigma in sigmas]
    peaks += [_maximum(d, radii, curve.drop) for d in curves[1:]]

    place = np.array(peaks[1:])
    farthest = int(np.argmax(place[:, 0]))
    sharpest = int(np.argmax(place[:, 0] * place[:, 1]))
    first, last = sorted((farthest, sharpest))
    ends = sigmas[first], sigmas[min(last + 1, _FILTERS - 1)]
    near = (radii > place[sharpest, 0] - 0.025) & (radii < place[sharpest, 0] + 0.15)
    for sigma in np.geomspace(*ends, _FILTERS):
        curves.append(curve(sigma))
        peaks.append(_maximum(curves[-1][near], radii[near], curve.drop))

    found = np.array(peaks)
    best = found[np.argmax(found[:, 0])]
    balanced = found[np.argmax(found[:, 0] * found[:, 1])]
    return Decorrelation(
        cutoff_per_pixel=float(best[0]) or None,
        geometric_mean_cutoff_per_pixel=float(balanced[0]) or None,
        amplitude=peaks[0][1],
        radii=radii,
        curves=np.array(curves),
    )

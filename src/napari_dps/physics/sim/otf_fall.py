"""How much faster than the ideal OTF that of the microscope falls.

Where order 0 and a shifted order n show the same frequency q of the object, the lens
passed it at two different frequencies,

    D_0(q) = S(q) O(q),    D_n(q) = m S(q) O(q + k),

and their ratio tells the OTF without the object. Lenses, cameras and mounting media
pass less of the fine frequencies than the ideal OTF: here it is multiplied by
exp(−fall · r²), r the frequency over the cut-off, a Gaussian blur. Left out, the outer
band of a reconstruction is too strong beside the middle one, which gives fringes along
every edge, and modulations come out too low. fairSIM damps its OTF by a number that
the user chooses (Müller et al. 2016, doi:10.1038/ncomms10980).

No lens passes more than the ideal OTF: a fall below 0 shows that NA, wavelength or
pixel size are wrong, and makes up for it within the cut-off that they give.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Pattern
from napari_dps.physics.otf import Transfer, widefield_otf
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.separate import orders_by_angle
from napari_dps.physics.sim.spectrum import (
    FloatArray,
    edge_window,
    plane_waves,
    vertex,
)

if TYPE_CHECKING:
    import torch

LOWEST, HIGHEST = 0.2, 0.95
"""Fractions of the cut-off that count: light out of focus, which only order 0 shows,
gathers below."""
BINS = 24
"""Of frequency, from 0 to the cut-off."""
FALLS = np.linspace(-2, 4, 31)
"""That are tried. Three real microscopes gave 1.75 to 1.9."""
RATIOS = np.geomspace(0.04, 1.6, 75)
"""Modulations that are tried."""
LEAST_CELLS = 200
"""Frequencies in an overlap below which it tells nothing."""
LEAST_FALL = 0.35
"""Less makes no visible difference: square pixels of half the period of the cut-off
alone give 0.2."""
LEAST_RISE = 0.2
"""A fall below 0 by less is none: right optics gave .07 to .18 on simulated stacks, a
cut-off too small by 5, 10 and 20 % −.3, −.7 and −1.6."""
FALL_OF_CUTOFF = 8.4
"""How much the fall sinks for a cut-off that is too small, over the share that is
missing of it; from `_USUAL_FALL` on."""
_USUAL_FALL = 0.13
LEAST_GAIN = 20.0
"""By which a fall has to explain the orders better than the nearest that makes no
difference to be believed, in variances of the noise."""
LARGEST_PX = 384
"""Side of the part of larger frames that is looked at, the brightest."""
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class _Overlap:
    """What order 0 and another order share, summed in bins of frequency of the lens.

    Attributes
    ----------
    zero, other : array (K,)
        Frequencies over the cut-off at which the lens passed order 0, and the other.
    power_zero, power_other, cross : array (K,)
        Sums of |D_0|², |D_n|² and Re D_0* D_n, both scaled to equal noise.
    scale : float
        What that scaling makes of the modulation.
    count : int
        Frequencies that were summed.
    """

    zero: FloatArray
    other: FloatArray
    power_zero: FloatArray
    power_other: FloatArray
    cross: FloatArray
    scale: float
    count: int

    def best(self, fall: float) -> tuple[float, float]:
        """Return the misfit of the best modulation, and that modulation.

        |O_0 D_n − m O_n D_0|²/(O_0² + m² O_n²), summed: the likelihood of both orders
        with the best object, which noise in either does not bias.
        """
        zero, other = (fallen_otf(r, fall) for r in (self.zero, self.other))
        ratio = self.scale * RATIOS[:, np.newaxis] * other
        rest = (
            zero**2 * self.power_other
            - 2 * zero * ratio * self.cross
            + ratio**2 * self.power_zero
        )
        misfits = (rest / (zero**2 + ratio**2)).sum(axis=1)
        place = _lowest(misfits)
        modulation = np.interp(place, np.arange(len(RATIOS)), RATIOS)
        return float(misfits.min()), float(modulation)


def fallen_otf(frequency: FloatArray, fall: float) -> FloatArray:
    """Return the OTF of a microscope, by frequency over cut-off.

    Parameters
    ----------
    frequency : array, any shape
        Over the cut-off, 0 or more.
    fall : float
        `Pattern.otf_fall`; 0: the ideal OTF.

    Examples
    --------
    >>> fallen_otf(np.array([0.0, 0.5]), 1.8).round(3).tolist()
    [1.0, 0.249]
    """
    return np.asarray(widefield_otf(frequency, 1.0) * np.exp(-fall * frequency**2))


def otf_shown_by(patterns: Sequence[Pattern]) -> Transfer | None:
    """Return the OTF that frames have shown, by frequency over cut-off.

    None where they have shown no fall: the ideal one.
    """
    falls = [pattern.otf_fall for pattern in patterns if pattern.is_usable]
    fall = sum(falls) / len(falls) if falls else 0.0
    return partial(fallen_otf, fall=fall) if fall else None


def missing_of_cutoff(patterns: Sequence[Pattern]) -> float:
    """Return which share of the lens's cut-off the optics miss, as frames have shown.

    Parameters
    ----------
    patterns : sequence of Pattern
        Found on the frames.

    Returns
    -------
    float
        0 where the frames do not contradict the optics.
    """
    falls = [pattern.otf_fall for pattern in patterns if pattern.is_usable]
    fall = sum(falls) / len(falls) if falls else 0.0
    return (_USUAL_FALL - fall) / FALL_OF_CUTOFF if fall < 0 else 0.0


def with_otf_fall(
    frames: torch.Tensor, patterns: Sequence[Pattern], optics: Optics
) -> tuple[Pattern, ...]:
    """Return patterns with the fall of the OTF, and the modulations that go with it.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Raw frames, camera offset subtracted.
    patterns : sequence of Pattern
        Found on them; of one channel.
    optics : Optics
        The detection, at the pixel size of the frames.

    Returns
    -------
    tuple of Pattern
        As they came where no fall is sure, or no orders overlap.
    """
    overlaps = dict(_overlaps(frames, patterns, optics))
    total = np.zeros(len(FALLS))
    for overlap in overlaps.values():
        misfits = np.array([overlap.best(fall)[0] for fall in FALLS])
        # The least is the noise, and what no fall explains.
        total += misfits * (overlap.count / max(float(misfits.min()), _TINY))
    fall = float(np.interp(_lowest(total), np.arange(len(FALLS)), FALLS))
    least = float(np.interp(LEAST_FALL if fall > 0 else 0.0, FALLS, total))
    is_small = -LEAST_RISE < fall < LEAST_FALL
    if not overlaps or is_small or least - total.min() < LEAST_GAIN:
        return tuple(patterns)
    modulations = {key: overlap.best(fall)[1] for key, overlap in overlaps.items()}
    return tuple(
        pattern.model_copy(
            update={
                "otf_fall": fall,
                "orders": tuple(
                    order.model_copy(update={"modulation": modulations[number, n]})
                    if (number, n) in modulations
                    else order
                    for n, order in enumerate(pattern.orders)
                ),
            }
        )
        for number, pattern in enumerate(patterns)
    )


def _lowest(values: FloatArray) -> float:
    """Return where values are lowest, between their places by a parabola."""
    place = int(values.argmin())
    if not 0 < place < len(values) - 1:
        return float(place)
    return place + vertex(-values[place - 1 : place + 2])


def _overlaps(
    frames: torch.Tensor, patterns: Sequence[Pattern], optics: Optics
) -> Iterator[tuple[tuple[int, int], _Overlap]]:
    """Yield what the orders share with order 0, by place of pattern and order."""
    import torch

    factors = equalisation(frames)
    frames = _brightest(frames)
    for angle, orders in enumerate(orders_by_angle(patterns, optics.pixel_size_nm)):
        if not orders.used:
            continue
        rows = orders.order_rows(int(frames.shape[1]))
        weights = torch.from_numpy(rows * factors[angle]).to(frames)
        parts = torch.tensordot(weights, frames[angle], dims=1)
        noise = (rows**2).sum(axis=1)
        places = [
            (number, n)
            for number, pattern in enumerate(patterns)
            if pattern.angle_index == angle
            for n, order in enumerate(pattern.orders)
            if order.is_usable
        ]
        for number, order in enumerate(orders.used):
            pair = slice(2 * number + 1, 2 * number + 3)
            other = torch.complex(*parts[pair])
            scale = math.sqrt(noise[0] / noise[pair].sum())
            found = _overlap(
                parts[0], other, scale, order.wavevector, optics.cutoff_per_pixel
            )
            if found is not None:
                yield places[number], found


def _overlap(
    zero: torch.Tensor,
    other: torch.Tensor,
    scale: float,
    wavevector: tuple[float, float],
    cutoff: float,
) -> _Overlap | None:
    """Return what an order shares with order 0; None if it is too little."""
    import torch

    shape = (int(zero.shape[-2]), int(zero.shape[-1]))
    window = torch.from_numpy(edge_window(shape)).to(zero.device)
    of_zero = _spectrum((zero - zero.mean()) * window)
    of_other = _spectrum(other * _wave(shape, wavevector).to(zero.device) * window)
    y, x = np.fft.fftfreq(shape[0])[:, np.newaxis], np.fft.fftfreq(shape[1])
    here = np.hypot(y, x) / cutoff
    there = np.hypot(y + wavevector[0], x + wavevector[1]) / cutoff
    seen = (np.minimum(here, there) > LOWEST) & (np.maximum(here, there) < HIGHEST)
    if np.count_nonzero(seen) < LEAST_CELLS:
        return None
    return _summed(
        of_zero[seen], scale * of_other[seen], here[seen], there[seen], scale
    )


def _summed(
    zero: NDArray[np.complex64],
    other: NDArray[np.complex64],
    zero_at: FloatArray,
    other_at: FloatArray,
    scale: float,
) -> _Overlap:
    """Sum the frequencies of an overlap in bins."""
    one, two = (
        np.minimum((r * BINS).astype(int), BINS - 1) for r in (zero_at, other_at)
    )
    _, place = np.unique(one * BINS + two, return_inverse=True)
    product = np.conj(zero) * other
    cross = np.real(product * np.exp(-1j * np.angle(product.sum()))).astype(np.float64)
    count = np.bincount(place)

    def total(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(place, weights=values), dtype=np.float64)

    return _Overlap(
        total(zero_at) / count,
        total(other_at) / count,
        total(np.abs(zero) ** 2),
        total(np.abs(other) ** 2),
        total(cross),
        float(scale),
        len(zero),
    )


def _brightest(frames: torch.Tensor) -> torch.Tensor:
    """Return the brightest part (A, P, y, x) of frames, as large as is looked at."""
    mean = frames.mean(dim=(0, 1))
    parts = []
    for axis, side in enumerate(mean.shape):
        size = min(side, LARGEST_PX)
        light = np.cumsum(np.pad(mean.sum(dim=1 - axis).cpu().numpy(), (1, 0)))
        begin = int(np.argmax(light[size:] - light[: side - size + 1]))
        parts.append(slice(begin, begin + size))
    return frames[..., parts[0], parts[1]]


def _wave(shape: tuple[int, int], wavevector: tuple[float, float]) -> torch.Tensor:
    """Return exp(−2πi k·r) on a grid of pixels."""
    import torch

    waves = (
        torch.from_numpy(plane_waves(np.array([-k]), side)[0])
        for side, k in zip(shape, wavevector, strict=True)
    )
    return torch.outer(*waves)


def _spectrum(image: torch.Tensor) -> NDArray[np.complex64]:
    import torch

    return np.asarray(torch.fft.fft2(image).cpu().numpy())

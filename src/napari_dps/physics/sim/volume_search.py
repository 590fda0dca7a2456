"""The search for the wave vectors of three-beam stripes, both orders at once.

An order D is compared with what the object s, as order 0 shows it, would make of it if
the stripes had the wave vector k: T_k(q) = s(q − k) O(q). Each bin is weighted by one
over the mean power V that D has in its ring: what does not follow the object, noise or
structure, counts the same at all frequencies. Of the model D = a T_k + rest, where T_k
is not zero, the log of the likelihood ratio to D = rest is

    Λ(k) = −N ln(1 − |Σ T_k* D / V|² / (Σ |T_k|² / V · N)),    N = Σ |D|² / V,

all sums over kz as well: three correlations. Without stripes Λ of one order is about
Exp(1), of both Gamma(2). The peak of the correlation alone would be drawn to where more
of the spectra overlap, by several bins where there are few objects.

The angles of a microscope have stripes of one period, turned by equal angles: they are
sought together, with little room for each, which finds them in less light. An angle
whose frames tell clearly of other stripes keeps those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.physics.sim.spectrum import ring_index
from napari_dps.physics.sim.volume_spectra import (
    NOTCH,
    Complex,
    Real,
    VolumeSpectra,
    Wave,
)

LEAST_CONFIDENCE = 12.0
"""Log of 1/p from which stripes count as found."""
LEAST_COMMON_CONFIDENCE = 4.0
"""That of an angle where all together tell where its stripes must be."""
SEARCHED = (0.25, 0.6)
"""Wave number of the first order over the cut-off of the detection: the second, which
is twice as fine, is to be seen by the detection too."""
GUESSES = (0.36, 0.46, 0.54)
"""Wave numbers for which the first order's axial frequency is guessed in the search."""
FINENESS = 4
"""Steps of the search in a bin."""
BRIGHTEST = 4.0
"""Bins of an order count as no brighter than so many times the mean of their ring: a
straight fibre is a line of them."""
TINY = 1e-30
"""Power where there is none."""
LEAST_TRANSFER = 0.02
"""Share of its mid value from which an order's transfer function is used."""
PERIOD_ROOM, ANGLE_ROOM_DEG = 0.01, 2.0
"""By how much wave number and direction of the angles may differ from a common period
and equal turns. Those of a real stack, 62° and 60°, are within."""
CLEARLY = 2.0
"""So many times the evidence for the common stripes must another of an angle have."""
MEDIAN = 1.678
"""Of Gamma(2)."""


@dataclass(frozen=True)
class StripePeak:
    """Where the stripes of an angle are.

    Attributes
    ----------
    wave : (float, float)
        Of the first order (y, x) in cycles per pixel, to a quarter of a bin.
    confidence : float
        Log of one over the probability that chance alone made such a peak.
    is_common : bool
        Whether it agrees with the other angles, which together are sure.
    """

    wave: Wave
    confidence: float
    is_common: bool = False

    @property
    def is_found(self) -> bool:
        """Whether the stripes count as found."""
        least = LEAST_COMMON_CONFIDENCE if self.is_common else LEAST_CONFIDENCE
        return self.confidence >= least


@dataclass(frozen=True)
class EvidenceMap:
    """Λ of both orders of an angle.

    Attributes
    ----------
    values : array (y, x), float32
        Evenly over ``y`` and ``x``; 0 where no stripes are sought.
    y, x : array
        Wave vectors in cycles per pixel.
    unit : float
        What noise has where Gamma(2) has 1: bins of a padded transform are not
        independent.
    """

    values: NDArray[np.float32]
    y: Real
    x: Real
    unit: float

    def peak(self, allowed: NDArray[np.bool_] | None = None) -> tuple[Wave, float, int]:
        """Return the highest place, its Λ, and the number of cells searched."""
        values = self.values if allowed is None else np.where(allowed, self.values, 0)
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        cells = np.count_nonzero(values) / FINENESS**2
        wave = float(self.y[row]), float(self.x[column])
        return wave, float(values[row, column]), max(1, round(cells))

    def near(self, wavenumber: float, direction: float) -> NDArray[np.bool_]:
        """Whether a wave vector has a wave number and direction (rad), within room."""
        radius = np.hypot(self.y[:, None], self.x)
        angle = np.arctan2(self.y[:, None], self.x)
        aside = (angle - direction + np.pi / 2) % np.pi - np.pi / 2
        cell = 2 * max(self.y[1] - self.y[0], self.x[1] - self.x[0])
        room = math.radians(ANGLE_ROOM_DEG) + cell / wavenumber
        close = np.abs(radius - wavenumber) < PERIOD_ROOM * wavenumber + cell
        return np.asarray(close & (np.abs(aside) < room))

    def at(self, y: Real, x: Real) -> NDArray[np.float32]:
        """Return Λ at wave vectors, or at their opposites where that is higher."""
        found = []
        for sign in (1, -1):
            rows = np.rint((sign * y - self.y[0]) / (self.y[1] - self.y[0]))
            columns = np.rint((sign * x - self.x[0]) / (self.x[1] - self.x[0]))
            rows = rows.clip(0, len(self.y) - 1).astype(np.int64)
            columns = columns.clip(0, len(self.x) - 1).astype(np.int64)
            found.append(self.values[rows, columns])
        return np.asarray(np.maximum(*found))


class StripeSearch:
    """Compares the orders of any angle with the object.

    Parameters
    ----------
    spectra : VolumeSpectra
        Of the stack.
    seen : array (kz, y, x), complex64
        The object as order 0 shows it; 0 where that tells nothing.
    """

    def __init__(self, spectra: VolumeSpectra, seen: Complex) -> None:
        self._spectra = spectra
        self._object = scipy.fft.ifft2(seen, workers=1)
        self._power = _real_transform(np.abs(seen) ** 2)
        self._known = _real_transform((seen != 0).astype(np.float32))

    def evidence(self, orders: Sequence[NDArray[np.complex64]]) -> EvidenceMap:
        """Return Λ of an angle from its orders (Z, Y, X), which fade at their edges."""
        shape = self._spectra.shape[1], self._spectra.shape[2]
        y, x = (_searched_axis(n) for n in shape)
        first, second = (_whitened(self._spectra.spectrum(one)) for one in orders)
        radius = np.hypot(y[:, None], x) / self._spectra.cutoff
        number = np.abs(radius[..., None] - np.array(GUESSES)).argmin(axis=-1)
        both = self._ratio(*second, axial=0.0, order=2)
        for index, guess in enumerate(GUESSES):
            axial = self._spectra.axial_per_nm(guess * self._spectra.cutoff)
            one = self._ratio(*first, axial=axial, order=1)
            both[number == index] += one[number == index]
        both[(radius <= SEARCHED[0]) | (radius >= SEARCHED[1])] = 0
        median = float(np.median(both[both > 0])) if both.any() else 0.0
        return EvidenceMap(both, y, x, max(1.0, median / MEDIAN))

    def _ratio(
        self,
        values: Complex,
        variance: NDArray[np.float32],
        *,
        axial: float,
        order: int,
    ) -> NDArray[np.float32]:
        """Return Λ of an order, at its multiple of the wave vectors of the search."""
        otf = self._spectra.transfer((0.0, 0.0), axial)
        otf *= (self._spectra.radius() > NOTCH) & (np.abs(otf) > LEAST_TRANSFER)
        matched = scipy.fft.ifft2(values * (otf / variance), workers=1)
        product = np.einsum("zyx,zyx->yx", self._object.conj(), matched)
        shape = product.shape
        light = np.asarray(otf**2 / variance, dtype=np.float32)
        power = _correlated(self._power, light, shape)
        square = np.where(otf != 0, np.abs(values) ** 2 / variance, 0).astype(
            np.float32
        )
        count = np.maximum(_correlated(self._known, square, shape), 1)
        fine = [FINENESS * n // order for n in shape]
        found = np.abs(scipy.fft.fft2(product, fine, workers=1)) ** 2
        rows, columns = (_cells(n, FINENESS * n, order) for n in shape)
        share = found[np.ix_(rows[0], columns[0])] * np.float32(math.prod(shape)) ** 2
        bins = np.ix_(rows[1], columns[1])
        count = count[bins]
        share /= np.maximum(power[bins], 1e-9 * power.max()) * count
        return np.asarray(-count * np.log1p(-np.minimum(share, 0.999)), np.float32)


def find_stripes(
    maps: Sequence[EvidenceMap], *, are_all: bool = True
) -> list[StripePeak]:
    """Return where the stripes of each angle are.

    Parameters
    ----------
    maps : sequence of EvidenceMap
        One an angle, in order.
    are_all : bool
        Whether these are all angles of the microscope: only then do they turn by equal
        angles.
    """
    alone = [one.peak() for one in maps]
    peaks = [
        StripePeak(wave, _confidence(value / one.unit, cells))
        for one, (wave, value, cells) in zip(maps, alone, strict=True)
    ]
    if len(maps) < 2 or not are_all:
        return peaks
    wavenumber, directions = _common_stripes(maps)
    near = [
        one.peak(one.near(wavenumber, direction))
        for one, direction in zip(maps, directions, strict=True)
    ]
    joint = _joint_confidence(maps, near, alone[0][2])
    for number, (one, (wave, value, cells)) in enumerate(zip(maps, near, strict=True)):
        before = peaks[number]
        sure = before.confidence >= LEAST_CONFIDENCE
        if sure and alone[number][1] > CLEARLY * value:
            continue
        confidence = min(joint, _confidence(value / one.unit, cells))
        if before.wave == wave:
            confidence = max(confidence, before.confidence)
        peaks[number] = StripePeak(
            wave, confidence, is_common=joint >= LEAST_CONFIDENCE
        )
    return peaks


def _common_stripes(maps: Sequence[EvidenceMap]) -> tuple[float, list[float]]:
    """Return the wave number (cycles per pixel) and the directions (rad) of all angles.

    They turn either way from angle to angle.
    """
    from scipy.ndimage import maximum_filter

    count = len(maps)
    step = min(maps[0].y[1] - maps[0].y[0], maps[0].x[1] - maps[0].x[0])
    rows, columns = np.nonzero(maps[0].values)
    radius = np.hypot(maps[0].y[rows], maps[0].x[columns])
    radii = np.arange(radius.min(), radius.max() + step, step)
    turns = count * math.ceil(math.pi * radii[-1] / step / count)
    angles = math.pi * np.arange(turns) / turns
    y, x = radii[:, None] * np.sin(angles), radii[:, None] * np.cos(angles)
    room = (
        2 * max(1, round(PERIOD_ROOM * radii.mean() / step)) + 1,
        2 * max(1, round(math.radians(ANGLE_ROOM_DEG) * turns / math.pi)) + 1,
    )
    best = [
        maximum_filter(one.at(y, x), room, mode=("nearest", "wrap")) for one in maps
    ]
    found = []
    for sign in (1, -1):
        joint = sum(
            np.roll(one, -sign * number * turns // count, axis=1)
            for number, one in enumerate(best)
        )
        place = np.unravel_index(int(np.argmax(joint)), best[0].shape)
        found.append((float(np.max(joint)), sign, place))
    _, sign, (row, column) = max(found)
    directions = [
        float(angles[(column + sign * number * turns // count) % turns])
        for number in range(count)
    ]
    return float(radii[row]), directions


def _joint_confidence(
    maps: Sequence[EvidenceMap], near: Sequence[tuple[Wave, float, int]], cells: int
) -> float:
    """Return the log of 1/p of all angles together: their sum is Gamma(2 A).

    The common stripes were chosen among so many cells and two ways to turn.
    """
    total = sum(value / one.unit for one, (_, value, _) in zip(maps, near, strict=True))
    tail = sum(total**i / math.factorial(i) for i in range(2 * len(maps)))
    choices = 2 * cells * math.prod(room for _, _, room in near)
    return total - math.log(tail) - math.log(choices)


def _confidence(evidence: float, cells: int) -> float:
    """Return the log of 1/p of a peak of Gamma(2) among so many cells."""
    return evidence - math.log1p(evidence) - math.log(cells)


def _searched_axis(length: int) -> Real:
    """Return the wave vectors of the search along an axis, in cycles per pixel.

    Those of the second order, twice as fine, are below its Nyquist frequency.
    """
    fine = FINENESS * length
    last = (fine - 1) // 4
    return np.arange(-last, last + 1) / fine


def _cells(
    length: int, fine: int, order: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cells of an order's transform, of fine // order, and its bins."""
    last = (fine - 1) // 4
    number = np.arange(-last, last + 1)
    bins = np.rint(number * order / FINENESS).astype(np.int64)
    return number % (fine // order), bins % length


def _whitened(spectrum: Complex) -> tuple[Complex, NDArray[np.float32]]:
    """Return a spectrum without its brightest bins, and the mean power of its rings."""
    size = spectrum.shape[1], spectrum.shape[2]
    rings = ring_index(size, min(size), size)
    count = np.bincount(rings.ravel())
    values, variance = np.empty_like(spectrum), np.empty(spectrum.shape, np.float32)
    for index, plane in enumerate(spectrum):
        power = np.abs(plane) ** 2
        mean = np.bincount(rings.ravel(), weights=power.ravel()) / count
        # Few planes leave some axial frequencies without light.
        most = BRIGHTEST * np.maximum(mean, 1e-12 * mean.max() + TINY)[rings]
        values[index] = plane * np.sqrt(most / np.maximum(power, most))
        power = np.minimum(power, most)
        mean = np.bincount(rings.ravel(), weights=power.ravel()) / count
        variance[index] = np.maximum(mean, 1e-12 * mean.max())[rings]
    variance[variance == 0] = 1
    return values, variance


def _real_transform(values: NDArray[np.float32]) -> Complex:
    return np.asarray(scipy.fft.rfft2(values, workers=1), dtype=np.complex64)


def _correlated(
    one: Complex, other: NDArray[np.float32], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return Σ one(q) other(q + k) over kz and q; one by its transform."""
    product = np.einsum("zyx,zyx->yx", one.conj(), _real_transform(other))
    return np.asarray(scipy.fft.irfft2(product, shape, workers=1))

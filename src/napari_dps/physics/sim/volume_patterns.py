"""Finding the stripes of three-beam z-stacks in three dimensions.

The first order of three beams is modulated along z as well: on one plane it does not
look like the object, and a fit of its phases errs by many degrees. In three dimensions
both orders are what the object s makes of them,

    D_n(q + n k, kz) = m_n e^{iψ_n} S(q, kz) O_n(q + n k, kz),

with S known from order 0 where its OTF O_0 passes light. Stripes are sought where both
orders agree with that: |C_n(n k)|² over the median of its ring, divided by ln 2, is
Exp(1) under noise alone, so that the sum T of both orders is Gamma(2) and
T − ln(1 + T) − ln(cells) is a log p-value.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import NoiseToSignal, Optics, Pattern, PatternOrder, Progress
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.measured_otf import measured_table
from napari_dps.physics.otf3d import (
    axial_frequency_per_nm,
    cap_height_per_nm,
    defocus_table,
)
from napari_dps.physics.sim.separate import separation_matrix
from napari_dps.physics.sim.spectrum import edge_window
from napari_dps.physics.sim.volume_search import Complex, Real, Wave, peak, refined
from napari_dps.physics.sim.wiener_grid import Padding

GUESSES = (0.36, 0.46, 0.54)
"""Wave numbers for which the first order's axial frequency is guessed in the search."""
LEAST_CONFIDENCE = 12.0
"""Log of 1/p from which stripes count as found."""
NOTCH = 0.25
"""Frequencies below that share of the cut-off are left out: haze, and what phases that
are not exact leave of order 0."""
LEAST_TRANSFER = 0.1
"""Share of its mid value from which a transfer function is used."""
RING_MIDDLE = 0.375
"""Middle of the ring in which the power of the object is read, over the cut-off."""
NOISE_EXPONENT = 1.5
"""How noise over signal grows with frequency."""
PADDING_PLANES = 16


@dataclass(frozen=True)
class VolumeFindings:
    """What was found in a z-stack.

    Attributes
    ----------
    patterns : tuple of Pattern
        One an angle.
    noise : NoiseToSignal
        For `napari_dps.physics.sim.volume.VolumeSolver`.
    """

    patterns: tuple[Pattern, ...]
    noise: NoiseToSignal


class VolumeEstimator:
    """Finds patterns and noise of a three-beam z-stack.

    Parameters
    ----------
    shape : (int, int, int)
        (Z, Y, X).
    optics : Optics
        Detection, at the pixel size of the frames, and excitation.
    z_step_nm : float
        Distance of the planes.
    otf : MeasuredOtf, optional
        Whose order 0 is used in place of that of an ideal objective.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        optics: Optics,
        z_step_nm: float,
        otf: MeasuredOtf | None = None,
    ) -> None:
        self._shape, self._optics = shape, optics
        self._cutoff = optics.cutoff_per_pixel
        padding = Padding(shape[0], PADDING_PLANES // 2)
        if otf is None:
            self._table = defocus_table(optics, padding.size, z_step_nm)
        else:
            self._table = measured_table(otf, 0, optics, padding.size, z_step_nm)
        kz = np.fft.fftfreq(padding.size, z_step_nm)
        # Where order 0 passes light: nothing is compared elsewhere.
        self._kz = np.flatnonzero(np.abs(kz) <= cap_height_per_nm(optics))
        self._along_z = _closed_transform(padding, shape[0])[self._kz]
        self._y, self._x = (np.fft.fftfreq(n) for n in shape[1:])
        self._window = edge_window((shape[1], shape[2]))

    def find(
        self, frames: NDArray[np.float32], known: Mapping[int, Wave] | None = None
    ) -> Generator[Progress, None, VolumeFindings]:
        """Find the patterns.

        Parameters
        ----------
        frames : array (Z, A, P, Y, X), float32
            Counts without the camera's offset, equally bright in each plane; five
            phases or more, in equal steps.
        known : mapping of int to (float, float), optional
            Wave vectors (y, x) of the first order of angles by their index, in cycles
            per pixel: not searched for.

        Yields
        ------
        Progress

        Returns
        -------
        VolumeFindings
        """
        angles, phases = frames.shape[1:3]
        steps = 2 * np.pi * np.arange(phases) / phases
        rows = separation_matrix([steps, 2 * steps])
        yield Progress(0, angles + 1, "Order 0")
        mean = frames.mean(axis=(1, 2), dtype=np.float32)
        zero = self._spectrum((mean - mean.mean()) * self._window)
        noise = self._noise(zero)
        seen = self._object(zero, noise)
        patterns = []
        for angle in range(angles):
            yield Progress(1 + angle, angles + 1, f"Stripes of angle {angle + 1}")
            terms = np.einsum(
                "cp,zpyx->czyx", rows[1:].astype(np.float32), frames[:, angle]
            )
            orders = [
                (real + 1j * imaginary) * self._window
                for real, imaginary in zip(terms[::2], terms[1::2], strict=True)
            ]
            wave, confidence = (known or {}).get(angle), None
            if wave is None:
                wave, confidence = self._search(orders, seen)
                if confidence < LEAST_CONFIDENCE:
                    patterns.append(_missing(angle, confidence))
                    continue
            values = [
                self._amplitude(order, zero, noise, wave, number)
                for number, order in enumerate(orders, 1)
            ]
            patterns.append(self._pattern(angle, wave, values, confidence, steps))
        # Order 0 of all angles is summed, each with that many times the noise of the
        # mean of all.
        ratio = angles * noise / self._signal(zero, noise)
        return VolumeFindings(tuple(patterns), NoiseToSignal(ratio, NOISE_EXPONENT))

    def _spectrum(self, image: NDArray[Any]) -> Complex:
        """Return the spectrum (kz, y, x) of an order (Z, Y, X) that fades at its edges.

        It is extended along z until its period closes.
        """
        planes = scipy.fft.fft2(image.astype(np.complex64), workers=1)
        return np.asarray(np.tensordot(self._along_z, planes, 1), dtype=np.complex64)

    def _transfer(self, shift: Wave, axial: float) -> NDArray[np.float32]:
        """Return an order's transfer function at (q + shift, kz), (kz, y, x)."""
        rows = self._table.transfer(axial).real[:, self._kz] / self._table.unit
        radius = np.hypot(
            _wrapped(self._y + shift[0])[:, None], _wrapped(self._x + shift[1])
        )
        place = radius / self._cutoff * (len(rows) - 1)
        lower = np.minimum(place.astype(np.int32), len(rows) - 1)
        part = (place - lower).astype(np.float32)[..., None]
        padded = np.concatenate([rows, np.zeros((2, rows.shape[1]))]).astype(np.float32)
        lower = np.where(place >= len(rows) - 1, len(rows), lower)
        values = (
            padded[lower] * (1 - part)
            + padded[np.minimum(lower + 1, len(rows) + 1)] * part
        )
        return np.asarray(np.moveaxis(values, -1, 0))

    def _radius(self, shift: Wave = (0.0, 0.0)) -> Real:
        """Return |q + shift| over the cut-off, (y, x)."""
        y, x = _wrapped(self._y + shift[0]), _wrapped(self._x + shift[1])
        return np.asarray(np.hypot(y[:, None], x) / self._cutoff)

    def _noise(self, zero: Complex) -> float:
        """Return the noise power of order 0, read beyond the cut-off."""
        beyond = self._radius() > 1.05
        if not beyond.any():
            beyond = self._radius() >= self._radius().max() * 0.97
        power = np.abs(zero[:, beyond]) ** 2
        return float(np.median(power)) / math.log(2)

    def _signal(self, zero: Complex, noise: float) -> float:
        """Return the power of the object at a quarter to half of the cut-off.

        Scaled to the cut-off by the fall of the power that `find` reports.
        """
        radius = self._radius()
        ring = (radius > 0.25) & (radius < 0.5)
        otf = self._transfer((0.0, 0.0), 0.0)[:, ring]
        seen = np.abs(otf) > LEAST_TRANSFER
        power = np.abs(zero[:, ring][seen]) ** 2
        least = noise / math.sqrt(np.count_nonzero(seen))
        signal = max(float(np.mean(power)) - noise, least)
        at_cutoff: float = signal * RING_MIDDLE**NOISE_EXPONENT
        return at_cutoff / float(np.mean(otf[seen] ** 2))

    def _object(self, zero: Complex, noise: float) -> Complex:
        """Return the object (kz, y, x) as order 0 shows it, in space laterally.

        Low frequencies are left out.
        """
        otf = self._transfer((0.0, 0.0), 0.0)
        signal = self._signal(zero, noise) / RING_MIDDLE**NOISE_EXPONENT
        otf *= (np.abs(otf) > LEAST_TRANSFER) & (self._radius() > NOTCH)
        found = zero * (otf / (otf**2 + max(1e-2, noise / signal)))
        return np.asarray(scipy.fft.ifft2(found, workers=1, overwrite_x=True))

    def _pattern(
        self,
        angle: int,
        wave: Wave,
        values: list[complex],
        confidence: float | None,
        steps: Real,
    ) -> Pattern:
        """Return the pattern of an angle; its wave vector points into [0, 180)°."""
        sign = -1 if wave[0] < 0 or (wave[0] == 0 and wave[1] < 0) else 1
        length = math.hypot(*wave)
        first, second = (float(np.angle(value)) for value in values)
        orders = [
            PatternOrder(
                order=number,
                period_nm=self._optics.pixel_size_nm / length / number,
                angle_deg=math.degrees(math.atan2(*wave)) % 180,
                modulation=abs(value),
                confidence=confidence,
                status="given" if confidence is None else "found",
                axial_period_nm=1 / self._axial(length) if number == 1 else None,
                offset_deg=math.degrees(sign * (second - 2 * first)) % 360
                if number == 2
                else 0.0,
            )
            for number, value in enumerate(values, 1)
        ]
        phases = np.degrees(sign * (steps + first)) % 360
        return Pattern(
            angle_index=angle, phases_deg=tuple(phases.tolist()), orders=tuple(orders)
        )

    def _axial(self, wavenumber: float) -> float:
        """Return kz0 of the first order of a wave number in cycles per pixel."""
        excitation_nm = self._optics.excitation_or_usual_nm
        finest = self._optics.refractive_index / excitation_nm
        return axial_frequency_per_nm(
            min(wavenumber / self._optics.pixel_size_nm, 0.99 * finest),
            excitation_nm=excitation_nm,
            refractive_index=self._optics.refractive_index,
        )

    def _correlation(self, spectrum: Complex, seen: Complex, axial: float) -> Complex:
        """Return Σ_z s*(r) · (D ⊗ O)(r), whose transform peaks at the wave vector.

        The sum over z is one over kz.
        """
        otf = self._transfer((0.0, 0.0), axial)
        otf *= self._radius() > NOTCH
        matched = scipy.fft.ifft2(spectrum * otf, workers=1, overwrite_x=True)
        return np.asarray(np.einsum("zyx,zyx->yx", seen.conj(), matched))

    def _search(self, orders: list[Complex], seen: Complex) -> tuple[Wave, float]:
        """Return the wave vector (y, x) of the first order in cycles per pixel."""
        spectra = [self._spectrum(order) for order in orders]
        second = self._correlation(spectra[1], seen, 0.0)
        best = ((0.0, 0.0), -math.inf)
        for guess in GUESSES:
            first = self._correlation(
                spectra[0], seen, self._axial(guess * self._cutoff)
            )
            best = max(
                best, peak(first, second, self._cutoff), key=lambda found: found[1]
            )
        wave = best[0]
        first = self._correlation(spectra[0], seen, self._axial(math.hypot(*wave)))
        again = peak(first, second, self._cutoff)
        return refined(first, second, again[0]), again[1]

    def _amplitude(
        self,
        order: Complex,
        zero: Complex,
        noise: float,
        wave: Wave,
        number: int,
    ) -> complex:
        """Return m e^{iψ} of an order, by regression on order 0 where both are seen."""
        shift = number * wave[0], number * wave[1]
        rows, columns = (
            np.exp(-2j * np.pi * k * np.arange(n))
            for k, n in zip(shift, self._shape[1:], strict=True)
        )
        moved = self._spectrum(order * (rows[:, None] * columns).astype(np.complex64))
        axial = self._axial(math.hypot(*wave)) if number == 1 else 0.0
        own, other = self._transfer((0.0, 0.0), 0.0), self._transfer(shift, axial)
        apart = (self._radius() > NOTCH) & (self._radius(shift) > NOTCH)
        used = (np.abs(own) > LEAST_TRANSFER) & (np.abs(other) > LEAST_TRANSFER) & apart
        own, other = own[used], other[used]
        plain, moved = zero[used], moved[used]
        weights = 1 / (own**2 + 0.1)
        product = np.sum(
            weights * moved * own * plain.conj() * other, dtype=np.complex128
        )
        power = np.sum(
            weights * (np.abs(plain) ** 2 - noise) * other**2, dtype=np.float64
        )
        return complex(product / power) if power > 0 else 0j


def _missing(angle: int, confidence: float) -> Pattern:
    """Return the pattern of an angle whose stripes were not found."""
    orders = [
        PatternOrder(order=number, status="not found", confidence=confidence)
        for number in (1, 2)
    ]
    return Pattern(angle_index=angle, orders=tuple(orders))


def _wrapped(frequency: NDArray[np.floating]) -> Real:
    """Bring frequencies into −½ … ½ cycles per pixel."""
    return np.asarray((frequency + 0.5) % 1 - 0.5)


def _closed_transform(padding: Padding, planes: int) -> Complex:
    """Return the matrix (kz, Z) that closes a stack's period and transforms it."""
    closed = np.eye(planes)
    ends = [
        factor.real[:, None] * closed[source]
        for source, factor in zip(padding.sources, padding.factors(0.0), strict=True)
    ]
    whole = np.concatenate([closed, ends[0] + ends[1]])
    return np.asarray(np.fft.fft(whole, axis=0), dtype=np.complex64)

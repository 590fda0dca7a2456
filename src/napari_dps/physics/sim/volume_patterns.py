"""Finding the stripes of three-beam z-stacks in three dimensions.

The first order of three beams is modulated along z as well: on one plane it does not
look like the object, and a fit of its phases errs by many degrees. In three dimensions
both orders are what the object s makes of them,

    D_n(q + n k, kz) = m_n e^{iψ_n} S(q, kz) O_n(q + n k, kz),

with S known from order 0 where its OTF O_0 passes light. `volume_search` finds where
both orders agree with that, `volume_fit` refines it and finds phases and modulation.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import NoiseToSignal, Optics, Pattern, PatternOrder, Progress
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.sim.separate import separation_matrix
from napari_dps.physics.sim.volume_fit import LEAST_TRANSFER, OrderFitter
from napari_dps.physics.sim.volume_search import StripePeak, StripeSearch, find_stripes
from napari_dps.physics.sim.volume_spectra import (
    NOTCH,
    Complex,
    Real,
    VolumeSpectra,
    Wave,
)

RING_MIDDLE = 0.48
"""Mean length of (q, kz), over the cut-off, where the power of the object is read."""
LEAST_SECOND = 0.04
"""Modulation of the second order from which stripes count as those of three beams. In
simulations of three it is .3 to .7 at any light; where two beams light five phases,
structure that is alike at its first order reads up to .03 at the second."""
NOISE_EXPONENT = 2.0
"""How noise over signal grows with frequency."""


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
        self._spectra = VolumeSpectra(shape, optics, z_step_nm, otf)
        self._pixel_size_nm = optics.pixel_size_nm

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
        known = known or {}
        total = 2 * angles + 1
        steps = 2 * np.pi * np.arange(phases) / phases
        yield Progress(0, total, "Order 0")
        mean = frames.mean(axis=(1, 2), dtype=np.float32)
        plain = (mean - mean.mean()) * self._spectra.window
        zero = self._spectra.spectrum(plain)
        noise = self._noise(zero)
        seen = self._object(zero, noise)
        peaks = {angle: StripePeak(wave, math.inf) for angle, wave in known.items()}
        sought = [angle for angle in range(angles) if angle not in known]
        if sought:
            search, maps = StripeSearch(self._spectra, seen), []
            for angle in sought:
                yield Progress(1 + angle, total, f"Stripes of angle {angle + 1}")
                maps.append(search.evidence(self._orders(frames[:, angle], steps)))
            found = find_stripes(maps, are_all=not known)
            peaks.update(zip(sought, found, strict=True))
        fitter, patterns = OrderFitter(self._spectra, zero, seen, noise), []
        for angle in range(angles):
            yield Progress(1 + angles + angle, total, f"Phases of angle {angle + 1}")
            if not peaks[angle].is_found:
                patterns.append(_missing(angle, peaks[angle].confidence))
                continue
            orders = self._orders(frames[:, angle], steps)
            peak = peaks[angle] if angle in sought else None
            wave = fitter.refined(orders, peak.wave) if peak else peaks[angle].wave
            values = [
                fitter.amplitude(order, wave, number)
                for number, order in enumerate(orders, 1)
            ]
            patterns.append(self._pattern(angle, wave, values, peak, steps))
        # Order 0 of all angles is summed, each with that many times the noise of the
        # mean of all.
        ratio = angles * noise / self._signal(zero, noise)
        return VolumeFindings(tuple(patterns), NoiseToSignal(ratio, NOISE_EXPONENT))

    def _orders(
        self, frames: NDArray[np.float32], steps: Real
    ) -> list[NDArray[np.complex64]]:
        """Return both orders (Z, Y, X) of the frames (Z, P, Y, X) of an angle."""
        rows = separation_matrix([steps, 2 * steps])[1:].astype(np.float32)
        terms = np.einsum("cp,zpyx->czyx", rows, frames) * self._spectra.window
        return [
            np.asarray(real + 1j * imaginary, dtype=np.complex64)
            for real, imaginary in zip(terms[::2], terms[1::2], strict=True)
        ]

    def _noise(self, zero: Complex) -> float:
        """Return the noise power of order 0, read beyond the cut-off."""
        beyond = self._spectra.radius() > 1.05
        if not beyond.any():
            beyond = self._spectra.radius() >= self._spectra.radius().max() * 0.97
        power = np.abs(zero[:, beyond]) ** 2
        return float(np.median(power)) / math.log(2)

    def _signal(self, zero: Complex, noise: float) -> float:
        """Return the power of the object at a quarter to half of the cut-off.

        Scaled to the cut-off by the fall of the power that `find` reports.
        """
        radius = self._spectra.radius()
        ring = (radius > 0.25) & (radius < 0.5)
        otf = self._spectra.transfer((0.0, 0.0), 0.0)[:, ring]
        seen = np.abs(otf) > LEAST_TRANSFER
        power = np.abs(zero[:, ring][seen]) ** 2
        least = noise / math.sqrt(np.count_nonzero(seen))
        signal = max(float(np.mean(power)) - noise, least)
        at_cutoff: float = signal * RING_MIDDLE**NOISE_EXPONENT
        return at_cutoff / float(np.mean(otf[seen] ** 2))

    def _object(self, zero: Complex, noise: float) -> Complex:
        """Return the object (kz, y, x) as order 0 shows it.

        Low frequencies are left out.
        """
        otf = self._spectra.transfer((0.0, 0.0), 0.0)
        signal = self._signal(zero, noise) / RING_MIDDLE**NOISE_EXPONENT
        otf *= (np.abs(otf) > LEAST_TRANSFER) & (self._spectra.radius() > NOTCH)
        seen: Complex = zero * (otf / (otf**2 + max(1e-2, noise / signal)))
        return seen

    def _pattern(
        self,
        angle: int,
        wave: Wave,
        values: list[complex],
        peak: StripePeak | None,
        steps: Real,
    ) -> Pattern:
        """Return the pattern of an angle; its wave vector points into [0, 180)°.

        Where it was sought, not known, the second order is to be there.
        """
        if peak is not None and abs(values[1]) < LEAST_SECOND:
            return _missing(angle, 0.0)
        confidence = None if peak is None else peak.confidence
        sign = -1 if wave[0] < 0 or (wave[0] == 0 and wave[1] < 0) else 1
        length = math.hypot(*wave)
        first, second = (float(np.angle(value)) for value in values)
        axial_nm = 1 / self._spectra.axial_per_nm(length)
        orders = [
            PatternOrder(
                order=number,
                period_nm=self._pixel_size_nm / length / number,
                angle_deg=math.degrees(math.atan2(*wave)) % 180,
                modulation=abs(value),
                confidence=confidence,
                status="given" if confidence is None else "found",
                axial_period_nm=axial_nm if number == 1 else None,
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


def _missing(angle: int, confidence: float) -> Pattern:
    """Return the pattern of an angle whose stripes were not found."""
    orders = [
        PatternOrder(order=number, status="not found", confidence=confidence)
        for number in (1, 2)
    ]
    return Pattern(angle_index=angle, orders=tuple(orders))

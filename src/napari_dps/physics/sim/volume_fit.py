"""Wave vector, phase and modulation of the stripes of an angle of a z-stack.

With the object s as order 0 shows it, order n is D_n(q + n k) = a s(q) O_n(q + n k).
Stripes that are δ cycles per pixel off turn a = m e^{iψ} by 2π n δ·r over the field. To
first order they add the spectra of r_y s and r_x s to s; their coefficients over a are
2πi n δ, and both orders tell δ with the precision that what they leave unexplained
allows. The bins compared stay the same while δ is sought: the peak of a correlation
moves with the overlap of the spectra.

s is blurred less by noise than it is by the filter that found it, so a is read where
both orders pass light,

    D_n(q + n k, kz) O_0(q, kz) = m e^{iψ} D_0(q, kz) O_n(q + n k, kz).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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

LEAST_TRANSFER = 0.1
"""Share of its mid value from which a transfer function is used."""
STEPS, LONGEST_STEP_BINS, FARTHEST_BINS = 6, 0.5, 2.0
"""Of the search for δ."""
SHORT_STEP_BINS = 0.003


class OrderFitter:
    """Compares orders with order 0 of a stack.

    Parameters
    ----------
    spectra : VolumeSpectra
        Of the stack.
    zero : array (kz, y, x), complex64
        Spectrum of order 0.
    seen : array (kz, y, x), complex64
        The object as order 0 shows it; 0 where that tells nothing.
    noise : float
        Power of the noise in each bin of order 0.
    """

    def __init__(
        self, spectra: VolumeSpectra, zero: Complex, seen: Complex, noise: float
    ) -> None:
        self._spectra, self._zero, self._noise = spectra, zero, noise
        self._share = _signal_share(zero, noise)
        y, x = (
            (np.arange(n) - (n - 1) / 2).astype(np.float32) for n in spectra.shape[1:]
        )
        image = scipy.fft.ifft2(seen, workers=1)
        levers = y[:, None], x
        self._bases = [seen, *(scipy.fft.fft2(image * r, workers=1) for r in levers)]

    def refined(self, orders: Sequence[NDArray[np.complex64]], wave: Wave) -> Wave:
        """Return the wave vector of the first order to a small part of a bin.

        Parameters
        ----------
        orders : sequence of arrays (Z, Y, X), complex64
            The first and the second, fading at their edges.
        wave : (float, float)
            Of the first order (y, x), in cycles per pixel, to about a bin.
        """
        bins = np.array(self._spectra.shape[1:])
        place = np.array(wave)
        for _ in range(STEPS):
            precision, told = np.zeros((2, 2)), np.zeros(2)
            for number, order in enumerate(orders, 1):
                here = float(place[0]), float(place[1])
                moved, certain = self._moved(order, here, number)
                precision += number**2 * certain
                told += number * certain @ moved
            if np.linalg.det(precision) <= 0:
                return wave
            step = np.linalg.solve(precision, told)
            step *= min(1, LONGEST_STEP_BINS / max(np.abs(step * bins).max(), 1e-12))
            place = place + step
            if np.abs((place - wave) * bins).max() > FARTHEST_BINS:
                return wave
            if np.abs(step * bins).max() < SHORT_STEP_BINS:
                break
        return float(place[0]), float(place[1])

    def _moved(
        self, order: NDArray[np.complex64], wave: Wave, number: int
    ) -> tuple[Real, Real]:
        """Return n δ (y, x) of an order, and the inverse of its covariance."""
        spectra, shift = self._spectra, (number * wave[0], number * wave[1])
        other = self._transfer(shift, wave, number)
        used = (spectra.radius(shift) > NOTCH) & (other != 0) & (self._bases[0] != 0)
        other = other[used]
        values = spectra.moved(order, shift)[used]
        bases = np.stack([one[used] * other for one in self._bases])
        normal = (bases.conj() @ bases.T).astype(np.complex128)
        right = (bases.conj() @ values).astype(np.complex128)
        if not values.size or np.linalg.eigvalsh(normal)[0] <= 0:
            return np.zeros(2), np.zeros((2, 2))
        found = np.linalg.solve(normal, right)
        power = float(np.vdot(values, values).real)
        rest = max(power - float((found.conj() @ right).real), 1e-6 * power)
        inner = normal[1:, 1:] - np.outer(normal[1:, 0], normal[0, 1:]) / normal[0, 0]
        scale = (2 * math.pi * abs(found[0])) ** 2 * values.size / rest
        return np.imag(found[1:] / found[0]) / (2 * math.pi), inner.real * scale

    def amplitude(
        self, order: NDArray[np.complex64], wave: Wave, number: int
    ) -> complex:
        """Return m e^{iψ} of an order (Z, Y, X) at the centre of the first pixel.

        Parameters
        ----------
        order : array (Z, Y, X), complex64
            Fading at its edges.
        wave : (float, float)
            Of the first order (y, x), in cycles per pixel.
        number : int
            1 or 2.
        """
        spectra, shift = self._spectra, (number * wave[0], number * wave[1])
        plain, other = (
            spectra.transfer((0.0, 0.0), 0.0),
            self._transfer(shift, wave, number),
        )
        apart = (spectra.radius() > NOTCH) & (spectra.radius(shift) > NOTCH)
        used = (np.abs(plain) > LEAST_TRANSFER) & (np.abs(other) > LEAST_TRANSFER)
        used &= apart
        plain, other, zero = plain[used], other[used], self._zero[used]
        weights = self._share[used] / (plain**2 + np.float32(0.1))
        values = spectra.moved(order, shift)[used]
        product = np.sum(
            weights * values * plain * zero.conj() * other, dtype=np.complex128
        )
        # What noise adds to the power of order 0 is no object.
        power = np.sum(
            weights * (np.abs(zero) ** 2 - self._noise) * other**2, dtype=np.float64
        )
        return complex(product / power) if power > 0 else 0j

    def _transfer(self, shift: Wave, wave: Wave, number: int) -> NDArray[np.float32]:
        axial = self._spectra.axial_per_nm(math.hypot(*wave)) if number == 1 else 0.0
        return self._spectra.transfer(shift, axial)


def _signal_share(zero: Complex, noise: float) -> NDArray[np.float32]:
    """Return how much of the power of order 0 is not noise, in rings, (kz, y, x)."""
    size = zero.shape[1], zero.shape[2]
    rings = ring_index(size, min(size), size)
    count = np.bincount(rings.ravel())
    share = np.empty(zero.shape, np.float32)
    for index, plane in enumerate(zero):
        power = np.bincount(rings.ravel(), weights=np.abs(plane.ravel()) ** 2) / count
        share[index] = np.maximum(1 - noise / np.maximum(power, noise + 1e-30), 0)[
            rings
        ]
    return share

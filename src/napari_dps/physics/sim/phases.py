"""Phases and modulation depth of stripes whose wave vectors are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.sim.matched_filter import Template
from napari_dps.physics.sim.spectrum import FloatArray, inverse_fft2, plane_waves

if TYPE_CHECKING:
    import torch

ComplexArray = NDArray[np.complex128]


SHOT_NOISE = 2.0
"""Noise of the amplitudes over what white noise would give: shot noise sits where the
object is bright, as the stripes do (1.0 to 2.7, simulated)."""
CLUTTER_RAD = math.radians(1.2)
"""Phase error without noise: what the template does not know of the object."""
LARGEST_ERROR_RAD, SURE = math.radians(8), 9.0
"""Phases less certain than that are taken for equal steps, unless their deviation is
three times what the noise explains."""
LEAST_SHARE = 0.05
"""Least variance of what all amplitudes of an angle have in common, over that of each:
angles are not lit alike."""
FARTHEST_CENTRE = 0.35
"""Of the modulation: phase errors of 20° bring the mean that far from the centre."""


@dataclass(frozen=True)
class BandFit:
    """Phases and modulation of one band.

    Attributes
    ----------
    phases_rad : array (P,)
        Phase in each frame at the centre of the first pixel.
    modulation : float
        Modulation depth m.
    amplitudes : array (P,), complex
        m e^{iψ} of each frame and what all have in common, without weights of pixels.
    strengths : array (P,)
        Modulation of each frame by all places that count as much as `capping` lets
        them: one bright speck does not move it.
    error_rad : float or None
        Expected error of a measured phase; None if none is measured.
    is_assumed : bool
        Whether the phases are equal steps because theirs cannot be measured.
    """

    phases_rad: FloatArray
    modulation: float
    amplitudes: ComplexArray
    strengths: FloatArray
    error_rad: float | None = None
    is_assumed: bool = False

    def with_equal_steps(self, nominal_rad: FloatArray) -> BandFit:
        """Return the fit with equal steps through the mean of its phases."""
        return replace(
            self.with_steps(nominal_rad, np.zeros(len(nominal_rad))),
            error_rad=None,
            is_assumed=True,
        )

    def with_steps(self, nominal_rad: FloatArray, deviation: FloatArray) -> BandFit:
        """Return the fit with other deviations (P,) from equal steps, in radians."""
        first, _ = self.steps(nominal_rad)
        phases = nominal_rad + first + deviation
        return replace(
            self, phases_rad=phases, modulation=_modulation(self.amplitudes, phases)
        )

    def steps(self, nominal_rad: FloatArray) -> tuple[float, FloatArray]:
        """Return the phase of equal steps and the deviations from it, in radians."""
        turned = np.exp(1j * (self.phases_rad - nominal_rad))
        first = float(np.angle(turned.sum()))
        return first, np.angle(turned * np.exp(-1j * first))


class BandRegression:
    """Fits phase and modulation of every band of one angle in every frame.

    Each frame less the mean is modelled as Σ_n Re[x_n* u_n], where
    u_n = (Ŝ-image · e^{2πi k_n·r}) ⊗ h is what full modulation would show, and x_n =
    m_n e^{iψ_n}: weighted linear least squares, the weights of frequencies those of
    the matched filter, those of pixels 1 but for outliers. The modulation is fitted
    without weights of pixels: noise of Ŝ makes it too low where little is to be seen.

    Parameters
    ----------
    template : Template
        From the mean of all frames.
    window : tensor (Y, X)
        That the template was made with.
    wavevectors : sequence of (float, float)
        (y, x) in cycles per pixel of each band.
    whitening : sequence of arrays (R,)
        One over the power of each band by ring, as in `Correlation.whitening`.
    object_image : tensor (Y, X)
        Windowed: that of the template, or the mean of the frames if it is even.
    weights : tensor (Y, X), float32
        Of the pixels.
    """

    def __init__(
        self,
        template: Template,
        window: torch.Tensor,
        wavevectors: Sequence[tuple[float, float]],
        whitening: Sequence[FloatArray],
        *,
        object_image: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:

        plain: list[torch.Tensor] = []
        probes: list[torch.Tensor] = []
        for wavevector, white in zip(wavevectors, whitening, strict=True):
            shifted = _shifted(object_image, wavevector)
            plain.append(_filtered(shifted, template, template.otf))
            probes.append(_filtered(shifted, template, template.otf * white))
        # Weighted ones first.
        probes = [probe * weights for probe in probes] + probes
        self._cells = math.prod(template.size)
        grams = _products(probes, plain) / self._cells
        count = 2 * len(plain)
        self._inverse, self._even_inverse = (
            np.linalg.inv(gram) for gram in (grams[:count], grams[count:])
        )
        weighted = probes[: len(plain)]
        noise_gram = _products(weighted, weighted) / self._cells
        self._covariance = self._inverse @ noise_gram @ self._inverse.T
        # The frames are not windowed: the probes are, which comes to the same.
        self._probes = [probe.mul_(window) for probe in probes]

    def project(self, frames: torch.Tensor) -> FloatArray:
        """Return the projections (4 N, P) of raw frames (P, Y · X).

        Those with weights of pixels come first.
        """
        products = [
            (frames @ _pairs(probe)).cpu().double().numpy() * (1.0, -1.0)
            for probe in self._probes
        ]
        return np.concatenate(products, axis=1).T / self._cells

    def fit(
        self,
        projections: FloatArray,
        *,
        nominal_rad: Sequence[FloatArray],
        noise: float,
        reference_noise: float | None = None,
    ) -> list[BandFit]:
        """Return phases and modulation of each band, the phases as they are measured.

        Parameters
        ----------
        projections : array (4 N, P)
            Of equalised frames less what they have in common, from `project`.
        nominal_rad : sequence of arrays (P,)
            Equal phase steps of each band.
        noise : float
            Mean noise power of the spectrum of a windowed frame.
        reference_noise : float, optional
            Noise power of what was taken off, over that of a frame, if it is order 0;
            left out if it is the mean frame, which may hold stripes.
        """
        count = len(self._inverse)
        solution = self._inverse @ projections[:count]
        even = self._even_inverse @ projections[count:]
        spread = np.diag(self._covariance) * noise / self._cells**2
        fits = []
        for n, nominal in zip(itertools.count(0, 2), nominal_rad):
            weighted = solution[n] + 1j * solution[n + 1]
            phases, error = _fit_band(
                weighted,
                nominal,
                float(spread[n : n + 2].mean()),
                reference_noise,
            )
            amplitudes = even[n] + 1j * even[n + 1]
            modulation = _modulation(amplitudes, phases)
            fits.append(
                BandFit(phases, modulation, amplitudes, np.abs(weighted), error)
            )
        return fits


def _pairs(values: torch.Tensor) -> torch.Tensor:
    """Return real and imaginary parts (Y · X, 2) of an image."""
    import torch

    return torch.view_as_real(values).reshape(-1, 2)


def _products(
    left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]
) -> FloatArray:
    """Return the scalar products of Re and −Im of images with those of others."""
    signs = np.outer([1.0, -1.0], [1.0, -1.0])
    return np.block(
        [
            [
                (_pairs(one).T @ _pairs(other)).cpu().double().numpy() * signs
                for other in right
            ]
            for one in left
        ]
    )


def believed_steps(fits: Sequence[BandFit], nominal_rad: FloatArray) -> list[BandFit]:
    """Return fits of one harmonic with steps as far as the noise does not explain them.

    One phase shifter serves all angles: deviations from equal steps are shrunk towards
    their mean over the angles, and that towards 0, by what the noise explains of them
    (James & Stein 1961, positive part). Those that are not to be told from equal steps
    in so little light are equal.

    Parameters
    ----------
    fits : sequence of BandFit
        One an angle, as from `BandRegression.fit`.
    nominal_rad : array (P,)
        Equal phase steps.
    """
    deviations = np.array([fit.steps(nominal_rad)[1] for fit in fits])
    variances = np.array([(fit.error_rad or 0) ** 2 for fit in fits])
    variances = np.maximum(variances, 1e-12)
    weights = 1 / variances
    freedom = len(nominal_rad) - 1
    mean, of_mean = weights @ deviations / weights.sum(), 1 / weights.sum()
    rest = deviations - mean
    spread = float(weights @ (rest**2).sum(axis=1))
    differ = _believed(spread, (len(fits) - 1) * freedom)
    steps = _believed(float((mean**2).sum()), freedom * of_mean) * mean + differ * rest
    errors = np.sqrt(of_mean + differ * (variances - of_mean))
    result = []
    for fit, deviation, error in zip(fits, steps, errors, strict=True):
        is_small = float((deviation**2).sum()) < SURE * freedom * error**2
        is_assumed = bool(error > LARGEST_ERROR_RAD and is_small)
        believed = fit.with_steps(nominal_rad, (not is_assumed) * deviation)
        result.append(replace(believed, error_rad=float(error), is_assumed=is_assumed))
    return result


def _shifted(
    object_image: torch.Tensor, wavevector: tuple[float, float]
) -> torch.Tensor:
    """Return the spectrum of the object times a plane wave."""
    import torch

    waves = [
        torch.from_numpy(plane_waves(np.array([k]), n)[0])
        for k, n in zip(wavevector, object_image.shape, strict=True)
    ]
    rows, columns = (wave.to(object_image.device) for wave in waves)
    spectrum: torch.Tensor = torch.fft.fft2(object_image * rows[:, None] * columns)
    return spectrum


def _filtered(
    spectrum: torch.Tensor, template: Template, gain: FloatArray
) -> torch.Tensor:
    """Return the image of a spectrum, each ring times a gain."""
    return inverse_fft2(template.filtered(spectrum, gain))


def _fit_band(
    amplitude: ComplexArray,
    nominal: FloatArray,
    variance: float,
    reference_noise: float | None,
) -> tuple[FloatArray, float]:
    """Turn the amplitudes of the frames into phases and their expected error.

    The amplitudes lie on a circle: its radius is the modulation, its centre what the
    object without stripes projects to. With exact steps the centre is their mean,
    which has less noise: each is believed as far as the noise does not explain it.
    """
    radius = float(np.abs(amplitude).mean())
    variance = SHOT_NOISE * variance + (CLUTTER_RAD * radius) ** 2
    if reference_noise is not None:
        amplitude = amplitude - _likely_centre(amplitude, reference_noise + LEAST_SHARE)
    else:
        centre = _circle_centre(amplitude)
        amplitude = amplitude - centre * _believed(abs(centre) ** 2, 4 / 3 * variance)
    aligned = amplitude * np.exp(-1j * nominal)
    mean = complex(aligned.mean())
    error = math.sqrt(variance) / max(abs(mean), 1e-12)
    return nominal + np.angle(aligned), error


def _modulation(amplitude: ComplexArray, phases: FloatArray) -> float:
    """Return how far amplitudes move with the phases, whatever their centre."""
    wave = np.exp(1j * phases)
    wave = wave - wave.mean()
    moved = np.sum((amplitude - amplitude.mean()) * np.conj(wave)).real
    return max(float(moved / max(np.sum(np.abs(wave) ** 2), 1e-12)), 0.0)


def _believed(measured: float, explained: float) -> float:
    """Return the share of a squared deviation that noise does not explain."""
    return max(0.0, 1 - explained / max(measured, 1e-300))


def _likely_centre(points: ComplexArray, share: float) -> complex:
    """Return the centre of the circle through points that is likely to be near 0.

    Minimises Σ (|x − c| − m)² + |c|²/share over centre c and radius m (Gauss–Newton).

    Parameters
    ----------
    points : array (P,), complex
        Amplitudes with an error in common.
    share : float
        Variance of that error over that of each.
    """
    centre, radius = 0j, float(np.abs(points).mean())
    for _ in range(10):
        spokes = points - centre
        lengths = np.maximum(np.abs(spokes), 1e-12)
        prior = 1 / math.sqrt(share)
        jacobian = np.zeros((len(points) + 2, 3))
        jacobian[:-2] = np.stack(
            [-spokes.real / lengths, -spokes.imag / lengths, -np.ones(len(points))],
            axis=1,
        )
        jacobian[-2, 0] = jacobian[-1, 1] = prior
        rest = np.concatenate(
            [lengths - radius, [prior * centre.real, prior * centre.imag]]
        )
        step = np.linalg.lstsq(jacobian, -rest, rcond=None)[0]
        centre += complex(step[0], step[1])
        radius += float(step[2])
    return centre


def _circle_centre(points: ComplexArray) -> complex:
    """Return the centre of the circle through points of mean 0.

    Algebraic least squares (Kåsa 1976, doi:10.1109/TIM.1976.6312298); 0 where it lies
    farther off than phase errors could bring it.
    """
    system = np.stack([2 * points.real, 2 * points.imag, np.ones(len(points))], axis=1)
    x, y, _ = np.linalg.lstsq(system, np.abs(points) ** 2, rcond=None)[0]
    centre = complex(x, y)
    return centre if abs(centre) < FARTHEST_CENTRE * np.abs(points).mean() else 0j

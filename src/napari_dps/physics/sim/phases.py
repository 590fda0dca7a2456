"""Phases and modulation depth of stripes whose wave vectors are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.sim.matched_filter import Template
from napari_dps.physics.sim.spectrum import FloatArray

if TYPE_CHECKING:
    import torch

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class BandFit:
    """Phases and modulation of one band.

    Attributes
    ----------
    phases_rad : array (P,)
        Phase in each frame at the centre of the first pixel.
    modulation : float
        Modulation depth m.
    phase_error_rad : float
        Standard deviation of the phase of a single frame, from the noise.
    """

    phases_rad: FloatArray
    modulation: float
    phase_error_rad: float


class BandRegression:
    """Fits phase and modulation of every band of one angle in every frame.

    Each frame less the mean is modelled as Σ_n Re[x_n* u_n], where
    u_n = (Ŝ-image · e^{2πi k_n·r}) ⊗ h is what full modulation would show, and x_n =
    m_n e^{iψ_n}: weighted linear least squares, the weights those of the matched
    filter.

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
    """

    def __init__(
        self,
        template: Template,
        window: torch.Tensor,
        wavevectors: Sequence[tuple[float, float]],
        whitening: Sequence[FloatArray],
    ) -> None:
        import torch

        plain, weighted = [], []
        for wavevector, white in zip(wavevectors, whitening, strict=True):
            u, w = _full_modulation(template, wavevector, white)
            plain += [u.real, -u.imag]
            weighted += [w.real, -w.imag]
        basis, probe = (torch.stack(p).flatten(1) for p in (plain, weighted))
        self._cells = math.prod(template.size)
        # The frames are not windowed: the probe is, which comes to the same.
        self._probe = probe * window.flatten()
        gram = (probe @ basis.T).double().cpu().numpy() / self._cells
        noise_gram = (probe @ probe.T).double().cpu().numpy() / self._cells
        self._inverse = np.linalg.inv(gram)
        self._covariance = self._inverse @ noise_gram @ self._inverse.T

    def project(self, frames: torch.Tensor) -> FloatArray:
        """Return the projections (2 N, P) of raw frames (P, Y · X)."""
        products = (self._probe @ frames.T).double().cpu().numpy()
        return np.asarray(products / self._cells)

    def fit(
        self,
        projections: FloatArray,
        *,
        nominal_rad: Sequence[FloatArray],
        noise: float,
    ) -> list[BandFit]:
        """Return phases and modulation of each band.

        Deviations of the phases from equal steps are shrunk by what the noise
        explains of them (James & Stein 1961, positive part).

        Parameters
        ----------
        projections : array (2 N, P)
            Of equalised frames, from `project`.
        nominal_rad : sequence of arrays (P,)
            Equal phase steps of each band.
        noise : float
            Mean noise power of the spectrum of a windowed frame.
        """
        centred = projections - projections.mean(axis=1, keepdims=True)
        solution = self._inverse @ centred
        spread = np.diag(self._covariance) * noise / self._cells**2
        return [
            _fit_band(
                solution[2 * n] + 1j * solution[2 * n + 1],
                nominal,
                float(spread[2 * n : 2 * n + 2].mean()),
            )
            for n, nominal in enumerate(nominal_rad)
        ]


def _full_modulation(
    template: Template, wavevector: tuple[float, float], whitening: FloatArray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return u = (object · plane wave) ⊗ h, plain and with the filter's weights."""
    import torch

    device = template.object_image.device
    waves = [
        torch.from_numpy(np.exp(2j * np.pi * k * np.arange(n)).astype(np.complex64))
        for k, n in zip(wavevector, template.size, strict=True)
    ]
    rows, columns = (wave.to(device) for wave in waves)
    shifted = torch.fft.fft2(template.object_image * rows[:, None] * columns)
    otf = template.otf.astype(np.float32)[template.rings]
    white = (whitening * template.otf).astype(np.float32)[template.rings]
    plain, weighted = (
        torch.fft.ifft2(shifted * torch.from_numpy(gain).to(device))
        for gain in (otf, white)
    )
    return plain, weighted


def _fit_band(amplitude: ComplexArray, nominal: FloatArray, variance: float) -> BandFit:
    aligned = amplitude * np.exp(-1j * nominal)
    mean = complex(aligned.mean())
    deviation = np.angle(aligned * np.exp(-1j * np.angle(mean)))
    error = math.sqrt(variance) / max(abs(mean), 1e-12)
    count = len(nominal)
    scatter = float(np.sum(deviation**2))
    shrink = max(0.0, 1 - (count - 1) * error**2 / max(scatter, 1e-12))
    phases = nominal + np.angle(mean) + shrink * deviation
    modulation = float(np.mean((amplitude * np.exp(-1j * phases)).real))
    return BandFit(phases, max(modulation, 0.0), error)

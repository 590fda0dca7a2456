"""Whether two time points show the same, place by place: a chi-square test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dps.methods.temporal.sight import (
    Sight,
    model_of,
    noise_spectrum,
    smoothness,
)
from napari_dps.physics.windows import blurred, eroded

if TYPE_CHECKING:
    import torch

WINDOWS = (0.35, 1.04)
"""Widths (sigma) of the windows, over the finest period that the lens passes."""
DOUBT = 100.0
"""A weight falls from the quantile of so many false alarms to that of one."""
_MOST_DOUBT = 0.5
_SIDE_PX = 64
"""Edge of the frames for which the spread of the test is computed."""
_POOL_VARIANCE = 0.25
"""Variance of the position in the 2 × 2 pixels that are averaged first, in pixels²."""


@dataclass(frozen=True)
class Gate:
    """The test, for estimates of one smoothness.

    In each window T = ⟨(q_t − q_s)²⟩ / ⟨V_t + V_s⟩, which is 1 on average where both
    show the same. Its variance follows from the spectrum of the noise and the window,
    its distribution is taken for a Gamma distribution of that variance.

    Attributes
    ----------
    sigmas_px : tuple of float
        Widths of the windows in pixels of the frames.
    limits : tuple of (float, float)
        For each, T up to which a neighbour counts fully, and from which on not at all.
    """

    sigmas_px: tuple[float, ...]
    limits: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, sight: Sight, step: int, false_alarm: float) -> Gate:
        """Make the test for the estimates of some smoothness.

        Parameters
        ----------
        sight : Sight
            The patterns and optics of all that is compared.
        step : int
            See `Sight.estimate`.
        false_alarm : float
            Share of the places of a still object that count for nothing.
        """
        from scipy.stats import gamma

        sigmas = tuple(width / sight.model.cutoff for width in WINDOWS)
        model = model_of(
            sight.stack, (_SIDE_PX, _SIDE_PX), sight.model.cutoff, sight.pads
        )
        power = model.zero_power + model.others_power[0]
        spectrum = noise_spectrum(power, smoothness(model, step))
        doubt = min(DOUBT * false_alarm, _MOST_DOUBT)
        limits = []
        for sigma in sigmas:
            shape = 1 / _spread(spectrum, 2 * sigma)
            full, none = gamma.isf([doubt, false_alarm], shape, scale=1 / shape)
            limits.append((float(full), float(none)))
        return cls(sigmas, tuple(limits))

    def weights(self, difference: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """Return how much a neighbour counts, 0 to 1.

        Parameters
        ----------
        difference : tensor (2Y, 2X)
            Of the two estimates.
        variance : tensor (Y, X)
            Of the noise of the difference.

        Returns
        -------
        tensor (Y, X)
            The least of all windows and of the pixels around.
        """
        import torch
        import torch.nn.functional as F

        power = F.avg_pool2d(difference.square()[None], 2)[0]
        result = torch.ones_like(power)
        for sigma, (full, none) in zip(self.sigmas_px, self.limits, strict=True):
            narrower = math.sqrt(max(sigma**2 - _POOL_VARIANCE / 4, 0.01))
            expected = blurred(variance, narrower).clamp(min=1e-30)
            ratio = blurred(power, narrower) / expected
            result = torch.minimum(result, (none - ratio) / (none - full))
        return eroded(result.clamp(0, 1))


def _spread(spectrum: torch.Tensor, sigma_px: float) -> float:
    """Return the variance of the mean square of noise in a window, its mean being 1.

    2 Σ ρ²(r) (g ⋆ g)(r), ρ the autocorrelation of the noise and g the window.
    """
    import torch

    size = len(spectrum), 2 * (spectrum.shape[1] - 1)
    correlation = torch.fft.irfft2(spectrum, s=size)
    correlation = correlation / correlation[0, 0]
    y, x = (torch.fft.fftfreq(n, d=1 / n, device=spectrum.device) for n in size)
    overlap = torch.exp(-(y[:, None] ** 2 + x**2) / (4 * sigma_px**2))
    return float(2 * (correlation.square() * overlap).sum() / overlap.sum())

"""Whether two time points show the same, place by place: a chi-square test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dps.methods.temporal.sight import (
    Sight,
    model_of,
    noise_spectrum,
    smoothness,
)
from napari_dps.physics.optical_flow import LEAST_RADIUS_PX
from napari_dps.physics.windows import blurred, dilated, eroded, pooled

if TYPE_CHECKING:
    import torch

WINDOWS = (0.35, 1.04)
"""Widths (sigma) of the windows, over the finest period that the lens passes."""
DOUBT = 100.0
"""A weight falls from the quantile of so many false alarms to that of one."""
_MOST_DOUBT = 0.5
MOTION_PX = 6.0
"""Width (sigma) of the window in which it is seen whether something has moved: about
that in which flow is sought."""
ALONE_PX = math.sqrt(((3 * LEAST_RADIUS_PX) ** 2 - 1) / 12)
"""The same of the square, three times its radius wide, in which the flow is sought of
what moves by itself."""
MOTION = (4.0, 8.0)
"""Differences that the flow explains, over those that it explains of noise alone: up to
which nothing has moved, and from which on something has for sure."""
_MOTION_BLOCK_PX = 4
_LEAST_SHARE = 0.3
"""Of a window that must be left for it to count."""
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
    noise_followed, noise_followed_alone : float
        Part of T that a flow explains of noise alone, in wide windows and in those of
        what moves by itself.
    """

    sigmas_px: tuple[float, ...]
    limits: tuple[tuple[float, float], ...]
    noise_followed: float
    noise_followed_alone: float

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
        sigmas = tuple(width / sight.model.cutoff for width in WINDOWS)
        model = model_of(
            sight.stack, (_SIDE_PX, _SIDE_PX), sight.model.cutoff, sight.pads
        )
        power = model.zero_power + model.others_power[0]
        spectrum = noise_spectrum(power, smoothness(model, step))
        limits = tuple(
            limits_of(_spread(spectrum, 2 * sigma), false_alarm) for sigma in sigmas
        )
        # A mean of N independent squares has the variance 2/N; the two components of
        # the flow explain 2/N of it.
        followed = (_spread(spectrum, 2 * sigma) for sigma in (MOTION_PX, ALONE_PX))
        return cls(sigmas, limits, *followed)

    def expected(self, variance: torch.Tensor) -> list[torch.Tensor]:
        """Return the means (Y, X) of a variance in each of the windows."""
        return [blurred(variance, sigma) for sigma in self._narrower]

    @property
    def _narrower(self) -> list[float]:
        """Widths of the windows for what is averaged over 2 × 2 pixels before."""
        pooled = _POOL_VARIANCE / 4
        return [math.sqrt(max(sigma**2 - pooled, 0.01)) for sigma in self.sigmas_px]

    def weights(
        self, difference: torch.Tensor, expected: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return how much a neighbour counts, 0 to 1.

        Parameters
        ----------
        difference : tensor (2Y, 2X)
            Of the two estimates.
        expected : sequence of tensor (Y, X)
            What `expected` gives of the variance of the noise of the difference.

        Returns
        -------
        tensor (Y, X)
            The least of all windows and of the pixels around.
        """
        return counted(self.likeness(difference, expected))

    def likeness(
        self, difference: torch.Tensor, expected: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return `likeness_of` (Y, X); parameters are those of `weights`."""
        power = pooled(difference.square())
        return likeness_of(power, expected, self._narrower, self.limits)

    def motion(
        self,
        still: torch.Tensor,
        moved: torch.Tensor,
        expected: Sequence[torch.Tensor],
    ) -> torch.Tensor:
        """Return how sure it is, 0 to 1, that what has moved explains a difference.

        Parameters
        ----------
        still, moved : tensor (2Y, 2X)
            Difference of the two estimates as they are, and along the flow.
        expected : sequence of tensor (Y, X)
            As for `weights`.

        Returns
        -------
        tensor (Y, X)
        """
        import torch.nn.functional as F

        explained, noise = (
            blurred(_in_blocks(image, size), MOTION_PX / _MOTION_BLOCK_PX)
            for image, size in (
                (still.square() - moved.square(), 2 * _MOTION_BLOCK_PX),
                (expected[-1], _MOTION_BLOCK_PX),
            )
        )
        ratio = explained / (noise.clamp(min=1e-30) * self.noise_followed)
        none, sure = MOTION
        share = ((ratio - none) / (sure - none)).clamp(0, 1)[None, None]
        shape = expected[-1].shape
        return F.interpolate(share, size=list(shape), mode="bilinear")[0, 0]


def limits_of(spread: float, false_alarm: float) -> tuple[float, float]:
    """Return T up to which a neighbour counts fully, and from which on not at all.

    Parameters
    ----------
    spread : float
        Variance of T where both show the same; its mean is 1.
    false_alarm : float
        See `Gate.of`.

    Examples
    --------
    >>> full, none = limits_of(0.1, 0.001)
    >>> 1 < full < none
    True
    """
    from scipy.stats import gamma

    doubt = min(DOUBT * false_alarm, _MOST_DOUBT)
    full, none = gamma.isf([doubt, false_alarm], 1 / spread, scale=spread)
    return float(full), float(none)


def counted(likeness: torch.Tensor) -> torch.Tensor:
    """Return how much a neighbour counts, 0 to 1: the least of the pixels around."""
    return eroded(likeness.clamp(0, 1))


def likeness_of(
    power: torch.Tensor,
    expected: Sequence[torch.Tensor],
    sigmas_px: Sequence[float],
    limits: Sequence[tuple[float, float]],
) -> torch.Tensor:
    """Return how alike a neighbour is, by the least of several windows.

    What a narrow window has found to differ, and the pixels around, are left out of the
    wider ones: these are for what is too faint for the narrow one to see, and a bright
    change would spread as far as they reach.

    Parameters
    ----------
    power : tensor (Y, X)
        Square of what differs.
    expected : sequence of tensor (Y, X)
        For each window, the mean in it of the variance of what noise makes differ.
    sigmas_px : sequence of float
        Width of each window, the narrowest first.
    limits : sequence of (float, float)
        Of each window, as of `limits_of`.

    Returns
    -------
    tensor (Y, X)
        1 and more where it counts fully, below 0 where it does not: −1 as far beyond
        the second limit as this is from the first.
    """
    import torch

    result, kept = torch.ones_like(power), torch.ones_like(power)
    share = kept
    windows = zip(sigmas_px, expected, limits, strict=True)
    for sigma, mean, (full, none) in windows:
        left_out = result <= 0
        if left_out.any():
            kept = 1 - dilated(left_out.to(power))
            share = blurred(kept, sigma)
        ratio = blurred(power * kept, sigma) / (mean * share).clamp(min=1e-30)
        # The mean of fewer places spreads more.
        wider = share.clamp(min=_LEAST_SHARE).rsqrt()
        weight = (wider * (none - 1) - (ratio - 1)) / (wider * (none - full))
        result = result.minimum(weight.where(share >= _LEAST_SHARE, kept.new_ones(())))
    return result


def _in_blocks(image: torch.Tensor, size: int) -> torch.Tensor:
    """Return the means of squares of an image, those at the edges of what there is."""
    import torch.nn.functional as F

    return F.avg_pool2d(image[None], size, ceil_mode=True, count_include_pad=False)[0]


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

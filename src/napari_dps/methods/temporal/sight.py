"""One time point as others are compared with it: its orders, and a smooth estimate."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import count
from typing import TYPE_CHECKING, Any

from napari_dps.core import CameraNoise, Optics, Pattern, Progress, within
from napari_dps.core.at_once import both
from napari_dps.methods.sim.estimates import LEAST_PARAMETER, SMOOTH, filtered
from napari_dps.methods.sim.frames import (
    Rim,
    faded,
    fast_rim,
    frame_noise,
)
from napari_dps.methods.sim.orders import StackOrders, Zoom, kept_model
from napari_dps.methods.temporal.noise import local_variance
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.pattern_model import (
    Orders,
    PatternModel,
    demodulated_pad,
)
from napari_dps.physics.spline import Spline
from napari_dps.physics.windows import quantiles

if TYPE_CHECKING:
    import torch

_DARK, _BRIGHT = 0.02, 0.999
"""Quantiles of the light whose difference is full scale."""
_FEW = 2**16
"""Pixels of a large image that the quantiles are taken of."""
_NOISE_FLOOR = 6.0
"""Full scale is at least that many standard deviations of the noise of order 0."""


@dataclass(eq=False)
class Sight:
    """What one time point shows.

    Attributes
    ----------
    level : tensor (A, P, Y, X)
        Its frames, equally bright.
    factors : tensor (A, P, 1, 1)
        That made them so.
    stack : StackOrders
        How its orders make its frames.
    orders : tensor (A + 2 W, Y, X)
        Order 0 of each angle, the real and then the imaginary parts of the others.
    of_frame : float
        Standard deviation of the noise of a frame.
    local : tensor (Y, X)
        Variance of the noise over its mean.
    light : tensor (Y, X)
        Mean of the frames.
    model : PatternModel
        Of the padded orders.
    pads : Rim
        What they are padded by.
    seen : tensor
        Spectrum of what all orders say of the object, on the fine grid.
    found : dict
        What a comparison needs of it at every time point in whose window it lies.
    number : int
        No other has.
    """

    level: torch.Tensor
    factors: torch.Tensor
    stack: StackOrders
    orders: torch.Tensor
    of_frame: float
    local: torch.Tensor
    light: torch.Tensor
    model: PatternModel
    pads: Rim
    seen: torch.Tensor
    found: dict[Any, Any] = field(default_factory=dict)
    number: int = field(default_factory=count().__next__)
    _estimates: dict[int, torch.Tensor] = field(default_factory=dict)
    _variances: dict[int, float] = field(default_factory=dict)

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the noise of order 0 of all angles."""
        return self.of_frame * self.stack.zero_noise

    @cached_property
    def scale(self) -> float:
        """Counts from dark to bright."""
        return _scale(self.light, self.noise)

    @property
    def angles(self) -> int:
        """Angles of the frames."""
        return int(self.level.shape[0])

    @property
    def step(self) -> int:
        """Logarithm to base 2 of the noise variance, full scale 1, in whole steps.

        Estimates of time points are compared that are equally smooth.
        """
        return round(2 * math.log2(max(self.noise / self.scale, 1e-6)))

    @cached_property
    def power(self) -> torch.Tensor:
        """Σ of the squared transfers of all orders, on the half plane (2Y', X' + 1)."""
        return self.model.zero_power + self.model.others_power[0]

    @cached_property
    def spline(self) -> Spline:
        """The orders between the pixels."""
        return Spline.through(self.orders)

    def estimate(self, step: int) -> torch.Tensor:
        """Return the smooth estimate (2Y, 2X) of the object, for a noise of `step`."""
        kept = self._estimates.get(step)
        if kept is None:
            height, width = (2 * side for side in self.light.shape)
            top, left = 2 * self.pads.top, 2 * self.pads.left
            size = [2 * side for side in self.model.shape]
            smooth = smoothness(self.model, step)
            image = filtered(self.seen, self.power, smooth, size)
            inside = image[top : top + height, left : left + width]
            # One is kept: neighbours are hardly ever of different steps.
            kept = inside.contiguous()
            self._estimates = {step: kept}
        return kept

    def variance(self, step: int) -> torch.Tensor:
        """Return the variance of the noise of that estimate at each pixel (Y, X)."""
        return self.mean_variance(step) * self.local

    def mean_variance(self, step: int) -> float:
        """Return the mean of that variance."""
        if step not in self._variances:
            spectrum = noise_spectrum(self.power, smoothness(self.model, step))
            self._variances[step] = self.noise**2 * 4 * mean_of_half(spectrum)
        return self._variances[step]


def smoothness(model: PatternModel, step: int) -> torch.Tensor:
    """Return the Wiener parameter of the smooth estimate of the denoiser."""
    flat, slope = SMOOTH
    return 2.0**step * (flat + slope * model.radius**2) + LEAST_PARAMETER


def noise_spectrum(power: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Return the power spectrum of the noise of an estimate, up to a factor."""
    return power / (power + parameter) ** 2


def mean_of_half(spectrum: torch.Tensor) -> float:
    """Return the mean over the whole plane of what is known on its half."""
    inner = spectrum[:, 1:-1].sum()
    total = float(spectrum.sum() + inner)
    return total / (len(spectrum) * 2 * (spectrum.shape[1] - 1))


def sight_steps(
    frames: torch.Tensor,
    optics: Optics,
    patterns: Sequence[Pattern],
    camera: CameraNoise | None = None,
    cache: dict[Any, Any] | None = None,
) -> Generator[Progress, None, Sight]:
    """Look at one time point.

    Parameters
    ----------
    frames : tensor (A, P, Y, X), float32
        Counts above the camera's offset; a plain image is one angle and one phase.
    optics : Optics
        Of the frames.
    patterns : sequence of Pattern
        Fitted to these frames; one or more for every angle.
    camera : CameraNoise, optional
        Noise of the frames where it is stated; else it is measured.
    cache : dict, optional
        Keeps the model of the orders for time points that have the same.

    Yields
    ------
    Progress

    Returns
    -------
    Sight

    Raises
    ------
    InputError
        If a frame of several holds no signal.
    """
    import torch

    cutoff = optics.cutoff_per_pixel
    yield Progress(0, 1, "Orders")
    factors = _factors(frames)
    level = frames * factors
    same = Zoom(1.0, 1.0)
    stack = StackOrders(
        patterns, optics.pixel_size_nm, same, frames.shape[1], frames.device
    )
    total = 2 + stack.wavevectors.shape[1]
    separated = stack.mixing.separate(level)
    zeros = stack.mixing.zeros(level)
    others = separated.others[0]
    orders = torch.cat([zeros, others.real, others.imag])
    yield Progress(1, total, "Noise")
    light = level.mean(dim=(0, 1))
    pads = fast_rim(light.shape[0], light.shape[1])

    def noise() -> tuple[float, torch.Tensor]:
        found = frame_noise(level, zeros, optics, same, camera, cutoff)
        return found, local_variance(level[:, 0], found, cutoff)

    padding = partial(_padded, separated, stack, pads)
    (of_frame, local), padded = both(noise, padding)
    yield Progress(2, total, "What the orders say")
    model = model_of(stack, padded.zero.shape[-2:], cutoff, pads, cache)
    zero, rest = yield from within(model.back_projections_steps(padded), 2, total)
    seen = torch.fft.rfft2(zero + rest)[0]
    return Sight(
        level, factors, stack, orders, of_frame, local, light, model, pads, seen
    )


def model_of(
    stack: StackOrders,
    shape: Sequence[int],
    cutoff_per_pixel: float,
    pads: Rim,
    cache: dict[Any, Any] | None = None,
) -> PatternModel:
    """Return how orders of some size, with a rim, follow from an object."""
    return kept_model(
        {} if cache is None else cache,
        (shape[0], shape[1]),
        (stack.wavevectors, stack.modulation, stack.weights),
        origin_px=(float(pads.top), float(pads.left)),
        cutoff=cutoff_per_pixel,
    )


def _padded(orders: Orders, stack: StackOrders, pads: Rim) -> Orders:
    """Return orders with a mirrored and fading rim."""
    wide = demodulated_pad(orders, stack.wavevectors, pads)
    return Orders(*(faded(part, pads) for part in wide))


def _factors(frames: torch.Tensor) -> torch.Tensor:
    """Return what makes frames equally bright (A, P, 1, 1); a single one stays."""
    import torch

    if frames.shape[0] * frames.shape[1] == 1:
        return torch.ones(1, 1, 1, 1, device=frames.device)
    return torch.from_numpy(equalisation(frames)).to(frames)[..., None, None]


def _scale(light: torch.Tensor, noise: float) -> float:
    """Return the counts from dark to bright."""
    import torch.nn.functional as F

    smooth = F.avg_pool2d(
        light[None], 3, stride=1, padding=1, count_include_pad=False
    ).flatten()
    few = smooth[:: max(1, smooth.numel() // _FEW)]
    dark, bright = quantiles(few[None], (_DARK, _BRIGHT))[:, 0].tolist()
    return max(float(bright - dark), _NOISE_FLOOR * noise, 1e-12)

"""How the orders of all angles follow from one object, at canonical sampling.

Order w of the stripes is D_w = m_w O ⊗ (s e^{2πi k_w·r}), D_0 = O ⊗ s: linear views of
the same object s. Written for batches of stacks of as many orders, differentiable with
respect to the object. The object lives on a grid of half the pixel size, which holds
frequencies up to 1 cycle per pixel of the frames: at canonical sampling, with the
cut-off at 0.40, nothing aliases up to k = 1.15 of the cut-off.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from napari_dps.core import Progress, finish
from napari_dps.core.at_once import at_once
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.sim.spectrum import resize_spectrum

if TYPE_CHECKING:
    import torch


class Orders(NamedTuple):
    """Separated orders of a batch of stacks.

    Attributes
    ----------
    zero : tensor (B, Y, X)
        Order 0, averaged over the angles.
    others : tensor (B, W, Y, X), complex
        D_w of all angles one after the other; W may be 0.
    """

    zero: torch.Tensor
    others: torch.Tensor


class PatternModel(ForwardModel["torch.Tensor", Orders]):
    """Views of an object through the pattern, and estimates of it from them.

    Order 0 weighs 1 in the inner product of orders, the real and imaginary pieces of
    D_w weigh ``weights``.

    Parameters
    ----------
    shape : (int, int)
        (Y, X) of the frames; the transforms take them as periodic.
    wavevectors : tensor (B, W, 2)
        k_w as (y, x) in cycles per pixel of the frames.
    modulation : tensor (B, W)
        m_w.
    weights : tensor (B, W)
        Noise variance of order 0 over that of the real part of D_w.
    origin_px : float or (float, float)
        Pixel from whose centre phases are counted, in y and x or in both alike.
    cutoff : float
        Cut-off of the OTF in cycles per pixel.
    fall : float
        How much faster than the ideal one the OTF of `forward` and `adjoint` falls,
        as exp(−fall · r²), r the frequency over the cut-off: pixels, aberrations.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        wavevectors: torch.Tensor,
        modulation: torch.Tensor,
        weights: torch.Tensor,
        *,
        origin_px: float | tuple[float, float] = 0.0,
        cutoff: float = CANONICAL_CUTOFF_PER_PIXEL,
        fall: float = 0.0,
    ) -> None:
        import torch

        self.shape = shape
        self.wavevectors, self.modulation, self.weights = (
            wavevectors,
            modulation,
            weights,
        )
        self.cutoff = cutoff
        device = wavevectors.device
        y, x = (torch.fft.fftfreq(n, device=device) for n in shape)
        radius = torch.hypot(y[:, None], x)
        otf = radial_otf(radius, cutoff) * torch.exp(-fall * (radius / cutoff) ** 2)
        # A pixel's centre lies half a fine pixel beyond that of its first fine pixel.
        shift = torch.exp(0.5j * math.pi * (y[:, None] + x))
        self._transfer = otf * shift
        if not isinstance(origin_px, tuple):
            origin_px = origin_px, origin_px
        self._positions = [
            torch.arange(2 * n, device=device) / 2 - 0.25 - origin
            for n, origin in zip(shape, origin_px, strict=True)
        ]

    def forward(self, fine: torch.Tensor, /) -> Orders:
        """Return the orders that an object (B, 2Y, 2X) shows."""
        return finish(self.forward_steps(fine))

    def forward_steps(self, fine: torch.Tensor) -> Generator[Progress, None, Orders]:
        """Do what `forward` does, order by order."""
        import torch

        count = self.wavevectors.shape[1]
        seeing = at_once(partial(self._view, fine, w) for w in range(-1, count))
        zero, views = next(seeing).real, []
        for done, view in enumerate(seeing, 1):
            views.append(view)
            yield Progress(done, count, "Orders seen through the patterns")
        others = zero.new_zeros(len(zero), 0, *self.shape, dtype=torch.complex64)
        if count:
            others = torch.stack(views, dim=1) * self.modulation[..., None, None]
        return Orders(zero, others)

    def adjoint(self, orders: Orders, /) -> torch.Tensor:
        """Return what all orders say of the object, (B, 2Y, 2X)."""
        zero, others = finish(self.back_projections_steps(orders))
        return zero + others

    def back_projections_steps(
        self, orders: Orders
    ) -> Generator[Progress, None, tuple[torch.Tensor, torch.Tensor]]:
        """Compute the two terms of `adjoint`, order by order.

        Returns
        -------
        zero, others : tensor (B, 2Y, 2X)
            O ⊗ D_0 and Σ_w weight_w m_w Re[e^{−2πi k_w·r} (O ⊗ D_w)].
        """
        import torch

        count = self.wavevectors.shape[1]
        moving = at_once(partial(self._moved_back, orders, w) for w in range(-1, count))
        zero = next(moving)
        total = torch.zeros_like(zero)
        for done, view in enumerate(moving, 1):
            total = total + view
            yield Progress(done, count, "Orders moved back")
        return zero, total

    def _view(self, fine: torch.Tensor, index: int) -> torch.Tensor:
        """Return what an object shows of an order, −1: of 0; without modulation."""
        return self._shrink(fine if index < 0 else self._times_wave(fine, index, 1))

    def _moved_back(self, orders: Orders, index: int) -> torch.Tensor:
        """Return what an order says of the object, (B, 2Y, 2X); −1: order 0."""
        if index < 0:
            return self._grow(orders.zero).real.contiguous()
        gain = self.weights[:, index] * self.modulation[:, index]
        view = self._times_wave(self._grow(orders.others[:, index]), index, -1)
        return gain[:, None, None] * view.real

    def estimate(
        self, seen: torch.Tensor, power: torch.Tensor, parameter: torch.Tensor
    ) -> torch.Tensor:
        """Return seen/(power + parameter) by frequency, (B, 2Y, 2X)."""
        import torch

        spectrum = torch.fft.rfft2(seen) / (power + parameter)
        image: torch.Tensor = torch.fft.irfft2(spectrum, s=seen.shape[-2:])
        return image

    def apodised(self, fine: torch.Tensor) -> torch.Tensor:
        """Return objects (B, 2Y, 2X) as far as the orders reach, fading as a cosine."""
        import torch

        lengths = torch.linalg.vector_norm(self.wavevectors, dim=-1) / self.cutoff
        used = torch.where(self.modulation > 0, lengths, 0)
        reach = 1 + (used.amax(dim=1) if used.shape[1] else used.new_zeros(len(used)))
        power = self.zero_power + self.others_power
        fade = radial_otf(self.radius / reach[:, None, None], 1.0)
        spectrum = torch.fft.rfft2(fine) * fade * (power > 0)
        image: torch.Tensor = torch.fft.irfft2(spectrum, s=fine.shape[-2:])
        return image

    @cached_property
    def radius(self) -> torch.Tensor:
        """Frequency over cut-off on the half plane of the fine grid (2Y, X + 1)."""
        import torch

        return torch.hypot(*self._fine_frequency) / self.cutoff

    @cached_property
    def zero_power(self) -> torch.Tensor:
        """O² on the half plane of the fine grid (2Y, X + 1)."""
        return radial_otf(self.radius, 1.0) ** 2

    @cached_property
    def others_power(self) -> torch.Tensor:
        """Σ_w weight_w m_w² mean of O²(q ± k_w), (B, 2Y, X + 1)."""
        return self.attenuated_power(0.0, 1.0)[1]

    def attenuated_power(
        self, strength: float, width: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the powers of order 0 and of the others with a dip at their centres.

        Parameters
        ----------
        strength, width : float
            The dip is 1 − strength · exp(−(r/width)²/2), r over the cut-off.
        """
        import torch

        def power(radius: torch.Tensor) -> torch.Tensor:
            dip = 1 - strength * torch.exp(-((radius / width) ** 2) / 2)
            return radial_otf(radius, 1.0) ** 2 * dip

        y, x = self._fine_frequency
        total = torch.zeros(len(self.wavevectors), *self.radius.shape).to(self.radius)
        for index in range(self.wavevectors.shape[1]):
            k_y, k_x = self.wavevectors[:, index, :, None, None].unbind(1)
            gain = self.weights[:, index] * self.modulation[:, index] ** 2 / 2
            for sign in (1, -1):
                shifted = torch.hypot(y + sign * k_y, x + sign * k_x) / self.cutoff
                total = total + gain[:, None, None] * power(shifted)
        return power(self.radius), total

    @cached_property
    def _fine_frequency(self) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        device = self.wavevectors.device
        y = torch.fft.fftfreq(2 * self.shape[0], d=0.5, device=device)
        x = torch.fft.rfftfreq(2 * self.shape[1], d=0.5, device=device)
        return y[:, None], x

    def _times_wave(self, fine: torch.Tensor, index: int, sign: int) -> torch.Tensor:
        """Return an image on the fine grid times e^{±2πi k_w·r}."""
        import torch

        rows, columns = (
            torch.exp(
                sign * 2j * math.pi * self.wavevectors[:, index, axis, None] * place
            )
            for axis, place in enumerate(self._positions)
        )
        return fine * rows[:, :, None] * columns[:, None, :]

    def _shrink(self, fine: torch.Tensor) -> torch.Tensor:
        """Blur an image on the fine grid and sample it on that of the frames."""
        import torch

        spectrum = torch.fft.fft2(fine)
        spectrum = resize_spectrum(spectrum, self.shape)
        image: torch.Tensor = torch.fft.ifft2(spectrum * (self._transfer / 4))
        return image

    def _grow(self, image: torch.Tensor) -> torch.Tensor:
        """Blur an image on the grid of the frames and interpolate it."""
        import torch

        spectrum = torch.fft.fft2(image) * (4 * self._transfer.conj())
        spectrum = resize_spectrum(spectrum, (2 * self.shape[0], 2 * self.shape[1]))
        fine: torch.Tensor = torch.fft.ifft2(spectrum)
        return fine


def radial_otf(radius: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Return `napari_dps.physics.otf.widefield_otf` of a tensor."""
    import torch

    ratio = (radius / cutoff).clamp(max=1)
    return 2 / math.pi * (torch.arccos(ratio) - ratio * torch.sqrt(1 - ratio**2))


def demodulated_pad(
    orders: Orders, wavevectors: torch.Tensor, pads: Sequence[int]
) -> Orders:
    """Mirror orders at their edges, their stripes going on as they are.

    Parameters
    ----------
    orders : Orders
        (B, Y, X) and (B, W, Y, X).
    wavevectors : tensor (B, W, 2)
        Cycles per pixel.
    pads : sequence of int
        Pixels left, right, above and below.

    Returns
    -------
    Orders
        What e^{−2πi k·r} turns into an object mirrored at its edges.
    """
    import torch

    left, right, top, bottom = pads
    zero, others = orders
    for axis, before, after in ((-1, left, right), (-2, top, bottom)):
        size = zero.shape[axis]
        place, source = _mirror(size, before, after, zero.device)
        moved = place - source
        wave = torch.exp(2j * math.pi * wavevectors[..., axis, None] * moved)
        wave = wave[..., None, :] if axis == -1 else wave[..., :, None]
        zero = zero.index_select(axis, source)
        others = others.index_select(axis, source) * wave
    return Orders(zero, others)


def mirrored(image: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    """Return an image with a mirrored rim along an axis, however wide."""
    _, source = _mirror(image.shape[axis], before, after, image.device)
    return image.index_select(axis, source)


def _mirror(
    size: int, before: int, after: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positions with a rim, and the pixel that each is a copy of."""
    import torch

    place = torch.arange(-before, size + after, device=device)
    source = place % (2 * size)
    return place, torch.where(source < size, source, 2 * size - 1 - source)

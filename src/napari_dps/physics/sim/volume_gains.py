"""What denoising plane by plane has weakened in a volume, told by its raw frames.

A filter of planes knows nothing of the light of the others: what it takes for noise or
for haze depends on the frequency (q, kz) of the object. The raw frames are noisy but
biased nowhere, so that over a ring of (|q|, |kz|) with many values the regression of
the raw orders R_n on the denoised ones D_n tells the gain that was lost,

    g_n(|q|, |kz|) = Re Σ R_n D_n* / Σ |D_n|²,

and g_n D_n has it back. The order's index n counts: an order seen through another part
of the 3-D OTF is weakened otherwise. Noise of the frames that the filter has let pass
makes g a little too large, where there is little of it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics, Pattern, Progress
from napari_dps.physics.sim.separate import mixing_matrix, orders_by_angle
from napari_dps.physics.sim.wiener_grid import Padding
from napari_dps.physics.sim.wiener_transforms import plain_ends

if TYPE_CHECKING:
    import torch

RING = 1 / 48
"""Width of a ring, in cycles per pixel: gains fall and rise more slowly."""
LARGEST_GAIN = 2.0
"""More is noise in a ring that holds hardly any structure."""
MESSAGE = "What the planes lost"
PADDING_PLANES, PADDING_PX = 4, 14
"""By which each end of the stack, and each edge, is extended at least."""

Real = NDArray[np.float64]
Gains = Mapping[int, Real]
"""Gains (kz, ring) of each order's index."""


@dataclass(frozen=True, eq=False)
class _Order:
    """One order of one angle."""

    angle: int
    index: int
    """n; 0 for the order without stripes."""
    wavevector: tuple[float, float]
    rows: Real
    """(1 or 2, P): frames to its real, and its imaginary part."""
    columns: Real
    """(P, 1 or 2): back to what it adds to the frames."""


class VolumeGains:
    """Measures the gains of a denoised volume and makes up for them.

    Parameters
    ----------
    shape : (int, int, int)
        (Z, Y, X) of the frames of one angle and phase.
    patterns : sequence of Pattern
        Fitted; one or more for every angle.
    optics : Optics
        The detection, at the pixel size of the frames.
    """

    def __init__(
        self, shape: tuple[int, int, int], patterns: Sequence[Pattern], optics: Optics
    ) -> None:
        self._shape = shape
        self._angles = orders_by_angle(patterns, optics.pixel_size_nm)
        self._indices = [
            [
                order.order
                for pattern in patterns
                if pattern.angle_index == number
                for order in pattern.orders
                if order.is_usable
            ]
            for number in range(len(self._angles))
        ]
        self._count = sum(1 + len(angle.used) for angle in self._angles)
        self._cutoff = optics.cutoff_per_pixel
        self._paddings = (
            Padding(shape[0], PADDING_PLANES, continued="edge"),
            *(Padding(n, PADDING_PX) for n in shape[1:]),
        )

    def measure_steps(
        self, raw: torch.Tensor, clean: torch.Tensor
    ) -> Generator[Progress, None, Gains]:
        """Measure the gains: the first half of the work.

        Parameters
        ----------
        raw, clean : tensor (Z, A, P, Y, X), float32
            The frames as recorded, and denoised.

        Yields
        ------
        Progress

        Returns
        -------
        Gains
        """
        sums: dict[int, Real] = {}
        for number, order in enumerate(self._orders(raw.shape[2])):
            yield Progress(number, 2 * self._count, MESSAGE)
            recorded, shown = (self._spectrum(one, order) for one in (raw, clean))
            parts = (recorded * shown.conj()).real, shown.abs().square()
            found = self._ring_sums(parts, order)
            sums[order.index] = sums.get(order.index, 0) + found
        return {index: _gains(*found) for index, found in sums.items()}

    def apply_steps(
        self, clean: torch.Tensor, gains: Gains
    ) -> Generator[Progress, None, None]:
        """Multiply the orders of frames by gains, in place: the second half.

        Parameters
        ----------
        clean : tensor (Z, A, P, Y, X), float32
            Denoised frames; changed.
        gains : Gains
            As measured.

        Yields
        ------
        Progress
        """
        import torch

        planes, height, width = self._shape
        for number, order in enumerate(self._orders(clean.shape[2]), start=self._count):
            yield Progress(number, 2 * self._count, MESSAGE)
            change = self._spectrum(clean, order)
            place, outside = self._ring_of(order), self._is_outside(order)
            for kz in range(len(change)):
                row = gains[order.index][min(kz, len(change) - kz)]
                factor = np.interp(place, np.arange(len(row)), row) - 1
                change[kz] *= torch.as_tensor(np.where(outside, 0, factor)).to(clean)
            change = torch.fft.ifftn(change)[:planes, :height, :width]
            change *= self._wave(order, 1, clean)
            parts = [change.real, change.imag][: order.columns.shape[1]]
            for phase, factors in enumerate(order.columns):
                for factor, part in zip(factors.tolist(), parts, strict=True):
                    clean[:, order.angle, phase] += factor * part

    def _orders(self, phases: int) -> Iterator[_Order]:
        """Yield the orders of all angles, the zeroth of each first."""
        for number, angle in enumerate(self._angles):
            rows = angle.order_rows(phases)
            columns = (
                mixing_matrix([order.phases_rad for order in angle.used])
                if angle.used
                else np.ones((phases, 1))
            )
            yield _Order(number, 0, (0.0, 0.0), rows[:1], columns[:, :1])
            used = zip(self._indices[number], angle.used, strict=True)
            for place, (index, order) in enumerate(used):
                parts = slice(2 * place + 1, 2 * place + 3)
                yield _Order(
                    number, index, order.wavevector, rows[parts], columns[:, parts]
                )

    def _spectrum(self, frames: torch.Tensor, order: _Order) -> torch.Tensor:
        """Return the spectrum of an order without its wave, over the padded period."""
        import torch

        rows = torch.as_tensor(order.rows).to(frames)
        parts = torch.einsum("op,zpyx->ozyx", rows, frames[:, order.angle])
        image = torch.complex(parts[0], parts[1] if len(parts) > 1 else 0 * parts[0])
        image *= self._wave(order, -1, frames)
        for axis, padding in enumerate(self._paddings):
            image = torch.cat([image, plain_ends(image, padding, axis)], dim=axis)
        spectrum: torch.Tensor = torch.fft.fftn(image)
        return spectrum

    def _wave(self, order: _Order, sign: int, like: torch.Tensor) -> torch.Tensor:
        """Return e^{±2πi k·r} at the pixels of a frame, k that of the order."""
        import torch

        y, x = (
            torch.as_tensor(np.exp(2j * math.pi * sign * k * np.arange(length)))
            for k, length in zip(order.wavevector, self._shape[1:], strict=True)
        )
        return (y[:, None] * x).to(like.device, torch.complex(like[:0], like[:0]).dtype)

    def _detected(self, order: _Order) -> tuple[Real, Real]:
        """Return the frequencies (y, x) at which a bin of the order was detected.

        In cycles per pixel, −0.5 to 0.5: the wave that was taken away moved it.
        """
        sizes = (padding.size for padding in self._paddings[1:])
        y, x = (
            np.asarray((np.fft.fftfreq(size) + k + 0.5) % 1 - 0.5, np.float64)
            for size, k in zip(sizes, order.wavevector, strict=True)
        )
        return y[:, None], x[None, :]

    def _is_outside(self, order: _Order) -> NDArray[np.bool_]:
        """Whether the lens passes nothing of a bin of the order, (Y, X)."""
        y, x = self._detected(order)
        return np.asarray(np.hypot(y, x) >= self._cutoff)

    def _ring_of(self, order: _Order) -> Real:
        """Return the ring, a fraction, that a bin of the order belongs to, (Y, X)."""
        (y, x), k = self._detected(order), order.wavevector
        return np.asarray(np.hypot(y - k[0], x - k[1]) / RING)

    def _ring_sums(self, parts: Sequence[torch.Tensor], order: _Order) -> Real:
        """Return the sums (part, kz, ring) of parts (kz, Y, X), ±kz together."""
        import torch

        ring = np.rint(self._ring_of(order)).astype(np.int64)
        count = math.ceil(2 / RING)
        ring[self._is_outside(order)] = count - 1
        index = torch.as_tensor(ring.ravel(), device=parts[0].device)
        period = len(parts[0])
        sums = np.zeros((len(parts), period // 2 + 1, count))
        for total, values in zip(sums, parts, strict=True):
            for kz, plane in enumerate(values):
                of_plane = torch.bincount(index, plane.ravel(), count).cpu().numpy()
                total[min(kz, period - kz)] += of_plane
        return sums


def _gains(common: Real, power: Real) -> Real:
    """Return the gains from sums over rings; 1 where a ring holds nothing."""
    gains = np.ones_like(power)
    np.divide(common, power, out=gains, where=power > 0)
    return np.asarray(np.clip(gains, 0, LARGEST_GAIN))

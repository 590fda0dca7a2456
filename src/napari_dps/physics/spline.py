"""Images between their pixels: cubic B-splines of many channels at once."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from scipy.fft import next_fast_len

from napari_dps.core.at_once import at_once
from napari_dps.physics.sim.pattern_model import mirrored

if TYPE_CHECKING:
    import torch

_RIM = 12
"""Mirrored pixels around an image: the response of the filter falls to 0.27 from pixel
to pixel, to 10⁻⁷ there."""
_AT_ONCE = 2**14
"""Places whose values are computed at once: they stay in the processor's cache."""


class Spline(NamedTuple):
    """A cubic B-spline through the pixels of images.

    Attributes
    ----------
    coefficients : tensor (Y + rims, X + rims, C)
        Channels last, so that those of a pixel lie together.
    shape : (int, int)
        (Y, X) of the images.
    """

    coefficients: torch.Tensor
    shape: tuple[int, int]

    @classmethod
    def through(cls, images: torch.Tensor) -> Spline:
        """Fit the spline to images (C, Y, X), mirrored beyond their edges.

        References
        ----------
        .. [1] Unser, Aldroubi, Eden, IEEE Trans. Signal Processing 41, 821 (1993),
           doi:10.1109/78.193220: the filter is 6/(z + 4 + z⁻¹) along each axis.
        """
        import torch

        # Beyond the rim to sizes that transform fast.
        rows, columns = (
            next_fast_len(side + 2 * _RIM, real=True) - side - _RIM
            for side in images.shape[-2:]
        )
        wide = mirrored(mirrored(images, -1, _RIM, columns), -2, _RIM, rows)
        height, width = wide.shape[-2:]
        y = torch.fft.fftfreq(height, device=images.device)[:, None]
        x = torch.fft.rfftfreq(width, device=images.device)
        response = 9 / (
            (2 + torch.cos(2 * math.pi * y)) * (2 + torch.cos(2 * math.pi * x))
        )
        found = torch.fft.irfft2(torch.fft.rfft2(wide) * response, s=(height, width))
        size = int(images.shape[-2]), int(images.shape[-1])
        return cls(found.movedim(0, -1).contiguous(), size)

    def values(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the values (N, C) at places (N,) in pixels.

        Places beyond the edges are moved to them.
        """
        import torch

        places = torch.stack([y, x])
        parts = at_once(
            partial(self._some, *places[:, first : first + _AT_ONCE])
            for first in range(0, max(len(y), 1), _AT_ONCE)
        )
        return torch.cat(list(parts))

    def _some(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the values at some of the places."""
        import torch
        import torch.nn.functional as F

        width, channels = self.coefficients.shape[1:]
        (row, weights_y), (column, weights_x) = (
            _taps(place.clamp(0, side - 1))
            for place, side in zip((y, x), self.shape, strict=True)
        )
        steps = torch.arange(4, device=y.device)
        around = (width * steps[:, None] + steps).flatten()
        places = (row * width + column)[:, None] + around
        weights = weights_y[:, :, None] * weights_x[:, None]
        found: torch.Tensor = F.embedding_bag(
            places,
            self.coefficients.reshape(-1, channels),
            per_sample_weights=weights.flatten(1),
            mode="sum",
        )
        return found


def _taps(place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first of the four coefficients for each place, and weights (N, 4)."""
    import torch

    whole = place.floor()
    t = place - whole
    weights = [
        (1 - t) ** 3 / 6,
        2 / 3 - t**2 + t**3 / 2,
        2 / 3 - (1 - t) ** 2 + (1 - t) ** 3 / 2,
        t**3 / 6,
    ]
    return whole.long() + _RIM - 1, torch.stack(weights, dim=1)

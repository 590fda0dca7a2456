"""The noise remover: a gated mean of filtered images, and two residuals."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dps.nets.equivariant import Fields
from napari_dps.nets.res_unet import ResUNet, fill

_CELL = 2
"""Pixels along the edge of a cell (space to depth)."""
MULTIPLE = 2 * _CELL
"""Tiles begin at multiples of it: the second level of the U-Net halves the cells."""
_FAINT = 10.0
"""Second scale at which the network sees the image, noises."""
_DETAILS = 3
"""Beside the differences of the bases: the image at two more scales, the noise."""
_RESIDUALS = 2
"""One in units of the noise of the place, one in units of the brightness."""
_LIGHT = 0.1
"""Share of the brightness that is the unit of the second: stripes are about that."""


class NoiseRemover(nn.Module):
    """Gated mean of an image and its filtered versions, plus residuals.

    It sees the image over its noise, logarithmically, and over its brightness, and what
    it adds is in both units: noise goes with the one, stripes of wrong patterns, motion
    and ringing with the other, however little noise there is.

    It turns with the image: a flipped or turned image gives the flipped or turned
    result (`napari_dps.nets.equivariant`).

    Parameters
    ----------
    bases : int
        The image and its filtered versions.
    numbers : int
        Numbers that describe the whole image, the first of them its brightness.
    channels, blocks : int
        Settings of the `ResUNet`; channels are a multiple of 8.

    Examples
    --------
    >>> network = NoiseRemover(bases=3, numbers=9, channels=8, blocks=1)
    >>> bases, local = torch.rand(1, 3, 31, 37), torch.ones(1, 1, 31, 37)
    >>> clean, gates = network(bases, local, torch.zeros(1, 9))
    >>> clean.shape, gates.shape
    (torch.Size([1, 1, 31, 37]), torch.Size([1, 3, 31, 37]))
    """

    def __init__(
        self, *, bases: int, numbers: int, channels: int = 40, blocks: int = 2
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "bases": bases,
            "numbers": numbers,
            "channels": channels,
            "blocks": blocks,
        }
        images = bases + _DETAILS
        self.trunk = ResUNet(
            [Fields(images, cell=_CELL), Fields(numbers)],
            [Fields(_RESIDUALS + bases, cell=_CELL)],
            channels=channels,
            blocks=blocks,
            oriented=True,
        )

    def forward(
        self, bases: Tensor, local: Tensor, numbers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Remove noise and artefacts from a batch of reconstructions.

        Parameters
        ----------
        bases : tensor (N, B, Y, X)
            The image and its filtered versions, in units of its noise; any size.
        local : tensor (N, 1, Y, X)
            The noise by place, in that unit; above 0.
        numbers : tensor (N, K)
            Numbers that describe the whole image; the first is the decimal logarithm of
            its brightness in that unit.

        Returns
        -------
        clean : tensor (N, 1, Y, X)
            The image without them, in the same unit.
        gates : tensor (N, B, Y, X)
            Shares of the bases in it.
        """
        height, width = bases.shape[-2:]
        bright = (10 ** numbers[:, :1])[..., None, None]
        bands = (bases[:, :-1] - bases[:, 1:]) / local
        seen = [bases[:, :1], bases[:, :1] / _FAINT, bands]
        soft = [torch.asinh(one) for one in seen]
        images = torch.cat([*soft, bases[:, :1] / bright, local.log()], dim=1)
        cells = F.pixel_unshuffle(fill(images, MULTIPLE), _CELL)
        levels = numbers[..., None, None].expand(-1, -1, *cells.shape[-2:])
        maps = self.trunk(torch.cat([cells, levels], dim=1))
        fine = F.pixel_shuffle(maps, _CELL)[..., :height, :width]
        noise, light = fine[:, :1] * local, fine[:, 1:2] * _LIGHT * bright
        gates = torch.softmax(fine[:, _RESIDUALS:], dim=1)
        clean = (gates * bases).sum(dim=1, keepdim=True) + noise + light
        return clean, gates


NETWORK = NoiseRemover

"""The artefact remover: a Res-UNet whose residual is let through where needed."""

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
_GATE_CELLS = 9
"""The gate is even over so many cells: it tells regions, not details."""
_FIRST_GATE = 1.0
"""Logit of the gate of a new network: mostly open."""
_LEAST_GATE = 0.1
"""A gate that can close for good kills the residual in the first steps of a training:
no gradient reaches it any more."""
_LEAST_NOISE = 1e-4


class ArtifactRemover(nn.Module):
    """Image + gate · residual, both from a `ResUNet`.

    Parameters
    ----------
    channels, blocks : int
        Settings of the `ResUNet`.
    oriented : bool
        Whether flips and quarter turns of an image whose sides are multiples of
        `MULTIPLE` flip and turn the result exactly; channels are then a multiple of 8.

    Examples
    --------
    >>> network = ArtifactRemover(channels=8, blocks=1)
    >>> image = torch.rand(1, 1, 31, 37)
    >>> clean, gate = network(image, torch.tensor([0.01]))
    >>> clean.shape, gate.shape, bool((clean == image).all())
    (torch.Size([1, 1, 31, 37]), torch.Size([1, 1, 31, 37]), True)
    """

    def __init__(
        self, *, channels: int = 32, blocks: int = 2, oriented: bool = False
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "channels": channels,
            "blocks": blocks,
            "oriented": oriented,
        }
        self.trunk = ResUNet(
            [Fields(1, cell=_CELL), Fields(1)],
            [Fields(1, cell=_CELL), Fields(1)],
            channels=channels,
            blocks=blocks,
            oriented=oriented,
        )

    def forward(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Remove artefacts from a batch of reconstructions.

        Parameters
        ----------
        image : tensor (N, 1, Y, X)
            At canonical sampling, full scale 1; any size.
        noise : tensor (N,)
            `napari_dps.methods.artifacts.network.noise_level`, in the same scale.

        Returns
        -------
        clean, gate : tensor (N, 1, Y, X)
            The image without artefacts, and how far it was allowed to change, 0.1
            to 1.
        """
        height, width = image.shape[-2:]
        cells = F.pixel_unshuffle(fill(image, MULTIPLE), _CELL)
        level = noise.clamp(min=_LEAST_NOISE).log10()[:, None, None, None]
        level = level.expand(-1, 1, *cells.shape[-2:])
        maps = self.trunk(torch.cat([cells, level], dim=1))
        residual = F.pixel_shuffle(maps[:, :-1], _CELL)[..., :height, :width]
        logit = _mean_around(maps[:, -1:].contiguous())
        opened = _LEAST_GATE + (1 - _LEAST_GATE) * torch.sigmoid(logit + _FIRST_GATE)
        gate = F.interpolate(
            opened,
            scale_factor=_CELL,
            mode="bilinear",
            align_corners=False,
        )[..., :height, :width]
        return image + gate * residual, gate


def _mean_around(maps: Tensor) -> Tensor:
    """Return the mean over `_GATE_CELLS` a side, at the border of those inside.

    Along one axis after the other, of a map by itself: at once, and among the channels
    of a cell, it takes ten times as long.
    """
    for kernel in ((_GATE_CELLS, 1), (1, _GATE_CELLS)):
        maps = F.avg_pool2d(
            maps,
            kernel,
            stride=1,
            padding=(kernel[0] // 2, kernel[1] // 2),
            count_include_pad=False,
        )
    return maps


NETWORK = ArtifactRemover

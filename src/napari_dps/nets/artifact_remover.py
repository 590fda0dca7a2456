"""The artefact remover: a Res-UNet whose change is let through where needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
_IMAGE_LOGIT = 4.0
"""Of the image beside smoothed ones of logit 0."""
_LEAST_NOISE = 1e-4


class ArtifactRemover(nn.Module):
    """Image + gate · (mean of smoothed images + residual − image).

    What is too noisy needs smoothing first of all: the image and smoothed ones are
    averaged with weights that the `ResUNet` gives each pixel; it gives residual and
    gate as well. Before any training the image passes nearly as it is.

    Parameters
    ----------
    channels, blocks : int
        Of the `ResUNet`.
    sigmas_px : sequence of float
        Of the Gaussians of the smoothed images; may be empty.

    Examples
    --------
    >>> network = ArtifactRemover(channels=8, blocks=1)
    >>> image = torch.rand(1, 1, 31, 37)
    >>> clean, gate = network(image, torch.tensor([0.01]))
    >>> clean.shape, gate.shape, bool((clean - image).abs().max() < 0.05)
    (torch.Size([1, 1, 31, 37]), torch.Size([1, 1, 31, 37]), True)
    """

    def __init__(
        self,
        *,
        channels: int = 32,
        blocks: int = 2,
        sigmas_px: Sequence[float] = (0.6, 1.0, 2.0),
    ) -> None:
        super().__init__()
        self.sigmas_px = tuple(sigmas_px)
        cells = _CELL**2
        outputs = cells * (1 + len(self.sigmas_px)) + 1
        self.trunk = ResUNet(cells + 1, outputs, channels=channels, blocks=blocks)

    def forward(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Remove artefacts from a batch of reconstructions.

        Parameters
        ----------
        image : tensor (N, 1, Y, X)
            At canonical sampling, full scale 1; any size.
        noise : tensor (N,)
            `napari_dps.stages.artifacts_network.noise_level`, in the same scale.

        Returns
        -------
        clean, gate : tensor (N, 1, Y, X)
            The image without artefacts, and how far it was allowed to change, 0.1
            to 1.
        """
        height, width = image.shape[-2:]
        whole = fill(image, MULTIPLE)
        cells = F.pixel_unshuffle(whole, _CELL)
        told = noise.clamp(min=_LEAST_NOISE).log10()[:, None, None, None]
        told = told.expand(-1, 1, *cells.shape[-2:])
        maps = self.trunk(torch.cat([cells, told], dim=1))
        fine = F.pixel_shuffle(maps[:, :-1], _CELL)
        weights = torch.softmax(_with_image(fine[:, 1:]), dim=1)
        bases = torch.cat([whole, *(smooth(whole, s) for s in self.sigmas_px)], dim=1)
        mixed = (weights * bases).sum(dim=1, keepdim=True)
        change = mixed + fine[:, :1] - whole
        logit = F.avg_pool2d(
            maps[:, -1:],
            _GATE_CELLS,
            stride=1,
            padding=_GATE_CELLS // 2,
            count_include_pad=False,
        )
        opened = _LEAST_GATE + (1 - _LEAST_GATE) * torch.sigmoid(logit + _FIRST_GATE)
        gate = F.interpolate(
            opened,
            scale_factor=_CELL,
            mode="bilinear",
            align_corners=False,
        )
        clean = whole + gate * change
        return clean[..., :height, :width], gate[..., :height, :width]


def smooth(image: Tensor, sigma_px: float) -> Tensor:
    """Blur (N, 1, Y, X) by a Gaussian; edges are continued."""
    reach = math.ceil(3 * sigma_px)
    at = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-((at / sigma_px) ** 2) / 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1))


def _with_image(logits: Tensor) -> Tensor:
    """Put the logit of the image itself before those of the smoothed ones."""
    own = logits.new_full((len(logits), 1, *logits.shape[-2:]), _IMAGE_LOGIT)
    return torch.cat([own, logits], dim=1)

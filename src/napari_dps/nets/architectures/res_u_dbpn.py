"""Res-U-DBPN: a residual U-Net whose scale changes are back-projection units."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dps.core import InputError
from napari_dps.nets.blocks import DownProjection, ResidualBlock, UpProjection
from napari_dps.nets.equivariant import Channels, Fields, Layers, layers_of
from napari_dps.nets.grid import Inside, centred, mirrored_rim

_FOLD = 4
"""Output pixels along the edge of a cell of the first level (space to depth)."""
_MULTIPLE = 4
"""Input pixels along the edge of a cell of the second level."""
_LEAST = 1e-4
"""Least brightness of a base, for the final softplus."""
_SLOPE = 2.0
"""First slope of `ResUDBPN.prior`, over a decade of noise."""
_SOFTPLUS_BETA = 100.0
"""Sharpness of the positivity constraint, for images scaled to about 1."""


class ResUDBPN(nn.Module):
    """Sharpen images, on a grid of half the pixel size.

    After Ye et al. 2024 (doi:10.34133/icomputing.0082): a residual U-Net whose scale
    changes are the units of deep back-projection. It works on cells of 2 × 2 input
    pixels (space to depth), which costs a quarter and widens the field of view.
    The output is a gated mean of the features plus a residual, kept positive.

    Parameters
    ----------
    features : int
        Images on the fine grid that come with the input, for example
        Richardson–Lucy iterations. With 0 the input is interpolated in their place.
    noise_input : bool
        Whether the noise level is an input of the network.
    channels : int
        Channels of the first level; the second has twice as many.
    head_channels : int
        Channels of the up–down–up units.
    blocks : int
        Residual blocks of the second level.
    oriented : bool
        Whether flipping and turning the inputs by quarters flips and turns the output
        exactly; see `napari_dps.nets.equivariant`. Channels are then multiples of 8.

    Examples
    --------
    >>> network = ResUDBPN(features=0, noise_input=False, channels=8, head_channels=4)
    >>> tuple(network(torch.rand(1, 1, 31, 37)).shape)
    (1, 1, 62, 74)
    """

    def __init__(
        self,
        *,
        features: int = 2,
        noise_input: bool = True,
        channels: int = 48,
        head_channels: int = 16,
        blocks: int = 1,
        oriented: bool = False,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "features": features,
            "noise_input": noise_input,
            "channels": channels,
            "head_channels": head_channels,
            "blocks": blocks,
            "oriented": oriented,
        }
        layers = layers_of(oriented)
        bases = max(features, 1)
        inputs = [Fields(1, 2), Fields(features, _FOLD), Fields(int(noise_input))]
        self.enter = _activated(layers, inputs, channels, kernel=3)
        self.encode = ResidualBlock(channels, layers)
        self.down = DownProjection(channels, 2, layers)
        self.widen = layers.conv(channels, 2 * channels, 1)
        self.middle = nn.Sequential(
            *(ResidualBlock(2 * channels, layers) for _ in range(blocks))
        )
        self.narrow = layers.conv(2 * channels, channels, 1)
        self.up = UpProjection(channels, 2, layers)
        self.decode = ResidualBlock(channels, layers)
        self.squeeze = _activated(layers, channels, head_channels, kernel=1)
        units = (UpProjection, DownProjection, UpProjection)
        self.head = nn.Sequential(*(u(head_channels, layers=layers) for u in units))
        self.prior = _prior(bases)
        # A residual and the weights of the bases, four output pixels each.
        self.leave = layers.conv(head_channels, [Fields(1 + bases, 2)], 3)
        for weights in self.leave.parameters():
            nn.init.zeros_(weights)

    def forward(
        self,
        image: Tensor,
        features: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Sharpen a batch of images.

        Parameters
        ----------
        image : tensor (N, 1, Y, X)
            At canonical sampling, scaled to about 0 … 1; any size.
        features : tensor (N, F, 2Y, 2X), optional
            The images on the fine grid, in the same scale.
        noise : tensor (N,), optional
            Standard deviation of the image's noise, in the same scale.

        Returns
        -------
        tensor (N, 1, 2Y, 2X)
            ≥ 0.

        Raises
        ------
        InputError
            If features or noise do not fit the network.
        """
        self._check(image, features, noise)
        image, features, (rows, columns) = on_cells(image, features)
        bases = features
        if bases is None:
            bases = F.interpolate(
                image, scale_factor=2, mode="bilinear", align_corners=False
            )
        raw = self._trunk(self._stack(image, features, noise))
        maps = F.pixel_shuffle(raw, 2)
        residual, gate = maps[:, :1], maps[:, 1:] + self._prior_gate(noise)
        mixed = (torch.softmax(gate, dim=1) * bases).sum(dim=1, keepdim=True)
        # Without a residual the bases pass unchanged, dark ones too.
        out = F.softplus(_inverse_softplus(mixed) + residual, beta=_SOFTPLUS_BETA)
        return out[..., rows, columns]

    def _trunk(self, x: Tensor) -> Tensor:
        skip = self.encode(self.enter(x))
        deep = self.middle(self.widen(self.down(skip)))
        joined = self.decode(skip + self.up(self.narrow(deep)))
        out: Tensor = self.leave(self.head(self.squeeze(joined)))
        return out

    def _prior_gate(self, noise: Tensor | None) -> Tensor:
        """Return log weights of the bases, (N, F, 1, 1)."""
        weights = self.prior[:1]
        if noise is not None:
            weights = weights + self.prior[1:] * _level(noise)[:, None]
        return weights[..., None, None]

    def _stack(
        self, image: Tensor, features: Tensor | None, noise: Tensor | None
    ) -> Tensor:
        """Return all inputs as channels of cells of 2 × 2 input pixels."""
        channels = [F.pixel_unshuffle(image, 2)]
        if features is not None:
            channels.append(F.pixel_unshuffle(features, _FOLD))
        if noise is not None:
            level = _level(noise).view(-1, 1, 1, 1)
            channels.append(level.expand(-1, 1, *channels[0].shape[-2:]))
        return torch.cat(channels, dim=1)

    def _check(
        self, image: Tensor, features: Tensor | None, noise: Tensor | None
    ) -> None:
        count = 0 if features is None else features.shape[1]
        if count != self.settings["features"]:
            raise InputError(
                "feature images for the network",
                got=count,
                allowed=str(self.settings["features"]),
            )
        fine = [2 * side for side in image.shape[-2:]]
        if features is not None and list(features.shape[-2:]) != fine:
            raise InputError(
                "shape of the features",
                got=tuple(features.shape[-2:]),
                allowed=f"{fine}",
            )
        if (noise is not None) != self.settings["noise_input"]:
            raise InputError(
                "noise level",
                got="none" if noise is None else "one",
                allowed="one" if self.settings["noise_input"] else "none",
            )


def on_cells(
    image: Tensor, features: Tensor | None
) -> tuple[Tensor, Tensor | None, Inside]:
    """Fill inputs of any size up to whole cells, by as much on either side.

    Parameters
    ----------
    image : tensor (N, 1, Y, X)
        At canonical sampling.
    features : tensor (N, F, 2Y, 2X) or None
        On the fine grid.

    Returns
    -------
    image, features : tensor
        Their sides are multiples of 4 and of 8.
    inside : tuple of slice
        Rows and columns of the output that belong to the image.
    """
    fine = [2 * side for side in image.shape[-2:]]
    image, inside = centred(image, _MULTIPLE, finer=2)
    if features is not None:
        wide = (2 * side for side in image.shape[-2:])
        rows, columns = ((w - f) // 2 for w, f in zip(wide, fine, strict=True))
        features = mirrored_rim(features, rows, columns)
    return image, features, inside


def _activated(
    layers: Layers, inputs: Channels, outputs: int, *, kernel: int
) -> nn.Sequential:
    """Return a convolution that keeps the size, and its activation."""
    return nn.Sequential(
        layers.conv(inputs, outputs, kernel), layers.activation(outputs)
    )


def _prior(bases: int) -> nn.Parameter:
    """Return offset and slope, over the noise level, of the log weights of the bases.

    The deeper a base, the more it counts where there is little noise.
    """
    slopes = torch.linspace(_SLOPE, -_SLOPE, bases)
    return nn.Parameter(torch.stack([torch.zeros(bases), slopes]))


def _inverse_softplus(x: Tensor) -> Tensor:
    """Return what the final softplus maps to ``x`` (at least 0.0001)."""
    x = x.clamp(min=_LEAST)
    return x + torch.log(-torch.expm1(-_SOFTPLUS_BETA * x)) / _SOFTPLUS_BETA


def _level(noise: Tensor) -> Tensor:
    """Return the noise level (N,) spread evenly: 0.005 to 0.5 become −0.8 to 1.2."""
    return torch.log10(noise.clamp(min=1e-3)) + 1.5


NETWORK = ResUDBPN

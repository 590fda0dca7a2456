"""Residual U-Net of two levels, and the networks of raw SIM frames made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dps.core import InputError
from napari_dps.nets.blocks import ResidualBlock
from napari_dps.nets.equivariant import Channels, Fields, layers_of
from napari_dps.nets.grid import Inside, centred

CELL = 4
"""Pixels of the fine grid along the edge of a cell (space to depth)."""
MULTIPLE = 2 * CELL
"""Pixels of the fine grid that tiles begin at: the second level halves the cells."""
_SLOPE = 2.0
"""First slope of the prior of the gated mean, over a decade of noise."""
_OUTPUTS = ("trunk.leave.weight", "trunk.leave.bias")
"""Those that a `SimImager` has: the maps of the object alone."""


class ResUNet(nn.Module):
    """U-Net of residual blocks: one level, one at half its size, a sum as skip.

    Ronneberger et al. 2015 (doi:10.1007/978-3-319-24574-4_28) with the blocks of
    He et al. 2016 (doi:10.1109/CVPR.2016.90). The last layer starts at 0.

    Parameters
    ----------
    inputs, outputs : int or sequence of Fields
        Channels; what they mean, for a network that turns with the image.
    channels : int
        Channels of the first level; the second has twice as many.
    blocks : int
        Residual blocks of each side of the first level, and of the second.
    oriented : bool
        Whether flips and quarter turns of the input flip and turn the output exactly;
        see `napari_dps.nets.equivariant`. ``channels`` is then a multiple of 8.
    """

    def __init__(
        self,
        inputs: Channels,
        outputs: Channels,
        *,
        channels: int = 48,
        blocks: int = 2,
        oriented: bool = False,
    ) -> None:
        super().__init__()
        layers = layers_of(oriented)

        def level(width: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width, layers) for _ in range(blocks)))

        self.enter = nn.Sequential(
            layers.conv(inputs, channels, 3), layers.activation(channels)
        )
        self.encode = level(channels)
        self.down = nn.Sequential(
            layers.conv(channels, 2 * channels, 2, stride=2),
            layers.activation(2 * channels),
        )
        self.middle = level(2 * channels)
        self.up = layers.conv(2 * channels, channels, 2, stride=2, transposed=True)
        self.decode = level(channels)
        self.leave = layers.conv(channels, outputs, 3)
        for weights in self.leave.parameters():
            nn.init.zeros_(weights)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, Y, X), even sides, to (N, outputs, Y, X)."""
        skip = self.encode(self.enter(x))
        deep = self.up(self.middle(self.down(skip)))
        out: Tensor = self.leave(self.decode(skip + deep))
        return out


class _ObjectFinder(nn.Module):
    """From linear estimates of an object to the object, and further maps.

    The estimates of `napari_dps.physics.sim.pattern_model.PatternModel` hold all that
    the frames show of the object, whatever their number of angles and phases. The
    result is their gated mean plus a residual; the more noise, the more the smoother
    ones count at first. Its last layer is the sub-pixel one of Shi et al. 2016
    (doi:10.1109/CVPR.2016.207), from cells to the grid twice as fine as the frames.

    Parameters
    ----------
    extra_maps : int
        Further maps, a value a cell.
    features : int
        Estimates on the fine grid, from smooth to sharp in noise.
    bases : int
        The first so many take part in the gated mean.
    levels : int
        Numbers that describe the whole image; the first is the decimal logarithm
        of the noise of the mean frame, full scale 1.
    channels, blocks, oriented : int, int, bool
        Settings of the `ResUNet`.
    """

    def __init__(
        self,
        *,
        extra_maps: int,
        features: int = 4,
        bases: int = 2,
        levels: int = 2,
        channels: int = 48,
        blocks: int = 2,
        oriented: bool = False,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "features": features,
            "bases": bases,
            "levels": levels,
            "channels": channels,
            "blocks": blocks,
            "oriented": oriented,
        }
        self.trunk = ResUNet(
            [Fields(features, CELL), Fields(levels)],
            [Fields(1 + bases, CELL), Fields(extra_maps)],
            channels=channels,
            blocks=blocks,
            oriented=oriented,
        )
        self.prior = nn.Parameter(torch.zeros(2, bases))
        self.prior.data[1] = torch.linspace(_SLOPE, -_SLOPE, bases)

    def _find(self, features: Tensor, levels: Tensor) -> tuple[Tensor, Tensor, Inside]:
        """Return the object (N, 2Y, 2X), the further maps of cells, its place there."""
        self._check(features, levels)
        filled, inside = centred(features, MULTIPLE)
        cells = F.pixel_unshuffle(filled, CELL)
        if levels.dim() == 4:
            levels, _ = centred(levels, MULTIPLE)
            numbers = F.avg_pool2d(levels, CELL)
        else:
            levels = levels[..., None, None]
            numbers = levels.expand(-1, -1, *cells.shape[-2:])
        maps = self.trunk(torch.cat([cells, numbers], dim=1))
        bases = self.settings["bases"]
        object_maps = CELL**2 * (1 + bases)
        fine = F.pixel_shuffle(maps[:, :object_maps], CELL)
        flat, slope = self.prior[..., None, None]
        prior = flat + slope * (levels[:, :1] + 1.5)
        gate = torch.softmax(fine[:, 1:] + prior, dim=1)
        sharp = (gate * filled[:, :bases]).sum(dim=1) + fine[:, 0]
        return sharp[:, *inside], maps[:, object_maps:], inside

    def _check(self, features: Tensor, levels: Tensor) -> None:
        for name, count, trained in (
            ("estimates", features.shape[1], self.settings["features"]),
            ("levels", levels.shape[1], self.settings["levels"]),
        ):
            if count != trained:
                raise InputError(
                    f"{name} for the network", got=count, allowed=str(trained)
                )


class SimDenoiser(_ObjectFinder):
    """From linear estimates of an object to the object and its haze.

    Parameters
    ----------
    **settings
        ``features``, ``bases``, ``levels``, ``channels``, ``blocks``, ``oriented`` of
        the network.

    Examples
    --------
    >>> network = SimDenoiser(channels=8, blocks=1)
    >>> fine, coarse = network(torch.rand(1, 4, 30, 36), torch.zeros(1, 2))
    >>> tuple(fine.shape), tuple(coarse.shape)
    ((1, 30, 36), (1, 15, 18))
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(extra_maps=1, **settings)

    def forward(self, features: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Denoise a batch.

        Parameters
        ----------
        features : tensor (N, F, 2Y, 2X)
            Linear estimates, full scale 1; any even size.
        levels : tensor (N, L) or (N, L, 2Y, 2X)
            Numbers that describe the whole image, or each place.

        Returns
        -------
        object : tensor (N, 2Y, 2X)
            On the fine grid, in the scale of the estimates.
        haze : tensor (N, Y, X)
            Light without stripes, on the grid of the frames; smooth.

        Raises
        ------
        InputError
            If the numbers of features or levels are not those of the network.
        """
        sharp, soft, inside = self._find(features, levels)
        haze = F.interpolate(
            soft, scale_factor=CELL, mode="bilinear", align_corners=False
        )
        return sharp, F.avg_pool2d(haze[..., *inside], 2)[:, 0]


class SimImager(_ObjectFinder):
    """From linear estimates of an object to the object alone, for a SIM image.

    Parameters
    ----------
    **settings
        As of `SimDenoiser`.

    Examples
    --------
    >>> network = SimImager(channels=8, blocks=1)
    >>> tuple(network(torch.rand(1, 4, 30, 36), torch.zeros(1, 2)).shape)
    (1, 30, 36)
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(extra_maps=0, **settings)

    def forward(self, features: Tensor, levels: Tensor) -> Tensor:
        """Return the objects (N, 2Y, 2X) of a batch.

        Parameters, grid, scale and errors are those of `SimDenoiser.forward`.
        """
        return self._find(features, levels)[0]

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of a `SimDenoiser` of the same settings, but for the haze.

        Parameters
        ----------
        weights : mapping of tensor
            Its state.

        Raises
        ------
        InputError
            If they are not of such a network.
        """
        state = self.state_dict()
        fitting = {
            name: weight[: len(state[name])] if name in _OUTPUTS else weight
            for name, weight in weights.items()
            if name in state
        }
        try:
            self.load_state_dict(fitting)
        except RuntimeError as problem:
            raise InputError(
                "weights to begin with do not fit the network",
                got=str(problem).splitlines()[0],
            ) from problem


def fill(x: Tensor, multiple: int) -> Tensor:
    """Mirror at the lower and right edge up to a multiple, for any size."""
    bottom, right = (-side % multiple for side in x.shape[-2:])
    if not bottom and not right:
        return x
    mode = "reflect" if min(x.shape[-2:]) >= multiple else "replicate"
    return F.pad(x, (0, right, 0, bottom), mode=mode)
